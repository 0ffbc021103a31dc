// The queue of what a server owes, beside a model of a server that keeps to the protocol and
// answers when it likes: whatever is sent to it, each answer has the fate of what it answers, none
// is unexpected, and the exchange is over exactly when nothing is owed.
//
// Input: a byte for each event: something is sent, or the server works on what was sent first.
#include <deque>

#include "protocol/exchange.h"
#include "tests/fuzz/input.h"

namespace headgate::fuzz {
namespace {

constexpr size_t most_events = 4096;

class ModelServer {
 public:
  void send(Asked asked, Fate fate) {
    exchange_.sent(asked, fate);
    inbox_.push_back({asked, fate});
  }
  /// Works on the first message that waits; `dice` decides how it goes.
  void work(uint8_t dice);
  void work_on_all(uint8_t dice) {
    while (!inbox_.empty()) work(dice);
  }
  void check_quiet() const;

 private:
  struct Sent {
    Asked asked;
    Fate fate;
  };
  void say(const Sent& sent, View tags) {
    for (const char tag : tags) check(sent, exchange_.received(tag));
  }
  void ready(const Sent& sent) { check(sent, exchange_.received_ready(status_)); }
  void check(const Sent& sent, const Answer& answer) const {
    MUST(!answer.unexpected && answer.fate == sent.fate);
  }
  void query(const Sent& sent, uint8_t dice);
  void execute(const Sent& sent, uint8_t dice);
  void in_batch(const Sent& sent, View answer, bool fails);
  void fail(const Sent& sent) {
    say(sent, "E");
    if (status_ == 'T') status_ = 'E';
  }

  Exchange exchange_;
  std::deque<Sent> inbox_;
  char status_ = 'I';
  bool skipping_ = false;
  bool batch_open_ = false;  // messages of a batch were read and no Sync since
};

void ModelServer::work(uint8_t dice) {
  if (inbox_.empty()) return;
  const Sent sent = inbox_.front();
  inbox_.pop_front();
  if (skipping_ && sent.asked != Asked::sync) return;
  const bool fails = dice % 4 == 3;
  if (dice % 16 == 4) exchange_.received("NSA"[dice / 16 % 3]);  // they may come at any time
  switch (sent.asked) {
    case Asked::query:
      return query(sent, dice);
    case Asked::function_call:
      fails ? fail(sent) : say(sent, "V");
      batch_open_ = false;
      return ready(sent);
    case Asked::sync:
      skipping_ = batch_open_ = false;
      return ready(sent);
    case Asked::parse:
      return in_batch(sent, "1", fails);
    case Asked::bind:
      return in_batch(sent, "2", fails);
    case Asked::describe_statement:
      return in_batch(sent, dice & 4 ? "tT" : "tn", fails);
    case Asked::describe_portal:
      return in_batch(sent, dice & 4 ? "T" : "n", fails);
    case Asked::execute:
      return execute(sent, dice);
    case Asked::close:
      return in_batch(sent, "3", fails);
    case Asked::copy_end:
      return;  // ignored outside of a COPY
  }
}

void ModelServer::query(const Sent& sent, uint8_t dice) {
  constexpr View answers[] = {"C", "I", "TDDC", "HddcC", "TCTDC", "CC", "HdcCTC", "TC"};
  say(sent, answers[dice / 4 % 8]);
  if (dice & 1) {
    status_ = status_ == 'I' ? 'T' : 'I';
  } else if (dice % 4 == 2) {
    fail(sent);
  }
  batch_open_ = false;
  ready(sent);
}

void ModelServer::execute(const Sent& sent, uint8_t dice) {
  constexpr View answers[] = {"C", "DDC", "I", "s", "DDs", "HdcC", "HcC", "DC"};
  constexpr View before_error[] = {"", "DD", "Hd", "H"};
  if (dice % 4 != 3) return in_batch(sent, answers[dice / 4 % 8], false);
  say(sent, before_error[dice / 4 % 4]);
  in_batch(sent, "", true);
}

void ModelServer::in_batch(const Sent& sent, View answer, bool fails) {
  batch_open_ = true;
  if (!fails) return say(sent, answer);
  fail(sent);
  skipping_ = true;
}

// The server has read everything.
void ModelServer::check_quiet() const {
  MUST(exchange_.owed() == 0 && !exchange_.lost() && !exchange_.unsure());
  MUST(exchange_.over() == !batch_open_);
  MUST(static_cast<char>(exchange_.status()) == status_ || batch_open_);
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  fuzz::FuzzInput input(data, size);
  fuzz::ModelServer server;
  for (size_t events = 0; events < fuzz::most_events && !input.empty(); ++events) {
    const uint8_t code = input.byte();
    if (code < 128) {
      server.send(static_cast<Asked>(code % 10), code >= 64 ? Fate::swallow : Fate::forward);
    } else if (code < 192) {
      server.work(code);
    } else {
      server.work_on_all(code);
      server.check_quiet();
    }
  }
  server.work_on_all(0);
  server.check_quiet();
  return 0;
}
