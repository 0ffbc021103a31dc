// SHOW WAITS: each client that waits, for what and why. SHOW HOLDERS: each client that holds a
// server, with what it does with it and what keeps it there. Those of longest standing come first.
#include <algorithm>
#include <map>
#include <tuple>

#include "admin/explain_wait.h"
#include "admin/table.h"
#include "admin/views.h"

namespace headgate {

namespace {

constexpr SqlType text = SqlType::text;
constexpr SqlType int4 = SqlType::int4;
constexpr int64_t second_us = 1'000'000;

// --- who waits

struct Wait {
  const WaitRow* client;
  const PoolNeed* pool = nullptr;  // null: it has gone meanwhile
  size_t place = 0;                // in the queue of its pool, over all workers; 0: it is in none
};

using PoolKey = std::tuple<View, View, View>;

std::vector<Wait> waits_of(const Snapshot& snapshot) {
  std::map<PoolKey, const PoolNeed*> pools;
  for (const PoolNeed& pool : snapshot.needs) {
    pools.emplace(PoolKey(pool.database, pool.user, pool.host), &pool);
  }
  const auto longer = [](const WaitRow& a, const WaitRow& b) { return a.wait_us > b.wait_us; };
  std::map<PoolKey, size_t> queued;
  std::vector<Wait> waits;
  for (const WaitRow* client : in_order(snapshot.waits, longer)) {
    const PoolKey key(client->database, client->pool_user, client->host);
    const auto pool = pools.find(key);
    waits.push_back(
        {client, pool == pools.end() ? nullptr : pool->second, client->queued ? ++queued[key] : 0});
  }
  return waits;
}

bool waits_for_server(const Wait& wait) { return wait.pool && wait.client->queued; }

// What it waits for, or what must end before anybody here gets a server.
View state_of(const Wait& wait) {
  if (waits_for_server(wait)) {
    switch (const Obstacle obstacle = obstacle_of(*wait.pool)) {
      case Obstacle::paused:
      case Obstacle::no_host:
      case Obstacle::refused:
        return name_of(obstacle);
      default:
        break;
    }
  }
  return wait.client->waits_for;
}

template <auto member>
void of_client(Cell& cell, const Wait& wait) {
  cell.put(wait.client->*member);
}

void put_host(Cell& cell, const Wait& wait) {
  wait.client->host.empty() ? cell.null() : cell.put(wait.client->host);
}
void put_state(Cell& cell, const Wait& wait) { cell.put(state_of(wait)); }
void put_wait(Cell& cell, const Wait& wait) { cell.put(wait.client->wait_us / second_us); }
void put_wait_us(Cell& cell, const Wait& wait) { cell.put(wait.client->wait_us % second_us); }
void put_place(Cell& cell, const Wait& wait) {
  wait.place == 0 ? cell.null() : cell.put(wait.place);
}
void put_limit(Cell& cell, const Wait& wait) {
  wait.pool ? cell.put(View(name_of(obstacle_of(*wait.pool)))) : cell.null();
}
void put_pool_size(Cell& cell, const Wait& wait) {
  wait.pool ? cell.put(wait.pool->pool_size) : cell.null();
}
void put_in_use(Cell& cell, const Wait& wait) {
  wait.pool ? cell.put(wait.pool->use.lent() + wait.pool->use.own) : cell.null();
}
void put_reason(Cell& cell, const Wait& wait) {
  if (!wait.pool) return cell.null();
  cell.put(wait.client->queued ? describe(*wait.pool) : describe_listener_wait(*wait.pool));
}

constexpr Column<Wait> wait_columns[] = {
    {"database", text, of_client<&WaitRow::database>},
    {"user", text, of_client<&WaitRow::user>},
    {"host", text, put_host},
    {"addr", text, of_client<&WaitRow::address>},
    {"port", int4, of_client<&WaitRow::port>},
    {"application_name", text, of_client<&WaitRow::application_name>},
    {"state", text, put_state},
    {"wait", int4, put_wait},
    {"wait_us", int4, put_wait_us},
    {"place", int4, put_place},
    {"pool_size", int4, put_pool_size},
    {"in_use", int4, put_in_use},
    {"limit", text, put_limit},
    {"reason", text, put_reason},
    {"id", int4, of_client<&WaitRow::id>},
};

// --- who holds servers

void put_held(Cell& cell, const HolderRow& row) { cell.put(row.held_us / second_us); }
void put_held_us(Cell& cell, const HolderRow& row) { cell.put(row.held_us % second_us); }
void put_transaction(Cell& cell, const HolderRow& row) {
  row.transaction_us ? cell.put(*row.transaction_us / second_us) : cell.null();
}
void put_holding(Cell& cell, const HolderRow& row) { cell.put(name_of(row.holding)); }
void put_kept_by(Cell& cell, const HolderRow& row) {
  if (!row.kept_by.empty()) return cell.put(row.kept_by);
  cell.put(row.holding == Holding::running ? "its statement" : "its transaction");
}

constexpr Column<HolderRow> holder_columns[] = {
    {"database", text, field<&HolderRow::database>},
    {"user", text, field<&HolderRow::user>},
    {"addr", text, field<&HolderRow::address>},
    {"port", int4, field<&HolderRow::port>},
    {"application_name", text, field<&HolderRow::application_name>},
    {"state", text, put_holding},
    {"reason", text, put_kept_by},
    {"held", int4, put_held},
    {"held_us", int4, put_held_us},
    {"transaction", int4, put_transaction},
    {"server_pid", int4, field<&HolderRow::process>},
    {"server_addr", text, field<&HolderRow::server_address>},
    {"server_port", int4, field<&HolderRow::server_port>},
    {"id", int4, field<&HolderRow::id>},
};

}  // namespace

void show_waits(Bytes& out, const ShowRequest& asked) {
  const std::vector<Wait> waits = waits_of(asked.snapshot);
  put_table<Wait>(out, wait_columns, as_they_are(waits));
}

void show_holders(Bytes& out, const ShowRequest& asked) {
  const auto longer = [](const HolderRow& a, const HolderRow& b) { return a.held_us > b.held_us; };
  put_table<HolderRow>(out, holder_columns, in_order(asked.snapshot.holders, longer));
}

}  // namespace headgate
