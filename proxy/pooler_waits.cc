// Commands of the console that wait: for servers to be gone, for sessions to come to rest; and
// what is asked of all workers at once.
#include "proxy/pooler.h"

namespace headgate {

void Pooler::sum_over_workers(std::function<size_t(Worker&)> count,
                              std::function<void(size_t)> done) {
  struct Sum {
    size_t total = 0, missing;
    std::function<void(size_t)> done;
  };
  const auto sum = std::make_shared<Sum>(Sum{0, workers_.size(), std::move(done)});
  post_to_all([this, sum, count = std::move(count)](Worker& worker) {
    post([sum, part = count(worker)](Pooler&) {
      sum->total += part;
      if (--sum->missing == 0) sum->done(sum->total);
    });
  });
}

// Sessions say when they go as long as somebody wants to know.
void Pooler::watch() {
  watching_.store(true);
  post([](Pooler& pooler) { pooler.progress(); });
}

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
  for (const ConsoleWaitPtr& wait : std::vector(waits_)) {
    if (wait->what == ConsoleWait::For::close) count_close_needed(wait);
    if (wait->what == ConsoleWait::For::pause && servers_gone(wait->database)) finish_wait(wait);
  }
  const Shutdown shutdown = shutdown_.load();
  if (shutdown == Shutdown::wait_for_clients && sockets_.used() == 0 && may_end()) {
    return stop();
  }
  if (shutdown == Shutdown::wait_for_servers && servers_gone("")) return stop();
  watching_.store(!waits_.empty() || shutdown != Shutdown::no);
}

void Pooler::count_close_needed(const ConsoleWaitPtr& wait) {
  wait->count_again = wait->counting;
  if (std::exchange(wait->counting, true)) return;
  sum_over_workers(
      [database = wait->database](Worker& worker) { return worker.count_close_needed(database); },
      [this, wait](size_t count) {
        wait->counting = false;
        if (count == 0) return finish_wait(wait);
        if (wait->count_again) count_close_needed(wait);
      });
}

// Does nothing for one that is over: a cancel, or the end of the pause, came first.
void Pooler::finish_wait(const ConsoleWaitPtr& wait, std::optional<Error> error) {
  if (std::erase(waits_, wait) > 0) wait->done(std::move(error));
}

void Pooler::answer_waits(ConsoleWait::For what, const std::string& database) {
  for (const ConsoleWaitPtr& wait : std::vector(waits_)) {
    if (wait->what == what && wait->database == database) finish_wait(wait);
  }
}

void Pooler::cancel_console(ConsoleId console) {
  const auto found = std::ranges::find_if(
      waits_, [&](const ConsoleWaitPtr& wait) { return wait->console == console; });
  if (found == waits_.end()) return;
  const ConsoleWaitPtr wait = *found;
  finish_wait(wait, Error(ErrorCode::query_canceled));
  if (wait->what != ConsoleWait::For::close && !shutting_down()) end_pause(wait->database);
}

}  // namespace headgate
