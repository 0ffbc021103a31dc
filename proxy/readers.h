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
  /// The pool in which the fewest are served or wait for what its host weighs (host_weights), of
  /// those whose host is new enough; in turns where they are even. Null: there is none.
  WorkerPool* pick(const ReadAge& age);
  RouteBook& book() { return book_; }
  const UserFunctionsPtr& functions() const { return functions_; }

 private:
  struct Reader {
    ReadableHost host;
    Hold<PoolEntry> entry;
    uint64_t weight;
    uint64_t turn;  // the later, the more it has served
  };

  static bool is_before(const Reader& one, size_t its, const Reader& other, size_t others);

  WorkerPool& home_;
  std::vector<Reader> readers_;
  uint64_t turn_ = 0;  // of the last that was picked
  RouteBook book_;
  UserFunctionsPtr functions_;
};

}  // namespace headgate
