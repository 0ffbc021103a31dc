// A worker's part of what an operator sees: copies, made on the worker's own thread.
#include <array>

#include "proxy/pooler.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

const char* client_state(const Client& client) {
  switch (client.state()) {
    case ClientState::waiting:
    case ClientState::login_waiting:
      return "waiting";
    case ClientState::active:
      return "active";
    case ClientState::cancel_request:
      return "active_cancel_req";
    default:
      return "idle";
  }
}

const char* server_state(Server& server, Instant now) {
  if (server.cancels() > 0) return "being_canceled";
  switch (server.state()) {
    case ServerState::login:
      return "new";
    case ServerState::idle: {
      const auto& delay = server.pool().settings().rules.server_check_delay;
      return delay && server.since() + *delay <= now ? "used" : "idle";
    }
    case ServerState::active:
      return "active";
    case ServerState::tested:
    case ServerState::closing:
      return "tested";
  }
  return "";
}

void describe_link(ConnectionRow& row, const Link& link, int listen_port) {
  if (!link.open()) return;
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
  if (client.state() == ClientState::admin) row.database = "pgbouncer";
  row.state = client_state(client);
  describe_link(row, client.link(), worker.config().settings.listen_port);
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
  row.id = client.id();
  return row;
}

ConnectionRow describe(Server& server, Worker& worker) {
  ConnectionRow row;
  row.is_server = true;
  row.user = server.pool().entry().user.name;
  row.database = server.pool().entry().database.name;
  row.state = server_state(server, worker.now());
  describe_link(row, server.link(), server.address().port);
  row.connect_time = server.connect_wall();
  row.request_time = worker.outside().wall_microseconds() - (worker.now() - server.since()).count();
  row.close_needed = server.close_needed();
  row.ptr = reinterpret_cast<uintptr_t>(&server);
  row.link = server.relay() ? reinterpret_cast<uintptr_t>(&server.relay()->client()) : 0;
  row.remote_pid = static_cast<uint32_t>(server.process());
  if (const Text& name = server.values().get(Tracked::application_name)) {
    row.application_name = *name;
  }
  row.id = server.id();
  return row;
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
  row.clients_waiting = static_cast<uint32_t>(waiters.size());
  row.clients_active =
      static_cast<uint32_t>(pool.clients() - std::min(pool.clients(), waiters.size()));
  pool.share().for_each_server([&](PooledServer& server) {
    if (static_cast<Server&>(server).cancels() > 0) ++row.servers_being_canceled;
  });
  if (!waiters.empty()) row.max_wait_us = (now - waiters.front().waiting_since()).count();
  row.mode = pool.settings().mode;
  if (pool.settings().entry.host.find(',') != std::string::npos) {
    row.load_balance_hosts = pool.settings().entry.load_balance_hosts == LoadBalance::disable
                                 ? "disable"
                                 : "round-robin";
  }
  row.handed_over = pool.share().handed_over();
  return row;
}

MemoryRow memory_row(const char* name, size_t size, size_t used) {
  MemoryRow row;
  row.name = name;
  row.size = size;
  row.used = used;
  row.total = size * used;
  return row;
}

}  // namespace

Snapshot Worker::snapshot() {
  Snapshot part;
  clients_.for_each([&](Client& client) {
    if (client.state() == ClientState::login) {
      ++part.login_clients;
    } else {
      part.clients.push_back(describe(client, *this));
    }
  });
  servers_.for_each([&](Server& server) { part.servers.push_back(describe(server, *this)); });
  for_each_pool([&](WorkerPool& pool) {
    part.pools.push_back(describe(pool, now_));
    StatsRow stats;
    stats.database = pool.entry().database.name;
    stats.totals = pool.stats();
    part.stats.push_back(std::move(stats));
  });
  part.memory = {memory_row("pool_cache", sizeof(WorkerPool), part.pools.size()),
                 memory_row("server_cache", sizeof(Server), servers_.size()),
                 memory_row("client_cache", sizeof(Client), clients_.size())};
  return part;
}

}  // namespace headgate
