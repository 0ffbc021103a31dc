// The framer beside a model that sees the whole stream at once: cut in any way, the stream gives
// the same messages, and no byte is lost or handed on twice.
//
// Input: a byte that counts the cuts, a byte for each cut (how long the part is), the stream.
#include <string>
#include <utility>

#include "protocol/framer.h"
#include "tests/fuzz/input.h"

namespace headgate::fuzz {
namespace {

constexpr uint32_t most_gathered = 4096;

Treat treat_of(char tag, uint32_t body_size) {
  switch (static_cast<uint8_t>(tag) % 16) {
    case 15:
      return Treat::bad;
    case 14:
    case 13:
      return Treat::drop;
    case 12:
    case 11:
    case 10:
    case 9:
    case 8:
      return body_size <= most_gathered ? Treat::gather : Treat::pass;
    default:
      return Treat::pass;
  }
}
bool stops_in_front(char tag) { return static_cast<uint8_t>(tag) % 16 == 1; }
bool stops_behind(char tag) { return static_cast<uint8_t>(tag) % 16 == 9; }

/// What came out of a stream: the headers, and what was handed on with the gathered messages in it.
struct Output {
  std::string headers, handed_on;
  size_t dropped = 0;
  bool broken = false;

  void header(char tag, uint32_t body_size) { headers += tag + std::to_string(body_size) + ' '; }
  void message(char tag, View body) {
    handed_on.append("<").append(1, tag).append(body).append(">");
  }
  bool operator==(const Output&) const = default;
};

Output model_of(View stream) {
  Output output;
  while (stream.size() >= header_size) {
    const uint32_t length = load_u32(stream.data() + 1);
    if (length < length_size || length > INT32_MAX) {
      output.broken = true;
      break;
    }
    const View whole = stream.substr(0, size_t{1} + length);
    const bool complete = whole.size() == size_t{1} + length;
    output.header(stream[0], length - length_size);
    const Treat treat = treat_of(stream[0], length - length_size);
    output.broken = treat == Treat::bad;
    if (output.broken || (treat == Treat::gather && !complete)) break;
    if (treat == Treat::gather) output.message(stream[0], whole.substr(header_size));
    if (treat == Treat::pass) output.handed_on.append(whole);
    if (treat == Treat::drop) output.dropped += whole.size();
    stream.remove_prefix(whole.size());
  }
  return output;
}

class Recorder {
 public:
  Output output;
  View in;  // what is being fed
  bool dropping = false;

  Treat on_header(char tag, uint32_t body_size) {
    if (stops_in_front(tag) && !std::exchange(stopped_once_, true)) return Treat::stop;
    stopped_once_ = false;
    output.header(tag, body_size);
    const Treat treat = treat_of(tag, body_size);
    dropping = treat == Treat::drop;
    if (dropping) output.dropped += header_size + body_size;
    return treat;
  }
  void on_pass(View bytes, bool lent) {
    MUST(!bytes.empty());
    MUST(lent == lent_from(in, bytes));
    output.handed_on.append(bytes);
  }
  bool on_message(char tag, View body, bool more) {
    if (!body.empty() && lent_from(in, body))
      MUST(more == (body.data() + body.size() < in.data() + in.size()));
    output.message(tag, body);
    return !stops_behind(tag);
  }

 private:
  bool stopped_once_ = false;
};

/// Feeds the parts; returns how many bytes were consumed, those that are held included.
size_t feed(Framer& framer, Recorder& recorder, const std::vector<View>& parts) {
  size_t consumed = 0;
  Bytes left;  // of what was stopped in front of
  for (const View part : parts) {
    left.append(part);
    while ((!left.empty() || framer.stopped()) && !framer.broken()) {
      const Exact in(left);
      recorder.in = in.view();
      const size_t taken = framer.feed(in.view(), recorder);
      MUST(taken <= left.size());
      MUST(framer.stopped() || framer.broken() || taken == left.size());
      left.erase(0, taken);
      consumed += taken;
    }
  }
  return consumed;
}

void check(View stream, const std::vector<View>& parts) {
  Framer framer;
  Recorder recorder;
  const size_t consumed = feed(framer, recorder, parts);
  recorder.output.broken = framer.broken();
  if (recorder.dropping) recorder.output.dropped -= framer.remaining();
  MUST(recorder.output == model_of(stream));
  MUST(framer.broken() || consumed == stream.size());
  MUST(framer.held().empty() || framer.remaining() == 0);
  MUST(framer.at_boundary() == (framer.remaining() == 0 && framer.held().empty()));
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  using namespace headgate::fuzz;
  FuzzInput input(data, size);
  std::vector<uint8_t> lengths(input.byte() % 32);
  for (uint8_t& length : lengths) length = input.byte();
  const View stream = input.rest();
  std::vector<View> parts;
  View rest = stream;
  for (const uint8_t length : lengths) {
    parts.push_back(rest.substr(0, length));
    rest.remove_prefix(parts.back().size());
  }
  parts.push_back(rest);
  check(stream, {stream});
  check(stream, parts);
  return 0;
}
