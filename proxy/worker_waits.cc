// Who waits for servers of this worker's pools, and who holds them: for SHOW WAITS and SHOW
// HOLDERS, and for what a client is told that has waited for too long. Nothing of it is kept up to
// date; it is found out when somebody asks.
#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "admin/explain_wait.h"
#include "conf/values.h"
#include "proxy/client_login.h"
#include "proxy/pooler.h"
#include "proxy/server.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

Server& as_server(PooledServer& server) { return static_cast<Server&>(server); }

// As SHOW CLIENTS and SHOW SERVERS have them.
void set_address(const Link& link, int port_of_unix, std::string& address, int& port) {
  if (!link.open()) return;
  const Address& peer = link.stream().peer();
  address = peer.is_unix() ? "unix" : peer.host;
  port = peer.is_unix() ? port_of_unix : peer.port;
}

std::string application_of(const Client& client) {
  const Text& name = client.values().get(Tracked::application_name);
  return name ? *name : std::string();
}

std::string what_keeps(Server& server) {
  if (server.replication() != Replication::none) return "replication";
  if (server.pool().settings().mode == PoolMode::session) return "session mode";
  const std::string pins = name_of(server.session().pins());
  return pins.empty() ? pins : "pinned: " + pins;
}

HolderRow describe_holder(Server& server, Instant now) {
  Client& client = server.relay()->client();
  HolderRow row;
  row.database = server.pool().entry().database.name;
  row.user = client.user();
  row.client = client.peer_name();
  row.application_name = application_of(client);
  set_address(client.link(), client.worker().config().settings.listen_port, row.address, row.port);
  set_address(server.link(), server.address().port, row.server_address, row.server_port);
  row.process = static_cast<uint32_t>(server.process());
  row.held_us = (now - server.since()).count();
  if (const auto since = server.relay()->open_since()) row.transaction_us = (now - *since).count();
  row.holding = server.relay()->doing();
  row.id = client.id();
  row.kept_by = what_keeps(server);
  return row;
}

void count(PoolUse& use, Server& server, Instant now) {
  if (Relay* relay = server.relay()) {
    use.pins.add(server.session().pins());
    ++(relay->doing() == Holding::running               ? use.running
       : relay->doing() == Holding::idle_in_transaction ? use.idle_in_transaction
                                                        : use.between_transactions);
    return;
  }
  switch (server.state()) {
    case ServerState::login:
      ++use.opening;
      use.opening_us = std::max(use.opening_us, (now - server.connected_at()).count());
      return;
    case ServerState::idle:
      ++use.idle;
      return;
    case ServerState::active:
    case ServerState::tested:
    case ServerState::closing:
      break;
  }
  const bool own =
      server.task() == Server::Task::auth_query || server.task() == Server::Task::listening;
  ++(own ? use.own : use.unready);
}

}  // namespace

// --- a pool

PoolUse WorkerPool::use() {
  PoolUse use;
  Server* longest = nullptr;
  share_.for_each_server([&](PooledServer& one) {
    Server& server = as_server(one);
    count(use, server, worker_.now());
    if (server.relay() && (!longest || server.since() < longest->since())) longest = &server;
  });
  if (longest) use.longest = describe_holder(*longest, worker_.now());
  use.waiting = static_cast<uint32_t>(clients_waiting());
  return use;
}

PoolNeed WorkerPool::need() const {
  const SharedPool& shared = entry_.shared;
  const DatabaseEntry& entry = settings_->entry;
  PoolNeed need;
  need.database = entry_.database.name;
  need.user = entry_.user.name;
  need.host = entry_.host;
  need.mode = settings_->mode;
  need.open = shared.open();
  need.pool_size = settings_->rules.pool_size;
  need.reserve = settings_->rules.reserve_pool_size;
  need.database_open = entry_.database.servers.used();
  need.database_limit = entry_.database.servers.limit();
  need.user_open = entry_.user.servers.used();
  need.user_limit = entry_.user.servers.limit();
  need.paused = share_.paused();
  const bool has_no_host = entry.target != TargetRole::any && !entry_.is_reader() &&
                           !entry_.database.hosts.any_fits(entry);
  if (has_no_host) need.missing_role = name_of(entry.target);
  if (const auto failure = shared.failing() ? entry_.last_failure() : std::nullopt) {
    need.failure = failure->message;
    need.retry_us = std::max<int64_t>((shared.retry_at() - worker_.now()).count(), 0);
  }
  return need;
}

// Ten thousand clients whose time is up at once are told the same.
const PoolNeed& WorkerPool::need_of_all() {
  constexpr Duration fresh = milliseconds(100);
  if (!need_ || need_->at + fresh <= worker_.now()) {
    if (!need_) need_ = std::make_unique<KnownNeed>();
    need_->at = worker_.now();
    need_->need = need();
    need_->need.use = use();
    add(need_->need.use, entry_.uses.of_others(worker_.id(), worker_.now()));
  }
  return need_->need;
}

// The others tell what they know while there is still time.
void WorkerPool::survey() {
  if (worker_.pooler().workers() == 1 || !entry_.uses.claim_survey(worker_.now())) return;
  worker_.pooler().post_to_all([pool = entry_.shared.id](Worker& worker) {
    WorkerPool* share = worker.find_pool(pool);
    if (share) share->entry_.uses.tell(worker.id(), share->use(), worker.now());
  });
}

// --- a worker

void Worker::describe_holders(Snapshot& part, size_t most) {
  std::vector<Server*> held;
  servers_.for_each([&](Server& server) {
    if (server.relay()) held.push_back(&server);
  });
  const auto count = static_cast<std::ptrdiff_t>(std::min(held.size(), most));
  std::ranges::partial_sort(held, held.begin() + count, {}, &Server::since);
  for (Server* server : std::span(held).first(static_cast<size_t>(count))) {
    part.holders.push_back(describe_holder(*server, now_));
  }
}

namespace {

const char* word_of(WaitsFor what) {
  switch (what) {
    case WaitsFor::welcome:
      return "welcome";
    case WaitsFor::own_server:
      return "own server";
    case WaitsFor::listener:
      return "listener";
    case WaitsFor::server:
    case WaitsFor::nothing:
      break;
  }
  return "server";
}

WaitRow describe_wait(Client& client, Instant now) {
  const PoolEntry& lender = client.lender()->entry();
  WaitRow row;
  row.database = lender.database.name;
  row.user = client.name();
  row.pool_user = lender.user.name;
  row.host = lender.host;
  set_address(client.link(), client.worker().config().settings.listen_port, row.address, row.port);
  row.application_name = application_of(client);
  row.waits_for = word_of(client.waits_for());
  row.queued = client.waits_for() != WaitsFor::listener;
  row.wait_us = (now - client.request_since()).count();
  row.id = client.id();
  return row;
}

}  // namespace

void Worker::describe_waits(Snapshot& part) {
  clients_.for_each([&](Client& client) {
    if (client.waits_for() != WaitsFor::nothing) part.waits.push_back(describe_wait(client, now_));
  });
  for_each_pool([&](WorkerPool& pool) {
    PoolNeed need = pool.need();
    need.use = pool.use();
    part.needs.push_back(std::move(need));
  });
}

}  // namespace headgate
