#include "base/buffer.h"

#include <doctest/doctest.h>

#include <random>

using namespace headgate;

TEST_CASE("buffer: what is appended comes out in order") {
  Buffer buffer;
  CHECK(buffer.empty());
  buffer.append("one ");
  buffer.append("two");
  CHECK(buffer.view() == "one two");
  buffer.consume(4);
  CHECK(buffer.view() == "two");
  buffer.append(" three");
  CHECK(buffer.view() == "two three");
  CHECK(buffer.size() == 9);
  buffer.consume(9);
  CHECK(buffer.empty());
}

TEST_CASE("buffer: an empty buffer owns no memory") {
  // A string of no capacity of its own lies inside the Buffer itself.
  const auto owns_memory = [](const Buffer& buffer) {
    const auto* at = reinterpret_cast<const char*>(&buffer);
    return buffer.view().data() < at || buffer.view().data() >= at + sizeof buffer;
  };
  Buffer buffer;
  CHECK_FALSE(owns_memory(buffer));
  buffer.append(Bytes(100000, 'x'));
  CHECK(owns_memory(buffer));
  SUBCASE("all consumed") { buffer.consume(100000); }
  SUBCASE("cleared") { buffer.clear(); }
  CHECK(buffer.empty());
  CHECK_FALSE(owns_memory(buffer));
}

TEST_CASE("buffer: random appends and consumes match a plain string") {
  std::mt19937 random(1);
  Buffer buffer;
  Bytes model;
  for (int round = 0; round < 20000; ++round) {
    if (random() % 2 == 0) {
      const Bytes more(random() % 50, static_cast<char>('a' + round % 26));
      buffer.append(more);
      model += more;
    } else {
      const size_t count = random() % (model.size() + 1);
      buffer.consume(count);
      model.erase(0, count);
    }
    REQUIRE(buffer.view() == model);
  }
}
