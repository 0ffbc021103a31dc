// The standbys that the clients of a pool can read from, as one worker sees them: a pool of its own
// for each, and which of them is to serve next; and what is known of the statements that they might
// run. Owned by its WorkerPool.
#pragma once

#include <vector>

#include "protocol/route_book.h"
#include "proxy/hosts.h"
#include "proxy/registry.h"

namespace headgate {

class WorkerPool;

/// How new what a reader sees must be.
struct ReadAge {
  /// What was committed on the primary before this is there.
  Instant shows = Instant::min();
  /// It is at most so far behind; nothing: however far.
  std::optional<Duration> lag;
};

class Readers {
 public:
  explicit Readers(WorkerPool& home);

  /// Hosts have come or gone, or have gone on.
  void refresh();
  /// The pool in which the fewest are served or wait, of those whose host is new enough; in turns
  /// where they are even. Null: there is none.
  WorkerPool* pick(const ReadAge& age);
  RouteBook& book() { return book_; }
  const UserFunctionsPtr& functions() const { return functions_; }

 private:
  struct Reader {
    ReadableHost host;
    Hold<PoolEntry> entry;
  };

  WorkerPool& home_;
  std::vector<Reader> readers_;
  size_t next_ = 0;
  RouteBook book_;
  UserFunctionsPtr functions_;
};

}  // namespace headgate
