#include "admin/live_page.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "admin/commands.h"
#include "admin/table.h"
#include "base/version.h"

namespace headgate {

namespace {

using Json = nlohmann::ordered_json;

// The n first rows by this order, fewer if there are not so many.
template <class Row, class Less>
std::vector<const Row*> first_of(const std::vector<Row>& rows, size_t n, Less less) {
  std::vector<const Row*> sorted = in_order(rows, less);
  sorted.resize(std::min(sorted.size(), n));
  return sorted;
}

View state_of(const Snapshot& snapshot, const ProcessRow& process) {
  if (process.shutting_down) return "shutting down";
  if (snapshot.suspended) return "suspended";
  return snapshot.paused ? "paused" : "active";
}

Json describe(const PoolRow& row) {
  return {{"database", row.database},
          {"user", row.user},
          {"size", row.size},
          {"active", row.servers_active},
          {"idle", row.servers_idle + row.servers_used},
          {"tested", row.servers_tested + row.servers_being_canceled},
          {"login", row.servers_login},
          {"pinned", row.servers_pinned},
          {"clients", row.clients_active},
          {"waiting", row.clients_waiting},
          {"max_wait_us", row.max_wait_us}};
}

bool busier(const PoolRow& a, const PoolRow& b) {
  return std::tie(b.clients_waiting, b.servers_active, b.clients_active, a.database, a.user) <
         std::tie(a.clients_waiting, a.servers_active, a.clients_active, b.database, b.user);
}

Json describe(const HostRow& row) {
  const bool up = !row.lsn.empty() && row.error.empty();
  return {{"database", row.database},
          {"host", row.host},
          {"port", row.port},
          {"role", row.role},
          {"up", up},
          {"in_use", row.in_use},
          {"lag_us", row.lag_us ? Json(*row.lag_us) : Json(nullptr)},
          {"latency_us", row.lsn.empty() ? Json(nullptr) : Json(row.latency_us)},
          {"error", row.error}};
}

Json describe(const HolderRow& row) {
  return {{"database", row.database}, {"user", row.user},
          {"client", row.client},     {"application", row.application_name},
          {"process", row.process},   {"held_us", row.held_us},
          {"why", what_it_does(row)}};
}

Json describe(const TroubleRow& row) {
  return {{"time_ms", row.wall_us / 1000},
          {"database", row.database},
          {"user", row.user},
          {"text", row.text}};
}

Json describe(const WorkerRow& row) {
  return {{"id", row.id},
          {"clients", row.clients},
          {"servers", row.servers},
          {"cpu_us", row.cpu_us},
          {"delay_us", row.delay_us}};
}

template <class Rows>
Json list_of(const Rows& rows) {
  Json list = Json::array();
  for (const auto* row : rows) list.push_back(describe(*row));
  return list;
}

Json describe(const TimeHistogram& times) {
  Json counts = Json::array();
  for (size_t i = 0; i <= TimeHistogram::bounds; ++i) counts.push_back(times.in_bucket(i));
  return counts;
}

Json times_of(const std::vector<MetersRow>& rows) {
  PoolMeters sum;
  for (const MetersRow& row : rows) sum += row.meters;
  Json bounds = Json::array();
  for (size_t i = 0; i < TimeHistogram::bounds; ++i) {
    bounds.push_back(TimeHistogram::bound(i).count());
  }
  return {{"bounds_us", bounds},
          {"wait", describe(sum.wait)},
          {"query", describe(sum.query)},
          {"transaction", describe(sum.transaction)}};
}

// The console's own are no traffic.
Json totals_of(const std::vector<StatsRow>& rows) {
  PoolStats sum;
  for (const StatsRow& row : rows) {
    if (row.database != console_database) sum += row.totals;
  }
  return {{"transactions", sum.xact_count},
          {"queries", sum.query_count},
          {"received_bytes", sum.bytes_received},
          {"sent_bytes", sum.bytes_sent}};
}

}  // namespace

Bytes stats_json(const Snapshot& snapshot, int64_t wall_us) {
  const ProcessRow process = snapshot.process.value_or(ProcessRow{});
  uint64_t waiting = 0;
  for (const PoolRow& row : snapshot.pools) waiting += row.clients_waiting;
  const auto held_longer = [](const HolderRow& a, const HolderRow& b) {
    return a.held_us > b.held_us;
  };
  const auto later = [](const TroubleRow& a, const TroubleRow& b) { return a.wall_us > b.wall_us; };
  const Json page = {
      {"time_ms", wall_us / 1000},
      {"started_ms", process.started_wall_us / 1000},
      {"uptime_us", wall_us - process.started_wall_us},
      {"version", version},
      {"state", state_of(snapshot, process)},
      {"clients", snapshot.client_count},
      {"client_slots", process.client_slots},
      {"client_slots_used", process.client_slots_used},
      {"servers", snapshot.server_count},
      {"waiting", waiting},
      {"totals", totals_of(snapshot.stats)},
      {"times", times_of(snapshot.meters)},
      {"pools_total", snapshot.pools.size()},
      {"pools", list_of(first_of(snapshot.pools, most_live_pools, busier))},
      {"hosts", list_of(as_they_are(snapshot.hosts))},
      {"holders", list_of(first_of(snapshot.holders, most_holders, held_longer))},
      {"errors", list_of(first_of(snapshot.troubles, most_troubles, later))},
      {"workers", list_of(as_they_are(snapshot.workers))},
  };
  return page.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace headgate
