// What a share wants done for its waiters: servers of its own, of other workers, or new ones.
#include <algorithm>

#include "pool/pool.h"

namespace headgate {

// Hunger is published before the looking: whoever frees a server or a permit after we have looked
// sees it, so that `nothing` may be answered with a clear conscience.
Wish Pool::wish(Instant now) {
  last_wish_ = now;
  if (Wish own = wish_for_own(now); own.want != Wish::Want::nothing) return own;
  if (!starving(now)) return nothing_to_wish(now);
  publish_hunger();
  size_t coming = on_their_way(now) + logging_in();
  size_t missing = waiters_.size() > coming ? waiters_.size() - coming : 0;
  if (bounces_.bouncing(now) && now - waiters_.front().waiting_since_ < opening_patience) {
    if (missing == 0) return Wish{};
    if (!backing_off(now) && try_open(most_now(now)) == SharedPool::Take::taken) {
      return taken();
    }
  }
  // Also for those whose server is logging in: one that is idle now is better.
  if (WorkerId from = shared_.find_idle(me_, fetching_); from != me_) {
    ++fetching_;
    return Wish{.want = Wish::Want::fetch, .from = from};
  }
  return missing > 0 && !backing_off(now) ? wish_to_open(missing, now) : Wish{};
}

// Idle servers that were kept for waiters of our own, who have others on their way by now, are for
// those elsewhere.
Wish Pool::nothing_to_wish(Instant now) {
  settle_hunger(now);
  if (!pick(now)) return Wish{};
  shared_.publish_idle(me_, static_cast<uint32_t>(in(ServerState::idle).size()));
  return Wish{.wanted_elsewhere = others_hungry()};
}

// Idle servers beside waiters: after a client was put back, after a pause, or stale ones.
Wish Pool::wish_for_own(Instant now) {
  PooledServer* server = waiters_.empty() ? nullptr : pick(now);
  if (!server) return Wish{};
  if (!stale(*server, now)) {
    Waiter* client = lend_to_first(*server, now);
    publish_fewer();
    return Wish{.want = Wish::Want::lend, .server = server, .waiter = client};
  }
  if (!starving(now)) return Wish{};
  move(*server, ServerEvent::check, now);
  publish_fewer();
  return Wish{.want = Wish::Want::test, .server = server};
}

// Those that anybody may get.
size_t Pool::logging_in() const {
  size_t count = 0;
  in(ServerState::login).for_each([&](const PooledServer& server) { count += !server.own_; });
  return count;
}

// A place that is kept for a client that needs a connection of its own is not there for others.
SharedPool::Take Pool::try_open(int limit) {
  if (limit == 0) return shared_.try_open(0);
  const int places = limit - shared_.kept_free();
  return places > 0 ? shared_.try_open(places) : SharedPool::Take::pool_full;
}

size_t Pool::on_their_way(Instant now) const {
  size_t coming = fetching_;
  in(ServerState::tested).for_each([&](const PooledServer& server) {
    coming += now - server.since_ < test_patience;
  });
  return coming;
}

Wish Pool::wish_to_open(size_t missing, Instant now) {
  switch (try_open(most_now(now))) {
    case SharedPool::Take::taken:
      return taken();
    case SharedPool::Take::database_full:
      return wish_to_evict(Wish::Want::evict_database, missing, now);
    case SharedPool::Take::user_full:
      return wish_to_evict(Wish::Want::evict_user, missing, now);
    case SharedPool::Take::pool_full:
    case SharedPool::Take::opening_enough:
      break;
  }
  return Wish{};
}

Wish Pool::taken() {
  if (evicting_ > 0) --evicting_;
  bool reserve = rules_.pool_size > 0 && shared_.open() > rules_.pool_size;
  return Wish{.want = Wish::Want::open, .reserve = reserve};
}

// One eviction for each missing server, and no more until they had time to help; the permit that an
// eviction frees may also go to somebody else, or there may be nothing to evict yet.
Wish Pool::wish_to_evict(Wish::Want want, size_t missing, Instant now) {
  if (now >= evicting_until_) evicting_ = 0;
  if (evicting_ >= std::min(missing, size_t{SharedPool::max_opening})) return Wish{};
  if (evicting_++ == 0) evicting_until_ = now + eviction_time;
  return Wish{.want = want};
}

int Pool::most_now(Instant now) const {
  bool reserve = rules_.reserve_pool_timeout > Duration::zero() && !waiters_.empty() &&
                 now - waiters_.front().waiting_since_ >= rules_.reserve_pool_timeout;
  return reserve && rules_.pool_size > 0 ? most_ : rules_.pool_size;
}

bool Pool::backing_off(Instant now) const { return shared_.failing() && now < shared_.retry_at(); }

void Pool::publish_hunger() {
  Instant oldest = waiters_.front().waiting_since_;
  if (!hungry_here_ || std::chrono::abs(oldest - hungry_since_) > hunger_step) {
    hungry_since_ = oldest;
  }
  hungry_here_ = true;
  shared_.publish_hunger(me_, hungry_since_);
}

// After the queue has changed: takes published hunger back if there is none, and keeps its age
// right.
void Pool::settle_hunger(Instant now) {
  if (!hungry_here_) return;
  if (!starving(now)) {
    hungry_here_ = false;
    shared_.clear_hunger(me_);
    return;
  }
  Instant oldest = waiters_.front().waiting_since_;
  if (std::chrono::abs(oldest - hungry_since_) <= hunger_step) return;
  hungry_since_ = oldest;
  shared_.update_hunger(me_, oldest);
}

// When time alone may change the answer of wish().
std::optional<Instant> Pool::next_wish() const {
  if (waiters_.empty() || paused_) return std::nullopt;
  std::optional<Instant> next;
  auto consider = [&](Instant at) {
    if (at > last_wish_ && (!next || at < *next)) next = at;
  };
  if (rules_.pool_size > 0 && most_ > rules_.pool_size &&
      rules_.reserve_pool_timeout > Duration::zero()) {
    consider(waiters_.front().waiting_since_ + rules_.reserve_pool_timeout);
  }
  if (shared_.failing()) consider(shared_.retry_at());
  if (!in(ServerState::login).empty()) {
    consider(waiters_.front().waiting_since_ + opening_patience);
  }
  if (evicting_ > 0) consider(evicting_until_);
  in(ServerState::tested).for_each([&](const PooledServer& server) {
    consider(server.since_ + test_patience);
  });
  return next;
}

}  // namespace headgate
