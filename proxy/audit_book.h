// What the looks at servers between two clients have shown, for a pool: the setting session_audit,
// SHOW AUDIT. Written by workers, read by whoever asks.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "protocol/session_audit.h"

namespace headgate {

class AuditBook {
 public:
  /// The last difference, and what clients had said before it.
  struct Last {
    int64_t wall_us = 0;  // microseconds since 1970
    AuditDifference difference;
    std::string texts;
  };

  void looked() { looks_.fetch_add(1, std::memory_order_relaxed); }
  void add(Last last) {
    const std::scoped_lock lock(mutex_);
    ++differences_;
    last_ = std::move(last);
  }

  uint64_t looks() const { return looks_.load(std::memory_order_relaxed); }
  uint64_t differences() const {
    const std::scoped_lock lock(mutex_);
    return differences_;
  }
  std::optional<Last> last() const {
    const std::scoped_lock lock(mutex_);
    return last_;
  }

 private:
  std::atomic<uint64_t> looks_{0};
  mutable std::mutex mutex_;
  uint64_t differences_ = 0;
  std::optional<Last> last_;
};

}  // namespace headgate
