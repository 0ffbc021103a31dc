#include "tests/sim/passwords.h"

#include "auth/crypto.h"
#include "auth/md5.h"
#include "auth/packets.h"
#include "auth/scram.h"

namespace headgate::sim {

namespace {

constexpr const char* all_users[] = {"u0", "u1", "admin", "viewer", "monitor"};

Bytes verifier_text(const std::string& password, View salt) {
  constexpr int iterations = 3;
  const DerivedKeys keys = derive_scram_keys(password, salt, iterations);
  return "SCRAM-SHA-256$" + verifier_name(salt, iterations) + "$" +
         base64_encode(sha256(keys.client_key)) + ":" + base64_encode(keys.server_key);
}

Bytes secret_text(SecretKind kind, const std::string& user) {
  std::string password = Passwords::of(user);
  if (kind == SecretKind::md5) return *md5_secret(password, user);
  if (kind == SecretKind::scram) return verifier_text(password, "salt of " + user);
  return password;
}

const char* name(AuthMethod method) {
  if (method == AuthMethod::plain) return "plain";
  if (method == AuthMethod::md5) return "md5";
  return method == AuthMethod::trust ? "trust" : "scram-sha-256";
}

}  // namespace

std::string Passwords::of(const std::string& user) { return "secret of " + user; }

std::string Passwords::user_list() const {
  std::string text;
  for (const char* user : all_users) {
    text += fmt::format("\"{}\" \"{}\"\n", user, secret_text(known, user));
  }
  return text;
}

// With pass-through it is the very verifier that Headgate knows.
Secret Passwords::kept_by_server(const std::string& user) const {
  return Secret(secret_text(
      servers == AuthMethod::scram_sha_256 ? SecretKind::scram : SecretKind::md5, user));
}

bool Passwords::clients_come_in() const {
  return clients != AuthMethod::scram_sha_256 || known != SecretKind::md5;
}

bool Passwords::servers_let_in() const {
  if (servers == AuthMethod::trust || known == SecretKind::plain) return true;
  if (servers == AuthMethod::md5) return known == SecretKind::md5;
  // Only a client that has proved itself by SCRAM has taught us its keys.
  return known == SecretKind::scram &&
         (clients == AuthMethod::md5 || clients == AuthMethod::scram_sha_256);
}

const char* Passwords::clients_setting() const { return name(clients); }

std::string Passwords::describe() const {
  if (clients == AuthMethod::trust && servers == AuthMethod::trust) return "";
  constexpr const char* kinds[] = {"no", "plain", "md5", "scram"};
  return fmt::format("; {} clients, {} servers, {} secrets", name(clients), name(servers),
                     kinds[static_cast<size_t>(known)]);
}

// --- the client's side

Visitor::Visitor(World& world, const Passwords& passwords, const std::string& user,
                 std::string password)
    : world_(world),
      passwords_(passwords),
      proof_({.user = user,
              .secret = Secret(std::move(password)),
              .keys = {},
              .random = sha256(std::to_string(world.dice.next()))},
             cache_),
      name_(user) {}

void Visitor::hear(View body, std::function<void(View)> say) {
  if (body != View("\0\0\0\0", 4)) {
    asked_ = true;
    return take(proof_.request(body), std::move(say));
  }
  if (!asked_ && passwords_.clients != AuthMethod::trust) {
    world_.violated("{} was let in without a question", name_);
  }
  take(proof_.ok(), std::move(say));
}

void Visitor::take(AuthStep step, std::function<void(View)> say) {
  if (step.next == AuthStep::Next::failed) {
    world_.violated("{} cannot go on with its log-in: {}", name_, step.error->message);
  }
  if (!step.out.empty()) say(step.out);
  if (step.next != AuthStep::Next::work) return;
  world_.after(world_.dice.between(microseconds(10), milliseconds(5)),
               [this, alive = std::weak_ptr(alive_), work = std::move(step.work),
                say = std::move(say)]() mutable {
                 if (alive.expired()) return;
                 work();
                 take(proof_.worked(), std::move(say));
               });
}

}  // namespace headgate::sim
