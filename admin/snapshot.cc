#include "admin/snapshot.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "base/bytes.h"

namespace headgate {

namespace {

// What makes two rows one. The Views lend from the rows.
auto key_of(const PoolRow& row) { return std::pair(View(row.database), View(row.user)); }
auto key_of(const PoolNeed& row) {
  return std::tuple(View(row.database), View(row.user), View(row.host));
}
auto key_of(const DatabaseRow& row) { return View(row.name); }
auto key_of(const UserRow& row) { return View(row.name); }
auto key_of(const StatsRow& row) { return View(row.database); }
auto key_of(const HostServers& row) { return std::pair(View(row.database), View(row.host)); }
auto key_of(const RouteRow& row) { return std::pair(View(row.database), View(row.statement)); }
auto key_of(const MemoryRow& row) { return View(row.name); }
auto key_of(const PeerStats& row) { return row.id; }
auto key_of(const MetersRow& row) { return std::pair(View(row.database), View(row.user)); }

template <class Row, class... Members>
void add_members(Row& into, const Row& part, Members... members) {
  ((into.*members += part.*members), ...);
}

void add(PoolRow& into, const PoolRow& part) {
  add_members(into, part, &PoolRow::clients_active, &PoolRow::clients_waiting,
              &PoolRow::clients_active_cancel, &PoolRow::clients_waiting_cancel,
              &PoolRow::servers_active, &PoolRow::servers_active_cancel,
              &PoolRow::servers_being_canceled, &PoolRow::servers_idle, &PoolRow::servers_used,
              &PoolRow::servers_tested, &PoolRow::servers_login, &PoolRow::handed_over,
              &PoolRow::servers_pinned);
  into.size = std::max(into.size, part.size);  // a part of cancel requests alone does not know it
  into.max_wait_us = std::max(into.max_wait_us, part.max_wait_us);
}

void add(PoolNeed& into, const PoolNeed& part) { add(into.use, part.use); }

void add(DatabaseRow& into, const DatabaseRow& part) {
  add_members(into, part, &DatabaseRow::current_connections,
              &DatabaseRow::current_client_connections);
  into.paused |= part.paused;
  into.disabled |= part.disabled;
}

void add(UserRow& into, const UserRow& part) {
  add_members(into, part, &UserRow::current_connections, &UserRow::current_client_connections);
}

void add(StatsRow& into, const StatsRow& part) {
  into.totals += part.totals;
  into.before += part.before;
  into.elapsed = std::max(into.elapsed, part.elapsed);
}

void add(HostServers& into, const HostServers& part) {
  add_members(into, part, &HostServers::active, &HostServers::idle);
}

void add(RouteRow& into, const RouteRow& part) {
  add_members(into, part, &RouteRow::reads, &RouteRow::replica, &RouteRow::repeated,
              &RouteRow::primary);
}

void add(MemoryRow& into, const MemoryRow& part) {
  into.size = std::max(into.size, part.size);
  add_members(into, part, &MemoryRow::used, &MemoryRow::free, &MemoryRow::total);
}

void add(PeerStats& into, const PeerStats& part) {
  add_members(into, part, &PeerStats::clients_active_cancel, &PeerStats::clients_waiting_cancel,
              &PeerStats::servers_active_cancel, &PeerStats::servers_login);
}

void add(MetersRow& into, const MetersRow& part) { into.meters += part.meters; }

template <class Row>
void append(std::vector<Row>& into, std::vector<Row>&& part) {
  into.insert(into.end(), std::make_move_iterator(part.begin()),
              std::make_move_iterator(part.end()));
}

template <class Row>
void merge_rows(std::vector<Row>& into, std::vector<Row>&& part) {
  into.reserve(into.size() + part.size());  // from here on no row moves away from under its key
  std::map<decltype(key_of(into[0])), Row*> known;
  for (Row& row : into) known.emplace(key_of(row), &row);
  for (Row& row : part) {
    if (const auto same = known.find(key_of(row)); same != known.end()) {
      add(*same->second, row);
    } else {
      Row& added = into.emplace_back(std::move(row));
      known.emplace(key_of(added), &added);
    }
  }
}

}  // namespace

void merge(Snapshot& into, Snapshot&& part) {
  append(into.clients, std::move(part.clients));
  append(into.servers, std::move(part.servers));
  merge_rows(into.pools, std::move(part.pools));
  merge_rows(into.databases, std::move(part.databases));
  merge_rows(into.users, std::move(part.users));
  merge_rows(into.stats, std::move(part.stats));
  merge_rows(into.memory, std::move(part.memory));
  append(into.cancels, std::move(part.cancels));
  append(into.descriptors, std::move(part.descriptors));
  merge_rows(into.peers, std::move(part.peers));
  append(into.dns_hosts, std::move(part.dns_hosts));
  append(into.audits, std::move(part.audits));
  append(into.hosts, std::move(part.hosts));
  merge_rows(into.host_servers, std::move(part.host_servers));
  merge_rows(into.routes, std::move(part.routes));
  merge_rows(into.meters, std::move(part.meters));
  append(into.workers, std::move(part.workers));
  append(into.holders, std::move(part.holders));
  append(into.waits, std::move(part.waits));
  merge_rows(into.needs, std::move(part.needs));
  append(into.troubles, std::move(part.troubles));
  for (size_t code = 0; code < error_codes; ++code) into.failures[code] += part.failures[code];
  if (part.process) into.process = part.process;
  add_members(into, part, &Snapshot::client_count, &Snapshot::server_count,
              &Snapshot::login_clients, &Snapshot::dns_queries);
  into.paused |= part.paused;
  into.suspended |= part.suspended;
}

void place_cancels(Snapshot& snapshot) {
  std::map<uint64_t, const CancelRow*> by_client;
  for (const CancelRow& cancel : snapshot.cancels) by_client.emplace(cancel.client_id, &cancel);
  for (ConnectionRow& client : snapshot.clients) {
    const auto found = by_client.find(client.id);
    if (found == by_client.end()) continue;
    client.user = found->second->user;
    client.database = found->second->database;
    client.state = found->second->sent ? "active_cancel_req" : "waiting_cancel_req";
  }
}

}  // namespace headgate
