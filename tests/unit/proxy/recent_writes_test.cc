#include "proxy/recent_writes.h"

#include <doctest/doctest.h>

#include <memory>
#include <thread>
#include <vector>

using namespace headgate;

TEST_CASE("recent writes: the latest counts, for its key") {
  const auto writes = std::make_unique<RecentWrites>();
  const uint64_t key = RecentWrites::key_of("app", "7");
  CHECK(writes->last(key) == Instant());
  writes->note(key, Instant(seconds(20)));
  writes->note(key, Instant(seconds(10)));
  CHECK(writes->last(key) == Instant(seconds(20)));
  CHECK(writes->last(key + 1) == Instant());
}

TEST_CASE("recent writes: the same value in two databases is two keys") {
  CHECK(RecentWrites::key_of("app", "7") != RecentWrites::key_of("shop", "7"));
  CHECK(RecentWrites::key_of("app", "7") == RecentWrites::key_of("app", "7"));
}

TEST_CASE("recent writes: threads that note at once lose nothing") {
  const auto writes = std::make_unique<RecentWrites>();
  std::vector<std::thread> threads;
  for (int64_t first = 0; first < 4; ++first) {
    threads.emplace_back([&writes, first] {
      for (int64_t at = first; at < 40'000; at += 4) writes->note(1, Instant(microseconds(at)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(writes->last(1) == Instant(microseconds(39'999)));
}
