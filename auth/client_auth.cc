#include <algorithm>
#include <utility>

#include "auth/derivation.h"
#include "auth/login.h"
#include "auth/md5.h"
#include "auth/mock.h"
#include "auth/packets.h"
#include "auth/scram_server.h"
#include "auth/step.h"
#include "base/check.h"

namespace headgate {

namespace {

constexpr size_t random_size = 32;  // the nonce, and the md5 salt at the end

enum class State : uint8_t {
  fresh,
  password_asked,
  checking_password,  // a job derives keys from the password that came
  directory_password_asked,
  directory_asked,
  md5_asked,
  sasl_asked,
  making_verifier,  // a job derives keys from the plain secret
  challenged,
  over,
};

}  // namespace

struct ClientAuth::Impl {
  Impl(Who w, KeyCache& c)
      : who(std::move(w)), cache(c), scram(scram_nonce(who.random), who.server_end_point) {
    MUST(who.random.size() >= random_size && !who.mock_key.empty());
    who.scram_iterations = std::clamp(who.scram_iterations, 1, max_scram_iterations);
  }
  ~Impl() { wipe(who.mock_key); }

  AuthStep offer_scram();
  AuthStep ask_about_password(View body);
  AuthStep check_password(View body);
  AuthStep check_derived_password();
  AuthStep check_md5(View body) const;
  AuthStep read_sasl_initial(View body);
  AuthStep begin_scram();
  AuthStep challenge_with_derived();
  AuthStep challenge();
  AuthStep end_scram(View body);

  AuthStep ask(State next, Bytes request) {
    state = next;
    return reply(std::move(request));
  }
  AuthStep derive(State meanwhile) {
    state = meanwhile;
    return put_aside(derivation->job());
  }

  SecretKind kind() const { return who.secret ? who.secret->kind() : SecretKind::none; }
  View md5_salt() const {
    return View(who.random).substr(random_size - md5_salt_size, md5_salt_size);
  }
  bool fits_readable_secret(View password) const;
  void choose_verifier();
  void learn_keys();

  Who who;
  KeyCache cache;
  State state = State::fresh;
  ScramServer scram;
  ScramVerifier verifier;
  bool made_up = false;  // nothing can fit the verifier
  std::optional<Derivation> derivation;
  std::optional<ScramKeys> keys;
  std::optional<Secret> typed;
};

ClientAuth::ClientAuth(Who who, KeyCache& cache)
    : impl_(std::make_unique<Impl>(std::move(who), cache)) {}

ClientAuth::~ClientAuth() = default;

const std::optional<ScramKeys>& ClientAuth::keys() const { return impl_->keys; }

const std::optional<Secret>& ClientAuth::typed() const { return impl_->typed; }

AuthStep ClientAuth::start() {
  MUST(impl_->state == State::fresh);
  impl_->state = State::over;
  if (impl_->who.user.size() > max_user_size) return fail(ErrorCode::username_too_long);
  switch (impl_->who.method) {
    case AuthMethod::plain:
      return impl_->ask(State::password_asked, encode_request(AuthRequest::cleartext));
    case AuthMethod::md5:
      if (impl_->kind() == SecretKind::scram) return impl_->offer_scram();
      return impl_->ask(State::md5_asked, encode_request(AuthRequest::md5, impl_->md5_salt()));
    case AuthMethod::scram_sha_256:
      return impl_->offer_scram();
    case AuthMethod::pam:
    case AuthMethod::ldap:
      return impl_->ask(State::directory_password_asked, encode_request(AuthRequest::cleartext));
    case AuthMethod::any:
    case AuthMethod::cert:
    case AuthMethod::hba:
    case AuthMethod::peer:
    case AuthMethod::reject:
    case AuthMethod::trust:
      break;  // decided elsewhere, or turned into one of the above
  }
  return fail(ErrorCode::no_auth_method);
}

AuthStep ClientAuth::answer(View body) {
  switch (std::exchange(impl_->state, State::over)) {
    case State::password_asked:
      return impl_->check_password(body);
    case State::directory_password_asked:
      return impl_->ask_about_password(body);
    case State::md5_asked:
      return impl_->check_md5(body);
    case State::sasl_asked:
      return impl_->read_sasl_initial(body);
    case State::challenged:
      return impl_->end_scram(body);
    default:
      return fail(ErrorCode::protocol_violation);
  }
}

AuthStep ClientAuth::worked() {
  switch (std::exchange(impl_->state, State::over)) {
    case State::checking_password:
      return impl_->check_derived_password();
    case State::making_verifier:
      return impl_->challenge_with_derived();
    default:
      return fail(ErrorCode::protocol_violation);
  }
}

AuthStep ClientAuth::directory_said(bool right) {
  if (std::exchange(impl_->state, State::over) != State::directory_asked) {
    return fail(ErrorCode::protocol_violation);
  }
  if (right) return finish();
  impl_->typed.reset();
  return fail(impl_->who.method == AuthMethod::pam ? ErrorCode::pam_failed
                                                   : ErrorCode::ldap_failed);
}

AuthStep ClientAuth::Impl::offer_scram() {
  state = State::sasl_asked;
  if (who.server_end_point.empty()) return reply(encode_sasl_request({scram_mechanism}));
  return reply(encode_sasl_request({scram_plus_mechanism, scram_mechanism}));
}

// An empty password must not reach an LDAP server: to that one it means "nobody", who is let in.
AuthStep ClientAuth::Impl::ask_about_password(View body) {
  if (body.size() > max_password_size + 1) return fail(ErrorCode::password_too_long);
  const auto password = decode_password(body);
  if (!password) return fail(ErrorCode::bad_packet);
  if (password->empty()) return fail(ErrorCode::empty_password);
  typed = Secret(Bytes(*password));
  state = State::directory_asked;
  return ask_directory(*password);
}

// A wrong password costs the rounds of a SCRAM verifier whatever the secret, and an unknown user
// costs the same, so the time that a refusal takes tells nobody who exists.
AuthStep ClientAuth::Impl::check_password(View body) {
  if (body.size() > max_password_size + 1) return fail(ErrorCode::password_too_long);
  const auto password = decode_password(body);
  if (!password) return fail(ErrorCode::bad_packet);
  if (password->empty()) return fail(ErrorCode::empty_password);
  if (fits_readable_secret(*password)) return finish();

  choose_verifier();
  const auto keep = made_up ? Derivation::Keep::never : Derivation::Keep::when_proven;
  derivation.emplace(cache, *password, verifier.salt, verifier.iterations, keep);
  return derivation->known() ? check_derived_password() : derive(State::checking_password);
}

bool ClientAuth::Impl::fits_readable_secret(View password) const {
  if (kind() == SecretKind::plain) return equal_in_constant_time(password, who.secret->text());
  if (kind() != SecretKind::md5) return false;
  const auto hashed = md5_secret(password, who.user);
  return hashed && equal_in_constant_time(*hashed, who.secret->text());
}

AuthStep ClientAuth::Impl::check_derived_password() {
  const Bytes stored_key = sha256(derivation->keys().client_key);
  const bool fits = equal_in_constant_time(stored_key, verifier.stored_key);
  if (!fits || made_up) return fail(ErrorCode::password_failed);
  derivation->remember();
  return finish();
}

AuthStep ClientAuth::Impl::check_md5(View body) const {
  if (body.size() > max_password_size + 1) return fail(ErrorCode::password_too_long);
  const auto password = decode_password(body);
  if (!password) return fail(ErrorCode::bad_packet);
  if (password->empty()) return fail(ErrorCode::empty_password);

  const bool usable = kind() == SecretKind::plain || kind() == SecretKind::md5;
  const auto expected = md5_answer(usable ? *who.secret : Secret("made up"), who.user, md5_salt());
  const bool fits = expected && equal_in_constant_time(*password, *expected);
  return fits && usable ? finish() : fail(ErrorCode::password_failed);
}

AuthStep ClientAuth::Impl::read_sasl_initial(View body) {
  if (body.size() > max_auth_message) return fail(ErrorCode::sasl_failed);
  const auto message = decode_sasl_initial(body);
  if (!message) return fail(ErrorCode::sasl_failed);
  if (!scram.offers(message->mechanism)) return fail(ErrorCode::sasl_mechanism);
  if (!scram.read_first(message->data, message->mechanism)) return fail(ErrorCode::sasl_failed);
  return begin_scram();
}

// A plain secret costs its rounds once for each process, not once for each login, and unknown users
// do not cost them at all: a stranger must not be able to buy our rounds with made-up names.
AuthStep ClientAuth::Impl::begin_scram() {
  if (kind() != SecretKind::plain) {
    choose_verifier();
    return challenge();
  }
  derivation.emplace(cache, who.secret->text(), made_up_salt(who.mock_key, who.user),
                     who.scram_iterations, Derivation::Keep::at_once);
  return derivation->known() ? challenge_with_derived() : derive(State::making_verifier);
}

AuthStep ClientAuth::Impl::challenge_with_derived() {
  verifier = verifier_of(derivation->keys(), derivation->salt(), derivation->iterations());
  return challenge();
}

AuthStep ClientAuth::Impl::challenge() {
  return ask(State::challenged,
             encode_request(AuthRequest::sasl_continue, scram.challenge(verifier)));
}

AuthStep ClientAuth::Impl::end_scram(View body) {
  const bool fits = scram.read_final(body);
  if (!fits || made_up) return fail(ErrorCode::sasl_failed);
  if (kind() == SecretKind::scram) learn_keys();
  return finish(encode_request(AuthRequest::sasl_final, scram.confirmation()));
}

// The stored SCRAM verifier, or one that nothing fits.
void ClientAuth::Impl::choose_verifier() {
  auto stored =
      kind() == SecretKind::scram ? parse_scram_verifier(who.secret->text()) : std::nullopt;
  made_up = !stored || stored->iterations > max_scram_iterations;
  verifier =
      made_up ? made_up_verifier(who.mock_key, who.user, who.scram_iterations) : *std::move(stored);
}

void ClientAuth::Impl::learn_keys() {
  keys = ScramKeys{scram.client_key(), verifier.server_key,
                   verifier_name(verifier.salt, verifier.iterations)};
}

}  // namespace headgate
