// A wheel of deadlines: arming, moving and disarming one costs a few pointer writes, no heap and no
// system call, so that every transaction can afford its timeouts. Each worker owns one wheel; it
// never reads a clock.
//
// Deadlines are kept to the wheel's tick (100 ms): one never fires early, and at most a tick late.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/list.h"
#include "base/time.h"

namespace headgate {

class Deadlines;

/// One deadline: a member of the object that waits. Disarms itself when destroyed.
class Deadline : public ListNode<Deadline> {
 public:
  /// `ring` is called by Deadlines::expire() with `owner` when the deadline has passed.
  using Ring = void (*)(void* owner, Instant now);
  Deadline(Deadlines& wheel, Ring ring, void* owner) : wheel_(wheel), ring_(ring), owner_(owner) {}
  ~Deadline() { disarm(); }

  /// Sets or moves the deadline.
  void arm(Instant at);
  void disarm();
  bool armed() const { return linked(); }
  Instant at() const { return at_; }

 private:
  friend class Deadlines;
  Deadlines& wheel_;
  Ring ring_;
  void* owner_;
  Instant at_{};
  size_t slot_ = 0;
};

class Deadlines {
 public:
  static constexpr Duration tick = milliseconds(100);
  static constexpr size_t slots = 512;

  /// When the earliest slot that holds a deadline is due, or nothing if none is armed. May be
  /// earlier than any deadline (one more than a turn of the wheel away), never later.
  std::optional<Instant> next() const;

  /// Rings every deadline that has passed; a ring may arm, move and disarm any deadline.
  void expire(Instant now);

 private:
  friend class Deadline;
  void arm(Deadline& deadline);
  void disarm(Deadline& deadline);
  void ring_slot(size_t slot, Instant now);

  std::array<List<Deadline>, slots> wheel_;
  std::array<uint64_t, slots / 64> occupied_{};
  int64_t done_tick_ = 0;  // every slot up to and including this tick has been rung
};

}  // namespace headgate
