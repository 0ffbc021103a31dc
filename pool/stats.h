// What SHOW STATS counts for a pool. Each worker owns the counters of its share and is the only one
// to write them; sums over workers and averages are made from copies.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace headgate {

/// Totals since the share was made; times in microseconds.
struct PoolStats {
  uint64_t server_assignment_count = 0;  // times a server was lent to a client
  uint64_t xact_count = 0;
  uint64_t query_count = 0;
  uint64_t bytes_received = 0;  // from clients, as far as it was forwarded
  uint64_t bytes_sent = 0;      // to clients
  uint64_t xact_time = 0;       // in transactions, waiting for the client included
  uint64_t query_time = 0;      // with a query running
  uint64_t wait_time = 0;       // of clients, for a server
  uint64_t client_parse_count = 0;
  uint64_t server_parse_count = 0;
  uint64_t bind_count = 0;
  uint64_t client_login_count = 0;

  PoolStats& operator+=(const PoolStats& other);
  bool operator==(const PoolStats&) const = default;
};

/// A counter, and what it is averaged over: the events of another counter, or null for seconds.
struct StatRow {
  uint64_t PoolStats::*counter;
  uint64_t PoolStats::*events;
};

/// Every counter of PoolStats, in the order of SHOW STATS.
constexpr StatRow stat_rows[] = {
    {&PoolStats::server_assignment_count, nullptr},
    {&PoolStats::xact_count, nullptr},
    {&PoolStats::query_count, nullptr},
    {&PoolStats::bytes_received, nullptr},
    {&PoolStats::bytes_sent, nullptr},
    {&PoolStats::xact_time, &PoolStats::xact_count},
    {&PoolStats::query_time, &PoolStats::query_count},
    {&PoolStats::wait_time, &PoolStats::server_assignment_count},
    {&PoolStats::client_parse_count, nullptr},
    {&PoolStats::server_parse_count, nullptr},
    {&PoolStats::bind_count, nullptr},
    {&PoolStats::client_login_count, nullptr},
};
static_assert(sizeof(PoolStats) == sizeof stat_rows / sizeof(StatRow) * sizeof(uint64_t));

inline PoolStats& PoolStats::operator+=(const PoolStats& other) {
  for (const StatRow& row : stat_rows) this->*row.counter += other.*row.counter;
  return *this;
}

/// The averages between two snapshots: counts and bytes per second, times per event, rounded down.
/// Zero where nothing happened, no time passed, or a counter went back (a share has gone).
PoolStats averages(const PoolStats& before, const PoolStats& now, Duration elapsed);

}  // namespace headgate
