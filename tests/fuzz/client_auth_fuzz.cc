// A client that logs in with whatever it likes: it gets in only with the password, and a client
// that proves itself by SCRAM does not get in by guessing.
//
// Input: a byte for the method, one for the user's secret, then messages behind their lengths.
// A # in a message stands for our half of the nonce.
#include <array>

#include "auth/packets.h"
#include "protocol/wire.h"
#include "tests/fuzz/input.h"
#include "tests/unit/auth/rig.h"

namespace headgate::fuzz {
namespace {

using namespace auth_tests;

constexpr std::array methods = {AuthMethod::plain, AuthMethod::md5, AuthMethod::scram_sha_256};

const std::array<std::optional<Secret>, 5>& secrets() {
  static const std::array<std::optional<Secret>, 5> all = {std::nullopt, Secret(), as_plain(),
                                                           as_md5(), as_scram()};
  return all;
}

/// What a client that knows the password says where one message is enough.
Bytes right_answer(const ClientAuth::Who& who) {
  if (who.method == AuthMethod::plain) return Bytes(password) + '\0';
  const View salt = View(who.random).substr(who.random.size() - md5_salt_size);
  return encode_password(*md5_answer(as_plain(), user, salt)).substr(header_size);
}

bool may_be_let_in(const ClientAuth::Who& who, View last_message) {
  const SecretKind kind = who.secret ? who.secret->kind() : SecretKind::none;
  if (kind == SecretKind::none) return false;
  if (who.method == AuthMethod::scram_sha_256) return false;
  if (who.method == AuthMethod::md5 && kind == SecretKind::scram) return false;
  return last_message == right_answer(who);
}

void check_step(const AuthStep& step) {
  MUST((step.next == AuthStep::Next::failed) == step.error.has_value());
  MUST((step.next == AuthStep::Next::work) == static_cast<bool>(step.work));
  MUST(step.out.empty() || step.out[0] == 'R');
  MUST(step.out.size() <= max_auth_message);
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  fuzz::FuzzInput input(data, size);
  const AuthMethod method = fuzz::methods[input.byte() % fuzz::methods.size()];
  const auto& secret = fuzz::secrets()[input.byte() % fuzz::secrets().size()];
  const ClientAuth::Who who = auth_tests::client(method, secret);
  KeyCache cache;
  ClientAuth auth(who, cache);
  AuthStep step = auth_tests::settle(auth, auth.start());
  Bytes message;
  for (size_t count = 0; count < 8 && !input.empty() && step.next == AuthStep::Next::read;
       ++count) {
    fuzz::check_step(step);
    message = fuzz::with_nonce(input.piece(), scram_nonce(who.random));
    step = auth_tests::settle(auth, auth.answer(fuzz::Exact(message).view()));
  }
  fuzz::check_step(step);
  MUST(step.next != AuthStep::Next::done || fuzz::may_be_let_in(who, message));
  // Whoever was refused stays refused.
  if (step.next != AuthStep::Next::read) {
    MUST(auth.answer(message).next == AuthStep::Next::failed);
    MUST(auth.worked().next == AuthStep::Next::failed);
  }
  return 0;
}
