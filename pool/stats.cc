#include "pool/stats.h"

namespace headgate {

namespace {

uint64_t grown(const PoolStats& before, const PoolStats& now, uint64_t PoolStats::*counter) {
  return now.*counter > before.*counter ? now.*counter - before.*counter : 0;
}

// In floating point: a count times a million may not fit 64 bits.
uint64_t per_second(uint64_t count, Duration elapsed) {
  if (elapsed <= Duration::zero()) return 0;
  long double second = seconds(1) / Duration(1);
  return static_cast<uint64_t>(count * second / elapsed.count());
}

}  // namespace

PoolStats averages(const PoolStats& before, const PoolStats& now, Duration elapsed) {
  PoolStats result;
  for (const StatRow& row : stat_rows) {
    uint64_t count = grown(before, now, row.counter);
    uint64_t events = row.events ? grown(before, now, row.events) : 0;
    if (!row.events) {
      result.*row.counter = per_second(count, elapsed);
    } else if (events > 0) {
      result.*row.counter = count / events;
    }
  }
  return result;
}

}  // namespace headgate
