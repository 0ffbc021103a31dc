// Logging in to a hostile server: it never gets to see a stored secret, and once SCRAM was begun it
// cannot end the log-in without having proved itself.
//
// Input: a byte for the secret we have, then the bodies of R messages behind their lengths. A # in
// a body stands for our nonce.
#include <array>

#include "auth/packets.h"
#include "auth/scram_client.h"
#include "protocol/wire.h"
#include "tests/fuzz/input.h"
#include "tests/unit/auth/rig.h"

namespace headgate::fuzz {
namespace {

using namespace auth_tests;

constexpr int most_iterations = 10'000;  // that the target computes; the limit itself takes seconds

std::array<ServerAuth::Who, 5> visitors() {
  const ScramKeys keys{Bytes(32, 'c'), Bytes(32, 's'), verifier_name("salt", 16)};
  return {server({}), server(as_plain()), server(as_md5()), server(as_scram()),
          server(as_scram(), keys)};
}

struct Talk {
  explicit Talk(const ServerAuth::Who& w) : who(w), auth(w, cache) {}

  void hear(View body);
  void check(const AuthStep& step) const;
  bool costs_too_much(View body) const;

  ServerAuth::Who who;
  KeyCache cache;
  ServerAuth auth;
  bool scram_begun = false, goes_on = true;
  bool cleartext_asked = false;
};

bool Talk::costs_too_much(View body) const {
  if (body.size() < 4) return false;
  const auto challenge = ScramClient(scram_nonce(who.random)).read_challenge(body.substr(4));
  return challenge && challenge->iterations > most_iterations;
}

void Talk::hear(View body) {
  cleartext_asked = body == View("\0\0\0\3", 4);
  AuthStep step = auth.request(Exact(body).view());
  check(step);
  if (step.next == AuthStep::Next::work && costs_too_much(body)) {
    goes_on = false;
    return;
  }
  step = settle(auth, std::move(step));
  check(step);
  scram_begun = scram_begun || View(step.out).find(scram_mechanism) != View::npos;
  MUST(!scram_begun || step.next != AuthStep::Next::done);
  goes_on = step.next == AuthStep::Next::read;
}

void Talk::check(const AuthStep& step) const {
  MUST((step.next == AuthStep::Next::failed) == step.error.has_value());
  MUST(step.out.empty() || step.out[0] == 'p');
  MUST(step.out.size() <= max_auth_message);
  const View secret = who.secret ? who.secret->text() : View();
  const bool shown = !secret.empty() && View(step.out).find(secret) != View::npos;
  MUST(!shown || (cleartext_asked && who.secret->kind() == SecretKind::plain));
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  fuzz::FuzzInput input(data, size);
  static const auto visitors = fuzz::visitors();
  fuzz::Talk talk(visitors[input.byte() % visitors.size()]);
  const Bytes nonce = scram_nonce(talk.who.random);
  for (size_t count = 0; count < 8 && !input.empty() && talk.goes_on; ++count) {
    talk.hear(fuzz::with_nonce(input.piece(), nonce));
  }
  if (!talk.goes_on) return 0;
  const AuthStep end = talk.auth.ok();
  MUST(end.next == (talk.scram_begun ? AuthStep::Next::failed : AuthStep::Next::done));
  return 0;
}
