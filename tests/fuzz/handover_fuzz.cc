// What processes say to each other at an online restart: whatever is understood can be said again
// and is the same.
//
// Input: a message's tag and its body.
#include "protocol/handover.h"

#include "tests/fuzz/input.h"

namespace headgate::fuzz {
namespace {

using namespace headgate::handover;

template <class Message>
void check(const Result<Message>& message, View body) {
  if (!message) return;
  Bytes again;
  encode(again, *message);
  MUST(View(again).substr(header_size) == body);
}

void check_client(View body) {
  const auto record = decode_client(body);
  if (!record) return;
  MUST(record->statements.size() <= ClientRecord::max_statements);
  MUST(record->parameters.size() <= ClientRecord::max_settings);
  Bytes once, twice;
  encode(once, *record);  // names come in their order, so only what was in order is the same
  const auto again = decode_client(View(once).substr(header_size));
  MUST(again.ok());
  encode(twice, *again);
  MUST(once == twice);
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  if (size == 0) return 0;
  const View body(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (static_cast<handover::Tag>(data[0])) {
    case handover::Tag::hello:
      (void)handover::decode_hello(body);
      break;
    case handover::Tag::socket:
      fuzz::check(handover::decode_socket(body), body);
      break;
    case handover::Tag::held:
      fuzz::check(handover::decode_held(body), body);
      break;
    case handover::Tag::timeline:
      fuzz::check(handover::decode_timeline(body), body);
      break;
    case handover::Tag::taken:
      (void)handover::decode_taken(body);
      break;
    case handover::Tag::cancel:
      fuzz::check(handover::decode_cancel(body), body);
      break;
    case handover::Tag::cancel_done:
      (void)handover::decode_cancel_done(body);
      break;
    default:
      fuzz::check_client(body);
  }
  return 0;
}
