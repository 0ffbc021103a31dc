// A world of its own: time that passes only from event to event, one source of randomness, and a
// record of what happened. Everything in a simulation happens in an event of its world, one after
// the other, so that the same seed always tells the same story.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/time.h"
#include "tests/sim/dice.h"

namespace headgate::sim {

/// A promise was broken; what() says which.
struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class World {
 public:
  explicit World(uint64_t seed) : dice(seed) {}

  Dice dice;
  Instant now() const { return now_; }
  using Action = std::function<void()>;
  void at(Instant when, Action action);
  void after(Duration delay, Action action) { at(now_ + delay, std::move(action)); }
  /// The next event happens; false: nothing is left to happen.
  bool step();
  uint64_t events() const { return events_; }
  /// Drops what was still to happen.
  void forget_everything() { queue_.clear(); }

  /// Lines about what happened: the last ones are kept for the report of a violation.
  template <class... Args>
  void note(fmt::format_string<Args...> format, Args&&... args) {
    if (recording) record(fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  [[noreturn]] void violated(fmt::format_string<Args...> format, Args&&... args) {
    throw Violation(fmt::format(format, std::forward<Args>(args)...));
  }
  /// Whether notes are taken; they cost time.
  bool recording = false;
  /// A number that differs when anything went otherwise.
  uint64_t fingerprint() const { return fingerprint_; }
  void mark(uint64_t fact) { fingerprint_ = (fingerprint_ ^ fact) * 0x100000001B3; }
  const std::deque<std::string>& notes() const { return notes_; }

 private:
  struct Event {
    Instant when;
    uint64_t order;
    Action action;
    bool operator>(const Event& other) const {
      return when != other.when ? when > other.when : order > other.order;
    }
  };
  static constexpr size_t kept_notes = 400;
  void record(std::string line);

  Instant now_{seconds(1000)};
  std::vector<Event> queue_;  // a heap
  uint64_t events_ = 0, order_ = 0;
  uint64_t fingerprint_ = 0xCBF29CE484222325;
  std::deque<std::string> notes_;
};

}  // namespace headgate::sim
