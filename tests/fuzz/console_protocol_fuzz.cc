// A client of the admin console: whatever it sends, every Query and every Sync is answered by one
// ReadyForQuery, every other message by no more than one error, and what is kept is bounded.
//
// Input: messages.
#include "admin/console_protocol.h"

#include "protocol/messages.h"
#include "tests/fuzz/input.h"

namespace headgate::fuzz {
namespace {

Snapshot some_rows() {
  Snapshot snapshot;
  snapshot.clients.resize(3);
  snapshot.pools.resize(2);
  snapshot.stats.resize(1);
  snapshot.stats[0].totals.query_count = 123456789;
  return snapshot;
}

size_t count(View messages, char tag) {
  size_t found = 0;
  while (!messages.empty()) {
    MUST(messages.size() >= header_size);
    const size_t size = 1 + size_t{load_u32(messages.data() + 1)};
    MUST(size <= messages.size());
    found += messages[0] == tag;
    messages.remove_prefix(size);
  }
  return found;
}

/// What a message is answered with, the command that it runs included; nothing: it is broken.
std::optional<Bytes> answer(ConsoleProtocol& console, char tag, View body) {
  static const Snapshot snapshot = some_rows();
  ConsoleStep step = console.message(tag, body);
  Bytes heard = step.out;
  if (step.next == ConsoleStep::Next::run) {
    Bytes rows;
    answer_show(rows, console.command(), snapshot, {});
    step = console.answered(std::move(rows));
    MUST(step.next == ConsoleStep::Next::read);
    heard += step.out;
  }
  if (step.next == ConsoleStep::Next::broken) return {};
  MUST(step.error.has_value() == (count(heard, backend::error_response) == 1));
  return heard;
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  View rest(reinterpret_cast<const char*>(data), size);
  ConsoleProtocol console(ConsoleRights::stats);
  bool skipping = false;
  while (rest.size() >= header_size) {
    const char tag = rest[0];
    const size_t body_size = load_u32(rest.data() + 1) - length_size;
    if (!ConsoleProtocol::understands(tag) || body_size > ConsoleProtocol::max_message ||
        body_size > rest.size() - header_size) {
      return 0;
    }
    const fuzz::Exact body(rest.substr(header_size, body_size));
    const auto heard = fuzz::answer(console, tag, body.view());
    if (!heard) return 0;
    const bool ends = tag == frontend::sync || (tag == frontend::query && !skipping);
    MUST(fuzz::count(*heard, backend::ready_for_query) == (ends ? 1 : 0));
    MUST(!skipping || tag == frontend::sync || heard->empty());
    const bool failed = fuzz::count(*heard, backend::error_response) > 0;
    skipping = tag == frontend::sync ? false : skipping || (failed && tag != frontend::query);
    rest.remove_prefix(header_size + body_size);
  }
  return 0;
}
