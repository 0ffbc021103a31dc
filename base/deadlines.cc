#include "base/deadlines.h"

#include <algorithm>
#include <bit>

namespace headgate {

namespace {

int64_t tick_before(Instant at) { return at.time_since_epoch() / Deadlines::tick; }
int64_t tick_after(Instant at) {
  return (at.time_since_epoch() + Deadlines::tick - Duration(1)) / Deadlines::tick;
}
size_t slot_of(int64_t tick_number) { return static_cast<size_t>(tick_number) % Deadlines::slots; }

}  // namespace

void Deadline::arm(Instant at) {
  disarm();
  at_ = at;
  wheel_.arm(*this);
}

void Deadline::disarm() {
  if (armed()) wheel_.disarm(*this);
}

void Deadlines::arm(Deadline& deadline) {
  const size_t slot = slot_of(std::max(tick_after(deadline.at_), done_tick_ + 1));
  deadline.slot_ = slot;
  wheel_[slot].push_back(deadline);
  occupied_[slot / 64] |= uint64_t{1} << (slot % 64);
}

void Deadlines::disarm(Deadline& deadline) {
  const size_t slot = deadline.slot_;
  wheel_[slot].remove(deadline);
  if (wheel_[slot].empty()) occupied_[slot / 64] &= ~(uint64_t{1} << (slot % 64));
}

std::optional<Instant> Deadlines::next() const {
  const size_t first = slot_of(done_tick_ + 1);
  // The word that holds `first` is looked at twice: its low bits are the end of the turn.
  for (size_t step = 0; step < slots;) {
    const size_t slot = (first + step) % slots;
    const uint64_t ahead = occupied_[slot / 64] >> (slot % 64);
    if (ahead != 0) {
      const size_t ticks = step + static_cast<size_t>(std::countr_zero(ahead));
      return Instant(tick * (done_tick_ + 1 + static_cast<int64_t>(ticks)));
    }
    step += 64 - slot % 64;
  }
  return std::nullopt;
}

void Deadlines::expire(Instant now) {
  const int64_t last = tick_before(now);
  const int64_t first = std::max(done_tick_ + 1, last - static_cast<int64_t>(slots) + 1);
  done_tick_ = std::max(done_tick_, last);  // from here on, rings arm for later ticks only
  for (int64_t number = first; number <= last; ++number) ring_slot(slot_of(number), now);
}

void Deadlines::ring_slot(size_t slot, Instant now) {
  // Members of a later turn of the wheel are put back; the count keeps them from coming round
  // again.
  for (size_t left = wheel_[slot].size(); left > 0 && !wheel_[slot].empty(); --left) {
    Deadline& deadline = wheel_[slot].front();
    disarm(deadline);
    if (deadline.at_ > now) {
      arm(deadline);
    } else {
      deadline.ring_(deadline.owner_, now);
    }
  }
}

}  // namespace headgate
