#include "proxy/directory/threads.h"

#include <algorithm>
#include <condition_variable>
#include <list>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace headgate {

struct DirectoryThreads::State {
  struct Job {
    DirectoryQuestion question;
    std::weak_ptr<bool> wanted;
    Answer answer;
    std::string directory;
  };

  explicit State(Check c) : check(std::move(c)) {}

  void run();
  std::optional<Job> next();
  bool start_thread(const std::shared_ptr<State>& self);

  const Check check;
  std::mutex mutex;
  std::condition_variable changed;
  std::list<Job> waiting;
  std::map<std::string, size_t> busy;  // threads that ask a directory
  std::vector<std::thread> threads;
  size_t idle = 0;
  bool closed = false;
};

namespace {

std::string name_of(const DirectoryQuestion& question) {
  return question.method == AuthMethod::pam ? "pam" : question.ldap.uris() + question.ldap.base_dn;
}

}  // namespace

// The first question whose directory may be asked by one more thread. The mutex is held.
std::optional<DirectoryThreads::State::Job> DirectoryThreads::State::next() {
  waiting.remove_if([](const Job& job) { return job.wanted.expired(); });
  const auto found = std::find_if(waiting.begin(), waiting.end(), [this](const Job& job) {
    const auto at = busy.find(job.directory);
    return at == busy.end() || at->second < most_for_one;
  });
  if (found == waiting.end()) return std::nullopt;
  Job job = std::move(*found);
  waiting.erase(found);
  return job;
}

void DirectoryThreads::State::run() {
  std::unique_lock lock(mutex);
  while (!closed) {
    auto job = next();
    if (!job) {
      ++idle;
      changed.wait(lock);
      --idle;
      continue;
    }
    ++busy[job->directory];
    lock.unlock();
    const bool right = check(job->question);
    lock.lock();
    if (--busy[job->directory] == 0) busy.erase(job->directory);
    if (!closed) job->answer(right);  // under the lock: whoever closes knows that none is under way
  }
}

bool DirectoryThreads::State::start_thread(const std::shared_ptr<State>& self) {
  try {
    threads.emplace_back([self] { self->run(); });
  } catch (const std::system_error&) {  // the system has no more threads for us
    return !threads.empty();
  }
  return true;
}

DirectoryThreads::DirectoryThreads(Check check)
    : state_(std::make_shared<State>(std::move(check))) {}

bool DirectoryThreads::close() {
  std::unique_lock lock(state_->mutex);
  state_->closed = true;
  state_->waiting.clear();
  state_->changed.notify_all();
  const bool none_is_held = state_->busy.empty();
  std::vector<std::thread> threads = std::exchange(state_->threads, {});
  lock.unlock();
  for (std::thread& thread : threads) {
    if (none_is_held)
      thread.join();
    else
      thread.detach();
  }
  return none_is_held;
}

bool DirectoryThreads::ask(DirectoryQuestion question, std::weak_ptr<bool> wanted, Answer answer) {
  const std::lock_guard lock(state_->mutex);
  if (state_->closed || state_->waiting.size() >= most_waiting) return false;
  const bool full = state_->threads.size() >= most_threads;
  if (state_->idle <= state_->waiting.size() && !full && !state_->start_thread(state_)) {
    return false;
  }
  std::string directory = name_of(question);
  state_->waiting.push_back(
      {std::move(question), std::move(wanted), std::move(answer), std::move(directory)});
  state_->changed.notify_one();
  return true;
}

}  // namespace headgate
