// The rows of SHOW CLIENTS, SERVERS, POOLS, DATABASES and USERS.
#include "admin/views.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <ctime>
#include <limits>

#include "tests/unit/admin/rig.h"

using namespace headgate;
using headgate::test::show;
using headgate::test::Text;
using headgate::test::TextRows;

namespace {

constexpr const char* connection_heads =
    "type t, user t, database t, replication t, state t, addr t, port i, local_addr t, "
    "local_port i, connect_time t, request_time t, wait i, wait_us i, close_needed i, ptr t, "
    "link t, remote_pid i, tls t, application_name t, prepared_statements i, id i, pinned t";

// Puts the process into a time zone, and back at the end.
class InZone {
 public:
  explicit InZone(const char* zone) {
    setenv("TZ", zone, 1);
    tzset();
  }
  ~InZone() {
    unsetenv("TZ");
    tzset();
  }
  InZone(const InZone&) = delete;
  InZone& operator=(const InZone&) = delete;
};

ConnectionRow connection(const char* database, const char* user, const char* state, uint64_t id) {
  ConnectionRow row;
  row.database = database;
  row.user = user;
  row.state = state;
  row.id = id;
  return row;
}

ConnectionRow full_connection() {
  ConnectionRow row = connection("shop", "app", "active", 7);
  row.address = "10.0.0.1";
  row.port = 5555;
  row.local_address = "10.0.0.2";
  row.local_port = 6432;
  row.connect_time = 1'784'000'000'999'999;
  row.request_time = 1'784'000'061'000'000;
  row.wait_us = 3'000'041;
  row.close_needed = true;
  row.ptr = 0x55d61b468b50;
  row.link = 0xabc;
  row.remote_pid = 4242;
  row.tls = "TLSv1.3/TLS_AES_256_GCM_SHA384";
  row.application_name = "psql";
  row.prepared_statements = 12;
  row.pinned = "cursor, listen";
  return row;
}

}  // namespace

TEST_CASE("views: a client is shown with all that is known of it") {
  const InZone zone("UTC0");
  Snapshot snapshot;
  snapshot.clients = {full_connection()};
  const auto answer = show("SHOW CLIENTS", snapshot);
  CHECK(answer.order == "TDC");
  CHECK(answer.heads() == connection_heads);
  CHECK(answer.rows == TextRows{{"C",
                                 "app",
                                 "shop",
                                 "none",
                                 "active",
                                 "10.0.0.1",
                                 "5555",
                                 "10.0.0.2",
                                 "6432",
                                 "2026-07-14 03:33:20 UTC",
                                 "2026-07-14 03:34:21 UTC",
                                 "3",
                                 "41",
                                 "1",
                                 "0x55d61b468b50",
                                 "0xabc",
                                 "4242",
                                 "TLSv1.3/TLS_AES_256_GCM_SHA384",
                                 "psql",
                                 "12",
                                 "7",
                                 "cursor, listen"}});
}

TEST_CASE("views: a server is shown in the same columns") {
  Snapshot snapshot;
  ConnectionRow row = full_connection();
  row.is_server = true;
  snapshot.servers = {row};
  const auto answer = show("SHOW SERVERS", snapshot);
  CHECK(answer.heads() == connection_heads);
  CHECK(answer.value("type") == "S");
  CHECK(answer.value("id") == "7");
}

TEST_CASE("views: what is not known of a connection has its own words") {
  Snapshot snapshot;
  snapshot.clients = {ConnectionRow{}};
  const auto answer = show("SHOW CLIENTS", snapshot);
  CHECK(answer.rows ==
        TextRows{{"C", "(nouser)", "(nodb)", "none", "", "",  "0", "", "0", "",  "",
                  "0", "0",        "0",      "",     "", "0", "",  "", "0", "0", ""}});
}

TEST_CASE("views: times are in the zone of the process, and a log-in is the first request") {
  const InZone zone("CET-1CEST,M3.5.0,M10.5.0/3");
  Snapshot snapshot;
  ConnectionRow row;
  row.connect_time = 1'784'000'000'000'000;
  snapshot.clients = {row};
  const auto answer = show("SHOW CLIENTS", snapshot);
  CHECK(answer.value("connect_time") == "2026-07-14 05:33:20 CEST");
  CHECK(answer.value("request_time") == "2026-07-14 05:33:20 CEST");
}

TEST_CASE("views: a time that no calendar has is left out") {
  Snapshot snapshot;
  ConnectionRow row;
  row.connect_time = -1;
  row.request_time = std::numeric_limits<int64_t>::min();
  snapshot.clients = {row};
  CHECK(show("SHOW CLIENTS", snapshot).value("request_time") == "");
  snapshot.clients[0].connect_time = std::numeric_limits<int64_t>::max();  // the year 294247
  CHECK(show("SHOW CLIENTS", snapshot).value("connect_time")->starts_with("294247-01-10"));
}

TEST_CASE("views: clients stand by database, user, state and age") {
  Snapshot snapshot;
  snapshot.clients = {
      connection("b", "x", "active", 1),
      connection("a", "y", "active", 2),
      connection("a", "x", "waiting_cancel_req", 3),
      connection("a", "x", "active_cancel_req", 4),
      connection("a", "x", "waiting", 5),
      connection("a", "x", "idle", 6),
      connection("a", "x", "active", 9),
      connection("a", "x", "active", 8),
      connection("a", "x", "of another kind", 7),
  };
  CHECK(show("SHOW CLIENTS", snapshot).column("id") ==
        std::vector<Text>{"8", "9", "6", "5", "4", "3", "7", "2", "1"});
}

TEST_CASE("views: servers stand by database, user, state and age") {
  Snapshot snapshot;
  snapshot.servers = {
      connection("b", "x", "active", 1),        connection("a", "x", "being_canceled", 2),
      connection("a", "x", "active_cancel", 3), connection("a", "x", "new", 4),
      connection("a", "x", "tested", 5),        connection("a", "x", "used", 6),
      connection("a", "x", "idle", 7),          connection("a", "x", "active", 8),
  };
  CHECK(show("SHOW SERVERS", snapshot).column("id") ==
        std::vector<Text>{"8", "7", "6", "5", "4", "3", "2", "1"});
}

TEST_CASE("views: a pool is shown with each of its counts in its own column") {
  Snapshot snapshot;
  PoolRow row;
  row.database = "shop";
  row.user = "app";
  row.clients_active = 1;
  row.clients_waiting = 2;
  row.clients_active_cancel = 3;
  row.clients_waiting_cancel = 4;
  row.servers_active = 5;
  row.servers_active_cancel = 6;
  row.servers_being_canceled = 7;
  row.servers_idle = 8;
  row.servers_used = 9;
  row.servers_tested = 10;
  row.servers_login = 11;
  row.max_wait_us = 12'000'013;
  row.mode = PoolMode::transaction;
  row.load_balance_hosts = "round-robin";
  snapshot.pools = {row};
  const auto answer = show("SHOW POOLS", snapshot);
  CHECK(answer.heads() ==
        "database t, user t, cl_active i, cl_waiting i, cl_active_cancel_req i, "
        "cl_waiting_cancel_req i, sv_active i, sv_active_cancel i, sv_being_canceled i, "
        "sv_idle i, sv_used i, sv_tested i, sv_login i, maxwait i, maxwait_us i, pool_mode t, "
        "load_balance_hosts t");
  REQUIRE(answer.rows.size() == 2);
  CHECK(answer.rows[1] == std::vector<Text>{"shop", "app", "1", "2", "3", "4", "5", "6", "7", "8",
                                            "9", "10", "11", "12", "13", "transaction",
                                            "round-robin"});
}

TEST_CASE("views: the console's own pool counts those who are logged in to it") {
  Snapshot snapshot;
  snapshot.clients = {connection("pgbouncer", "root", "active", 1),
                      connection("shop", "app", "active", 2),
                      connection("pgbouncer", "root", "active", 3)};
  const auto answer = show("SHOW POOLS", snapshot);
  CHECK(answer.rows == TextRows{{"pgbouncer",
                                 "pgbouncer",
                                 "2",
                                 "0",
                                 "0",
                                 "0",
                                 "0",
                                 "0",
                                 "0",
                                 "0",
                                 "0",
                                 "0",
                                 "0",
                                 "0",
                                 "0",
                                 "statement",
                                 {}}});
}

TEST_CASE("views: pools stand by database and user") {
  Snapshot snapshot;
  for (const auto& [database, user] : {std::pair{"shop", "b"}, {"z", "a"}, {"shop", "a"}}) {
    PoolRow row;
    row.database = database;
    row.user = user;
    snapshot.pools.push_back(row);
  }
  const auto answer = show("SHOW POOLS", snapshot);
  CHECK(answer.column("database") == std::vector<Text>{"pgbouncer", "shop", "shop", "z"});
  CHECK(answer.column("user") == std::vector<Text>{"pgbouncer", "a", "b", "a"});
}

TEST_CASE("views: a database is shown with the values in force") {
  Snapshot snapshot;
  DatabaseRow row;
  row.name = "shop";
  row.host = "a,b";
  row.port = 5433;
  row.dbname = "shop_live";
  row.force_user = "app";
  row.pool_size = 20;
  row.min_pool_size = 2;
  row.reserve_pool_size = 3;
  row.server_lifetime = 3600;
  row.pool_mode = "transaction";
  row.load_balance_hosts = "disable";
  row.max_connections = 50;
  row.current_connections = 4;
  row.max_client_connections = 500;
  row.current_client_connections = 40;
  row.paused = true;
  snapshot.databases = {row};
  const auto answer = show("SHOW DATABASES", snapshot);
  CHECK(answer.heads() ==
        "name t, host t, port i, database t, force_user t, pool_size i, min_pool_size i, "
        "reserve_pool_size i, server_lifetime i, pool_mode t, load_balance_hosts t, "
        "max_connections i, current_connections i, max_client_connections i, "
        "current_client_connections i, paused i, disabled i");
  REQUIRE(answer.rows.size() == 2);
  CHECK(answer.rows[1] == std::vector<Text>{"shop", "a,b", "5433", "shop_live", "app", "20", "2",
                                            "3", "3600", "transaction", "disable", "50", "4", "500",
                                            "40", "1", "0"});
}

TEST_CASE("views: what a database inherits or lacks is NULL") {
  Snapshot snapshot;
  DatabaseRow row;
  row.name = row.dbname = "a";
  row.disabled = true;
  snapshot.databases = {row};
  const auto answer = show("SHOW DATABASES", snapshot);
  CHECK(answer.rows[0] ==
        std::vector<Text>{
            "a", {}, "5432", "a", {}, "0", "0", "0", "0", {}, {}, "0", "0", "0", "0", "0", "1"});
}

TEST_CASE("views: the console is among the databases, which stand by name") {
  Config config;
  config.settings.listen_port = 7777;
  config.settings.server_lifetime = seconds(1800);
  config.settings.max_db_connections = 8;
  config.settings.max_db_client_connections = 9;
  Snapshot snapshot;
  for (const char* name : {"z", "a", "B"}) {
    DatabaseRow row;
    row.name = name;
    snapshot.databases.push_back(row);
  }
  snapshot.clients = {connection("pgbouncer", "root", "active", 1)};
  const auto answer = show("SHOW DATABASES", snapshot, config);
  CHECK(answer.column("name") == std::vector<Text>{"B", "a", "pgbouncer", "z"});
  CHECK(answer.rows[2] == std::vector<Text>{"pgbouncer",
                                            {},
                                            "7777",
                                            "pgbouncer",
                                            "pgbouncer",
                                            "2",
                                            "0",
                                            "0",
                                            "1800",
                                            "statement",
                                            {},
                                            "8",
                                            "0",
                                            "9",
                                            "1",
                                            "0",
                                            "0"});
}

TEST_CASE("views: rows that a snapshot brings for the console itself are kept") {
  Snapshot snapshot;
  DatabaseRow database;
  database.name = "pgbouncer";
  database.port = 1;
  PoolRow pool;
  pool.database = pool.user = "pgbouncer";
  pool.clients_waiting = 3;
  UserRow user;
  user.name = "pgbouncer";
  user.current_connections = 4;
  snapshot.databases = {database};
  snapshot.pools = {pool};
  snapshot.users = {user};
  CHECK(show("SHOW DATABASES", snapshot).value("port") == "1");
  CHECK(show("SHOW POOLS", snapshot).value("cl_waiting") == "3");
  CHECK(show("SHOW USERS", snapshot).value("current_connections") == "4");
}

TEST_CASE("views: users stand by name, their sizes are text") {
  Config config;
  config.settings.max_user_connections = 6;
  config.settings.max_user_client_connections = 7;
  Snapshot snapshot;
  UserRow user;
  user.name = "z";
  user.pool_size = 0;
  user.reserve_pool_size = 123456789;
  user.pool_mode = "session";
  user.max_connections = 1;
  user.current_connections = 2;
  user.max_client_connections = 3;
  user.current_client_connections = 4;
  snapshot.users = {user, UserRow{}};
  snapshot.users[1].name = "a";
  snapshot.users[1].pool_size = 20;
  const auto answer = show("SHOW USERS", snapshot, config);
  CHECK(answer.heads() ==
        "name t, pool_size t, reserve_pool_size t, pool_mode t, max_user_connections i, "
        "current_connections i, max_user_client_connections i, current_client_connections i");
  CHECK(answer.rows == TextRows{{"a", "       20", "", {}, "0", "0", "0", "0"},
                                {"pgbouncer", "", "", {}, "6", "0", "7", "0"},
                                {"z", "        0", "123456789", "session", "1", "2", "3", "4"}});
}

TEST_CASE("views: a number that an int4 cannot hold is shown as the largest that it can") {
  Snapshot snapshot;
  ConnectionRow row;
  row.id = std::numeric_limits<uint64_t>::max();
  row.wait_us = std::numeric_limits<int64_t>::max();
  row.remote_pid = 2'147'483'648;
  row.port = std::numeric_limits<int>::max();
  row.ptr = std::numeric_limits<uintptr_t>::max();
  snapshot.clients = {row};
  const auto clients = show("SHOW CLIENTS", snapshot);
  CHECK(clients.value("id") == "2147483647");
  CHECK(clients.value("wait") == "2147483647");
  CHECK(clients.value("wait_us") == "775807");
  CHECK(clients.value("remote_pid") == "2147483647");
  CHECK(clients.value("port") == "2147483647");
  CHECK(clients.value("ptr") == "0xffffffffffffffff");

  PoolRow pool;
  pool.database = "pgbouncer";
  pool.servers_idle = 2'147'483'647;
  pool.servers_used = std::numeric_limits<uint32_t>::max();
  snapshot.pools = {pool};
  const auto pools = show("SHOW POOLS", snapshot);
  CHECK(pools.value("sv_idle") == "2147483647");
  CHECK(pools.value("sv_used") == "2147483647");
}

TEST_CASE("views: text is passed on byte by byte, whatever a client called itself") {
  Snapshot snapshot;
  snapshot.clients = {ConnectionRow{}};
  snapshot.clients[0].application_name = std::string("\xff\0'\"\n", 5);
  CHECK(show("SHOW CLIENTS", snapshot).value("application_name") == std::string("\xff\0'\"\n", 5));
}

TEST_CASE("views: without rows there are still columns") {
  for (const char* query : {"SHOW CLIENTS", "SHOW SERVERS"}) {
    const auto answer = show(query);
    CHECK(answer.order == "TC");
    CHECK(answer.columns.size() == 22);
  }
}
