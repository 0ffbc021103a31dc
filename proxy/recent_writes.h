// When clients that share something, a user of the application say, have last written: those who
// read for the same user through another connection are to see it, too. A table of fixed size that
// all threads share; two keys in one place make reads of both go to the primary, nothing else.
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>
#include <atomic>
#include <cstdint>

#include "base/bytes.h"
#include "base/time.h"

namespace headgate {

class RecentWrites {
 public:
  static uint64_t key_of(View database, View value) {
    const uint64_t of_database = XXH3_64bits(database.data(), database.size());
    return XXH3_64bits_withSeed(value.data(), value.size(), of_database);
  }
  void note(uint64_t key, Instant at) {
    std::atomic<int64_t>& place = at_[key % at_.size()];
    const int64_t now = at.time_since_epoch().count();
    int64_t before = place.load(std::memory_order_relaxed);
    while (before < now && !place.compare_exchange_weak(before, now)) {
    }
  }
  /// For all keys: nobody knows what was written before.
  void note_all(Instant at) {
    for (auto& place : at_) place.store(at.time_since_epoch().count());
  }
  /// Never: a time before all others.
  Instant last(uint64_t key) const { return Instant(Duration(at_[key % at_.size()].load())); }

 private:
  std::array<std::atomic<int64_t>, 4096> at_{};
};

}  // namespace headgate
