// A worker's part of what an operator sees: copies, made on the worker's own thread.
#include <algorithm>

#include "admin/commands.h"
#include "proxy/client_login.h"
#include "proxy/pooler.h"
#include "proxy/tls_facts.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

// The words of SHOW CLIENTS and of SHOW SOCKETS; null: not shown there.
struct StateWords {
  const char* state;
  const char* socket_state;
};

StateWords state_of(const Client& client) {
  switch (client.state()) {
    case ClientState::login:
      return {nullptr, "cl_login"};
    case ClientState::waiting:
    case ClientState::login_waiting:
      return {"waiting", "cl_waiting"};
    case ClientState::active:
      return {"active", "cl_active"};
    case ClientState::idle:
    case ClientState::admin:
      return {"idle", "cl_active"};
    case ClientState::cancel_request:  // the worker of its target knows whether it was sent
      return {"waiting_cancel_req", nullptr};
    case ClientState::closed:
      break;
  }
  return {nullptr, nullptr};
}

// Its lease is over, but a cancel request that was meant for it is still under way.
bool being_canceled(Server& server) { return server.cancels() > 0 && !server.relay(); }

// A server that has no client any more but is not clean yet is active still: nobody can have it.
StateWords state_of(Server& server, Instant now) {
  if (being_canceled(server)) return {"being_canceled", "sv_active"};
  switch (server.state()) {
    case ServerState::login:
      return {"new", "sv_login"};
    case ServerState::idle: {
      const auto& delay = server.pool().settings().rules.server_check_delay;
      if (delay && server.since() + *delay <= now) return {"used", "sv_used"};
      return {"idle", "sv_idle"};
    }
    case ServerState::active:
      return {"active", "sv_active"};
    case ServerState::tested:
    case ServerState::closing:
      break;
  }
  return {"tested", "sv_tested"};
}

void set_link(ConnectionRow& row, const Link& link, int listen_port) {
  if (!link.open()) return;
  row.buffered.queued = link.stream().queued();
  if (const TlsFacts* tls = link.tls()) row.tls = tls->description;
  const Address& peer = link.stream().peer();
  const Address& local = link.stream().local();
  row.address = peer.is_unix() ? "unix" : peer.host;
  row.port = peer.is_unix() ? listen_port : peer.port;
  row.local_address = local.is_unix() ? "unix" : local.host;
  row.local_port = local.is_unix() ? listen_port : local.port;
}

ConnectionRow describe(Client& client, Worker& worker) {
  ConnectionRow row;
  row.user = client.user();
  if (client.pool()) row.database = client.pool()->entry().database.name;
  if (client.state() == ClientState::admin) row.database = console_database;
  if (const ClientLogin* login = client.login()) {
    row.user = login->user();
    if (row.database.empty()) row.database = login->database();
  }
  const StateWords words = state_of(client);
  row.state = words.state;
  row.socket_state = words.socket_state;
  set_link(row, client.link(), worker.config().settings.listen_port);
  row.replication = name_of(client.replication());
  row.connect_time = client.connect_wall();
  const bool busy = client.state() == ClientState::waiting || client.state() == ClientState::active;
  const int64_t age = (worker.now() - client.request_since()).count();
  row.request_time = client.request_since() == Instant{}
                         ? client.connect_wall()
                         : worker.outside().wall_microseconds() - age;
  row.wait_us = busy ? age : 0;
  row.ptr = reinterpret_cast<uintptr_t>(&client);
  row.link = reinterpret_cast<uintptr_t>(client.server());
  if (const auto process =
          client.link().open() ? client.link().stream().peer_process() : std::nullopt) {
    row.remote_pid = process->pid;
  }
  if (const Text& name = client.values().get(Tracked::application_name)) {
    row.application_name = *name;
  }
  if (client.has_statements()) {
    row.prepared_statements = static_cast<int>(client.statements().size());
  }
  row.id = client.id();
  if (client.server()) row.pinned = name_of(client.server()->session().pins());
  row.buffered.received = client.held_bytes();
  row.buffered.remaining = client.framer().remaining();
  return row;
}

ConnectionRow describe(Server& server, Worker& worker) {
  ConnectionRow row;
  row.is_server = true;
  row.user = server.pool().entry().user.name;
  row.database = server.pool().entry().database.name;
  const StateWords words = state_of(server, worker.now());
  row.state = words.state;
  row.socket_state = words.socket_state;
  set_link(row, server.link(), server.address().port);
  row.replication = name_of(server.replication());
  row.connect_time = server.connect_wall();
  row.request_time = worker.outside().wall_microseconds() - (worker.now() - server.since()).count();
  row.close_needed = server.close_needed();
  row.ptr = reinterpret_cast<uintptr_t>(&server);
  row.link = server.relay() ? reinterpret_cast<uintptr_t>(&server.relay()->client()) : 0;
  row.remote_pid = static_cast<uint32_t>(server.process());
  if (const Text& name = server.values().get(Tracked::application_name)) {
    row.application_name = *name;
  }
  row.prepared_statements = static_cast<int>(server.statements().size());
  row.id = server.id();
  row.pinned = name_of(server.session().pins());
  row.buffered.received = server.framer().held().size();
  row.buffered.remaining = server.framer().remaining();
  return row;
}

// PgBouncer counts the connection that carries a cancel request as a server.
ConnectionRow describe(const Canceller& canceller) {
  ConnectionRow row;
  row.is_server = true;
  row.user = canceller.pool().user.name;
  row.database = canceller.pool().database.name;
  row.state = "active_cancel";
  row.socket_state = nullptr;
  set_link(row, canceller.link(), canceller.settings().entry.port);
  row.ptr = reinterpret_cast<uintptr_t>(&canceller);
  row.id = canceller.id();
  return row;
}

// The connections that brought a cancel request, and the pool of the client it is meant for.
void describe_requesters(const Canceller& canceller, Snapshot& part) {
  for (const Requester& requester : canceller.requesters()) {
    if (requester.client == 0) continue;
    CancelRow row;
    row.client_id = requester.client;
    row.user = canceller.pool().user.name;
    row.database = canceller.pool().database.name;
    row.sent = canceller.sent();
    part.cancels.push_back(std::move(row));
  }
}

// The part of SHOW POOLS that comes of a cancel request; rows of one pool add up.
PoolRow describe_cancels(const Canceller& canceller) {
  PoolRow row;
  row.database = canceller.pool().database.name;
  row.user = canceller.pool().user.name;
  row.mode = canceller.settings().mode;
  row.servers_active_cancel = 1;
  for (const Requester& requester : canceller.requesters()) {
    if (requester.client == 0) continue;
    ++(canceller.sent() ? row.clients_active_cancel : row.clients_waiting_cancel);
  }
  return row;
}

// Those who wait to read at a standby are clients of the pool whose reads these are.
size_t clients_waiting(WorkerPool& pool) {
  size_t count = pool.clients_waiting();
  if (!pool.has_readers()) return count;
  pool.worker().for_each_pool([&](WorkerPool& other) {
    const bool reads = other.entry().is_reader() && &other.entry().home() == &pool.entry();
    if (reads) count += other.clients_waiting();
  });
  return count;
}

PoolRow describe(WorkerPool& pool, Instant now) {
  PoolRow row;
  row.database = pool.entry().database.name;
  row.user = pool.entry().user.name;
  const Pool::Counts counts = pool.share().counts(now);
  row.servers_active = counts.active;
  row.servers_idle = counts.idle;
  row.servers_used = counts.used;
  row.servers_tested = counts.tested + counts.closing;
  row.servers_login = counts.login;
  const auto& waiters = pool.share().waiters();
  row.clients_waiting = static_cast<uint32_t>(pool.clients_waiting());
  row.clients_active = static_cast<uint32_t>(
      pool.clients() - std::min<size_t>(pool.clients(), clients_waiting(pool)));
  pool.share().for_each_server([&](PooledServer& server) {
    auto& session = static_cast<Server&>(server);
    if (session.session().pins().any()) ++row.servers_pinned;
    if (!being_canceled(session)) return;
    ++row.servers_being_canceled;
    --(server.state() == ServerState::active ? row.servers_active : row.servers_tested);
  });
  if (!waiters.empty()) row.max_wait_us = (now - waiters.front().waiting_since()).count();
  row.mode = pool.settings().mode;
  row.load_balance_hosts = shown_balance(pool.settings().entry);
  row.handed_over = pool.share().handed_over();
  row.size = pool.settings().rules.pool_size;
  return row;
}

void describe_routes(WorkerPool& pool, Snapshot& part) {
  if (!pool.has_readers()) return;
  pool.readers().book().for_each([&](const RouteShape& shape) {
    RouteRow row;
    row.database = pool.entry().database.name;
    row.statement = shape.text;
    row.is_read = shape.is_read();
    row.reason = shape.refused ? "refused by a replica" : to_text(shape.verdict);
    row.reads = shape.reads;
    row.replica = shape.replica;
    row.repeated = shape.repeated;
    row.primary = shape.primary;
    part.routes.push_back(std::move(row));
  });
}

// Where roles of hosts are found.
void describe_hosts(WorkerPool& pool, Snapshot& part) {
  if (pool.settings().entry.target == TargetRole::any) return;
  pool.share().for_each_server([&](PooledServer& one) {
    const auto& server = static_cast<const Server&>(one);
    HostServers row;
    row.database = pool.entry().database.name;
    row.host = server.listed_host();
    row.active = server.state() == ServerState::active ? 1 : 0;
    row.idle = server.state() == ServerState::idle ? 1 : 0;
    part.host_servers.push_back(std::move(row));
  });
}

StatsRow stats_row(std::string_view database, const PoolStats& totals) {
  StatsRow row;
  row.database = database;
  row.totals = totals;
  return row;
}

MetersRow meters_row(const PoolEntry& pool, const PoolMeters& meters) {
  return {pool.database.name, pool.user.name, meters};
}

}  // namespace

// A row for each connection, and the bytes that they hold.
void Worker::describe_connections(Snapshot& part) {
  clients_.for_each([&](Client& client) { part.clients.push_back(describe(client, *this)); });
  servers_.for_each([&](Server& server) { part.servers.push_back(describe(server, *this)); });
  cancellers_.for_each([&](Canceller& canceller) {
    part.servers.push_back(describe(canceller));
    describe_requesters(canceller, part);
  });
  uint64_t held_bytes = 0;
  for (const auto* rows : {&part.clients, &part.servers}) {
    for (const ConnectionRow& row : *rows)
      held_bytes += row.buffered.received + row.buffered.queued;
  }
  part.memory.push_back(MemoryRow::of("iobuf_cache", 1, held_bytes));  // as long as what they hold
}

void Worker::note_trouble(View database, View user, View text) {
  if (troubles_.size() == most_troubles) troubles_.pop_front();
  troubles_.push_back({outside_->wall_microseconds(), std::string(database.substr(0, 64)),
                       std::string(user.substr(0, 64)),
                       std::string(text.substr(0, longest_trouble))});
}

void Worker::describe_pools(Snapshot& part, const SnapshotWish& wish) {
  for_each_pool([&](WorkerPool& pool) {
    if (!pool.forgotten()) part.pools.push_back(describe(pool, now_));
    part.stats.push_back(stats_row(pool.entry().database.name, pool.stats()));
    describe_hosts(pool, part);
    if (wish.connections) describe_routes(pool, part);
    if (wish.meters) part.meters.push_back(meters_row(pool.entry(), pool.meters()));
  });
  for (const DatabaseState* database : pooler_.registry().databases()) {
    const PoolStats kept = database->kept(id_);
    if (kept != PoolStats{}) part.stats.push_back(stats_row(database->name, kept));
  }
  if (!wish.meters) return;
  for (const PoolEntry* pool : pooler_.registry().pools()) {
    const PoolMeters kept = pool->kept(id_);
    if (kept != PoolMeters{}) part.meters.push_back(meters_row(*pool, kept));
  }
}

Snapshot Worker::snapshot(const SnapshotWish& wish) {
  Snapshot part;
  clients_.for_each([&](Client& client) {
    if (client.state() == ClientState::login) ++part.login_clients;
  });
  part.client_count = clients_.size();
  part.server_count = servers_.size() + cancellers_.size();
  part.failures = failures_;
  describe_pools(part, wish);
  part.stats.push_back(stats_row(console_database, console_stats_));
  cancellers_.for_each(
      [&](Canceller& canceller) { part.pools.push_back(describe_cancels(canceller)); });
  part.memory = {MemoryRow::of("pool_cache", sizeof(WorkerPool), part.pools.size()),
                 MemoryRow::of("server_cache", sizeof(Server), servers_.size()),
                 MemoryRow::of("client_cache", sizeof(Client), clients_.size())};
  if (wish.connections) describe_connections(part);
  if (wish.holders > 0) describe_holders(part, wish.holders);
  if (wish.waits) describe_waits(part);
  if (wish.troubles) part.troubles.assign(troubles_.begin(), troubles_.end());
  return part;
}

WorkerRow Worker::describe_itself() {
  WorkerRow row;
  row.id = static_cast<int>(id_);
  row.clients = clients_.size();
  row.servers = servers_.size();
  row.pools = pools_.size();
  row.cpu_us = outside_->cpu_time().count();
  return row;
}

}  // namespace headgate
