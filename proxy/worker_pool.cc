#include "proxy/worker_pool.h"

#include <fmt/format.h>

#include <algorithm>

#include "conf/values.h"
#include "proxy/borrower.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/server.h"
#include "proxy/shared_listener.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

Server& as_server(PooledServer& server) { return static_cast<Server&>(server); }
Borrower& as_borrower(Waiter& waiter) { return static_cast<Borrower&>(waiter); }

}  // namespace

WorkerPool::WorkerPool(Worker& worker, Hold<PoolEntry> entry, PoolSettingsPtr settings)
    : worker_(worker),
      held_(std::move(entry)),
      entry_(*held_),
      settings_(std::move(settings)),
      share_(entry_.shared, worker.id(), settings_->rules),
      tend_(
          worker.deadlines(), [](void* self, Instant) { static_cast<WorkerPool*>(self)->tend(); },
          this),
      own_retry_(
          worker.deadlines(),
          [](void* self, Instant) { static_cast<WorkerPool*>(self)->open_own(); }, this) {
  entry_.pinned.set_limit(settings_->max_pinned_servers);
  apply_pause();
}

WorkerPool::~WorkerPool() = default;

bool WorkerPool::audit_is_due() {
  const int every = settings_->session_audit.every;
  if (every == 0 || ++since_audit_ < every) return false;
  since_audit_ = 0;
  return true;
}

void WorkerPool::client_came() {
  entry_.clients.fetch_add(1, std::memory_order_relaxed);
  forgotten_ = false;
  if (++clients_ == 1) tend();  // min_pool_size may hold from now on
}

void WorkerPool::client_left() {
  entry_.clients.fetch_sub(1, std::memory_order_relaxed);
  --clients_;
}

void WorkerPool::forget(const Error& why) {
  forgotten_ = true;
  fail_all_waiters(why);
}

// A server that is on its way here from another worker is open.
bool WorkerPool::unused() const {
  return clients_ == 0 && entry_.shared.open() == 0 && share_.unused() && !called_at_turn_end_ &&
         (!listener_ || listener_->unused());
}

void WorkerPool::change_settings(PoolSettingsPtr settings) {
  const bool dirty = settings->dirties(*settings_);
  settings_ = std::move(settings);
  entry_.pinned.set_limit(settings_->max_pinned_servers);
  share_.set_rules(settings_->rules);
  if (dirty) reconnect();
  const bool shares = shares_listening() && SharedListener::has_room(entry_);
  if (subscribers_ && !shares) subscribers_->end_sharing();
  tend();
}

void WorkerPool::apply_pause() {
  share_.set_paused(worker_.pooler().paused(entry_.database), worker_.now());
  if (worker_.pooler().waits_for_servers()) {
    fail_all_waiters(Error(ErrorCode::server_shutting_down));
    fail_own(Error(ErrorCode::server_shutting_down));
  }
  if (listener_) listener_->pool_changed();
  tend();
}

void WorkerPool::reconnect() {
  entry_.set_welcome(nullptr);  // the server behind the next connection may be another
  share_.for_each_server([](PooledServer& server) {
    if (server.state() != ServerState::closing) server.set_close_needed();
  });
  end_replication();
  close_unwanted();
}

void WorkerPool::hosts_changed() {
  hosts_went_on();
  const HostTurns& hosts = entry_.database.hosts;
  const DatabaseEntry& entry = settings_->entry;
  if (entry.target == TargetRole::any) return;
  const bool succeeded = entry.target == TargetRole::primary && hosts.any_fits(entry);
  std::vector<Server*> left_behind;
  share_.for_each_server([&](PooledServer& one) {
    Server& server = as_server(one);
    if (server.state() == ServerState::closing || server.listed_host().empty()) return;
    if (hosts.fits(entry, server.listed_host())) return;
    if (succeeded) left_behind.push_back(&server);
    if (entry.target != TargetRole::primary) server.set_close_needed();
  });
  for (Server* server : left_behind) server->leave_former_primary();
  // What has failed until now says nothing of the hosts of now.
  entry_.shared.login_worked();
  entry_.set_last_failure(std::nullopt);
  close_unwanted();
}

void WorkerPool::hosts_went_on() {
  if (readers_) readers_->refresh();
  if (entry_.is_reader()) send_waiters_elsewhere();
}

// It serves one host; those who wait for it can be served by others, or by the primary.
void WorkerPool::send_waiters_elsewhere() {
  const auto readable = entry_.database.hosts.readable(worker_.now());
  if (std::ranges::find(readable, entry_.host, &ReadableHost::name) != readable.end()) return;
  for (Borrower* borrower : all_waiters()) borrower->lender_is_out();
}

Readers& WorkerPool::readers() {
  if (!readers_) readers_ = std::make_unique<Readers>(*this);
  return *readers_;
}

std::string WorkerPool::why_clients_wait() const {
  const DatabaseEntry& entry = settings_->entry;
  if (entry.target != TargetRole::any && !entry_.database.hosts.any_fits(entry)) {
    return fmt::format("No host of database \"{}\" is known to be {}, client being queued",
                       entry_.database.name, name_of(entry.target));
  }
  return "No server connection available in postgres backend, client being queued";
}

// With server_fast_close those that are lent for a session go as soon as they are at rest.
void WorkerPool::close_unwanted() {
  if (listener_) listener_->pool_changed();
  tend();
  if (!settings_->fast_close) return;
  std::vector<Server*> lent;
  share_.for_each_server([&](PooledServer& server) {
    if (server.close_needed() && as_server(server).relay()) lent.push_back(&as_server(server));
  });
  for (Server* server : lent) server->advance();
}

// --- clients that listen

Subscribers& WorkerPool::subscribers() {
  if (!subscribers_) subscribers_ = std::make_unique<Subscribers>(*this);
  return *subscribers_;
}

SharedListener& WorkerPool::listener() {
  if (!listener_) listener_ = std::make_unique<SharedListener>(*this);
  return *listener_;
}

bool WorkerPool::shares_listening() const {
  return settings_->tracks_sessions() && settings_->rules.pool_size != 1 &&
         entry_.database.servers.limit() != 1 && entry_.user.servers.limit() != 1;
}

void WorkerPool::client_forgotten(Client& client) {
  if (subscribers_) subscribers_->forget(client);
}

size_t WorkerPool::clients_waiting() const {
  const size_t others = listener_ && listener_->in_queue() ? 1 : 0;
  return share_.waiters().size() + want_own_.size() - others;
}

void WorkerPool::drop_listener() {
  if (listener_) listener_->drop();
}

// --- finding servers for those who wait

void WorkerPool::look_soon() {
  looks_soon_ = true;
  call_at_turn_end();
}

void WorkerPool::call_at_turn_end() {
  if (!std::exchange(called_at_turn_end_, true)) worker_.call_at_turn_end(*this);
}

void WorkerPool::pass_on_later() {
  passes_on_ = true;
  call_at_turn_end();
}

std::optional<Instant> WorkerPool::end_turn() {
  called_at_turn_end_ = false;
  if (std::exchange(passes_on_, false)) {
    while (const auto passed = share_.pass_on(worker_.now())) {
      send_server(as_server(*passed->server), passed->worker, false);
    }
  }
  const auto due = look_if_due();
  if (called_at_turn_end_) return std::nullopt;  // once more in this turn
  called_at_turn_end_ = due.has_value();
  return due;
}

std::optional<Instant> WorkerPool::look_if_due() {
  if (!looks_soon_) return std::nullopt;
  if (share_.waiters().empty()) {
    looks_soon_ = false;
    return std::nullopt;
  }
  const Instant since = share_.waiters().front().waiting_since();
  const Instant moved = std::max(since, share_.last_served());
  const Instant due =
      share_.active() > 0 ? std::min(moved + patience, since + longest_patience) : since;
  if (due > worker_.now()) return due;
  look_again();
  return std::nullopt;
}

void WorkerPool::look_again() {
  looks_soon_ = false;
  open_own();
  while (true) {
    const Wish wish = share_.wish(worker_.now());
    switch (wish.want) {
      case Wish::Want::nothing:
        if (wish.wanted_elsewhere) pass_on_later();
        return arm_tend();
      case Wish::Want::lend:
        as_borrower(*wish.waiter).serve(as_server(*wish.server));
        break;
      case Wish::Want::test:
        as_server(*wish.server).start_check();
        break;
      case Wish::Want::open:
        if (wish.reserve) {
          log(LogLevel::warning, "taking connection from reserve_pool",
              field("database", entry_.database.name), field("user", entry_.user.name));
        }
        open_server();
        break;
      case Wish::Want::fetch:
        worker_.pooler().worker(wish.from).post(
            [pool = entry_.shared.id, asker = worker_.id()](Worker& worker) {
              worker.pool_by_id(pool).fetch_for(asker);
            });
        break;
      case Wish::Want::evict_database:
      case Wish::Want::evict_user:
        make_room(wish.want);
        break;
    }
  }
}

void WorkerPool::open_server() {
  Server& server =
      worker_.servers().add(std::make_unique<Server>(worker_, *this, worker_.pooler().next_id()));
  share_.opening(server, worker_.now());
  server.start();
}

void WorkerPool::fetch_for(WorkerId asker) {
  Worker& other = worker_.pooler().worker(asker);
  PooledServer* server = share_.hand_over(worker_.now());
  if (server) return send_server(as_server(*server), asker, true);
  other.post([pool = entry_.shared.id](Worker& worker) { worker.pool_by_id(pool).fetch_failed(); });
  look_again();
}

void WorkerPool::send_server(Server& server, WorkerId to, bool fetched) {
  ParcelPtr parcel = server.unmount();
  worker_.pooler().worker(to).post([pool = entry_.shared.id, fetched,
                                    moving = worker_.servers().take(server),
                                    parcel = std::move(parcel)](Worker& worker) mutable {
    worker.pool_by_id(pool).server_arrives(std::move(moving), std::move(parcel), fetched);
  });
}

void WorkerPool::server_arrives(std::unique_ptr<Server> arriving, ParcelPtr parcel, bool fetched) {
  Server& server = worker_.servers().add(std::move(arriving));
  server.mount(worker_, *this, std::move(parcel));
  settle(server, share_.arrived(server, fetched, worker_.now()));
}

void WorkerPool::fetch_failed() {
  share_.fetch_failed();
  look_again();
}

// A limit shared with other pools is in the way: an idle server of another pool gives way.
void WorkerPool::make_room(Wish::Want want) {
  const auto shares_limit = [&](const PoolEntry& other) {
    if (&other == &entry_) return !want_own_.empty();  // whose own idle ones serve no such client
    return want == Wish::Want::evict_database ? &other.database == &entry_.database
                                              : &other.user == &entry_.user;
  };
  for (PoolEntry* other : worker_.pooler().registry().pools()) {
    if (!shares_limit(*other)) continue;
    WorkerPool* here = worker_.find_pool(other->shared.id);
    if (here && here->evict_one()) return;
    const WorkerId holder = other->shared.find_idle(worker_.id());
    if (holder == worker_.id()) continue;
    worker_.pooler().worker(holder).post([pool = other->shared.id](Worker& worker) {
      if (WorkerPool* there = worker.find_pool(pool)) there->evict_one();
    });
    return;
  }
}

bool WorkerPool::evict_one() {
  PooledServer* server = share_.evict(worker_.now());
  if (!server) return false;
  as_server(*server).close("evicted");
  return true;
}

bool WorkerPool::vacate(const std::string& database) {
  const DatabaseEntry& mine = settings_->entry;
  const auto is_in_it = [&](const PoolEntry& pool) {
    const auto other = worker_.config().find_database(pool.database.name);
    return other && other->host == mine.host && other->port == mine.port &&
           other->real_name() == database;
  };
  bool found = false;
  for (PoolEntry* pool : worker_.pooler().registry().pools()) {
    if (!pool->shared.any_idle() || !is_in_it(*pool)) continue;
    found = true;
    worker_.pooler().post_to_all([id = pool->shared.id](Worker& worker) {
      WorkerPool* there = worker.find_pool(id);
      while (there && there->evict_one()) {
      }
    });
  }
  return found;
}

// --- what becomes of a free server

void WorkerPool::settle(Server& server, Grant grant) {
  settle_returned(server, grant);
  if (!share_.waiters().empty()) look_again();
}

void WorkerPool::settle_returned(Server& server, Grant grant) {
  tell_to_look_again(grant.look_again);
  switch (grant.to) {
    case Grant::To::idle:
      if (grant.wanted_elsewhere) pass_on_later();
      arm_tend();
      break;
    case Grant::To::waiter:
      as_borrower(*grant.waiter).serve(server);
      break;
    case Grant::To::worker:
      send_server(server, grant.worker, false);
      break;
    case Grant::To::close:
      server.close(grant.reason);
      break;
  }
}

void WorkerPool::tend() {
  if (worker_.suspended()) return;  // it is called when that is over
  std::vector<Pool::Retired> retired;
  share_.retire(worker_.now(), retired);
  for (const Pool::Retired& one : retired) as_server(*one.server).close(one.reason);
  while (share_.wants_minimum(clients_ > 0, worker_.now())) open_server();
  if (share_.wants_replacement(worker_.now())) open_server();
  look_again();
}

// One deadline does for all that time brings about in this pool.
void WorkerPool::arm_tend() {
  const auto at = share_.deadline(worker_.now());
  if (!at) return tend_.disarm();
  if (!tend_.armed() || tend_.at() != *at) tend_.arm(*at);
}

// --- what servers tell

void WorkerPool::login_worked(const WelcomePtr& welcome) {
  entry_.set_last_failure(std::nullopt);
  if (entry_.welcome()) return;
  entry_.set_welcome(welcome);
  worker_.pooler().post_to_all([pool = entry_.shared.id](Worker& worker) {
    if (WorkerPool* there = worker.find_pool(pool)) there->welcome_known();
  });
}

void WorkerPool::welcome_known() {
  for (Borrower* borrower : all_waiters()) borrower->welcome_known();
}

std::vector<Borrower*> WorkerPool::all_waiters() {
  std::vector<Borrower*> borrowers;
  share_.waiters().for_each([&](const Waiter& waiter) {
    borrowers.push_back(&as_borrower(const_cast<Waiter&>(waiter)));
  });
  return borrowers;
}

void WorkerPool::tell_to_look_again(WorkerMask workers) {
  for (WorkerId other = 0; workers != 0; ++other, workers >>= 1) {
    if ((workers & 1) == 0 || other == worker_.id()) continue;
    worker_.pooler().worker(other).post([pool = entry_.shared.id](Worker& worker) {
      if (WorkerPool* there = worker.find_pool(pool)) there->look_again();
    });
  }
}

void WorkerPool::server_gone(Server& server) {
  const SharedPool::Freed freed = share_.gone(server);
  worker_.bury(server);
  Pooler& pooler = worker_.pooler();
  tell_to_look_again(freed.hungry);
  if (freed.others) {
    pooler.post_to_all([](Worker& worker) { worker.look_again_everywhere(); });
  }
  look_again();
  pooler.check_progress();
}

}  // namespace headgate
