#include "proxy/http/survey.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "proxy/pooler.h"

namespace headgate {

struct Survey::Calls {
  explicit Calls(size_t workers) : called(workers) {}

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<bool> called;  // a letter is on its way to that worker
  bool closed = false;
};

/// One snapshot that is being gathered; the parts are added up by who waits for them.
struct Survey::Round {
  std::vector<std::optional<Snapshot>> parts;  // of each worker, and of the process
  size_t missing = 0;
};

Survey::Survey(Pooler& pooler)
    : pooler_(pooler), calls_(std::make_shared<Calls>(pooler.workers())) {}

std::optional<WorkerId> Survey::find_silent(Duration patience) {
  std::unique_lock lock(calls_->mutex);
  for (WorkerId id = 0; id < calls_->called.size() && !calls_->closed; ++id) {
    if (calls_->called[id]) continue;
    calls_->called[id] = true;
    pooler_.worker(id).post([calls = calls_](Worker& worker) {
      const std::lock_guard guard(calls->mutex);
      calls->called[worker.id()] = false;
      calls->changed.notify_all();
    });
  }
  const auto first_silent = [this] { return std::ranges::find(calls_->called, true); };
  calls_->changed.wait_for(
      lock, patience, [&] { return calls_->closed || first_silent() == calls_->called.end(); });
  const auto silent = first_silent();
  if (silent == calls_->called.end()) return std::nullopt;
  return static_cast<WorkerId>(silent - calls_->called.begin());
}

// Who does not answer is found out first, so that no letters pile up with him.
Result<Snapshot> Survey::snapshot(const SnapshotWish& wish) {
  const auto no_answer = [](size_t worker) {
    return Error(ErrorCode::io, fmt::format("worker {} does not answer", worker));
  };
  if (const auto silent = find_silent(patience)) return no_answer(*silent);
  auto round = std::make_shared<Round>();
  const size_t workers = pooler_.workers();
  round->parts.resize(workers + 1);
  round->missing = workers + 1;
  const auto put = [calls = calls_, round](size_t place, Snapshot part) {
    const std::lock_guard guard(calls->mutex);
    round->parts[place] = std::move(part);
    if (--round->missing == 0) calls->changed.notify_all();
  };
  const auto asked = std::chrono::steady_clock::now();
  pooler_.post_to_all([put, wish, asked](Worker& worker) {
    Snapshot part = worker.snapshot(wish);
    WorkerRow row = worker.describe_itself();
    row.delay_us =
        std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - asked).count();
    part.workers.push_back(row);
    put(worker.id(), std::move(part));
  });
  pooler_.post([put, workers](Pooler& pooler) { put(workers, pooler.own_part()); });

  std::unique_lock lock(calls_->mutex);
  calls_->changed.wait_for(lock, patience, [&] { return calls_->closed || round->missing == 0; });
  Snapshot sum;
  for (size_t place = 0; place <= workers; ++place) {
    if (!round->parts[place]) return no_answer(place < workers ? place : 0);
  }
  lock.unlock();  // all parts are here: nobody else touches them
  for (auto& part : round->parts) merge(sum, std::move(*part));
  return sum;
}

void Survey::close() {
  const std::lock_guard guard(calls_->mutex);
  calls_->closed = true;
  calls_->changed.notify_all();
}

}  // namespace headgate
