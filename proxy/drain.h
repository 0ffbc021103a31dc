// SIGTERM with drain_timeout: the process ends in time, and no client is interrupted for as long as
// there is time. Each is closed between two transactions, those that are idle evenly over the first
// half of it; what is left at its end is closed in whatever it does. The same for what an online
// restart leaves behind. On worker 0.
#pragma once

#include <atomic>
#include <string>

#include "base/deadlines.h"
#include "proxy/departures.h"

namespace headgate {

class Pooler;

class Drain {
 public:
  /// What was told last is given so long to be read, before the process ends.
  static constexpr Duration last_words = seconds(1);

  explicit Drain(Pooler& pooler);

  void begin(Duration timeout);
  /// Another process takes the clients over: those that cannot move are closed in the same way, or
  /// stay as long as they like if there is no timeout.
  void begin_beside(Duration timeout);
  /// New log-ins are refused. From any thread.
  bool under_way() const { return under_way_.load(); }
  /// One line about it, for people; from any thread.
  std::string progress() const;

 private:
  void step();
  void heard(ClientsLeft left);
  void tell(ClientsLeft left);
  void finish(bool in_force);
  Duration time_left() const;

  Pooler& pooler_;
  Deadline tick_;
  std::atomic<bool> under_way_{false};
  std::atomic<size_t> clients_{0}, busy_{0};
  std::atomic<int64_t> seconds_left_{0};
  Instant since_{}, until_{}, told_at_{}, changed_at_{};
  size_t at_start_ = 0;
  bool beside_ = false, endless_ = false;
  bool asking_ = false, counted_ = false, finishing_ = false;
};

}  // namespace headgate
