// A client and a server of ours log in to each other while somebody changes what they say. With the
// wrong password nobody gets in; with SCRAM nobody gets in either once a message of the exchange
// was changed; and what was not changed at all works.
//
// Input: a byte for the method, one for the secrets of both sides, then changes: which message,
// where, how, and with what.
#include <algorithm>
#include <array>

#include "tests/fuzz/input.h"
#include "tests/unit/auth/rig.h"

namespace headgate::fuzz {
namespace {

using namespace auth_tests;

struct Change {
  uint8_t message, place, how, with;

  void apply(Bytes& body) const {
    const size_t at = body.empty() ? 0 : place % body.size();
    switch (how % 4) {
      case 0:
        if (!body.empty()) body[at] = static_cast<char>(body[at] ^ with);
        break;
      case 1:
        body.insert(at, 1, static_cast<char>(with));
        break;
      case 2:
        body.erase(at, 1 + with % 8);
        break;
      default:
        body.append(1, static_cast<char>(with));
    }
  }
};

class Meddler {
 public:
  explicit Meddler(FuzzInput& input) {
    for (size_t count = 0; count < 16 && !input.empty(); ++count) {
      changes_.push_back({input.byte(), input.byte(), input.byte(), input.byte()});
    }
  }

  Bytes operator()(size_t index, Bytes body) {
    const Bytes original = body;
    for (const Change& change : changes_) {
      if (change.message % 5 == index) change.apply(body);
    }
    changed_[index] = body != original;
    return costs_too_much(body) ? Bytes() : body;
  }
  /// Of the messages: what is offered, client-first, server-first, client-final, server-final.
  bool changed(size_t index) const { return changed_[index]; }
  bool changed_any() const {
    return std::find(changed_.begin(), changed_.end(), true) != changed_.end();
  }

 private:
  // A change may have made the iterations many.
  bool costs_too_much(View body) {
    const size_t at = body.find(",i=");
    const bool many = at != View::npos && body.size() - at > std::string(",i=9999").size();
    if (many) changed_[2] = true;
    return many;
  }

  std::vector<Change> changes_;
  std::array<bool, 8> changed_{};
};

struct Sides {
  AuthMethod method;
  bool right_password;
  std::optional<Secret> gate, visitor;
};

Sides sides_from(FuzzInput& input) {
  constexpr std::array methods = {AuthMethod::scram_sha_256, AuthMethod::md5, AuthMethod::plain};
  static const std::array secrets = {as_plain(), as_scram(), as_md5()};
  const AuthMethod method = methods[input.byte() % methods.size()];
  const uint8_t choice = input.byte();
  const bool right = choice & 1;
  // An md5 secret is of no use for SCRAM.
  const size_t kinds = method == AuthMethod::scram_sha_256 ? 2 : 3;
  return {method, right, secrets[choice / 2 % kinds], as_plain(right ? password : "wrong")};
}

bool by_scram(const Sides& sides) {
  return sides.method == AuthMethod::scram_sha_256 ||
         (sides.method == AuthMethod::md5 && sides.gate->kind() == SecretKind::scram);
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  fuzz::FuzzInput input(data, size);
  const fuzz::Sides sides = fuzz::sides_from(input);
  fuzz::Meddler meddler(input);
  KeyCache cache;
  const auth_tests::Outcome outcome =
      auth_tests::talk(auth_tests::client(sides.method, sides.gate),
                       auth_tests::server(sides.visitor), cache, std::ref(meddler));
  if (!meddler.changed_any()) MUST(outcome.good() == sides.right_password);
  if (!fuzz::by_scram(sides)) return 0;
  MUST(!outcome.let_in || sides.right_password);
  for (const size_t message : {1, 2, 3}) MUST(!outcome.let_in || !meddler.changed(message));
  // A server that does not ask for SCRAM need not prove itself: the protocol has it so.
  if (!meddler.changed(0)) MUST(!outcome.satisfied || outcome.let_in);
  return 0;
}
