// The queue of what a server owes, under any sequence of messages from both sides: it never breaks,
// and never says two things that cannot both be.
//
// Input: a byte for each event.
#include "protocol/exchange.h"

#include "tests/fuzz/input.h"

namespace headgate::fuzz {
namespace {

constexpr size_t most_events = 4096;  // the relay bounds what is owed, this is no place to

class Conversation {
 public:
  void event(uint8_t code, uint8_t argument);
  void check() const;

 private:
  void check_fate(const Answer& answer, bool owed_before) const {
    // Once the client has gone nothing that was asked before is for it.
    if (gone_ && owed_before) MUST(answer.fate == Fate::swallow);
  }

  Exchange exchange_;
  bool gone_ = false;
  bool was_lost_ = false;
};

// The six low bits: 0 to 9 and 16 to 25 send, to be forwarded or swallowed; 32 and up receive.
void Conversation::event(uint8_t code, uint8_t argument) {
  was_lost_ = exchange_.lost();
  const bool owed = exchange_.owed() > 0;
  if (code < 32) {
    const bool swallowed = code >= 16 || gone_;
    const auto asked = static_cast<Asked>(code % 16 % 10);
    exchange_.sent(asked, swallowed ? Fate::swallow : Fate::forward);
  } else if (code == 32) {
    exchange_.swallow_all();
    gone_ = true;
  } else if (code == 33) {
    check_fate(exchange_.received_ready(static_cast<char>(argument)), owed);
  } else if (code < 37) {
    check_fate(exchange_.received_ready("ITE"[code - 34]), owed);
  } else if (code == 37) {
    const Answer answer = exchange_.received(static_cast<char>(argument));
    if (argument != 'A') check_fate(answer, owed);
  } else {
    constexpr View tags = "12CDEGHIKNRSTVWcdnstv3";
    check_fate(exchange_.received(tags[(code - 38u) % tags.size()]), owed);
  }
}

void Conversation::check() const {
  if (exchange_.over()) {
    MUST(exchange_.owed() == 0 && !exchange_.batch_open());
    MUST(!exchange_.unsure() && !exchange_.lost());
  }
  MUST(!exchange_.clean() || exchange_.over());
  MUST(!exchange_.clean() || exchange_.status() == TransactionStatus::idle);
  MUST(!exchange_.copying_in() || exchange_.owed() > 0);
  MUST(!exchange_.next_is_swallowed() || exchange_.owed() > 0);
  MUST(exchange_.owed() <= most_events);
  MUST(exchange_.lost() || !was_lost_);
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate::fuzz;
  FuzzInput input(data, size);
  Conversation conversation;
  for (size_t events = 0; events < most_events && !input.empty(); ++events) {
    const uint8_t code = input.byte() % 64;
    const bool has_argument = code == 33 || code == 37;
    conversation.event(code, has_argument ? input.byte() : uint8_t{0});
    conversation.check();
  }
  return 0;
}
