// What an operator asks of the whole process: pause and resume, kill, disable, shutdown; from the
// console or by signal. (PGBOUNCER's console commands and signals.)
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "proxy/log.h"
#include "proxy/pooler.h"

namespace headgate {

namespace {

constexpr std::string_view console_name = "pgbouncer";
// How long sessions that are not at rest are left alone.
constexpr Duration suspend_pause = milliseconds(50);

Error refusal(std::string text) { return Error(ErrorCode::admin_command, std::move(text)); }

Error already_paused() { return refusal("already suspended/paused"); }

void log_issued(std::string_view word, const std::string& database) {
  if (database.empty()) return log(LogLevel::log, "{} command issued", word);
  log(LogLevel::log, "{} '{}' command issued", word, database);
}

}  // namespace

// Commands that hold something back make a database from `*`, others must find it.
std::optional<Error> Pooler::check_database(const std::string& database, std::string_view verb,
                                            Lookup lookup) {
  if (database.empty()) return std::nullopt;
  if (database == console_name) {
    return refusal(fmt::format("cannot {} admin db: {}", verb, database));
  }
  if (!config_->has_database(database) || (lookup == Lookup::find && !known_database(database))) {
    return refusal(fmt::format("no such database: {}", database));
  }
  registry_.remember(*registry_.database(database));
  return std::nullopt;
}

bool Pooler::known_database(const std::string& name) {
  return config_->databases.contains(name) || registry_.known_database(name);
}

void Pooler::apply_pauses() {
  post_to_all([](Worker& worker) { worker.apply_pauses(); });
}

// --- pause and resume

void Pooler::pause(const std::string& database, Finished done, ConsoleId console) {
  if (paused() || suspended()) return done(already_paused());
  log_issued("PAUSE", database);
  if (auto error = check_database(database, "pause", Lookup::make)) return done(std::move(error));
  waits_.push_back(std::make_shared<ConsoleWait>(
      ConsoleWait{ConsoleWait::For::pause, database, console, std::move(done)}));
  begin_pause(database);
}

void Pooler::begin_pause(const std::string& database) {
  (database.empty() ? paused_ : registry_.database(database)->paused).store(true);
  apply_pauses();
  watch();
}

std::optional<Error> Pooler::resume(const std::string& database) {
  if (shutting_down()) return refusal("pooler is shutting down");
  log_issued("RESUME", database);
  return end_pause(database);
}

std::optional<Error> Pooler::end_pause(const std::string& database) {
  if (database.empty()) {
    if (suspended()) return end_suspend(), std::nullopt;
    if (!paused_.exchange(false)) return refusal("pooler is not paused/suspended");
  } else {
    auto error = check_database(database, "resume", Lookup::find);
    if (error && database != console_name) return error;
    if (error || !registry_.database(database)->paused.exchange(false)) {
      return refusal(fmt::format("database {} is not paused", database));
    }
  }
  // A console that still waits in PAUSE has its answer: the pause is over.
  answer_waits(ConsoleWait::For::pause, database);
  apply_pauses();
  return std::nullopt;
}

bool Pooler::any_database_paused() {
  const auto all = registry_.databases();
  return std::ranges::any_of(all, [](const auto& database) { return database->paused.load(); });
}

// --- suspend

void Pooler::suspend(Finished done, ConsoleId console) {
  if (paused() || suspended()) return done(already_paused());
  if (any_database_paused()) return done(refusal("cannot suspend with paused databases"));
  log_issued("SUSPEND", "");
  suspended_.store(true);
  suspended_since_ = workers_[0]->now();
  ++suspensions_;
  for (const auto& listener : listeners_) listener->accept(false);
  waits_.push_back(std::make_shared<ConsoleWait>(
      ConsoleWait{ConsoleWait::For::suspend, "", console, std::move(done)}));
  suspend_tick_.emplace(
      workers_[0]->deadlines(),
      [](void* self, Instant) { static_cast<Pooler*>(self)->suspend_step(); }, this);
  suspend_step();
}

// Clients come to rest first, then the servers, which may still have something for them. Whoever is
// not there yet is looked at again a little later.
void Pooler::suspend_step() {
  const Duration limit = config_->settings.suspend_timeout;
  const bool force = limit.count() > 0 && workers_[0]->now() >= suspended_since_ + limit;
  const auto current = [this, number = suspensions_] {
    return suspended() && number == suspensions_;
  };
  sum_over_workers([force](Worker& worker) { return worker.suspend_clients(force); },
                   [this, force, current](size_t clients) {
                     if (!current()) return;
                     if (clients > 0) return suspend_tick_->arm(workers_[0]->now() + suspend_pause);
                     sum_over_workers(
                         [force](Worker& worker) { return worker.suspend_servers(force); },
                         [this, current](size_t servers) {
                           if (!current()) return;
                           if (servers == 0) return answer_waits(ConsoleWait::For::suspend, "");
                           suspend_tick_->arm(workers_[0]->now() + suspend_pause);
                         });
                   });
}

void Pooler::end_suspend() {
  suspended_.store(false);
  suspend_tick_.reset();
  post_to_all([](Worker& worker) { worker.resume(); });
  for (const auto& listener : listeners_) listener->accept(true);
  answer_waits(ConsoleWait::For::suspend, "");
}

void Pooler::count_console(int change) {
  const int left = consoles_.fetch_add(change) + change;
  if (left > 0 || !suspended()) return;
  post([](Pooler& pooler) {
    if (pooler.consoles_.load() > 0 || !pooler.suspended()) return;
    log(LogLevel::log, "admin disappeared when suspended, doing RESUME");
    pooler.end_suspend();
  });
}

// --- servers and clients that go

std::optional<Error> Pooler::reconnect(const std::string& database) {
  log_issued("RECONNECT", database);
  if (auto error = check_database(database, "reconnect", Lookup::make)) return error;
  monitors_.start_anew(database, *config_);
  post_to_all([database](Worker& worker) {
    worker.for_each_pool([&](WorkerPool& pool) {
      if (database.empty() || pool.entry().database.name == database) pool.reconnect();
    });
  });
  return std::nullopt;
}

std::optional<Error> Pooler::kill(const std::string& database) {
  if (paused() || suspended()) return already_paused();
  log_issued("KILL", database);
  if (auto error = check_database(database, "kill", Lookup::make)) return error;
  std::set<std::string> names = {database};
  if (database.empty()) {
    names.clear();
    for (const PoolEntry* pool : registry_.pools()) names.insert(pool->database.name);
  }
  Error why(ErrorCode::database_removed);
  why.detail = "An administrator has closed all connections of this database (KILL).";
  why.hint = "RESUME on the admin console lets clients go on; those that come before wait.";
  for (const std::string& name : names) {
    registry_.database(name)->paused.store(true);
    post_to_all([name, why](Worker& worker) {
      worker.apply_pauses();
      worker.kill_database(name, why);
    });
  }
  return std::nullopt;
}

void Pooler::kill_client(const std::string& id, Finished done) {
  uint64_t number = 0;
  const auto read = std::from_chars(id.data(), id.data() + id.size(), number);
  if (read.ec != std::errc() || read.ptr != id.data() + id.size()) {
    return done(refusal("invalid client pointer supplied"));
  }
  log_issued("KILL_CLIENT", id);
  sum_over_workers(
      [number](Worker& worker) {
        size_t found = 0;
        worker.clients().for_each([&](Client& client) {
          if (client.id() != number || client.state() == ClientState::closed) return;
          client.fail(Error(ErrorCode::admin_disconnect));
          ++found;
        });
        worker.outbox().flush();
        return found;
      },
      [done = std::move(done)](size_t found) {
        done(found > 0 ? std::nullopt : std::optional(refusal("client not found")));
      });
}

std::optional<Error> Pooler::disable(const std::string& database, bool disabled) {
  if (database.empty()) return refusal("a database is required");
  log_issued(disabled ? "DISABLE" : "ENABLE", database);
  const Lookup lookup = disabled ? Lookup::make : Lookup::find;
  if (auto error = check_database(database, disabled ? "disable" : "enable", lookup)) return error;
  registry_.database(database)->disabled.store(disabled);
  return std::nullopt;
}

void Pooler::wait_close(const std::string& database, Finished done, ConsoleId console) {
  log_issued("WAIT_CLOSE", database);
  if (database == console_name) {
    return done(refusal(fmt::format("cannot wait in admin db: {}", database)));
  }
  if (auto error = check_database(database, "wait in", Lookup::make)) return done(std::move(error));
  waits_.push_back(std::make_shared<ConsoleWait>(
      ConsoleWait{ConsoleWait::For::close, database, console, std::move(done)}));
  watch();
}

// --- the end

void Pooler::close_tcp_listeners() {
  for (const auto& listener : listeners_) {
    if (!listener->address().is_unix()) listener->accept_waiting();
  }
  std::erase_if(listeners_, [](const auto& listener) { return !listener->address().is_unix(); });
}

// Whoever is still sent here learns why it is turned away, and a query that holds the drain up can
// be cancelled. But where others take the connections of this very port (so_reuseport), or the
// service manager keeps them for the next process, they are to have them.
void Pooler::close_listeners_for_drain() {
  if (!facts_.passed.empty()) return listeners_.clear();
  if (config_->settings.so_reuseport) close_tcp_listeners();
}

void Pooler::shut_down(ShutdownMode mode) {
  notify("STOPPING=1");
  if (mode == ShutdownMode::immediate) return stop();
  if (suspended()) end_suspend();  // nobody could leave
  if (const Duration timeout = config_->settings.drain_timeout;
      mode == ShutdownMode::wait_for_clients && timeout.count() > 0) {
    shutdown_.store(Shutdown::drain);
    close_listeners_for_drain();
    return drain_->begin(timeout);
  }
  close_tcp_listeners();
  if (mode == ShutdownMode::wait_for_servers) {
    shutdown_.store(Shutdown::wait_for_servers);
    paused_.store(true);
    apply_pauses();
  } else {
    shutdown_.store(Shutdown::wait_for_clients);
  }
  watch();
}

void Pooler::on_sighup() {
  log(LogLevel::log, "got SIGHUP, re-reading config");
  const auto now = workers_[0]->outside().now().time_since_epoch().count();
  notify(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", now));
  reload();
  notify("READY=1");
}

void Pooler::on_sigterm() {
  if (suspended()) return stop_suspended();
  if (shutting_down()) {
    log(LogLevel::log, "got SIGTERM while shutting down, fast exit");
    return stop();
  }
  if (config_->settings.drain_timeout.count() > 0) {
    log(LogLevel::log, "got SIGTERM, draining: clients are closed at their transaction boundaries");
  } else {
    log(LogLevel::log, "got SIGTERM, shutting down, waiting for all clients disconnect");
  }
  shut_down(ShutdownMode::wait_for_clients);
}

// Another process may have our connections by now: they are not to be touched any more.
void Pooler::stop_suspended() {
  log(LogLevel::fatal, "suspend was in progress, going down");
  stop(1);
}

void Pooler::on_sigint() {
  if (suspended()) return stop_suspended();
  if (shutting_down()) {
    log(LogLevel::log, "got SIGINT while shutting down, fast exit");
    return stop();
  }
  log(LogLevel::log,
      "got SIGINT, shutting down, waiting for all servers connections to be released");
  shut_down(ShutdownMode::wait_for_servers);
}

void Pooler::on_sigquit() {
  log(LogLevel::log, "got SIGQUIT, fast exit");
  stop();
}

void Pooler::on_sigusr1() {
  if (paused() || suspended()) {
    log(LogLevel::log, "got SIGUSR1, but already paused/suspended");
    return;
  }
  log(LogLevel::log, "got SIGUSR1, pausing all activity");
  begin_pause("");
}

void Pooler::on_sigusr2() {
  if (shutting_down()) {
    log(LogLevel::log, "got SIGUSR2 while shutting down, ignoring");
    return;
  }
  log(LogLevel::log, "got SIGUSR2, continuing from PAUSE");
  end_pause("");
}

}  // namespace headgate
