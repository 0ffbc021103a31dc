// What an operator may see, as plain values at one moment. Each worker fills in its part, the parts
// are appended and summed, and the views turn them into rows. Nothing here points into a session.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "admin/pool_use.h"
#include "base/error.h"
#include "conf/settings.h"
#include "pool/meters.h"
#include "pool/pool.h"
#include "pool/stats.h"

namespace headgate {

/// What is wanted of a snapshot beside counts: each costs the workers some time.
struct SnapshotWish {
  bool connections = true;  // a row for each client and server, and each shape of a statement
  bool meters = false;      // the histograms of each pool
  size_t holders = 0;       // so many of those on each worker who have held servers longest
  bool troubles = false;    // the last errors
  bool waits = false;       // a row for each client that waits, and what pools are busy with
};

/// What a connection has not yet dealt with, in bytes.
struct BufferedBytes {
  uint64_t received = 0;   // come from the peer and held until somebody can take them
  uint64_t remaining = 0;  // of a message that has come in part
  uint64_t queued = 0;     // for the peer, which has not taken them
};

/// A client or a server connection: a row of SHOW CLIENTS or SERVERS, and of SHOW SOCKETS.
struct ConnectionRow {
  bool is_server = false;
  std::string user, database;
  const char* replication = "none";
  const char* state = "";         // in SHOW CLIENTS or SERVERS; null: not shown there
  const char* socket_state = "";  // in SHOW SOCKETS; null: not shown there
  std::string address;            // "unix" for unix sockets
  int port = 0;
  std::string local_address;
  int local_port = 0;
  int64_t connect_time = 0;  // microseconds since 1970; 0: never
  int64_t request_time = 0;
  int64_t wait_us = 0;
  bool close_needed = false;
  uintptr_t ptr = 0, link = 0;  // link 0: none
  uint32_t remote_pid = 0;
  std::string tls;
  std::string application_name;
  int prepared_statements = 0;
  uint64_t id = 0;
  std::string
      pinned;  // why the server stays with its client between transactions; empty: it does not
  BufferedBytes buffered;
};

/// A cancel request on its way: whose pool it is meant for, and whether it has reached the server.
struct CancelRow {
  uint64_t client_id = 0;  // of the connection that brought it
  std::string user, database;
  bool sent = false;
};

/// A pool over all workers: a row of SHOW POOLS. Parts of the same (database, user) are summed;
/// max_wait_us is the largest.
struct PoolRow {
  std::string database, user;
  uint32_t clients_active = 0, clients_waiting = 0;
  uint32_t clients_active_cancel = 0, clients_waiting_cancel = 0;
  uint32_t servers_active = 0, servers_active_cancel = 0, servers_being_canceled = 0;
  uint32_t servers_idle = 0, servers_used = 0, servers_tested = 0, servers_login = 0;
  int64_t max_wait_us = 0;
  PoolMode mode = PoolMode::session;
  const char* load_balance_hosts = nullptr;  // null: host is not a list
  uint64_t handed_over = 0;                  // servers passed to other workers
  uint32_t servers_pinned = 0;               // stay with their clients between transactions
  int size = 0;                              // pool_size as it holds for this user; 0: no limit
};

/// The meters of a pool. Parts of the same (database, user) are summed.
struct MetersRow {
  std::string database, user;
  PoolMeters meters;
};

/// A worker, as it answered.
struct WorkerRow {
  int id = 0;
  uint64_t clients = 0, servers = 0, pools = 0;  // connections, and its shares of pools
  int64_t cpu_us = 0;                            // of its thread, since the start
  int64_t delay_us = 0;                          // from the question to the answer
};

/// How often clients were turned away or ended with an error, by its code.
using FailureCounts = std::array<uint64_t, error_codes>;

/// So many of those who have held servers longest are on the dashboard.
constexpr size_t most_holders = 20;

/// A client that waits: a row of SHOW WAITS.
struct WaitRow {
  std::string database, user;   // user: as it logged in
  std::string pool_user, host;  // of the pool whose server it waits for
  std::string address;          // "unix" for unix sockets
  int port = 0;
  std::string application_name;
  const char* waits_for = "";  // server, welcome, own server, listener
  bool queued = true;
  uint64_t id = 0;
  int64_t wait_us = 0;
};

/// Something that went wrong for a client or a server.
struct TroubleRow {
  int64_t wall_us = 0;  // microseconds since 1970
  std::string database, user, text;
};
/// So many of the last ones are kept by each worker, with texts up to so many bytes.
constexpr size_t most_troubles = 20;
constexpr size_t longest_trouble = 300;

/// What there is of the process as a whole.
struct ProcessRow {
  int client_slots = 0, client_slots_used = 0;  // max_client_conn
  size_t peers = 0, dns_names = 0;
  bool shutting_down = false;
  int64_t started_wall_us = 0;  // microseconds since 1970
};

/// A row of SHOW DATABASES: effective values.
struct DatabaseRow {
  std::string name, host, dbname, force_user;  // host and force_user may be empty: NULL
  int port = 5432;
  int pool_size = 0, min_pool_size = 0, reserve_pool_size = 0;
  int server_lifetime = 0;          // seconds
  const char* pool_mode = nullptr;  // null: inherited
  const char* load_balance_hosts = nullptr;
  int max_connections = 0, current_connections = 0;
  int max_client_connections = 0, current_client_connections = 0;
  bool paused = false, disabled = false;
};

/// A row of SHOW USERS.
struct UserRow {
  std::string name;
  int pool_size = -1, reserve_pool_size = -1;  // -1: unset
  const char* pool_mode = nullptr;
  int max_connections = 0, current_connections = 0;
  int max_client_connections = 0, current_client_connections = 0;
};

/// The counters of one database: a row of SHOW STATS. Averages are made from what was counted since
/// an earlier moment, so that they are right for sums of rows too.
struct StatsRow {
  std::string database;
  PoolStats totals;
  PoolStats before;    // the totals of that moment: one to two stats_periods ago
  Duration elapsed{};  // since then
};

/// The cancel requests passed to another process (SHOW PEER_POOLS): a peer appears when it has been
/// used.
struct PeerStats {
  int id = 0;
  uint32_t clients_active_cancel = 0, clients_waiting_cancel = 0;
  uint32_t servers_active_cancel = 0, servers_login = 0;
};

/// A name that was looked up: a row of SHOW DNS_HOSTS.
struct DnsHostRow {
  std::string hostname;
  int64_t ttl = 0;  // seconds that the answer still holds
  std::vector<std::string> addresses;
};

/// A connection that could be passed to another process: a row of SHOW FDS. Gathered only for it.
struct DescriptorRow {
  int number = -1;        // the descriptor
  const char* task = "";  // pooler (it listens), client, server
  std::string user, database, address;
  int port = 0;
  uint64_t cancel_key = 0;  // as a client sends it, or as it is sent to a server
  int link = 0;             // the descriptor of the other side; 0: none
  std::string client_encoding, standard_strings, datestyle, timezone;
  std::string password, scram_client_key, scram_server_key;
};

/// What the looks at a pool's servers between two clients have shown: a row of SHOW AUDIT.
struct AuditRow {
  std::string database, user;
  uint64_t looks = 0, differences = 0;
  // the last one
  int64_t wall_us = 0;  // microseconds since 1970; 0: there was none
  std::string difference, texts;
};

/// A host of a database that asks for a role (target_session_attrs): a row of SHOW HOSTS.
struct HostRow {
  std::string database, host;
  int port = 0;
  std::string role;     // primary, standby or unknown
  bool in_use = false;  // servers of that database are opened there
  bool read = false;    // a standby that is in rotation
  int weight = 1;       // host_weights
  uint32_t servers_active = 0, servers_idle = 0;
  std::string lsn;  // empty: it has not answered yet
  std::optional<int64_t> lag_us;
  int64_t latency_us = 0, silent_us = 0;  // of its last answer, and since
  std::string error;  // why there is no later answer, or why it is not read; empty: all is well
};

/// The servers of a database at one host, for SHOW HOSTS.
struct HostServers {
  std::string database, host;
  uint32_t active = 0, idle = 0;
};

/// What statements of one shape are taken for, and where they went: a row of SHOW ROUTES.
struct RouteRow {
  std::string database, statement;
  bool is_read = false;
  std::string reason;
  uint64_t reads = 0, replica = 0, repeated = 0, primary = 0;
};

/// SHOW MEM: what one kind of object takes.
struct MemoryRow {
  const char* name;
  uint64_t size = 0, used = 0, free = 0, total = 0;

  /// So many in use, of that size each.
  static MemoryRow of(const char* name, uint64_t size, uint64_t used) {
    return {.name = name, .size = size, .used = used, .total = size * used};
  }
};

struct Snapshot {
  std::vector<ConnectionRow> clients, servers;
  std::vector<PoolRow> pools;
  std::vector<DatabaseRow> databases;
  std::vector<UserRow> users;
  std::vector<StatsRow> stats;
  std::vector<MemoryRow> memory;
  std::vector<CancelRow> cancels;
  std::vector<DescriptorRow> descriptors;
  std::vector<PeerStats> peers;
  std::vector<DnsHostRow> dns_hosts;
  std::vector<AuditRow> audits;
  std::vector<HostRow> hosts;
  std::vector<HostServers> host_servers;
  std::vector<RouteRow> routes;
  std::vector<MetersRow> meters;
  std::vector<WorkerRow> workers;
  std::vector<HolderRow> holders;
  std::vector<WaitRow> waits;
  std::vector<PoolNeed> needs;
  std::vector<TroubleRow> troubles;
  FailureCounts failures{};
  std::optional<ProcessRow> process;  // from one part alone
  uint64_t client_count = 0, server_count = 0;
  uint32_t login_clients = 0;
  uint32_t dns_queries = 0;
  bool paused = false, suspended = false;
};

/// Adds another part to a snapshot: connections are appended; rows of the same pool, database,
/// user, peer or kind of memory become one. Counts add up, so each part MUST report its own share
/// only and a number for the whole process MUST come in one part; limits and names are the same in
/// all.
void merge(Snapshot& into, Snapshot&& part);

/// Once all parts are there: the clients that brought cancel requests get the pool that these are
/// meant for, which another worker may know, and their state.
void place_cancels(Snapshot& snapshot);

}  // namespace headgate
