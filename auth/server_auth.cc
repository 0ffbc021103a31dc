#include <utility>

#include "auth/derivation.h"
#include "auth/login.h"
#include "auth/md5.h"
#include "auth/packets.h"
#include "auth/scram_client.h"
#include "auth/step.h"
#include "protocol/wire.h"

namespace headgate {

namespace {

enum class State : uint8_t {
  fresh,
  password_sent,
  scram_begun,
  deriving,  // a job derives keys from the plain secret
  proof_sent,
  verified,
  over,
};

}  // namespace

struct ServerAuth::Impl {
  Impl(Who w, KeyCache& c) : who(std::move(w)), cache(c), scram(scram_nonce(who.random)) {}

  AuthStep request(AuthRequest number, View data);
  AuthStep answer_cleartext();
  AuthStep answer_md5(View salt);
  AuthStep begin_scram(View mechanisms);
  AuthStep answer_challenge(View message);
  AuthStep answer_with_derived() { return prove(derivation->keys()); }
  AuthStep answer_with_keys(const ScramClient::Challenge& challenge);
  AuthStep prove(const DerivedKeys& keys);
  AuthStep verify(View message);
  AuthStep end();

  AuthStep send(State next, Bytes message) {
    state = next;
    return reply(std::move(message));
  }
  SecretKind kind() const { return who.secret ? who.secret->kind() : SecretKind::none; }

  Who who;
  KeyCache cache;
  State state = State::fresh;
  State asked_in = State::over;  // where we were when the request at hand came
  ScramClient scram;
  std::optional<Derivation> derivation;
};

ServerAuth::ServerAuth(Who who, KeyCache& cache)
    : impl_(std::make_unique<Impl>(std::move(who), cache)) {}

ServerAuth::~ServerAuth() = default;

AuthStep ServerAuth::request(View body) {
  impl_->asked_in = std::exchange(impl_->state, State::over);
  if (body.size() > max_auth_message) return fail(ErrorCode::server_protocol);
  Reader reader(body);
  int32_t number = 0;
  reader.get(number);
  if (reader.spoiled()) return fail(ErrorCode::server_protocol);
  return impl_->request(static_cast<AuthRequest>(number), reader.rest());
}

AuthStep ServerAuth::Impl::request(AuthRequest number, View data) {
  switch (number) {
    case AuthRequest::ok:
      return data.empty() ? end() : fail(ErrorCode::server_protocol);
    case AuthRequest::cleartext:
      return data.empty() ? answer_cleartext() : fail(ErrorCode::server_protocol);
    case AuthRequest::md5:
      return answer_md5(data);
    case AuthRequest::sasl:
      return begin_scram(data);
    case AuthRequest::sasl_continue:
      return answer_challenge(data);
    case AuthRequest::sasl_final:
      return verify(data);
  }
  return fail(
      Error(ErrorCode::server_login_failed,
            "unknown/unsupported auth method: " + std::to_string(static_cast<int32_t>(number))));
}

AuthStep ServerAuth::worked() {
  if (std::exchange(impl_->state, State::over) != State::deriving) {
    return fail(ErrorCode::server_protocol);
  }
  return impl_->answer_with_derived();
}

AuthStep ServerAuth::ok() {
  impl_->asked_in = std::exchange(impl_->state, State::over);
  return impl_->end();
}

AuthStep ServerAuth::Impl::end() {
  switch (asked_in) {
    case State::fresh:
    case State::password_sent:
    case State::verified:
      return finish();
    case State::scram_begun:
    case State::deriving:
    case State::proof_sent:
      return fail(ErrorCode::server_invalid_signature);
    case State::over:
      break;
  }
  return fail(ErrorCode::server_protocol);
}

// A stored hash is never handed out as if it were the password: the server could not use it, and a
// false one could.
AuthStep ServerAuth::Impl::answer_cleartext() {
  if (asked_in != State::fresh) return fail(ErrorCode::server_protocol);
  const bool sendable = kind() == SecretKind::plain && who.secret->text().find('\0') == View::npos;
  if (!sendable) return fail(ErrorCode::server_wrong_password_type);
  return send(State::password_sent, encode_password(who.secret->text()));
}

AuthStep ServerAuth::Impl::answer_md5(View salt) {
  if (asked_in != State::fresh || salt.size() != md5_salt_size) {
    return fail(ErrorCode::server_protocol);
  }
  const auto answer = who.secret ? md5_answer(*who.secret, who.user, salt) : std::nullopt;
  if (!answer) return fail(ErrorCode::server_wrong_password_type);
  return send(State::password_sent, encode_password(*answer));
}

AuthStep ServerAuth::Impl::begin_scram(View mechanisms) {
  if (asked_in != State::fresh) return fail(ErrorCode::server_protocol);
  const bool offers_plus = offers_mechanism(mechanisms, scram_plus_mechanism);
  if (!offers_mechanism(mechanisms, scram_mechanism) &&
      (!offers_plus || who.server_end_point.empty())) {
    return fail(ErrorCode::server_no_mechanism);
  }
  if (kind() != SecretKind::plain && !who.keys) return fail(ErrorCode::server_wrong_password_type);
  const bool plus = offers_plus && !who.server_end_point.empty();
  if (plus) {
    scram.bind_to(who.server_end_point);
  } else if (!who.server_end_point.empty()) {
    scram.could_bind();
  }
  return send(State::scram_begun,
              encode_sasl_initial(plus ? scram_plus_mechanism : scram_mechanism, scram.first()));
}

AuthStep ServerAuth::Impl::answer_challenge(View message) {
  if (asked_in != State::scram_begun) return fail(ErrorCode::server_protocol);
  auto challenge = scram.read_challenge(message);
  if (!challenge) {
    return fail(Error(ErrorCode::server_protocol, "server login failed: bad SCRAM challenge"));
  }
  if (kind() != SecretKind::plain) return answer_with_keys(*challenge);
  derivation.emplace(cache, who.secret->text(), std::move(challenge->salt), challenge->iterations,
                     Derivation::Keep::when_proven);
  if (derivation->known()) return answer_with_derived();
  state = State::deriving;
  return put_aside(derivation->job());
}

AuthStep ServerAuth::Impl::answer_with_keys(const ScramClient::Challenge& challenge) {
  if (verifier_name(challenge.salt, challenge.iterations) != who.keys->verifier) {
    return fail(ErrorCode::server_wrong_password_type);
  }
  return prove({who.keys->client_key, who.keys->server_key});
}

AuthStep ServerAuth::Impl::prove(const DerivedKeys& keys) {
  return send(State::proof_sent, encode_sasl_response(scram.answer(keys)));
}

AuthStep ServerAuth::Impl::verify(View message) {
  if (asked_in != State::proof_sent) return fail(ErrorCode::server_protocol);
  if (message.starts_with("e=")) return fail(ErrorCode::server_login_failed);
  if (!scram.verify(message)) return fail(ErrorCode::server_invalid_signature);
  if (derivation) derivation->remember();
  return send(State::verified, {});
}

}  // namespace headgate
