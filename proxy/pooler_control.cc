// What an operator asks of the whole process: pause and resume, kill, disable, shutdown; from the
// console or by signal. (PGBOUNCER's console commands and signals.)
#include <fmt/format.h>

#include "proxy/log.h"
#include "proxy/pooler.h"

namespace headgate {

namespace {

constexpr std::string_view console_name = "pgbouncer";

Error refusal(std::string text) { return Error(ErrorCode::admin_command, std::move(text)); }

}  // namespace

std::optional<Error> Pooler::check_database(const std::string& database, std::string_view verb) {
  if (database.empty()) return std::nullopt;
  if (database == console_name)
    return refusal(fmt::format("cannot {} admin db: {}", verb, database));
  if (!config_->find_database(database)) {
    return refusal(fmt::format("no such database: {}", database));
  }
  return std::nullopt;
}

void Pooler::apply_pauses() {
  post_to_all([](Worker& worker) { worker.apply_pauses(); });
}

void Pooler::pause(const std::string& database, Finished done) {
  if (auto error = check_database(database, "pause")) return done(std::move(error));
  if (paused()) return done(refusal("already suspended/paused"));
  if (database.empty()) {
    paused_.store(true);
  } else {
    registry_.database(database).paused.store(true);
  }
  pending_pauses_.push_back({database, std::move(done)});
  watching_.store(true);
  apply_pauses();
  post([](Pooler& pooler) { pooler.progress(); });
}

std::optional<Error> Pooler::resume(const std::string& database) {
  if (shutting_down()) return refusal("pooler is shutting down");
  if (database.empty()) {
    if (!paused_.exchange(false)) return refusal("pooler is not paused/suspended");
  } else {
    if (auto error = check_database(database, "resume")) return error;
    if (!registry_.database(database).paused.exchange(false)) {
      return refusal(fmt::format("database {} is not paused", database));
    }
  }
  // A console that still waits in PAUSE has its answer: the pause is over.
  for (PendingPause& pending : std::exchange(pending_pauses_, {})) pending.done(std::nullopt);
  apply_pauses();
  return std::nullopt;
}

std::optional<Error> Pooler::reconnect(const std::string& database) {
  if (auto error = check_database(database, "reconnect")) return error;
  post_to_all([database](Worker& worker) {
    worker.for_each_pool([&](WorkerPool& pool) {
      if (database.empty() || pool.entry().database.name == database) pool.reconnect();
    });
  });
  return std::nullopt;
}

std::optional<Error> Pooler::kill(const std::string& database) {
  if (auto error = check_database(database, "kill")) return error;
  if (paused()) return refusal("already suspended/paused");
  std::vector<std::string> names = {database};
  if (database.empty()) {
    names.clear();
    for (const PoolEntry* pool : registry_.pools()) names.push_back(pool->database.name);
  }
  for (const std::string& name : names) {
    registry_.database(name).paused.store(true);
    post_to_all([name](Worker& worker) {
      worker.apply_pauses();
      worker.kill_database(name, ErrorCode::database_removed);
    });
  }
  return std::nullopt;
}

std::optional<Error> Pooler::disable(const std::string& database, bool disabled) {
  if (database.empty()) return refusal("a database is required");
  if (auto error = check_database(database, disabled ? "disable" : "enable")) return error;
  registry_.database(database).disabled.store(disabled);
  return std::nullopt;
}

// --- what waits for sessions to go

void Pooler::check_progress() {
  if (!watching_.load(std::memory_order_relaxed)) return;
  post([](Pooler& pooler) { pooler.progress(); });
}

bool Pooler::servers_gone(const std::string& database) {
  for (PoolEntry* pool : registry_.pools()) {
    if (!database.empty() && pool->database.name != database) continue;
    if (pool->shared.open() > 0) return false;
  }
  return true;
}

void Pooler::progress() {
  std::vector<PendingPause> still_pending;
  for (PendingPause& pending : std::exchange(pending_pauses_, {})) {
    if (servers_gone(pending.database)) {
      pending.done(std::nullopt);
    } else {
      still_pending.push_back(std::move(pending));
    }
  }
  for (PendingPause& pending : still_pending) pending_pauses_.push_back(std::move(pending));
  const Shutdown shutdown = shutdown_.load();
  if (shutdown == Shutdown::wait_for_clients && sockets_.used() == 0) return facts_.stop();
  if (shutdown == Shutdown::wait_for_servers && servers_gone("")) return facts_.stop();
  watching_.store(!pending_pauses_.empty() || shutdown != Shutdown::no);
}

// --- the end

void Pooler::close_tcp_listeners() {
  for (const auto& listener : listeners_) {
    if (!listener->address().is_unix()) listener->accept_waiting();
  }
  std::erase_if(listeners_, [](const auto& listener) { return !listener->address().is_unix(); });
}

void Pooler::shut_down(ShutdownMode mode) {
  notify("STOPPING=1");
  if (mode == ShutdownMode::immediate) return facts_.stop();
  close_tcp_listeners();
  watching_.store(true);
  if (mode == ShutdownMode::wait_for_servers) {
    shutdown_.store(Shutdown::wait_for_servers);
    paused_.store(true);
    apply_pauses();
  } else {
    shutdown_.store(Shutdown::wait_for_clients);
  }
  post([](Pooler& pooler) { pooler.progress(); });
}

void Pooler::on_sighup() {
  log(LogLevel::log, "got SIGHUP, re-reading config");
  const auto now = workers_[0]->outside().now().time_since_epoch().count();
  notify(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", now));
  reload();
  notify("READY=1");
}

void Pooler::on_sigterm() {
  if (shutting_down()) {
    log(LogLevel::log, "got SIGTERM while shutting down, fast exit");
    return facts_.stop();
  }
  log(LogLevel::log, "got SIGTERM, shutting down, waiting for all clients disconnect");
  shut_down(ShutdownMode::wait_for_clients);
}

void Pooler::on_sigint() {
  if (shutting_down()) {
    log(LogLevel::log, "got SIGINT while shutting down, fast exit");
    return facts_.stop();
  }
  log(LogLevel::log,
      "got SIGINT, shutting down, waiting for all servers connections to be released");
  shut_down(ShutdownMode::wait_for_servers);
}

void Pooler::on_sigquit() {
  log(LogLevel::log, "got SIGQUIT, fast exit");
  facts_.stop();
}

void Pooler::on_sigusr1() {
  if (paused()) {
    log(LogLevel::log, "got SIGUSR1, but already paused/suspended");
    return;
  }
  log(LogLevel::log, "got SIGUSR1, pausing all activity");
  pause("", [](const std::optional<Error>&) {});
}

void Pooler::on_sigusr2() {
  if (shutting_down()) {
    log(LogLevel::log, "got SIGUSR2 while shutting down, ignoring");
    return;
  }
  log(LogLevel::log, "got SIGUSR2, continuing from PAUSE");
  resume("");
}

}  // namespace headgate
