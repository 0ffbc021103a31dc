#include "admin/metrics.h"

#include <optional>
#include <set>
#include <span>
#include <tuple>

#include "admin/table.h"
#include "admin/views.h"
#include "base/version.h"

namespace headgate {

namespace {

using enum MetricType;
using Value = std::optional<int64_t>;  // nothing: there is none for this row

enum class Unit : uint8_t { plain, microseconds };
constexpr Unit plain = Unit::plain;
constexpr Unit times = Unit::microseconds;

template <class Row>
struct Metric {
  View name;
  MetricType type;
  Unit unit;
  Value (*value)(const Row& row);
  View help;
};

/// The member as it is.
template <auto member>
Value is(const typename Member<decltype(member)>::Owner& row) {
  return static_cast<int64_t>(row.*member);
}

/// For a row that is there to bear labels.
template <class Row>
Value one(const Row&) {
  return 1;
}

// --- the process

/// What is said of the process as a whole.
struct Whole {
  const Snapshot& snapshot;
  const ProcessRow& process;
  const ProcessUse& use;
};

constexpr Metric<Whole> process_metrics[] = {
    {"headgate_clients", gauge, plain,
     [](const Whole& whole) { return Value(whole.snapshot.client_count); },
     "Client connections, those that log in and consoles included."},
    {"headgate_clients_login", gauge, plain,
     [](const Whole& whole) { return Value(whole.snapshot.login_clients); },
     "Client connections that have not logged in yet."},
    {"headgate_client_slots", gauge, plain,
     [](const Whole& whole) { return Value(whole.process.client_slots); },
     "How many clients may be there: max_client_conn."},
    {"headgate_client_slots_used", gauge, plain,
     [](const Whole& whole) { return Value(whole.process.client_slots_used); },
     "How many of those are there."},
    {"headgate_servers", gauge, plain,
     [](const Whole& whole) { return Value(whole.snapshot.server_count); },
     "Connections to servers, those that carry cancel requests included."},
    {"headgate_databases", gauge, plain,
     [](const Whole& whole) { return Value(whole.snapshot.databases.size()); },
     "Databases: those configured, and those made from * that are in use."},
    {"headgate_users", gauge, plain,
     [](const Whole& whole) { return Value(whole.snapshot.users.size()); },
     "Users that are known."},
    {"headgate_pools", gauge, plain,
     [](const Whole& whole) { return Value(whole.snapshot.pools.size()); },
     "Pools that are there."},
    {"headgate_peers", gauge, plain, [](const Whole& whole) { return Value(whole.process.peers); },
     "Peers that are configured."},
    {"headgate_dns_names", gauge, plain,
     [](const Whole& whole) { return Value(whole.process.dns_names); },
     "Names of hosts whose addresses are known."},
    {"headgate_paused", gauge, plain,
     [](const Whole& whole) { return Value(whole.snapshot.paused); },
     "1 during PAUSE of everything."},
    {"headgate_suspended", gauge, plain,
     [](const Whole& whole) { return Value(whole.snapshot.suspended); }, "1 during SUSPEND."},
    {"headgate_shutting_down", gauge, plain,
     [](const Whole& whole) { return Value(whole.process.shutting_down); },
     "1 while the process waits for clients or servers before it ends."},
    {"process_start_time_seconds", gauge, times,
     [](const Whole& whole) { return Value(whole.process.started_wall_us); },
     "When the process was up, since 1970."},
    {"process_cpu_seconds_total", counter, times,
     [](const Whole& whole) { return Value(whole.use.cpu_us); },
     "CPU time of the process, user and system."},
    {"process_resident_memory_bytes", gauge, plain,
     [](const Whole& whole) { return Value(whole.use.resident_bytes); },
     "Memory that is resident."},
    {"process_virtual_memory_bytes", gauge, plain,
     [](const Whole& whole) { return Value(whole.use.virtual_bytes); }, "Memory that is mapped."},
    {"process_open_fds", gauge, plain,
     [](const Whole& whole) { return Value(whole.use.open_descriptors); },
     "Open file descriptors."},
    {"process_max_fds", gauge, plain,
     [](const Whole& whole) { return Value(whole.use.most_descriptors); },
     "How many file descriptors the process may have."},
    {"process_threads", gauge, plain, [](const Whole& whole) { return Value(whole.use.threads); },
     "Threads of the process."},
};
void no_labels(Labels&, const Whole&) {}

constexpr Metric<Whole> build_info[] = {
    {"headgate_build_info", info, plain, one<Whole>,
     "Which version runs, and which PgBouncer it is compatible with."},
};
void label(Labels& labels, const Whole&) {
  labels.add("version", version).add("pgbouncer_version", compatible_version);
}

// --- workers

constexpr Metric<WorkerRow> worker_metrics[] = {
    {"headgate_worker_clients", gauge, plain, is<&WorkerRow::clients>,
     "Client connections of a worker."},
    {"headgate_worker_servers", gauge, plain, is<&WorkerRow::servers>,
     "Server connections of a worker."},
    {"headgate_worker_pools", gauge, plain, is<&WorkerRow::pools>,
     "Pools that a worker has a share of."},
    {"headgate_worker_cpu_seconds_total", counter, times, is<&WorkerRow::cpu_us>,
     "CPU time of a worker's thread: a rate near 1 is a worker that can do no more."},
    {"headgate_worker_delay_seconds", gauge, times, is<&WorkerRow::delay_us>,
     "How long a worker took to answer this scrape."},
};
void label(Labels& labels, const WorkerRow& row) { labels.add("worker", std::to_string(row.id)); }

// --- pools

constexpr Metric<PoolRow> pool_metrics[] = {
    {"headgate_pool_size", gauge, plain, is<&PoolRow::size>,
     "How many servers a pool may have, its reserve aside; 0: no limit."},
    {"headgate_pool_clients_active", gauge, plain, is<&PoolRow::clients_active>,
     "Clients that are linked to a server or idle."},
    {"headgate_pool_clients_waiting", gauge, plain, is<&PoolRow::clients_waiting>,
     "Clients that wait for a server."},
    {"headgate_pool_clients_active_cancel_req", gauge, plain, is<&PoolRow::clients_active_cancel>,
     "Clients whose cancel request has gone to the server."},
    {"headgate_pool_clients_waiting_cancel_req", gauge, plain, is<&PoolRow::clients_waiting_cancel>,
     "Clients whose cancel request has not gone to the server yet."},
    {"headgate_pool_servers_active", gauge, plain, is<&PoolRow::servers_active>,
     "Servers that are linked to a client."},
    {"headgate_pool_servers_active_cancel", gauge, plain, is<&PoolRow::servers_active_cancel>,
     "Connections that carry a cancel request to the server."},
    {"headgate_pool_servers_being_canceled", gauge, plain, is<&PoolRow::servers_being_canceled>,
     "Servers that wait for a cancel request to take effect."},
    {"headgate_pool_servers_idle", gauge, plain, is<&PoolRow::servers_idle>,
     "Servers that can be lent at once."},
    {"headgate_pool_servers_used", gauge, plain, is<&PoolRow::servers_used>,
     "Servers that have been idle for long and are tested before they are lent."},
    {"headgate_pool_servers_tested", gauge, plain, is<&PoolRow::servers_tested>,
     "Servers that are reset, tested or closed."},
    {"headgate_pool_servers_login", gauge, plain, is<&PoolRow::servers_login>,
     "Servers that are being opened."},
    {"headgate_pool_servers_pinned", gauge, plain, is<&PoolRow::servers_pinned>,
     "Servers that stay with their clients between transactions."},
    {"headgate_pool_max_wait_seconds", gauge, times, is<&PoolRow::max_wait_us>,
     "How long the client that has waited longest has waited so far."},
    {"headgate_pool_handed_over_servers_total", counter, plain, is<&PoolRow::handed_over>,
     "Servers passed from one worker to another."},
};
void label(Labels& labels, const PoolRow& row) {
  labels.add("database", row.database).add("user", row.user);
}

// --- what is measured of pools

struct HistogramMetric {
  View name;
  TimeHistogram PoolMeters::*member;
  View help;
};
constexpr HistogramMetric histograms[] = {
    {"headgate_pool_wait_seconds", &PoolMeters::wait,
     "How long clients waited for a server, for a request or for their log-in."},
    {"headgate_pool_query_seconds", &PoolMeters::query,
     "How long servers took for what clients asked of them, up to ReadyForQuery."},
    {"headgate_pool_transaction_seconds", &PoolMeters::transaction,
     "How long transactions took, the client's own pauses included."},
    {"headgate_pool_client_login_seconds", &PoolMeters::login,
     "How long clients took to log in, from the connection on."},
};

constexpr Metric<MetersRow> meter_metrics[] = {
    {"headgate_pool_server_logins_total", counter, plain,
     [](const MetersRow& row) { return Value(row.meters.server_logins); },
     "Log-ins to servers that worked."},
    {"headgate_pool_server_login_failures_total", counter, plain,
     [](const MetersRow& row) { return Value(row.meters.server_login_failures); },
     "Log-ins to servers that failed, connections that were refused included."},
    {"headgate_pool_replica_reads_total", counter, plain,
     [](const MetersRow& row) { return Value(row.meters.replica_reads); },
     "Requests and transactions that were sent to standbys (read_routing)."},
    {"headgate_pool_replica_reads_repeated_total", counter, plain,
     [](const MetersRow& row) { return Value(row.meters.replica_reads_repeated); },
     "Those of them that the primary had to carry out instead."},
};
void label(Labels& labels, const MetersRow& row) {
  labels.add("database", row.database).add("user", row.user);
}

// --- databases

constexpr Metric<DatabaseRow> database_metrics[] = {
    {"headgate_database_pool_size", gauge, plain, is<&DatabaseRow::pool_size>,
     "pool_size of a database; 0: no limit."},
    {"headgate_database_min_pool_size", gauge, plain, is<&DatabaseRow::min_pool_size>,
     "min_pool_size of a database."},
    {"headgate_database_reserve_pool_size", gauge, plain, is<&DatabaseRow::reserve_pool_size>,
     "reserve_pool_size of a database."},
    {"headgate_database_max_connections", gauge, plain, is<&DatabaseRow::max_connections>,
     "Servers that all pools of a database may have; 0: no limit."},
    {"headgate_database_current_connections", gauge, plain, is<&DatabaseRow::current_connections>,
     "Servers that they have."},
    {"headgate_database_max_client_connections", gauge, plain,
     is<&DatabaseRow::max_client_connections>, "Clients that a database may have; 0: no limit."},
    {"headgate_database_current_client_connections", gauge, plain,
     is<&DatabaseRow::current_client_connections>, "Clients that it has."},
    {"headgate_database_paused", gauge, plain, is<&DatabaseRow::paused>, "1 during its PAUSE."},
    {"headgate_database_disabled", gauge, plain, is<&DatabaseRow::disabled>,
     "1 while it is disabled."},
};
void label(Labels& labels, const DatabaseRow& row) { labels.add("database", row.name); }

constexpr Metric<DatabaseRow> database_info[] = {
    {"headgate_database_info", info, plain, one<DatabaseRow>,
     "Where a database is: its host, port and name in PostgreSQL."},
};
void whereabouts(Labels& labels, const DatabaseRow& row) {
  label(labels, row);
  labels.add("host", row.host).add("port", std::to_string(row.port)).add("dbname", row.dbname);
  labels.add("force_user", row.force_user).add("pool_mode", row.pool_mode ? row.pool_mode : "");
}

template <uint64_t PoolStats::*counter>
Value total(const StatsRow& row) {
  return static_cast<int64_t>(row.totals.*counter);
}

constexpr Metric<StatsRow> stats_metrics[] = {
    {"headgate_database_server_assignments_total", counter, plain,
     total<&PoolStats::server_assignment_count>, "Times a server was lent to a client."},
    {"headgate_database_transactions_total", counter, plain, total<&PoolStats::xact_count>,
     "Transactions."},
    {"headgate_database_queries_total", counter, plain, total<&PoolStats::query_count>, "Queries."},
    {"headgate_database_received_bytes_total", counter, plain, total<&PoolStats::bytes_received>,
     "Bytes received from clients."},
    {"headgate_database_sent_bytes_total", counter, plain, total<&PoolStats::bytes_sent>,
     "Bytes sent to clients."},
    {"headgate_database_transaction_seconds_total", counter, times, total<&PoolStats::xact_time>,
     "Time in transactions, waiting for the client included."},
    {"headgate_database_query_seconds_total", counter, times, total<&PoolStats::query_time>,
     "Time with a query running."},
    {"headgate_database_wait_seconds_total", counter, times, total<&PoolStats::wait_time>,
     "Time that clients waited for a server."},
    {"headgate_database_client_parses_total", counter, plain, total<&PoolStats::client_parse_count>,
     "Statements that clients prepared."},
    {"headgate_database_server_parses_total", counter, plain, total<&PoolStats::server_parse_count>,
     "Statements that were prepared on servers."},
    {"headgate_database_binds_total", counter, plain, total<&PoolStats::bind_count>,
     "Executions of prepared statements."},
    {"headgate_database_client_logins_total", counter, plain, total<&PoolStats::client_login_count>,
     "Clients that logged in."},
};
static_assert(std::size(stats_metrics) == std::size(stat_rows));
void label(Labels& labels, const StatsRow& row) { labels.add("database", row.database); }

// --- users

Value or_none(int size) { return size < 0 ? Value() : Value(size); }

constexpr Metric<UserRow> user_metrics[] = {
    {"headgate_user_pool_size", gauge, plain,
     [](const UserRow& row) { return or_none(row.pool_size); },
     "pool_size of a user, where it is set."},
    {"headgate_user_reserve_pool_size", gauge, plain,
     [](const UserRow& row) { return or_none(row.reserve_pool_size); },
     "reserve_pool_size of a user, where it is set."},
    {"headgate_user_max_connections", gauge, plain, is<&UserRow::max_connections>,
     "Servers that all pools of a user may have; 0: no limit."},
    {"headgate_user_current_connections", gauge, plain, is<&UserRow::current_connections>,
     "Servers that they have."},
    {"headgate_user_max_client_connections", gauge, plain, is<&UserRow::max_client_connections>,
     "Clients that a user may have; 0: no limit."},
    {"headgate_user_current_client_connections", gauge, plain,
     is<&UserRow::current_client_connections>, "Clients that the user has."},
};
void label(Labels& labels, const UserRow& row) { labels.add("user", row.name); }

// --- hosts

Value is_up(const HostRow& row) { return !row.lsn.empty() && row.error.empty(); }
Value when_heard(const HostRow& row, int64_t value) {
  return row.lsn.empty() ? Value() : Value(value);
}

constexpr Metric<HostRow> host_metrics[] = {
    {"headgate_host_up", gauge, plain, is_up, "1 if a host answered when it was last asked."},
    {"headgate_host_in_use", gauge, plain, is<&HostRow::in_use>,
     "1 if servers of the database are opened there."},
    {"headgate_host_read", gauge, plain, is<&HostRow::read>, "1 if it is a standby in rotation."},
    {"headgate_host_lag_seconds", gauge, times,
     [](const HostRow& row) { return Value(row.lag_us); },
     "How far a standby is behind its primary, where that is known."},
    {"headgate_host_latency_seconds", gauge, times,
     [](const HostRow& row) { return when_heard(row, row.latency_us); },
     "How long its last answer took."},
    {"headgate_host_silent_seconds", gauge, times,
     [](const HostRow& row) { return when_heard(row, row.silent_us); }, "Time since that answer."},
};
void label(Labels& labels, const HostRow& row) {
  labels.add("database", row.database).add("host", row.host).add("port", std::to_string(row.port));
}

constexpr Metric<HostRow> host_info[] = {
    {"headgate_host_info", info, plain, one<HostRow>,
     "The role that a host says it has: primary, standby or unknown."},
};
void with_role(Labels& labels, const HostRow& row) {
  label(labels, row);
  labels.add("role", row.role);
}

// --- what SHOW AUDIT and SHOW MEM count

constexpr Metric<AuditRow> audit_metrics[] = {
    {"headgate_pool_audit_looks_total", counter, plain, is<&AuditRow::looks>,
     "Servers that were looked at behind their clients (session_audit)."},
    {"headgate_pool_audit_differences_total", counter, plain, is<&AuditRow::differences>,
     "Those in which a client had left something."},
};
void label(Labels& labels, const AuditRow& row) {
  labels.add("database", row.database).add("user", row.user);
}

constexpr Metric<MemoryRow> memory_metrics[] = {
    {"headgate_memory_objects", gauge, plain, is<&MemoryRow::used>, "Objects of a kind."},
    {"headgate_memory_object_bytes", gauge, plain, is<&MemoryRow::size>,
     "The size of one of them."},
    {"headgate_memory_bytes", gauge, plain, is<&MemoryRow::total>,
     "What they take together, without what they point to."},
};
void label(Labels& labels, const MemoryRow& row) { labels.add("kind", row.name); }

// --- errors

struct FailureRow {
  const ErrorRow* error;
  uint64_t count;
};
constexpr Metric<FailureRow> failure_metrics[] = {
    {"headgate_client_failures_total", counter, plain, is<&FailureRow::count>,
     "Clients that were turned away or ended with an error of Headgate's own."},
};
void label(Labels& labels, const FailureRow& row) {
  labels.add("sqlstate", row.error->sqlstate).add("error", row.error->text);
}

std::vector<FailureRow> failure_rows(const FailureCounts& failures) {
  std::vector<FailureRow> rows;
  for (size_t code = 0; code < failures.size(); ++code) {
    rows.push_back({&error_row(static_cast<ErrorCode>(code)), failures[code]});
  }
  return rows;
}

// --- the loops over the tables

template <class Row>
std::vector<Bytes> labels_of(const std::vector<Row>& rows, void (*put)(Labels&, const Row&)) {
  std::vector<Bytes> all;
  for (const Row& row : rows) {
    Labels labels;
    put(labels, row);
    all.push_back(labels.text());
  }
  return all;
}

template <class Row>
void put_metrics(MetricsText& out, std::span<const Metric<Row>> metrics,
                 const std::vector<Row>& rows, void (*put_labels)(Labels&, const Row&) = label) {
  const std::vector<Bytes> labels = labels_of(rows, put_labels);
  for (const Metric<Row>& metric : metrics) {
    out.begin(metric.name, metric.type, metric.help);
    for (size_t i = 0; i < rows.size(); ++i) {
      const Value value = metric.value(rows[i]);
      if (!value) continue;
      metric.unit == Unit::plain ? out.count(labels[i], *value) : out.time(labels[i], *value);
    }
  }
}

// Pools where nothing of the kind has happened tell nothing: most users of many pools are idle.
void put_histograms(MetricsText& out, const std::vector<MetersRow>& rows) {
  const std::vector<Bytes> labels = labels_of<MetersRow>(rows, label);
  for (const HistogramMetric& metric : histograms) {
    out.begin(metric.name, histogram, metric.help);
    for (size_t i = 0; i < rows.size(); ++i) {
      const TimeHistogram& measured = rows[i].meters.*metric.member;
      if (measured != TimeHistogram{}) out.histogram(labels[i], measured);
    }
  }
}

// A list of hosts may name one twice.
std::vector<HostRow> each_once(const std::vector<HostRow>& rows) {
  std::set<std::tuple<View, View, int>> known;
  std::vector<HostRow> once;
  for (const HostRow& row : rows) {
    if (known.emplace(row.database, row.host, row.port).second) once.push_back(row);
  }
  return once;
}

}  // namespace

Bytes metrics_page(const Snapshot& snapshot, const ProcessUse& use, MetricsForm form) {
  MetricsText out(form);
  const ProcessRow process = snapshot.process.value_or(ProcessRow{});
  const std::vector<Whole> whole = {{snapshot, process, use}};
  put_metrics<Whole>(out, build_info, whole);
  put_metrics<Whole>(out, process_metrics, whole, no_labels);
  put_metrics<WorkerRow>(out, worker_metrics, snapshot.workers);
  put_metrics<PoolRow>(out, pool_metrics, snapshot.pools);
  put_metrics<MetersRow>(out, meter_metrics, snapshot.meters);
  put_histograms(out, snapshot.meters);
  put_metrics<DatabaseRow>(out, database_info, snapshot.databases, whereabouts);
  put_metrics<DatabaseRow>(out, database_metrics, snapshot.databases);
  put_metrics<StatsRow>(out, stats_metrics, snapshot.stats);
  put_metrics<UserRow>(out, user_metrics, snapshot.users);
  const std::vector<HostRow> hosts = each_once(snapshot.hosts);
  put_metrics<HostRow>(out, host_info, hosts, with_role);
  put_metrics<HostRow>(out, host_metrics, hosts);
  put_metrics<AuditRow>(out, audit_metrics, snapshot.audits);
  put_metrics<MemoryRow>(out, memory_metrics, snapshot.memory);
  put_metrics<FailureRow>(out, failure_metrics, failure_rows(snapshot.failures));
  return out.take();
}

}  // namespace headgate
