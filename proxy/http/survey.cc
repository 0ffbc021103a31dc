#include "proxy/http/survey.h"

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

void Survey::close() {
  const std::lock_guard guard(calls_->mutex);
  calls_->closed = true;
  calls_->changed.notify_all();
}

}  // namespace headgate
