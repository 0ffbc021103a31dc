#include "proxy/use_board.h"

#include <algorithm>

namespace headgate {

void UseBoard::tell(WorkerId worker, PoolUse use, Instant now) {
  const std::lock_guard lock(mutex_);
  told_.insert_or_assign(worker, Told{std::move(use), now});
}

// Who held a server then has held it longer since.
PoolUse UseBoard::of_others(WorkerId worker, Instant now) const {
  PoolUse sum;
  const std::lock_guard lock(mutex_);
  for (const auto& [other, told] : told_) {
    if (other == worker || told.at + believed < now) continue;
    PoolUse part = told.use;
    const int64_t age = std::max<int64_t>((now - told.at).count(), 0);
    if (part.opening > 0) part.opening_us += age;
    if (part.longest) part.longest->held_us += age;
    add(sum, part);
  }
  return sum;
}

bool UseBoard::claim(std::atomic<int64_t>& last, Instant now, Duration apart) {
  const int64_t time = now.time_since_epoch().count();
  int64_t before = last.load(std::memory_order_relaxed);
  if (before != never && time - before < apart.count()) return false;
  return last.compare_exchange_strong(before, time, std::memory_order_relaxed);
}

}  // namespace headgate
