// Where all randomness of a simulation comes from: one seed, the same throws on every machine.
#pragma once

#include <cstdint>
#include <vector>

#include "base/check.h"
#include "base/time.h"

namespace headgate::sim {

class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(mix(seed)) {}  // or neighbours would throw alike

  uint64_t next() { return mix(state_ += 0x9E3779B97F4A7C15); }
  /// 0 to sides - 1.
  uint64_t roll(uint64_t sides) { return next() % sides; }
  int between(int low, int high) {
    return low + static_cast<int>(roll(static_cast<uint64_t>(high - low) + 1));
  }
  Duration between(Duration low, Duration high) {
    return low +
           Duration(static_cast<int64_t>(roll(static_cast<uint64_t>((high - low).count()) + 1)));
  }
  /// True so many times in a thousand.
  bool chance(int permille) { return roll(1000) < static_cast<uint64_t>(permille); }
  /// The same, but for what never happens nothing is thrown: stories without it stay as they are.
  bool chance_if_any(int permille) { return permille > 0 && chance(permille); }
  template <class T>
  T& pick(std::vector<T>& from) {
    MUST(!from.empty());
    return from[roll(from.size())];
  }

 private:
  static uint64_t mix(uint64_t bits) {
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9;
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB;
    return bits ^ (bits >> 31);
  }

  uint64_t state_;
};

}  // namespace headgate::sim
