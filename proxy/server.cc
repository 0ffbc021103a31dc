#include "proxy/server.h"

#include "protocol/backend.h"
#include "protocol/frontend.h"
#include "protocol/messages.h"
#include "proxy/auth_query.h"
#include "proxy/cancel.h"
#include "proxy/client.h"
#include "proxy/log_subject.h"
#include "proxy/pooler.h"
#include "proxy/shared_listener.h"
#include "proxy/worker.h"

namespace headgate {

Server::Server(Worker& worker, WorkerPool& pool, uint64_t id)
    : worker_(&worker), pool_(&pool), id_(id), link_(worker, *this) {
  make_deadline();
}

Server::~Server() = default;

void Server::make_deadline() {
  deadline_.emplace(
      worker_->deadlines(), [](void* self, Instant) { static_cast<Server*>(self)->on_deadline(); },
      this);
}

// --- from the connect to the pool

void Server::start() {
  started_ = worker_->now();
  connect_wall_ = worker_->outside().wall_microseconds();
  if (pool_->settings().connect_timeout.count() > 0) {
    arm(started_ + pool_->settings().connect_timeout);
  }
  login_ = std::make_unique<ServerLogin>(*this, *worker_, link_);
  login_->start();
}

const PoolSettings& Server::login_settings() const { return pool_->settings(); }

std::optional<std::string> Server::pick_host() {
  const PoolEntry& pool = pool_->entry();
  const DatabaseEntry& entry = pool_->settings().entry;
  auto host =
      pool.is_reader() ? std::optional(pool.host) : pool.database.hosts.pick(entry, worker_->now());
  if (host && pool.is_reader() && !pool.database.hosts.fits(entry, *host)) host.reset();
  if (host) listed_host_ = *host;
  return host;
}

LoginUser::Identity Server::identity() const {
  const PoolSettings& settings = pool_->settings();
  const PoolEntry& pool = pool_->entry();
  Identity identity;
  identity.user = pool.user.name;
  identity.secret = secret_for_server(worker_->config(), settings.entry, identity.user);
  if (!identity.secret) identity.secret = pool.home().secret();
  identity.keys = pool.home().keys();
  identity.parameters = settings.entry.startup_parameters;
  if (owner_) owner_->add_startup_parameters(identity.parameters);
  return identity;
}

// An address that does not answer leaves time for the others.
void Server::connect_to(const Address& address, size_t others) {
  address_ = address;
  if (const Duration limit = pool_->settings().connect_timeout; limit.count() > 0) {
    const Instant now = worker_->now();
    const Duration left = std::max(started_ + limit - now, Duration::zero());
    arm(now + left / static_cast<int64_t>(1 + others));
  }
  link_.connect(address, pool_->settings().socket);
}

bool Server::try_next_address() {
  if (connected_ || !link_.open()) return false;
  return login_->try_next_address();
}

void Server::on_link_connected() {
  connected_ = true;
  if (const Duration limit = pool_->settings().connect_timeout; limit.count() > 0) {
    arm(started_ + limit);
  }
  const Address& local = link_.stream().local();
  if (local.kind == Address::Kind::ip4 || local.kind == Address::Kind::ip6) {
    log(LogLevel::log, log_subject(), "new connection to server (from {})",
        field("from", local.with_port()));
  } else {
    log(LogLevel::log, log_subject(), "new connection to server");
  }
  login_->connected();
}

void Server::on_link_secured() {
  if (task_ != Task::login) return;
  log(LogLevel::log, log_subject(), "SSL established: {}", field("tls", link_.tls()->description));
  login_->secured();
}

void Server::on_link_unsafe(const std::string& why) {
  log(LogLevel::warning, log_subject(), "TLS handshake error: {}", field("reason", why));
  ended_ = true;
  if (task_ == Task::closing) return gone();
  login_failed(Error(ErrorCode::server_tls_failed));
}

// `rest` is what the server said right behind the end of its log-in.
void Server::login_progressed(ServerLogin::Progress progress, View rest) {
  if (task_ != Task::login) return;
  switch (progress) {
    case ServerLogin::Progress::goes_on:
      return;
    case ServerLogin::Progress::failed:
      return login_failed(login_->error());
    case ServerLogin::Progress::done:
      break;
  }
  const std::unique_ptr<ServerLogin> login = std::move(login_);
  ++pool_->meters().server_logins;
  pool_->entry().database.hosts.worked(login->host());
  process_ = login->process();
  secret_ = login->secret();
  welcome_ = login->welcome();
  values_ = welcome_->tracked;
  in_recovery_ = welcome_->value_of("in_hot_standby") == "on";
  if (!owner_) pool_->login_worked(welcome_);
  feed(rest);
  if (task_ == Task::closing) return;
  if (pool_->settings().entry.connect_query && replication_ != Replication::physical) {
    task_ = Task::connect_query;
    return inject(*pool_->settings().entry.connect_query);
  }
  enter_pool();
}

void Server::enter_pool() {
  if (owner_) return enter_replication();
  arm(std::nullopt);
  task_ = Task::idle;
  settle(pool_->share().opened(*this, worker_->now()));
}

void Server::login_failed(const Error& error) {
  log(LogLevel::warning, log_subject(), "server login failed: FATAL {}",
      field("reason", error.message), field("sqlstate", error.sqlstate()));
  ++pool_->meters().server_login_failures;
  worker_->note_trouble(pool_->entry().database.name, pool_->entry().user.name,
                        "server login failed: " + error.message);
  const bool unreachable = error.code == ErrorCode::server_connect_failed;
  const Instant now = worker_->now();
  const DatabaseEntry& entry = pool_->settings().entry;
  const Instant alone_until =
      now + std::max(pool_->settings().rules.server_login_retry, local_pause);
  HostTurns& hosts = pool_->entry().database.hosts;
  const bool reads = pool_->entry().is_reader();
  if (reads) hosts.leave_alone(pool_->entry().host, alone_until);
  const bool others = !reads && hosts.failed(entry, login_->host(), unreachable, alone_until, now);
  if (owner_) return close("login failed");
  if (!others) pool_->share().login_failed(now);
  close(unreachable || error.code == ErrorCode::server_tls_failed ? error.message : "login failed");
  others ? pool_->look_again() : pool_->login_has_failed(error);
}

void Server::on_link_drained() {
  if (relay_) return relay_->client().link().resume(Link::Pause::receiver_slow);
  if (task_ == Task::cleanup) advance();
}

// --- lending

Relay& Server::lend_to(Client& client) {
  MUST(!relay_ && exchange_.clean());
  task_ = Task::relay;
  used_ = true;
  ++pool_->stats().server_assignment_count;
  early_ = !framer_.at_boundary();
  last_words_.clear();
  statements_.begin_lease();
  const bool audited = replication_ == Replication::none && pool_->audit_is_due();
  if (audited && !audit_) audit_.emplace(*this);
  if (audit_) audit_->begin_lease(audited);
  relay_.emplace(client, *this, worker_->now());
  give_values(client);
  return *relay_;
}

void Server::arm_for_relay() {
  // What a WAL sender does has no end that a query's or a transaction's could be taken for.
  if (replication_ != Replication::none) return;
  std::optional<Instant> at;
  if (pool_->settings().has_timeouts()) at = relay_->deadline();
  const bool asks = session_.asking() || session_.unlistening();
  if (asks && (!at || asked_until_ < *at)) at = asked_until_;
  if (at || deadline_->armed()) arm(at);
}

void Server::inject(View sql) {
  Bytes message;
  encode(message, frontend::Query{sql});
  exchange_.sent(Asked::query, Fate::swallow);
  statements_.unnamed_was_dropped();
  injected_failed_ = false;
  link_.send(message);
}

// Behind a batch that the client has yet to end the answer would settle nothing, and in the middle
// of a message that it has sent in part the question would be read as data.
bool Server::may_ask() {
  return !exchange_.batch_open() && !(relay_ && relay_->client().framer().remaining() > 0);
}

void Server::advance() {
  if (task_ == Task::cleanup && exchange_.copying_in() && !copy_failed_) fail_copy();
  if (exchange_.unsure() && exchange_.owed() == 0 && may_ask()) return settle_doubt();
  if (!exchange_.over() || !framer_.at_boundary()) return;
  switch (task_) {
    case Task::relay:
      if (relay_->repeats()) return relay_->repeat();
      if (relay_->goes_elsewhere()) return serve_on_primary();
      if (fast_close_due()) return part(Error(ErrorCode::configuration_changed));
      session_.all_answered();
      if (!settle_channels()) return;
      if (session_.must_ask() && relay_->between_transactions()) {
        return cancels_.empty() ? ask_session() : void();
      }
      if (session_.must_unlisten() && relay_->between_transactions()) {
        return cancels_.empty() ? unlisten() : void();
      }
      if (relay_->complete()) return finish_relay();
      if (worker_->departures().under_way()) worker_->departures().offer(relay_->client());
      return;
    case Task::auth_query:
      return finish_auth_query();
    case Task::listening:
      arm(std::nullopt);
      return listener_->answered(injected_failed_);
    case Task::cleanup:
      if (!cancels_.empty()) return;
      if (exchange_.status() != TransactionStatus::idle) return roll_back();
      if (!link_.all_sent()) return await_drained();
      return after_lease();
    case Task::connect_query:
      if (!exchange_.clean()) return inject("ROLLBACK");
      return enter_pool();
    case Task::reset:
    case Task::check:
    case Task::audit:
      return test_over();
    case Task::login:
    case Task::idle:
    case Task::closing:
      return;
  }
}

bool Server::in_forbidden_transaction() const {
  return relay_ && !owner_ && pool_->settings().mode == PoolMode::statement &&
         exchange_.status() != TransactionStatus::idle;
}

// With server_fast_close a session's server that is to go does so between two transactions.
bool Server::fast_close_due() const {
  return close_needed() && pool_->settings().fast_close &&
         exchange_.status() == TransactionStatus::idle;
}

// Ends the relay with an error for the client; the server is brought back to a clean state.
void Server::part(const Error& error) {
  Client& client = relay_->client();
  const bool torn = mid_answer();
  client.unlinked();
  client_left(Leaving::vanished);
  torn ? client.close_behind_answer(error.message) : client.fail(error);
}

void Server::finish_relay() {
  Client& client = relay_->client();
  if (audit()) audit_->lease_over(client);
  relay_.reset();
  link_.resume(Link::Pause::receiver_slow);
  arm(std::nullopt);
  task_ = Task::cleanup;
  client.relay_over();
  advance();
  Departures& departures = client.worker().departures();
  if (departures.under_way() && departures.offer(client)) return;
  client.go_on();
}

void Server::not_wanted() { settle(pool_->share().give_back(*this, worker_->now())); }

void Server::settle(Grant grant) { pool_->settle(*this, grant); }

void Server::arm(std::optional<Instant> at) {
  if (at) {
    deadline_->arm(*at);
  } else {
    deadline_->disarm();
  }
}

void Server::on_deadline() {
  if (worker_->suspended()) return arm(worker_->now() + seconds(1));
  switch (task_) {
    case Task::login:
      if (try_next_address()) return;
      return login_failed(Error(ErrorCode::server_connect_failed, "connect timeout"));
    case Task::connect_query:
      pool_->share().login_failed(worker_->now());
      return close("connect timeout");
    case Task::relay:
      return relay_overdue();
    case Task::cleanup:
      return cleanup_overdue();
    case Task::reset:
      return close("reset query failed");
    case Task::check:
      return close("test query failed");
    case Task::audit:
      return close("session audit failed");
    case Task::listening:
      return close("it cannot listen");
    case Task::closing:
      return gone();
    case Task::auth_query:
    case Task::idle:
      return;
  }
}

void Server::relay_overdue() {
  const bool asks = session_.asking() || session_.unlistening();
  if (asks && asked_until_ <= worker_->now()) {
    return part(Error(ErrorCode::query_timeout));
  }
  switch (relay_->overdue(worker_->now())) {
    case Relay::Overdue::cancel:
      cancel(Requester{});
      [[fallthrough]];
    case Relay::Overdue::nothing:
      return arm_for_relay();
    case Relay::Overdue::close:
      return part(Error(*relay_->overdue_error()));
  }
}

// --- cancelling

void Server::cancel(Requester requester) {
  for (Canceller* under_way : cancels_) {
    if (under_way->ready_count() == ready_count_) return under_way->also_for(requester);
  }
  auto canceller = std::make_unique<Canceller>(*worker_, *this, requester);
  cancels_.push_back(canceller.get());
  worker_->cancellers().add(std::move(canceller)).start(pool_->settings().cancel_wait_timeout);
}

void Server::tell_cancels() {
  const std::vector<Canceller*> under_way = cancels_;  // some may be done then
  for (Canceller* canceller : under_way) canceller->server_has_answered();
}

void Server::cancel_done(Canceller& canceller) {
  std::erase(cancels_, &canceller);
  if (task_ == Task::cleanup && exchange_.owed() > 0 && cancels_.empty()) {
    arm(worker_->now() + cancel_again);
  }
  if (relay_ && cancels_.empty()) relay_->cancels_over();
  if (relay_ && relay_->full() && relay_->room_again()) return relay_->client().room_again();
  advance();
}

// --- moving

ParcelPtr Server::unmount() {
  MUST(task_ == Task::idle && cancels_.empty() && exchange_.clean());
  deadline_.reset();
  return link_.detach();
}

void Server::mount(Worker& worker, WorkerPool& pool, ParcelPtr parcel) {
  worker_ = &worker;
  pool_ = &pool;
  link_.rehome(worker);
  make_deadline();
  link_.attach(std::move(parcel), pool.settings().socket);
}

LogSubject Server::log_subject() const {
  return {.letter = 'S',
          .socket = this,
          .id = id_,
          .database = pool_->entry().database.name,
          .user = pool_->entry().user.name,
          .place = address_.is_unix() ? LogSubject::Place{"unix", pool_->settings().entry.port, {}}
                                      : logged_place(address_),
          .server_process = process_};
}

}  // namespace headgate
