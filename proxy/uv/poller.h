// Which descriptors of a loop have something to say: an epoll set, waited for once in each turn.
// Sockets are watched here and not by libuv, which pays up to four system calls for each connection
// that comes. Used by the thread of its loop alone.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <optional>

#include "base/time.h"
#include "proxy/descriptor.h"

namespace headgate {

/// Is told what happens to a descriptor. Within the call any watcher may be forgotten, this one
/// too.
class Watcher {
 public:
  /// EPOLLIN and so on; errors and a hangup are told although nobody asks for them.
  virtual void on_events(uint32_t events) = 0;
  /// It is told before all others of its turn of which this is false; never changes while watched.
  virtual bool goes_first() const { return false; }

 protected:
  ~Watcher() = default;
};

class Poller {
 public:
  Poller();

  /// Begins to tell of events of a descriptor that nobody watches yet; 0 or an errno.
  int watch(int descriptor, uint32_t events, Watcher& watcher);
  /// Tells of these instead.
  void change(int descriptor, uint32_t events, Watcher& watcher);
  /// No event of it is told any more, not even one that has been fetched. To be called before the
  /// descriptor is closed: another process may hold a duplicate, and then it stays in the set.
  void forget(int descriptor, Watcher& watcher);
  /// Waits for events, in whole milliseconds and rounded up, and tells of them; nothing: for ever.
  void wait(std::optional<Duration> longest);
  int watched() const { return watched_; }
  /// How often it has waited.
  uint64_t rounds() const { return rounds_; }

 private:
  static constexpr size_t most_events = 256;  // of one turn; the others come with the next

  void tell(bool first);

  Descriptor epoll_;
  int watched_ = 0;
  uint64_t rounds_ = 0;
  size_t fetched_ = 0;
  std::array<epoll_event, most_events> events_;
};

}  // namespace headgate
