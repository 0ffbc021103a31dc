// What is truly shared between workers about pools: exact limits on server connections, and who has
// idle servers and who is hungry for one. Everything here may be called from any thread. Lending
// and giving back never meet a lock; taking a permit holds one for a few instructions, because
// permits of several limits are taken all or none, with nothing in between that another taker could
// see. (The only file of this room that knows of threads.)
//
// Promise kept here: at no instant do more connections exist than a limit allows, where a
// connection exists from the moment its permit is taken (before connect) until release() (after the
// server has gone). And: no worker sleeps hungry while a server is idle or a permit is free,
// because a worker publishes its hunger before it looks, and the others look for hunger after they
// publish. All of this is sequentially consistent: with anything weaker both could miss each other.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/time.h"

namespace headgate {

using WorkerId = uint16_t;
using WorkerMask = uint64_t;
constexpr size_t max_workers = 64;

constexpr WorkerMask mask_of(WorkerId worker) { return WorkerMask{1} << worker; }

/// One exact limit: so many at a time over all threads. A limit of 0 means no limit.
class Permits {
 public:
  explicit Permits(int limit = 0) : limit_(limit) {}
  /// Takes one if the limit allows. A refusal is remembered for give_back().
  bool try_take();
  /// Takes one without asking; for what must be counted but may exceed (console clients).
  void take_anyway() { used_.fetch_add(1); }
  /// Gives one back. True: somebody was refused since the last time this said so, and should be
  /// told to try again.
  bool give_back();
  int used() const { return used_.load(std::memory_order_relaxed); }
  int limit() const { return limit_.load(std::memory_order_relaxed); }
  /// Nobody is told about a limit that was raised: the caller lets every pool look again.
  void set_limit(int limit) { limit_.store(limit); }

 private:
  friend class SharedPool;
  bool full() const;
  bool refuses();

  std::mutex taking_;  // used_ grows only under it, but for take_anyway()
  std::atomic<int> used_{0};
  std::atomic<int> limit_;
  std::atomic<bool> refused_{false};
};

/// The limits above a single pool: a database's and a server user's. Two different objects.
struct PoolLimits {
  Permits& database;  // max_db_connections
  Permits& user;      // max_user_connections
};

class SharedPool {
 public:
  SharedPool(uint32_t id, std::string database, std::string user, PoolLimits limits,
             size_t workers);

  const uint32_t id;
  const std::string database;
  const std::string user;

  // --- permits
  /// What stands in the way of one more connection.
  enum class Take : uint8_t { taken, pool_full, database_full, user_full, opening_enough };
  /// Takes a permit of the pool (at most `pool_limit` of them, 0: no limit), the database and the
  /// user, all or none; and one of the places for connections being opened (one place only while
  /// log-ins fail).
  Take try_open(int pool_limit);
  /// The opening connection has logged in, or failed: others may be opened. The workers to tell, as
  /// in Freed::hungry, if somebody was refused for want of a place.
  WorkerMask opening_done();
  /// What a connection that has gone leaves behind: who to tell that they should look again.
  struct Freed {
    WorkerMask hungry =
        0;                // workers with waiters of this pool, the caller's own perhaps among them
    bool others = false;  // pools of other users or databases were refused by a shared limit
  };
  Freed release();
  int open() const { return open_.load(); }
  int opening() const { return opening_.load(); }

  // --- connections that belong to one client alone (replication)
  /// A client of this worker waits for a connection of its own, or does so no longer: as many
  /// places of the pool are kept free of others, and the worker is told with the hungry ones.
  void want_own(WorkerId worker);
  void forget_own(WorkerId worker, bool last_of_worker);
  int kept_free() const { return kept_free_.load(); }
  /// Such a connection was opened, or is closing.
  void count_own(int change) { own_.fetch_add(change); }
  /// As staying(), without those: what may serve anybody.
  int lendable() const { return staying_.load() - own_.load(); }

  // --- connections on their way out: still open, but not to be counted on
  /// To be called once for each connection, before release().
  void start_closing() { staying_.fetch_sub(1); }
  /// As start_closing(), if `keep` connections remain that are not closing; else false.
  bool start_closing_above(int keep);
  /// Connections that are open or being opened, and not closing.
  int staying() const { return staying_.load(); }

  // --- idle servers and hungry workers
  /// Idle servers of a worker's share, published by that worker.
  void publish_idle(WorkerId worker, uint32_t count) { shares_[worker].idle.store(count); }
  /// As publish_idle(), for a count that went down: nobody can miss anything, so it is cheaper.
  void publish_fewer_idle(WorkerId worker, uint32_t count) {
    shares_[worker].idle.store(count, std::memory_order_release);
  }
  uint32_t idle_of(WorkerId worker) const { return shares_[worker].idle.load(); }
  bool any_idle() const {
    return std::ranges::any_of(shares_, [](const Share& share) { return share.idle.load() > 0; });
  }
  /// A worker other than `me` that has an idle server, leaving the first `skip` such servers to
  /// those who have asked already; `me` if there is none.
  WorkerId find_idle(WorkerId me, uint32_t skip = 0) const;

  /// A worker has waiters that it cannot serve, the oldest since `since`. Writes only what differs.
  void publish_hunger(WorkerId worker, Instant since);
  /// The oldest waiter of a worker, hungry or not, is another now.
  void update_hunger(WorkerId worker, Instant since);
  void clear_hunger(WorkerId worker);
  WorkerMask hungry() const { return hungry_.load(); }
  Instant hungry_since(WorkerId worker) const;
  /// Takes the right to serve a hungry worker with one server; false if another took it first.
  bool claim_hungry(WorkerId worker);

  // --- log-ins that fail, servers that grow old
  /// Failed log-ins: the next attempt is due at retry_at(); the error's text for fast failure.
  void login_failed(Instant retry_at);
  /// The workers to tell that opening is possible again, if it was not.
  WorkerMask login_worked();
  bool failing() const { return failing_.load(); }
  Instant retry_at() const;

  /// A server was closed to make room for another pool: min_pool_size is not to take it back at
  /// once.
  void put_off_minimum(Instant until) {
    minimum_at_.store(until.time_since_epoch().count(), std::memory_order_relaxed);
  }
  Instant minimum_at() const {
    return Instant(Duration(minimum_at_.load(std::memory_order_relaxed)));
  }

  /// Takes the right to close one server whose lifetime is over; given once in `apart`.
  bool claim_expiry(Instant now, Duration apart);
  /// When claim_expiry() can succeed again.
  Instant next_expiry(Duration apart) const;

  /// Connections opened at the same time, at most, for one pool over all workers.
  static constexpr int max_opening = 8;

 private:
  struct alignas(64) Share {
    std::atomic<uint32_t> idle{0};
    std::atomic<int64_t> hungry_since{0};
  };
  static constexpr int64_t never = INT64_MIN;

  Take obstacle(int pool_limit);
  WorkerMask wanting() const { return hungry_.load() | wants_own_.load(); }

  PoolLimits limits_;
  std::vector<Share> shares_;
  // One line that every release of a server reads; written when a connection comes or goes, and
  // when a worker begins or ceases to be hungry.
  alignas(64) std::atomic<WorkerMask> hungry_{0};
  std::atomic<int> open_{0};
  std::atomic<int> staying_{0};
  std::atomic<int> kept_free_{0};
  std::atomic<int> own_{0};
  std::atomic<WorkerMask> wants_own_{0};
  alignas(64) std::atomic<int> opening_{0};
  std::atomic<bool> opening_refused_{false};
  std::atomic<bool> failing_{false};
  std::atomic<int64_t> retry_at_{0};
  std::atomic<int64_t> minimum_at_{0};
  std::atomic<int64_t> last_expiry_{never};
};

}  // namespace headgate
