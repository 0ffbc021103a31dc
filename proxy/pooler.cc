#include "proxy/pooler.h"

#include <fmt/format.h>

#include "base/memory.h"
#include "conf/lists.h"
#include "proxy/handover.h"
#include "proxy/log.h"
#include "proxy/takeover.h"

namespace headgate {

Pooler::Pooler(ConfigPtr config, size_t workers, ProcessFacts facts)
    : config_(std::move(config)),
      facts_(std::move(facts)),
      tracked_(split_at_commas(config_->settings.track_extra_parameters)),
      tls_(facts_.tls),
      registry_(workers, config_),
      statements_(facts_.statement_salt),
      shape_seed_(size_t{load_u32(facts_.statement_salt.data())} << 32 |
                  load_u32(facts_.statement_salt.data() + 4)),
      crossing_channel_(fmt::format("headgate_{:08x}{:08x}", load_u32(facts_.channel_salt.data()),
                                    load_u32(facts_.channel_salt.data() + 4))),
      client_permits_(config_->settings.max_client_conn),
      sockets_(config_->settings.max_client_conn + max_extra_sockets) {
  for (size_t id = 0; id < workers; ++id) {
    workers_.push_back(std::make_unique<Worker>(*this, static_cast<WorkerId>(id), config_, tls_));
  }
  drain_ = std::make_unique<Drain>(*this);
  handover_ = std::make_unique<Handover>(*this);
  apply_limits();
}

Pooler::~Pooler() = default;

void Pooler::post_to_all(const std::function<void(Worker&)>& open) {
  for (const auto& worker : workers_) worker->post(open);
}

void Pooler::post(std::function<void(Pooler&)> open) {
  workers_[0]->post([this, open = std::move(open)](Worker&) { open(*this); });
}

// --- new connections

Result<Done> Pooler::listen() {
  ListenOptions options = listen_options();
  for (const int descriptor : facts_.passed) {
    options.passed = descriptor;
    if (auto result = listen_on({}, options); !result) return result;
  }
  if (facts_.passed.empty()) {
    for (const Address& address : facts_.listen_on) {
      options = listen_options();
      const InheritedSocket* known = inherited(address, handover::SocketUse::clients);
      if (known) options.passed = known->descriptor;
      if (auto result = listen_on(address, options); !result) return result;
    }
  }
  if (listeners_.empty()) return Error(ErrorCode::config, "nowhere to listen on");
  listen_for_handover(listen_options());
  return Done{};
}

ListenOptions Pooler::listen_options() const {
  const Settings& settings = config_->settings;
  ListenOptions options;
  options.backlog = settings.listen_backlog;
  options.reuse_port = settings.so_reuseport;
  options.defer_accept = settings.tcp_defer_accept;
  options.unix_mode = settings.unix_socket_mode;
  options.unix_group = settings.unix_socket_group;
  return options;
}

Result<Done> Pooler::listen_on(const Address& address, const ListenOptions& options) {
  auto listener = workers_[0]->outside().listen(address, options, *this);
  if (listener) {
    const Address& at = (*listener)->address();
    log(LogLevel::log, "listening on {}", at.is_unix() ? "unix:" + at.host : at.with_port());
    listeners_.push_back(std::move(*listener));
    return Done{};
  }
  if (address.is_unix()) return Error(listener.error());
  log(LogLevel::warning, "cannot listen on {}: {}", address.with_port(), listener.error().message);
  return Done{};
}

void Pooler::on_accept(ParcelPtr connection, bool from_unix) {
  if (!sockets_.try_take()) return;  // far beyond the limit: not worth a word
  Worker& least = least_loaded();
  least.count_client(1);
  if (&least == workers_[0].get()) {
    least.begin_event();
    return least.accept(std::move(connection), from_unix);
  }
  least.post([connection = std::move(connection), from_unix](Worker& worker) mutable {
    worker.accept(std::move(connection), from_unix);
  });
}

Worker& Pooler::least_loaded() {
  Worker* least = workers_[0].get();
  for (const auto& worker : workers_) {
    if (worker->load() < least->load()) least = worker.get();
  }
  return *least;
}

void Pooler::on_accept_failed(int error) {
  log(LogLevel::warning,
      "accept() failed: {}; accepting pauses for a while (this process is out of descriptors or "
      "memory, the servers are not to blame)",
      facts_.describe_error(error));
}

void Pooler::client_gone(Worker& worker) {
  worker.count_client(-1);
  sockets_.give_back();
  check_progress();
}

// --- cancelling

void Pooler::cancel(const CancelRequest& request, Requester requester) {
  const auto asked = CancelKey::of(request);
  if (!asked) return tell_requester(requester, "failed cancel request");
  const int own_id = workers_[requester.worker]->config().settings.peer_id;
  uint64_t key = asked->bits;
  auto owner = cancel_keys_.find(key);
  if (!owner && own_id != 0) {
    key = asked->before_any_hop().bits;
    owner = cancel_keys_.find(key);
  }
  if (!owner) {
    if (own_id == 0 || asked->peer_id() == own_id) {
      if (!has_predecessor_.load()) return tell_requester(requester, "failed cancel request");
      return post(
          [request, requester](Pooler& pooler) { pooler.takeover_->pass_on(request, requester); });
    }
    return post([key = *asked, requester](Pooler& pooler) {
      pooler.workers_[0]->begin_event();
      pooler.peers_.pass_on(key, requester);
    });
  }
  workers_[owner->worker]->post([this, key, requester](Worker& worker) {
    const auto still = cancel_keys_.find(key);
    if (!still || still->worker != worker.id()) {
      return tell_requester(requester, "failed cancel request");
    }
    still->client->cancel_requested(requester);
  });
}

void Pooler::tell_requester(Requester requester, const char* outcome) {
  if (requester.client == 0) return;
  workers_[requester.worker]->post(
      [id = requester.client, outcome](Worker& worker) { worker.finish_cancel(id, outcome); });
}

// --- configuration

namespace {

void log_refusal(const Error& error) {
  log(LogLevel::error, "{}{}{}", error.message, error.detail.empty() ? "" : "\n", error.detail);
  if (!error.hint.empty()) log(LogLevel::error, "hint: {}", error.hint);
}

}  // namespace

bool Pooler::reload() {
  auto config = load_config(config_->path, facts_.read_file, config_.get(), facts_.start);
  if (!config) {
    log_refusal(config.error());
    return false;
  }
  auto tls = make_tls(config->settings, facts_.read_file, tls_);
  if (!tls) {
    log_refusal(tls.error());
    return false;
  }
  for (const std::string& warning : config->warnings) log(LogLevel::warning, "{}", warning);
  publish(std::make_shared<const Config>(std::move(*config)), std::move(*tls));
  return true;
}

Result<std::string> Pooler::set(const std::string& key, const std::string& value) {
  auto config = with_setting(*config_, key, value);
  if (!config) {
    log_refusal(config.error());
    return Error(ErrorCode::admin_command, "SET failed");
  }
  for (const std::string& warning : config->warnings) log(LogLevel::warning, "{}", warning);
  std::string notice;
  Tls tls = tls_;
  if (key.find("_tls") != std::string::npos) {
    auto made = make_tls(config->settings, facts_.read_file, tls_);
    if (made) {
      tls = std::move(*made);
    } else {
      log_refusal(made.error());
      notice = "TLS settings could not be applied, still using old configuration";
    }
  }
  publish(std::make_shared<const Config>(std::move(*config)), std::move(tls));
  return notice;
}

// Tickets of the last key are of no use from here on: their owners shake hands in full.
void Pooler::renew_ticket_key() {
  const Instant now = workers_[0]->now();
  if (ticket_key_since_ == Instant{}) ticket_key_since_ = now;
  if (!tls_.clients || now < ticket_key_since_ + ticket_life) return;
  ticket_key_since_ = now;
  auto renewed = tls_.clients->with_new_ticket_key();
  if (renewed) publish(config_, {std::move(*renewed), tls_.servers});
}

void Pooler::publish(ConfigPtr config, Tls tls) {
  tls_ = std::move(tls);
  const ConfigPtr before = std::exchange(config_, std::move(config));
  facts_.set_up_log(config_->settings);
  apply_limits();
  set_name_lifetimes();
  peers_.change_config(*config_);
  if (tidying_) monitors_.change_config(*config_, tls_.servers);
  for (const auto& listener : listeners_) {
    listener->set_defer_accept(config_->settings.tcp_defer_accept);
  }
  post_to_all(
      [config = config_, tls = tls_](Worker& worker) { worker.change_config(config, tls); });
  if (tidying_) {
    post([](Pooler& pooler) {
      pooler.tend_forced_pools();
      pooler.arm_tidying();
    });
  }
  for (DatabaseState* database : registry_.databases()) {
    const std::string& name = database->name;
    if (!before->has_database(name) || config_->has_database(name)) continue;
    registry_.drop(*database);
    Error why(ErrorCode::database_removed);
    why.detail = "The configuration does not name this database any more.";
    post_to_all([name = name, why](Worker& worker) { worker.kill_database(name, why); });
  }
}

void Pooler::apply_limits() {
  const Settings& settings = config_->settings;
  client_permits_.set_limit(settings.max_client_conn);
  sockets_.set_limit(settings.max_client_conn + max_extra_sockets);
  registry_.set_limits(config_);
}

// --- statistics

void Pooler::start() {
  started_wall_us_.store(workers_[0]->outside().wall_microseconds());
  stats_period_.emplace(
      workers_[0]->deadlines(),
      [](void* self, Instant) { static_cast<Pooler*>(self)->end_stats_period(); }, this);
  tidying_.emplace(
      workers_[0]->deadlines(), [](void* self, Instant) { static_cast<Pooler*>(self)->tidy(); },
      this);
  post([](Pooler& pooler) {
    pooler.end_stats_period();
    pooler.monitors_.change_config(*pooler.config_, pooler.tls_.servers);
    if (!pooler.has_predecessor_) pooler.tend_forced_pools();
    pooler.arm_tidying();
  });
}

// min_pool_size holds without clients for pools whose user is known: they are there from the start.
void Pooler::tend_forced_pools() {
  for (const auto& [name, entry] : config_->databases) {
    if (entry.user) workers_[0]->pool(*registry_.pool(name, *entry.user)).tend();
  }
}

// Now, and again and again.
void Pooler::tidy() {
  log_repetitions();
  give_memory_back();
  const auto idle = registry_.tidy(workers_[0]->now());
  for (const uint32_t pool : idle) {
    post_to_all([pool](Worker& worker) { worker.let_go_of_pool(pool); });
  }
  arm_tidying();
}

// A timeout is kept to an eighth, and to five seconds.
void Pooler::arm_tidying() {
  Duration period = seconds(5);
  for (const Duration timeout :
       {config_->settings.pool_idle_timeout, config_->settings.autodb_idle_timeout}) {
    if (timeout.count() > 0) period = std::min(period, timeout / 8);
  }
  tidying_->arm(workers_[0]->now() + std::max<Duration>(period, milliseconds(100)));
}

void Pooler::end_stats_period() {
  renew_ticket_key();
  snapshot([this](const Snapshot& now) {
    const bool first = !stats_.advance(now, workers_[0]->now());
    if (first) return;
    const std::string line = stats_.line();
    if (config_->settings.log_stats) log(LogLevel::log, "{}", line);
    notify("STATUS=" + line);
  });
  stats_period_->arm(workers_[0]->now() +
                     std::max<Duration>(config_->settings.stats_period, seconds(1)));
}

void Pooler::snapshot(std::function<void(Snapshot)> done, const SnapshotWish& wish) {
  struct Gathering {
    Snapshot sum;
    size_t missing;
    std::function<void(Snapshot)> done;
  };
  auto gathering = std::make_shared<Gathering>();
  gathering->missing = workers_.size();
  gathering->done = std::move(done);
  post_to_all([this, gathering, wish](Worker& worker) {
    auto part = std::make_shared<Snapshot>(worker.snapshot(wish));
    post([gathering, part](Pooler& pooler) {
      merge(gathering->sum, std::move(*part));
      if (--gathering->missing > 0) return;
      pooler.add_totals(gathering->sum);
      gathering->done(std::move(gathering->sum));
    });
  });
}

Snapshot Pooler::own_part() {
  Snapshot part;
  registry_.describe(*config_, part);
  monitors_.describe(part, workers_[0]->now());
  part.peers = peers_.stats();
  part.dns_hosts = names().rows(workers_[0]->now());
  part.dns_queries = static_cast<uint32_t>(names().look_ups());
  part.paused = paused();
  part.suspended = suspended();
  ProcessRow& process = part.process.emplace();
  process.client_slots = client_permits_.limit();
  process.client_slots_used = client_permits_.used();
  process.peers = config_->peers.size();
  process.dns_names = part.dns_hosts.size();
  process.shutting_down = shutting_down();
  process.started_wall_us = started_wall_us_;
  return part;
}

void Pooler::add_totals(Snapshot& snapshot) {
  merge(snapshot, own_part());
  place_cancels(snapshot);
  stats_.fill(snapshot, workers_[0]->now());
}

}  // namespace headgate
