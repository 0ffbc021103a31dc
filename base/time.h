// Points in time and spans of it. Nothing here reads a clock: an Instant is always handed in by the
// caller, so that every rule about time can be tested without waiting.
#pragma once

#include <chrono>
#include <cstdint>

namespace headgate {

/// The clock that Instants belong to: monotonic, of unspecified origin. It has no now().
struct Monotonic {
  using rep = int64_t;
  using period = std::micro;
  using duration = std::chrono::duration<rep, period>;
};

using Duration = Monotonic::duration;
using Instant = std::chrono::time_point<Monotonic, Duration>;

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

}  // namespace headgate
