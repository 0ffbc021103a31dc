#include "admin/snapshot.h"

#include <doctest/doctest.h>

using namespace headgate;

namespace {

PoolRow pool(const char* database, const char* user, uint32_t each, int64_t max_wait_us) {
  PoolRow row;
  row.database = database;
  row.user = user;
  row.clients_active = row.clients_waiting = each;
  row.clients_active_cancel = row.clients_waiting_cancel = each;
  row.servers_active = row.servers_active_cancel = row.servers_being_canceled = each;
  row.servers_idle = row.servers_used = row.servers_tested = row.servers_login = each;
  row.handed_over = each;
  row.max_wait_us = max_wait_us;
  row.mode = PoolMode::transaction;
  return row;
}

ConnectionRow connection(uint64_t id) {
  ConnectionRow row;
  row.id = id;
  return row;
}

}  // namespace

TEST_CASE("snapshot: connections of all parts stand one behind the other") {
  Snapshot whole, part;
  whole.clients = {connection(1)};
  part.clients = {connection(2), connection(3)};
  part.servers = {connection(4)};
  merge(whole, std::move(part));
  REQUIRE(whole.clients.size() == 3);
  CHECK(whole.clients[0].id == 1);
  CHECK(whole.clients[2].id == 3);
  REQUIRE(whole.servers.size() == 1);
  CHECK(whole.servers[0].id == 4);
}

TEST_CASE("snapshot: shares of one pool add up, the longest wait is kept") {
  Snapshot whole, part, third;
  whole.pools = {pool("a", "x", 1, 500), pool("b", "x", 1, 1)};
  part.pools = {pool("b", "y", 5, 7), pool("a", "x", 2, 400)};
  third.pools = {pool("a", "x", 4, 900), pool("b", "y", 1, 8)};
  merge(whole, std::move(part));
  merge(whole, std::move(third));

  REQUIRE(whole.pools.size() == 3);
  const PoolRow& sum = whole.pools[0];
  CHECK(sum.database == "a");
  CHECK(sum.user == "x");
  for (const uint32_t count :
       {sum.clients_active, sum.clients_waiting, sum.clients_active_cancel,
        sum.clients_waiting_cancel, sum.servers_active, sum.servers_active_cancel,
        sum.servers_being_canceled, sum.servers_idle, sum.servers_used, sum.servers_tested,
        sum.servers_login}) {
    CHECK(count == 7);
  }
  CHECK(sum.handed_over == 7);
  CHECK(sum.max_wait_us == 900);
  CHECK(sum.mode == PoolMode::transaction);
  CHECK(whole.pools[1].servers_idle == 1);
  CHECK(whole.pools[2].user == "y");
  CHECK(whole.pools[2].servers_idle == 6);
  CHECK(whole.pools[2].max_wait_us == 8);
}

TEST_CASE("snapshot: rows of a database are counted together however many there are") {
  Snapshot whole;
  for (int worker = 0; worker < 3; ++worker) {
    Snapshot part;
    for (int i = 0; i < 100; ++i) {
      StatsRow row{.database = std::to_string(i), .totals = {}, .before = {}, .elapsed = {}};
      row.totals.xact_count = static_cast<uint64_t>(i);
      part.stats.push_back(row);
    }
    merge(whole, std::move(part));
  }
  REQUIRE(whole.stats.size() == 100);
  for (uint64_t i = 0; i < 100; ++i) CHECK(whole.stats[i].totals.xact_count == 3 * i);
}

TEST_CASE("snapshot: statistics add up, over the longest time") {
  Snapshot whole, part;
  StatsRow row{.database = "a", .totals = {}, .before = {}, .elapsed = seconds(60)};
  row.totals.query_count = 10;
  row.before.query_count = 4;
  whole.stats = {row};
  row.totals.query_count = 100;
  row.before.query_count = 40;
  row.elapsed = seconds(61);
  part.stats = {row};
  merge(whole, std::move(part));
  REQUIRE(whole.stats.size() == 1);
  CHECK(whole.stats[0].totals.query_count == 110);
  CHECK(whole.stats[0].before.query_count == 44);
  CHECK(whole.stats[0].elapsed == seconds(61));
}

TEST_CASE("snapshot: databases and users keep their limits, their connections add up") {
  Snapshot whole, part;
  DatabaseRow database;
  database.name = "a";
  database.max_connections = 10;
  database.current_connections = 2;
  database.current_client_connections = 3;
  UserRow user;
  user.name = "x";
  user.max_connections = 20;
  user.current_connections = 4;
  user.current_client_connections = 5;
  whole.databases = part.databases = {database};
  whole.users = part.users = {user};
  part.databases[0].paused = part.databases[0].disabled = true;
  merge(whole, std::move(part));
  REQUIRE(whole.databases.size() == 1);
  CHECK(whole.databases[0].max_connections == 10);
  CHECK(whole.databases[0].current_connections == 4);
  CHECK(whole.databases[0].current_client_connections == 6);
  CHECK(whole.databases[0].paused);
  CHECK(whole.databases[0].disabled);
  REQUIRE(whole.users.size() == 1);
  CHECK(whole.users[0].max_connections == 20);
  CHECK(whole.users[0].current_connections == 8);
  CHECK(whole.users[0].current_client_connections == 10);
}

TEST_CASE("snapshot: memory adds up for each kind, the size of one is the largest") {
  const std::string same_name = "client_cache";  // the same word at another address
  Snapshot whole, part;
  whole.memory = {{.name = "client_cache", .size = 100, .used = 1, .free = 2, .total = 300}};
  part.memory = {{.name = same_name.c_str(), .size = 120, .used = 10, .free = 20, .total = 3000},
                 {.name = "pool_cache", .size = 7, .used = 1, .free = 0, .total = 7}};
  merge(whole, std::move(part));
  REQUIRE(whole.memory.size() == 2);
  CHECK(whole.memory[0].size == 120);
  CHECK(whole.memory[0].used == 11);
  CHECK(whole.memory[0].free == 22);
  CHECK(whole.memory[0].total == 3300);
  CHECK(whole.memory[1].total == 7);
}

TEST_CASE("snapshot: what is counted once is added, what is switched on stays on") {
  Snapshot whole, part;
  whole.login_clients = 1;
  whole.dns_queries = 5;
  part.login_clients = part.dns_queries = 10;
  part.paused = true;
  whole.suspended = true;
  merge(whole, std::move(part));
  CHECK(whole.login_clients == 11);
  CHECK(whole.dns_queries == 15);
  CHECK(whole.paused);
  CHECK(whole.suspended);
}

TEST_CASE("snapshot: what two workers sent to one peer adds up") {
  Snapshot whole, part;
  whole.peers = {{.id = 1, .clients_active_cancel = 1, .servers_login = 4}};
  part.peers = {{.id = 2}, {.id = 1, .clients_active_cancel = 2, .clients_waiting_cancel = 3}};
  merge(whole, std::move(part));
  REQUIRE(whole.peers.size() == 2);
  CHECK(whole.peers[0].clients_active_cancel == 3);
  CHECK(whole.peers[0].clients_waiting_cancel == 3);
  CHECK(whole.peers[0].servers_login == 4);
}

TEST_CASE("snapshot: who brought a cancel request is shown in the pool that it is meant for") {
  Snapshot snapshot;
  for (const uint64_t id : {1, 2, 3}) snapshot.clients.push_back(connection(id));
  snapshot.clients[2].state = "waiting_cancel_req";
  snapshot.cancels = {
      {.client_id = 3, .user = "app", .database = "shop", .sent = false},
      {.client_id = 1, .user = "app", .database = "shop", .sent = true},
      {.client_id = 9, .user = "app", .database = "shop", .sent = true},  // it has gone meanwhile
  };
  place_cancels(snapshot);
  CHECK(View(snapshot.clients[0].state) == "active_cancel_req");
  CHECK(snapshot.clients[0].database == "shop");
  CHECK(View(snapshot.clients[1].state) == "");
  CHECK(View(snapshot.clients[2].state) == "waiting_cancel_req");
  CHECK(snapshot.clients[2].user == "app");
}
