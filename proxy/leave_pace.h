// Clients that have to go leave one after the other, so that they do not all come back in the same
// moment. No I/O; time is an argument.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace headgate {

class LeavePace {
 public:
  /// `total` of them, evenly spread over that time; with none, all at once.
  LeavePace(Instant since, Duration over, size_t total)
      : since_(since), over_(over), total_(total) {}

  /// So many may have gone by now; behind the time, whoever is left.
  size_t due(Instant now) const {
    if (now >= since_ + over_) return SIZE_MAX;
    if (now <= since_) return 0;
    const double share =
        static_cast<double>((now - since_).count()) / static_cast<double>(over_.count());
    return static_cast<size_t>(static_cast<double>(total_) * share);
  }

 private:
  Instant since_;
  Duration over_;
  size_t total_;
};

}  // namespace headgate
