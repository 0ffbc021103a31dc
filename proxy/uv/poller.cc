#include "proxy/uv/poller.h"

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "base/check.h"

namespace headgate {

namespace {

epoll_event event_for(uint32_t events, Watcher& watcher) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &watcher;
  return event;
}

int in_milliseconds(std::optional<Duration> time) {
  constexpr int64_t longest = 1000 * 3600;
  if (!time) return -1;
  const int64_t ms = std::chrono::ceil<milliseconds>(*time).count();
  return static_cast<int>(std::clamp<int64_t>(ms, 0, longest));
}

}  // namespace

Poller::Poller() : epoll_(epoll_create1(EPOLL_CLOEXEC)) { MUST(epoll_.valid()); }

int Poller::watch(int descriptor, uint32_t events, Watcher& watcher) {
  epoll_event event = event_for(events, watcher);
  if (epoll_ctl(epoll_.number(), EPOLL_CTL_ADD, descriptor, &event) < 0) return errno;
  ++watched_;
  return 0;
}

void Poller::change(int descriptor, uint32_t events, Watcher& watcher) {
  epoll_event event = event_for(events, watcher);
  MUST(epoll_ctl(epoll_.number(), EPOLL_CTL_MOD, descriptor, &event) == 0);
}

void Poller::forget(int descriptor, Watcher& watcher) {
  MUST(epoll_ctl(epoll_.number(), EPOLL_CTL_DEL, descriptor, nullptr) == 0);
  --watched_;
  for (size_t i = 0; i < fetched_; ++i) {
    if (events_[i].data.ptr == &watcher) events_[i].data.ptr = nullptr;
  }
}

void Poller::wait(std::optional<Duration> longest) {
  ++rounds_;
  const int fetched = epoll_wait(epoll_.number(), events_.data(), static_cast<int>(events_.size()),
                                 in_milliseconds(longest));
  MUST(fetched >= 0 || errno == EINTR);
  fetched_ = fetched > 0 ? static_cast<size_t>(fetched) : 0;
  for (const bool first : {true, false}) tell(first);
  fetched_ = 0;
}

void Poller::tell(bool first) {
  for (size_t i = 0; i < fetched_; ++i) {
    auto* watcher = static_cast<Watcher*>(events_[i].data.ptr);
    if (!watcher || watcher->goes_first() != first) continue;
    events_[i].data.ptr = nullptr;
    watcher->on_events(events_[i].events);
  }
}

}  // namespace headgate
