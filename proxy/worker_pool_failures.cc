// Where servers cannot be had: what those hear who wait for one, and who is told of a host that
// fails.
#include <chrono>

#include "admin/explain_wait.h"
#include "proxy/borrower.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/worker.h"
#include "proxy/worker_pool.h"

namespace headgate {

namespace {

constexpr std::string_view starting_up = "57P03";

// The server will be there soon, or nobody knows: no reason to send away those who wait.
bool may_pass(const Error& failure) {
  return failure.code == ErrorCode::server_connect_failed ||
         failure.code == ErrorCode::no_host_of_role || failure.sqlstate_override == starting_up;
}

}  // namespace

std::optional<Error> WorkerPool::fast_failure() const {
  const SharedPool& shared = entry_.shared;
  if (!shared.failing() || shared.lendable() > 0 || shared.retry_at() <= worker_.now()) {
    return std::nullopt;
  }
  const auto failure = entry_.last_failure();
  if (!failure || failure->sqlstate_override == starting_up) return std::nullopt;
  // Where roles are found, a failover is a pause.
  if (settings_->entry.target != TargetRole::any && may_pass(*failure)) return std::nullopt;
  constexpr size_t longest = 99;
  Error error(ErrorCode::login_failing,
              fmt::format("server login has been failing, cached error: {} (server_login_retry)",
                          failure->message.substr(0, longest)));
  error.sqlstate_override = failure->sqlstate();
  explain(error, explain_failing(need()));
  return error;
}

// Those who wait hear the server's own words.
void WorkerPool::fail_waiters() {
  const auto failure = entry_.last_failure();
  if (failure && !may_pass(*failure) && entry_.shared.lendable() == 0) fail_all_waiters(*failure);
}

void WorkerPool::fail_all_waiters(const Error& error) {
  while (!share_.waiters().empty()) {
    Borrower& borrower = static_cast<Borrower&>(const_cast<Waiter&>(share_.waiters().front()));
    borrower.fail_waiting(error);
    MUST(!borrower.waiting());
  }
}

void WorkerPool::host_faulted() {
  if (!entry_.is_reader()) return;
  if (!entry_.database.hosts.faulted(entry_.host, worker_.now())) return;
  log(LogLevel::warning, "host {}: {} errors of its own within {} s, it is not read for a while",
      entry_.host, HostTurns::most_faults,
      std::chrono::duration_cast<std::chrono::seconds>(HostTurns::fault_window).count());
  tell_readers();
}

void WorkerPool::tell_readers() {
  worker_.pooler().post_to_all([name = entry_.database.name](Worker& worker) {
    worker.for_each_pool([&](WorkerPool& pool) {
      if (pool.entry().database.name == name) pool.hosts_went_on();
    });
  });
}

void WorkerPool::login_has_failed(const Error& error) {
  entry_.set_last_failure(error);
  if (entry_.is_reader()) return tell_readers();
  if (may_pass(error) || entry_.shared.lendable() > 0) return look_again();
  worker_.pooler().post_to_all([pool = entry_.shared.id](Worker& worker) {
    if (WorkerPool* there = worker.find_pool(pool)) there->fail_waiters();
  });
}

}  // namespace headgate
