#include "proxy/shared_listener.h"

#include <utility>

#include "protocol/messages.h"
#include "protocol/session_sql.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/server.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

// Of a connection that is idle for ever, and is to be known by its name in pg_stat_activity and
// SHOW SERVERS.
std::string setup(const std::string& encoding) {
  return "SELECT pg_catalog.set_config(name,'0',false) FROM pg_catalog.pg_settings WHERE name "
         "OPERATOR(pg_catalog.=) ANY(ARRAY['idle_session_timeout','statement_timeout',"
         "'transaction_timeout']);SET client_encoding=" +
         quote_dollar(encoding) + ";SET application_name='headgate: listening';";
}

}  // namespace

SharedListener::SharedListener(WorkerPool& pool)
    : pool_(pool),
      tidy_(
          pool.worker().deadlines(),
          [](void* self, Instant) { static_cast<SharedListener*>(self)->tidy(); }, this),
      retry_(
          pool.worker().deadlines(),
          [](void* self, Instant) { static_cast<SharedListener*>(self)->step(); }, this) {}

SharedListener::~SharedListener() { MUST(!waiting()); }

WorkerId SharedListener::home(WorkerPool& pool) {
  return static_cast<WorkerId>(pool.entry().shared.id % pool.worker().pooler().workers());
}

bool SharedListener::has_room(const PoolEntry& entry) {
  const auto has = [](const Permits& permits, int listening) {
    return permits.limit() == 0 || listening < permits.limit();
  };
  return has(entry.database.servers, entry.database.listening.load()) &&
         has(entry.user.servers, entry.user.listening.load());
}

// Those that listen must not be all that a limit allows, or nobody else would ever be served.
bool SharedListener::take_place() {
  if (placed_) return true;
  PoolEntry& entry = pool_.entry();
  entry.database.listening.fetch_add(1);
  entry.user.listening.fetch_add(1);
  placed_ = true;
  if (has_room(entry)) return true;
  leave_place();
  return false;
}

void SharedListener::leave_place() {
  if (!std::exchange(placed_, false)) return;
  pool_.entry().database.listening.fetch_sub(1);
  pool_.entry().user.listening.fetch_sub(1);
}

// --- who wants what

void SharedListener::want(const std::string& channel, SharedChannels::Asker asker,
                          const std::string& encoding) {
  if (!channels_.any_wanted()) {
    if (server_ && !busy_ && encoding != encoding_) give_back();
    if (!server_ && !waiting()) encoding_ = encoding;
  }
  if (encoding != encoding_) return tell({{channel, {asker}, false}});
  switch (channels_.want(channel, asker)) {
    case SharedChannels::Wanted::listening:
      return tell({{channel, {asker}, true}});
    case SharedChannels::Wanted::refused:
      return tell({{channel, {asker}, false}});
    case SharedChannels::Wanted::coming:
      return step();
  }
}

void SharedListener::unwant(const std::string& channel, WorkerId worker) {
  channels_.unwant(channel, worker);
  step();
}

void SharedListener::tell(const std::vector<SharedChannels::News>& news) {
  for (const SharedChannels::News& one : news) {
    for (const SharedChannels::Asker& asker : one.askers) {
      pool_.worker()
          .pooler()
          .worker(static_cast<WorkerId>(asker.worker))
          .post([pool = pool_.entry().shared.id, channel = one.channel, number = asker.number,
                 listening = one.listening](Worker& worker) {
            WorkerPool* there = worker.find_pool(pool);
            if (there) there->subscribers().told(channel, number, listening);
          });
    }
  }
}

void SharedListener::tell_workers(SharedChannels::Workers workers, void (Subscribers::*what)()) {
  for (WorkerId id = 0; workers != 0; ++id, workers >>= 1) {
    if ((workers & 1) == 0) continue;
    pool_.worker().pooler().worker(id).post([pool = pool_.entry().shared.id, what](Worker& worker) {
      WorkerPool* there = worker.find_pool(pool);
      if (there) (there->subscribers().*what)();
    });
  }
}

// --- the server

// Does what is to be done next, if nothing is under way.
void SharedListener::step() {
  if (busy_) return;
  if (!channels_.any_wanted()) {
    if (waiting()) pool_.share().withdraw(*this, pool_.worker().now());
    if (server_ && !tidy_.armed()) tidy_.arm(pool_.worker().now() + unwanted_time);
    retry_.disarm();
    lost_ = false;
    if (!server_) leave_place();
    return;
  }
  if (!server_) return ask_for_server();
  if (const std::string sql = channels_.next(std::exchange(tidies_, false)); !sql.empty()) {
    busy_ = true;
    return server_->listen(meets_ ? sql : meet() + sql);
  }
  if (std::exchange(lost_, false)) tell_workers(channels_.wanted(), &Subscribers::restored);
  if (channels_.unwanted() > 0 && !tidy_.armed()) {
    tidy_.arm(pool_.worker().now() + unwanted_time);
  }
}

// Where LISTEN is refused, on a standby, the clients are to hear it from their own servers.
std::string SharedListener::meet() const {
  return "LISTEN " + quote_channel(pool_.worker().pooler().crossing_channel()) + ";";
}

// In front of the others: clients wait for this who have given their turn away, or hold servers.
void SharedListener::ask_for_server() {
  if (waiting() || retry_.armed()) return;
  const bool suspended = pool_.worker().suspended();  // nothing is opened then
  if (suspended) return retry_.arm(pool_.worker().now() + retry_time);
  const bool in_vain = pool_.worker().pooler().waits_for_servers() ||
                       (!lost_ && pool_.fast_failure().has_value()) || !take_place();
  if (in_vain) return tell(channels_.refuse());
  const Instant now = pool_.worker().now();
  Server* server = static_cast<Server*>(pool_.share().ask(*this, now));
  if (server && server->state() == ServerState::active) return serve(*server);
  if (server) server->start_check();
  if (!waiting()) return;
  pool_.share().withdraw(*this, now);
  const auto& others = pool_.share().waiters();
  pool_.share().ask_again(*this, others.empty() ? now : others.front().waiting_since(), now);
  pool_.look_again();
}

void SharedListener::serve(Server& server) {
  server_ = &server;
  busy_ = true;
  server.lend_to(*this, setup(encoding_));
}

// Clients that wait ask for servers of their own, and hear why there are none.
void SharedListener::fail_waiting(const Error&) {
  pool_.share().withdraw(*this, pool_.worker().now());
  tell(channels_.refuse());
  if (channels_.any_wanted()) retry_.arm(pool_.worker().now() + retry_time);
}

void SharedListener::answered(bool failed) {
  if (!busy_) return;
  busy_ = false;
  if (!ready_) {
    if (failed) return server_->close("it cannot listen");
    ready_ = true;
    return step();
  }
  attempts_ = 0;
  meets_ |= !failed;
  tell(channels_.answered(failed));
  if (channels_.forgets()) return server_->close("it does not listen any more");
  step();
}

void SharedListener::server_lost() {
  server_ = nullptr;
  const bool was_ready = std::exchange(ready_, false);
  busy_ = tidies_ = meets_ = false;
  tidy_.disarm();
  const bool missed = was_ready && !lost_ && channels_.any_wanted();
  channels_.lost();
  if (missed) {
    lost_ = true;
    log(LogLevel::warning,
        "the connection that listens for clients of {}/{} was lost, they may miss notifications",
        field("database", pool_.entry().database.name), field("user", pool_.entry().user.name));
    tell_workers(channels_.wanted(), &Subscribers::interrupted);
  }
  if (++attempts_ > most_attempts) retry_.arm(pool_.worker().now() + retry_time);
  step();
}

void SharedListener::tidy() {
  if (pool_.worker().suspended()) return tidy_.arm(pool_.worker().now() + unwanted_time);
  tidies_ = true;
  if (server_ && !busy_ && !channels_.any_wanted()) return give_back();
  step();
}

void SharedListener::give_back() {
  channels_ = SharedChannels();
  ready_ = tidies_ = meets_ = false;
  tidy_.disarm();
  leave_place();
  std::exchange(server_, nullptr)->listener_left();
}

void SharedListener::pool_changed() {
  if (!server_) return step();
  if (pool_.share().paused()) return server_->close("pause mode");
  if (server_->close_needed()) server_->close("close_needed");
}

bool SharedListener::unused() const { return !server_ && !waiting() && !channels_.any_wanted(); }

void SharedListener::drop() {
  server_ = nullptr;
  leave_place();
  if (waiting()) pool_.share().withdraw(*this, pool_.worker().now());
}

// --- what is notified

void SharedListener::notified(View message) {
  const auto notification = decode<backend::NotificationResponse>(message.substr(header_size));
  if (!notification) return;
  if (notification->channel == pool_.worker().pooler().crossing_channel()) {
    return crossed(notification->payload);
  }
  SharedChannels::Workers workers = channels_.wanted_by(notification->channel);
  if (workers == 0) return;
  const auto shared = std::make_shared<const Notification>(
      Notification{std::string(notification->channel), Bytes(message)});
  heard_by_ |= workers;
  for (size_t id = 0; workers != 0; ++id, workers >>= 1) {
    if ((workers & 1) != 0) heard_[id].push_back(shared);
  }
}

// Those of clients of other pools are theirs.
void SharedListener::crossed(View payload) {
  const auto crossing = Crossing::read(payload);
  if (!crossing || crossing->pool != pool_.entry().shared.id) return;
  if (crossing->worker >= pool_.worker().pooler().workers()) return;
  heard_by_ |= SharedChannels::Workers{1} << crossing->worker;
  heard_[crossing->worker].push_back(
      std::make_shared<const Notification>(Notification{{}, {}, crossing->number}));
}

void SharedListener::flush() {
  SharedChannels::Workers workers = std::exchange(heard_by_, 0);
  for (WorkerId id = 0; workers != 0; ++id, workers >>= 1) {
    if ((workers & 1) == 0) continue;
    size_t bytes = 0;
    for (const NotificationPtr& one : heard_[id]) bytes += one->message.size();
    on_its_way_ += bytes;
    pool_.worker().pooler().worker(id).post(
        [pool = pool_.entry().shared.id, home = pool_.worker().id(), bytes,
         notifications = std::exchange(heard_[id], {})](Worker& worker) {
          WorkerPool* there = worker.find_pool(pool);
          if (there) there->subscribers().hear(notifications);
          worker.pooler().worker(home).post([pool, bytes](Worker& sender) {
            if (WorkerPool* here = sender.find_pool(pool)) here->listener().arrived(bytes);
          });
        });
  }
  if (server_ && on_its_way_ > max_on_its_way) server_->link().pause(Link::Pause::receiver_slow);
}

void SharedListener::arrived(size_t bytes) {
  on_its_way_ -= std::min(bytes, on_its_way_);
  if (server_ && on_its_way_ <= max_on_its_way) server_->link().resume(Link::Pause::receiver_slow);
}

// --- the server's part

void Server::lend_to(SharedListener& listener, const std::string& setup) {
  MUST(!relay_ && exchange_.clean());
  task_ = Task::listening;
  ++pool_->stats().server_assignment_count;
  listener_ = &listener;
  if (used_) discard_all();
  used_ = true;
  listen(setup);
}

void Server::listen(View sql) {
  inject(sql);
  arm(worker_->now() + SharedListener::answer_time);
}

// What it listens to goes, and the settings that were made for that.
void Server::listener_left() {
  listener_ = nullptr;
  must_reset_ = true;
  link_.resume(Link::Pause::receiver_slow);
  task_ = Task::cleanup;
  cleanup_until_ = worker_->now() + cleanup_time;
  advance();
}

}  // namespace headgate
