// The memory of SHOW STATS: the totals of the last two stats_periods, from which averages are made.
// Owned by the pooler, used on worker 0.
#pragma once

#include <map>
#include <string>

#include "admin/snapshot.h"

namespace headgate {

class StatsHistory {
 public:
  /// A period has ended with these totals; false: it was the first, with nothing to compare to.
  bool advance(const Snapshot& now, Instant at);
  /// Gives each database's row the totals that its averages count from.
  void fill(Snapshot& snapshot, Instant now) const;
  /// The log line of the period that has ended: `stats: A xacts/s, ...`.
  std::string line() const;

 private:
  using Totals = std::map<std::string, PoolStats>;
  Totals older_, newer_;
  Instant older_at_{}, newer_at_{};
};

}  // namespace headgate
