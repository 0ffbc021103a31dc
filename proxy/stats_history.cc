#include "proxy/stats_history.h"

#include <fmt/format.h>

namespace headgate {

bool StatsHistory::advance(const Snapshot& now, Instant at) {
  older_ = std::move(newer_);
  older_at_ = newer_at_;
  newer_.clear();
  for (const StatsRow& row : now.stats) newer_[row.database] = row.totals;
  newer_at_ = at;
  return older_at_ != Instant{};
}

void StatsHistory::fill(Snapshot& snapshot, Instant now) const {
  for (StatsRow& row : snapshot.stats) {
    const auto before = older_.find(row.database);
    row.before = before == older_.end() ? PoolStats{} : before->second;
    row.elapsed = older_at_ == Instant{} ? Duration{} : now - older_at_;
  }
}

std::string StatsHistory::line() const {
  PoolStats before, now;
  for (const auto& [database, totals] : older_) before += totals;
  for (const auto& [database, totals] : newer_) now += totals;
  const PoolStats average = averages(before, now, newer_at_ - older_at_);
  return fmt::format(
      "stats: {} xacts/s, {} queries/s, {} client parses/s, {} server parses/s, {} binds/s, "
      "{} client logins/s, in {} B/s, out {} B/s, xact {} us, query {} us, wait {} us",
      average.xact_count, average.query_count, average.client_parse_count,
      average.server_parse_count, average.bind_count, average.client_login_count,
      average.bytes_received, average.bytes_sent, average.xact_time, average.query_time,
      average.wait_time);
}

}  // namespace headgate
