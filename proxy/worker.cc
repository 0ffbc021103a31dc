#include "proxy/worker.h"

#include <algorithm>

#include "protocol/handover.h"
#include "proxy/handover.h"
#include "proxy/log.h"
#include "proxy/pooler.h"

namespace headgate {

Worker::Worker(Pooler& pooler, WorkerId id, ConfigPtr config, Tls tls)
    : pooler_(pooler), id_(id), config_(std::move(config)), tls_(std::move(tls)) {}

Worker::~Worker() = default;

void Worker::post(Letter letter) {
  if (mailbox_.put(std::move(letter))) outside_->wake();
}

void Worker::on_mail() {
  begin_event();
  for (Letter& letter : mailbox_.take()) letter.open(*this);
  outbox_.flush();
}

void Worker::on_time(Instant now) {
  now_ = now;
  woken_at_.reset();
  deadlines_.expire(now);
  outbox_.flush();
}

// Returns when the first of them is to be called again at the latest.
std::optional<Instant> Worker::end_turn_of_pools() {
  if (at_turn_end_.empty()) return std::nullopt;
  begin_event();
  std::optional<Instant> next;
  std::vector<WorkerPool*> again;
  while (!at_turn_end_.empty()) {
    for (WorkerPool* pool : std::exchange(at_turn_end_, {})) {
      const auto due = pool->end_turn();
      if (!due) continue;
      again.push_back(pool);
      if (!next || *due < *next) next = due;
    }
  }
  at_turn_end_ = std::move(again);
  outbox_.flush();
  return next;
}

// What was left for the end of the turn is done, the dead of this turn are buried, and the loop's
// one timer is set for what is due next.
void Worker::on_turn_end() {
  const auto look = end_turn_of_pools();
  dead_cancellers_.clear();
  dead_servers_.clear();
  dead_clients_.clear();
  drop_pools();
  auto next = deadlines_.next();
  if (look && (!next || *look < *next)) next = look;
  if (next == woken_at_) return;
  woken_at_ = next;
  outside_->wake_at(next);
}

// --- sessions

void Worker::accept(ParcelPtr connection, bool from_unix) {
  Client& client = clients_.add(std::make_unique<Client>(*this, pooler_.next_id()));
  client.start(std::move(connection), from_unix);
}

void Worker::take_in(handover::ClientRecord record, ParcelPtr connection) {
  Client& client = clients_.add(std::make_unique<Client>(*this, pooler_.next_id()));
  client.move_in(std::move(record), std::move(connection));
}

void Worker::bury(Client& client) { dead_clients_.push_back(clients_.take(client)); }
void Worker::bury(Server& server) { dead_servers_.push_back(servers_.take(server)); }
void Worker::bury(Canceller& canceller) { dead_cancellers_.push_back(cancellers_.take(canceller)); }

void Worker::finish_cancel(uint64_t requester, const char* outcome) {
  const auto found = cancel_requesters_.find(requester);
  if (found != cancel_requesters_.end()) return found->second->close(outcome);
  if (id_ == 0) pooler_.handover().cancel_is_done(requester);
}

// --- pools

WorkerPool& Worker::pool(PoolEntry& entry) {
  auto& pool = pools_[entry.shared.id];
  if (!pool) pool = std::make_unique<WorkerPool>(*this, Hold(entry), settings_for(entry));
  return *pool;
}

WorkerPool* Worker::find_pool(uint32_t pool_id) {
  const auto found = pools_.find(pool_id);
  return found == pools_.end() ? nullptr : found->second.get();
}

WorkerPool& Worker::pool_by_id(uint32_t pool_id) {
  if (WorkerPool* known = find_pool(pool_id)) return *known;
  const auto entry = pooler_.registry().pool(pool_id);
  MUST(entry);  // there are servers of it, or somebody waits for one
  return pool(*entry);
}

// After the burials: nothing points to them any more.
void Worker::drop_pools() {
  for (const uint32_t id : std::exchange(let_go_, {})) {
    WorkerPool* pool = find_pool(id);
    if (!pool || !pool->unused()) continue;
    pool->entry().database.keep(id_, pool->stats());
    pool->entry().keep(id_, pool->meters());
    pools_.erase(id);
  }
}

namespace {

// Together they have no more servers than one may have, and each can have one. The old process does
// with half of them, and opens none for later.
void share_with_other_process(PoolRules& rules, bool hands_over, int elsewhere) {
  if (hands_over) {
    rules.min_pool_size = rules.reserve_pool_size = 0;
    if (rules.pool_size > 0) rules.pool_size = std::max(1, rules.pool_size / 2);
  }
  if (elsewhere > 0 && rules.pool_size > 0) {
    rules.pool_size = std::max(1, rules.pool_size - elsewhere);
    rules.reserve_pool_size = 0;
  }
}

}  // namespace

// A database that is no longer configured keeps its name as its only setting until it is killed.
PoolSettingsPtr Worker::settings_for(const PoolEntry& entry) const {
  auto database = config_->find_database(entry.database.name);
  if (!database) {
    database.emplace();
    database->name = database->dbname = entry.database.name;
  }
  if (entry.is_reader()) {
    database->host = entry.host;
    database->target = TargetRole::standby;
    database->min_pool_size = 0;
  }
  PoolSettings settings = resolve_pool(*config_, *database, entry.user.name);
  settings.tls = tls_.servers;
  share_with_other_process(settings.rules, pooler_.handing_over(), entry.elsewhere.load());
  return std::make_shared<const PoolSettings>(std::move(settings));
}

void Worker::change_limits(const PoolEntry& entry) {
  WorkerPool* pool = find_pool(entry.shared.id);
  if (!pool) return;
  pool->change_settings(settings_for(entry));
  pool->look_again();
}

void Worker::look_again_everywhere() {
  for_each_pool([](WorkerPool& pool) { pool.look_again(); });
}

void Worker::change_config(ConfigPtr config, Tls tls) {
  config_ = std::move(config);
  tls_ = std::move(tls);
  for_each_pool([this](WorkerPool& pool) { pool.change_settings(settings_for(pool.entry())); });
  clients_.for_each([](Client& client) { client.settings_changed(); });
}

void Worker::apply_pauses() {
  for_each_pool([](WorkerPool& pool) { pool.apply_pause(); });
}

void Worker::kill_database(const std::string& database, const Error& why) {
  clients_.for_each([&](Client& client) {
    if (client.pool() && client.pool()->entry().database.name == database) {
      client.fail(why);
    }
  });
  for_each_pool([&](WorkerPool& pool) {
    if (pool.entry().database.name == database) pool.forget(why);
  });
  servers_.for_each([&](Server& server) {
    if (server.pool().entry().database.name == database) server.close(why.message);
  });
}

void Worker::close_servers_at(const HostUse& host, const std::vector<Address>& addresses) {
  servers_.for_each([&](Server& server) {
    if (server.host() != host || server.state() == ServerState::closing) return;
    const bool there = std::ranges::any_of(
        addresses, [&](const Address& address) { return address.host == server.address().host; });
    if (there) server.set_close_needed();
  });
  for_each_pool([](WorkerPool& pool) { pool.close_unwanted(); });
}

void Worker::close_everything() {
  clients_.for_each([](Client& client) { client.abandon(); });
  servers_.for_each([](Server& server) { server.abandon(); });
  cancellers_.for_each([this](Canceller& canceller) { bury(canceller); });
  at_turn_end_.clear();
  for_each_pool([](WorkerPool& pool) { pool.drop_listener(); });
  pools_.clear();
  on_turn_end();
}

}  // namespace headgate
