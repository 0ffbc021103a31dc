#include "protocol/framer.h"

#include <doctest/doctest.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "protocol/wire.h"

using namespace headgate;

namespace {

// Tags say how the test's handler treats a message.
constexpr char passed = 'p';
constexpr char dropped = 'd';
constexpr char gathered = 'g';
constexpr char peeked = 'k';
constexpr char rotten = 'b';

Bytes message(char tag, View body) {
  Bytes out;
  Writer(out, tag).raw(body);
  return out;
}

struct Gathered {
  char tag;
  Bytes body;
  size_t passed_before;  // bytes that had been passed on when it came
  bool operator==(const Gathered&) const = default;
};

// What a handler has seen, in a form that does not depend on how the stream was cut.
struct Seen {
  std::string headers;
  std::vector<uint32_t> sizes;
  Bytes passed_on;
  std::vector<Gathered> messages;
  bool operator==(const Seen&) const = default;
};

struct Recorder {
  Seen seen;
  View input;                // of the feed() under way: lent bytes must lie in it
  int stops_at_headers = 0;  // how often each header is refused before it is treated
  bool stops_after_messages = false;
  int refused = 0;
  bool more = false;

  Treat on_header(char tag, uint32_t body_size) {
    if (refused++ < stops_at_headers) return Treat::stop;
    refused = 0;
    seen.headers += tag;
    seen.sizes.push_back(body_size);
    switch (tag) {
      case passed:
        return Treat::pass;
      case dropped:
        return Treat::drop;
      case gathered:
        return Treat::gather;
      case peeked:
        return Treat::peek;
      default:
        return Treat::bad;
    }
  }
  void on_pass(View bytes, bool lent) {
    REQUIRE_FALSE(bytes.empty());
    const std::less_equal<const char*> at_most;
    const bool inside = at_most(input.data(), bytes.data()) &&
                        at_most(bytes.data() + bytes.size(), input.data() + input.size());
    REQUIRE(inside == lent);
    seen.passed_on += bytes;
  }
  bool on_message(char tag, View body, bool more_follows) {
    seen.messages.push_back({tag, Bytes(body), seen.passed_on.size()});
    more = more_follows;
    return !stops_after_messages;
  }

  // Feeds one piece, from memory of its own so that a sanitizer sees every step outside of it, and
  // again after each stop.
  void feed(Framer& framer, View piece) {
    const std::vector<char> copy(piece.begin(), piece.end());
    input = View(copy.data(), copy.size());
    while (true) {
      input.remove_prefix(framer.feed(input, *this));
      if (!framer.stopped()) break;
    }
    REQUIRE((input.empty() || framer.broken()));
  }
};

struct Story {
  Bytes stream;
  Seen expected;

  void add(char tag, View body) {
    const Bytes whole = message(tag, body);
    stream += whole;
    expected.headers += tag;
    expected.sizes.push_back(static_cast<uint32_t>(body.size()));
    if (tag == passed) expected.passed_on += whole;
    if (tag != gathered && tag != peeked) return;
    const View beginning = tag == peeked ? body.substr(0, Framer::peek_bytes) : body;
    expected.messages.push_back({tag, Bytes(beginning), expected.passed_on.size()});
    expected.passed_on += body.substr(beginning.size());
  }
};

Story random_story(std::mt19937& random, size_t messages, size_t longest_body) {
  Story story;
  for (size_t i = 0; i < messages; ++i) {
    Bytes body(random() % (longest_body + 1), '\0');
    for (char& byte : body) byte = static_cast<char>(random());
    story.add("pdgk"[random() % 4], body);
  }
  return story;
}

void check_whole(const Story& story, Recorder& recorder, const Framer& framer) {
  REQUIRE(recorder.seen == story.expected);
  REQUIRE(framer.at_boundary());
  REQUIRE(framer.remaining() == 0);
  REQUIRE(framer.held().empty());
}

// Feeds the stream in pieces that end at these places.
void check_cut_at(const Story& story, const std::vector<size_t>& cuts, Recorder recorder = {}) {
  Framer framer;
  size_t from = 0;
  for (const size_t to : cuts) {
    recorder.feed(framer, View(story.stream).substr(from, to - from));
    from = to;
  }
  recorder.feed(framer, View(story.stream).substr(from));
  check_whole(story, recorder, framer);
}

std::vector<size_t> every_byte(size_t size) {
  std::vector<size_t> cuts;
  for (size_t at = 1; at < size; ++at) cuts.push_back(at);
  return cuts;
}

std::vector<size_t> random_cuts(std::mt19937& random, size_t size) {
  std::vector<size_t> cuts;
  const size_t longest = 2 + random() % 40;  // some pieces are empty
  for (size_t at = random() % longest; at < size; at += random() % longest) cuts.push_back(at);
  return cuts;
}

Story one_of_each() {
  Story story;
  for (const View body : {View(), View("x"), View("four"), View("a longer body")}) {
    for (const char tag : {passed, gathered, dropped, gathered, passed, passed, dropped, dropped}) {
      story.add(tag, body);
    }
  }
  return story;
}

}  // namespace

TEST_CASE("framer: what nobody needs to see goes on in one stretch, lent") {
  const Bytes stream = message(passed, "one") + message(passed, "") + message(passed, "three");
  struct {
    int stretches = 0;
    Treat on_header(char, uint32_t) { return Treat::pass; }
    void on_pass(View bytes, bool lent) {
      ++stretches;
      CHECK(lent);
      CHECK(bytes.size() == 8 + 5 + 10);
    }
    bool on_message(char, View, bool) { return false; }
  } handler;
  Framer framer;
  CHECK(framer.feed(stream, handler) == stream.size());
  CHECK(handler.stretches == 1);
}

TEST_CASE("framer: every cut of a stream gives the same messages") {
  const Story story = one_of_each();
  check_cut_at(story, {});
  check_cut_at(story, every_byte(story.stream.size()));
  for (size_t cut = 0; cut <= story.stream.size(); ++cut) check_cut_at(story, {cut});
}

TEST_CASE("framer: of a long message the beginning is handed over, the rest goes on") {
  Story story;
  for (const size_t size :
       {size_t{0}, size_t{5}, Framer::peek_bytes, Framer::peek_bytes + 1, 3 * Framer::peek_bytes}) {
    story.add(peeked, Bytes(size, 'x'));
    story.add(passed, "next");
  }
  check_cut_at(story, {});
  check_cut_at(story, every_byte(story.stream.size()));
  for (size_t cut = 0; cut <= story.stream.size(); cut += 7) check_cut_at(story, {cut});
}

TEST_CASE("framer: every cut, with each header refused and each message followed by a stop") {
  const Story story = one_of_each();
  for (const int refusals : {1, 2}) {
    Recorder recorder;
    recorder.stops_at_headers = refusals;
    recorder.stops_after_messages = true;
    check_cut_at(story, {}, recorder);
    check_cut_at(story, every_byte(story.stream.size()), recorder);
    for (size_t cut = 0; cut <= story.stream.size(); ++cut) check_cut_at(story, {cut}, recorder);
  }
}

TEST_CASE("framer: random streams in random pieces give the same messages") {
  for (unsigned seed = 0; seed < 1500; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const Story story = random_story(random, 1 + random() % 20, seed % 3 == 0 ? 200 : 12);
    Recorder recorder;
    recorder.stops_at_headers = static_cast<int>(random() % 3);
    recorder.stops_after_messages = random() % 2 == 0;
    check_cut_at(story, random_cuts(random, story.stream.size()), recorder);
  }
}

TEST_CASE("framer: a stop shows the header again, in front of the bytes not consumed") {
  const Bytes stream = message(passed, "go") + message(gathered, "wait");
  struct Stopper {
    std::string asked;
    Bytes passed_on;
    bool willing = false;
    Treat on_header(char tag, uint32_t) {
      asked += tag;
      if (tag == passed) return Treat::pass;
      return willing ? Treat::gather : Treat::stop;
    }
    void on_pass(View bytes, bool) { passed_on += bytes; }
    bool on_message(char, View body, bool) { return body == "wait"; }
  } handler;

  SUBCASE("the header lies in the bytes fed: it is not consumed") {
    Framer framer;
    CHECK(framer.feed(stream, handler) == 7);
    CHECK(framer.stopped());
    CHECK(framer.at_boundary());
    CHECK(handler.passed_on == stream.substr(0, 7));
    handler.willing = true;
    CHECK(framer.feed(View(stream).substr(7), handler) == 9);
    CHECK_FALSE(framer.stopped());
    CHECK(handler.asked == "pgg");
  }
  SUBCASE("the header came in two pieces: it is held, and asked about again by any feed") {
    Framer framer;
    CHECK(framer.feed(View(stream).substr(0, 9), handler) == 9);
    CHECK(framer.held() == View(stream).substr(7, 2));
    CHECK(framer.feed(View(stream).substr(9), handler) == 3);
    CHECK(framer.stopped());
    CHECK_FALSE(framer.at_boundary());
    handler.willing = true;
    CHECK(framer.feed(View(), handler) == 0);
    CHECK_FALSE(framer.stopped());
    CHECK(framer.feed("wait", handler) == 4);
    CHECK(framer.at_boundary());
    CHECK(handler.asked == "pgg");
  }
}

TEST_CASE("framer: a handler that stops after a message is told whether bytes follow it") {
  Recorder recorder;
  recorder.stops_after_messages = true;
  Framer framer;
  const Bytes one = message(gathered, "one");
  const Bytes two = one + message(gathered, "two");

  recorder.input = one;
  CHECK(framer.feed(one, recorder) == one.size());
  CHECK(framer.stopped());
  CHECK_FALSE(recorder.more);

  recorder.input = two;
  CHECK(framer.feed(two, recorder) == one.size());
  CHECK(framer.stopped());
  CHECK(recorder.more);

  recorder.feed(framer, View(one).substr(0, 6));
  recorder.input = two;
  CHECK(framer.feed(View(two).substr(6), recorder) == one.size() - 6);
  CHECK(framer.stopped());
  CHECK(recorder.more);
}

TEST_CASE("framer: a length below 4 breaks the stream, whole or in pieces") {
  for (const uint32_t length : {0u, 1u, 3u, 0x80000000u, 0xffffffffu}) {
    CAPTURE(length);
    char header[header_size] = {passed};
    store_u32(header + 1, length);
    const Bytes good = message(passed, "good");
    const Bytes stream = good + Bytes(header, header_size) + "rest";
    for (size_t cut = 0; cut <= good.size() + header_size; ++cut) {
      Framer framer;
      Recorder recorder;
      recorder.feed(framer, View(stream).substr(0, cut));
      if (!framer.broken()) recorder.feed(framer, View(stream).substr(cut));
      REQUIRE(framer.broken());
      REQUIRE_FALSE(framer.stopped());
      REQUIRE(recorder.seen.headers == "p");  // the handler never sees the lie
      REQUIRE(recorder.seen.passed_on == good);
    }
  }
}

TEST_CASE("framer: a handler may break the stream") {
  const Bytes stream = message(passed, "good") + message(rotten, "bad") + message(passed, "never");
  for (const size_t cut : {stream.size(), size_t{9}, size_t{11}, size_t{14}}) {
    Framer framer;
    Recorder recorder;
    recorder.feed(framer, View(stream).substr(0, cut));
    if (!framer.broken()) recorder.feed(framer, View(stream).substr(cut));
    CHECK(framer.broken());
    CHECK(recorder.seen.headers == "pb");
    CHECK(recorder.seen.passed_on == message(passed, "good"));
  }
}

TEST_CASE("framer: messages of nearly 2 GiB are passed and dropped without being held") {
  const Bytes piece(1 << 20, 'x');
  for (const char tag : {passed, dropped}) {
    for (const bool split_header : {false, true}) {
      struct Counter {
        uint64_t passed_on = 0;
        uint32_t announced = 0;
        Treat on_header(char seen, uint32_t body_size) {
          announced = body_size;
          return seen == passed ? Treat::pass : Treat::drop;
        }
        void on_pass(View bytes, bool) { passed_on += bytes.size(); }
        bool on_message(char, View, bool) { return false; }
      } handler;
      char header[header_size] = {tag};
      store_u32(header + 1, 0x7fffffff);
      Framer framer;
      const View bytes(header, header_size);
      if (split_header) framer.feed(bytes.substr(0, 3), handler);
      framer.feed(split_header ? bytes.substr(3) : bytes, handler);
      CHECK(handler.announced == 0x7fffffff - 4);
      CHECK(framer.remaining() == 0x7fffffff - 4);
      uint64_t left = framer.remaining();
      while (left > piece.size()) {
        left -= framer.feed(piece, handler);
        REQUIRE(framer.held().empty());
      }
      CHECK_FALSE(framer.at_boundary());
      // The last piece reaches into the next message.
      const Bytes end = Bytes(left, 'x') + Bytes(header, 2);
      CHECK(framer.feed(end, handler) == end.size());
      CHECK(framer.remaining() == 0);
      CHECK(framer.held() == View(header, 2));
      CHECK(handler.passed_on == (tag == passed ? uint64_t{0x7fffffff} + 1 : 0));
    }
  }
}

TEST_CASE("framer: a gathered message is held only until it is complete") {
  Framer framer;
  Recorder recorder;
  const Bytes stream = message(gathered, Bytes(10000, 'x'));
  recorder.feed(framer, View(stream).substr(0, 5000));
  CHECK(framer.held().size() == 5000);
  CHECK_FALSE(framer.at_boundary());
  CHECK(framer.remaining() == 0);
  recorder.feed(framer, View(stream).substr(5000));
  CHECK(framer.held().empty());
  CHECK(framer.at_boundary());
  CHECK(recorder.seen.messages.size() == 1);
}

TEST_CASE("framer: while a gathered message is handled nothing is held any more") {
  // The handler may look at the framer to decide whether the connection is between two messages.
  struct Watcher {
    Framer framer;
    bool was_at_boundary = false;
    Treat on_header(char, uint32_t) { return Treat::gather; }
    void on_pass(View, bool) {}
    bool on_message(char, View, bool) {
      was_at_boundary = framer.at_boundary();
      return true;
    }
  };
  const Bytes stream = message(gathered, "body");
  for (size_t cut = 0; cut < stream.size(); ++cut) {
    Watcher watcher;
    watcher.framer.feed(View(stream).substr(0, cut), watcher);
    watcher.framer.feed(View(stream).substr(cut), watcher);
    CHECK(watcher.was_at_boundary);
  }
}
