// Notices that servers bounce: that a share gets them from other workers again and again instead of
// keeping them, so that opening one more is cheaper than handing over. Owned by one share; counts
// without looking at the time.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace headgate {

class BounceMeter {
 public:
  void count_assignment() { ++assignments_; }
  void count_arrival() { ++arrivals_; }

  /// Whether arrivals were more than a tenth of the assignments in the last full window, which is
  /// the last second, or the time between two questions if that was longer.
  bool bouncing(Instant now) {
    if (now - window_start_ >= window) {
      bouncing_ = arrivals_ >= least_arrivals && arrivals_ * 10 > assignments_;
      assignments_ = arrivals_ = 0;
      window_start_ = now;
    }
    return bouncing_;
  }

  static constexpr Duration window = seconds(1);
  /// Fewer hand-overs than this in a window cost less than a connection, whatever their share.
  static constexpr uint64_t least_arrivals = 10;

 private:
  uint64_t assignments_ = 0;
  uint64_t arrivals_ = 0;
  Instant window_start_{};
  bool bouncing_ = false;
};

}  // namespace headgate
