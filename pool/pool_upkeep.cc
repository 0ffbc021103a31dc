// What time and changed rules do to the servers of a share: lifetimes, idle time, limits, pause.
#include <algorithm>
#include <climits>

#include "pool/pool.h"

namespace headgate {

void Pool::set_rules(const PoolRules& rules) {
  rules_ = rules;
  most_ = rules.pool_size > 0 ? rules.pool_size + std::max(rules.reserve_pool_size, 0) : INT_MAX;
  check_after_ = rules.server_check_delay.value_or(Duration::max());
  next_expiry_ = Instant::max();
  for_each_server([&](PooledServer& server) {
    set_expiry(server);
    if (server.state_ == ServerState::idle)
      next_expiry_ = std::min(next_expiry_, server.expires_at_);
  });
}

void Pool::set_paused(bool paused, Instant now) {
  paused_ = paused;
  settle_hunger(now);
}

int Pool::least() const {
  return rules_.pool_size > 0 ? std::min(rules_.min_pool_size, rules_.pool_size)
                              : rules_.min_pool_size;
}

// Lifetimes end one after the other, even if all servers were opened at once.
Duration Pool::expiry_gap() const {
  return rules_.pool_size > 0 ? rules_.server_lifetime / rules_.pool_size : Duration::zero();
}

void Pool::set_expiry(PooledServer& server) {
  bool in_use = server.state_ == ServerState::active || server.state_ == ServerState::tested;
  if (rules_.server_lifetime > Duration::zero()) {
    Duration spread = rules_.server_lifetime / 10;
    Duration earlier = Duration(spread.count() / 65536 * server.jitter_ +
                                spread.count() % 65536 * server.jitter_ / 65536);
    server.expires_at_ = server.connected_at_ + rules_.server_lifetime - earlier;
  } else {
    server.expires_at_ = in_use ? server.connected_at_ : Instant::max();
  }
}

// Why a free server must not be kept, and then it counts as closing; else null.
const char* Pool::condemn(PooledServer& server, Instant now) {
  const char* reason = nullptr;
  if (server.close_needed_) {
    reason = "close_needed";
  } else if (paused_) {
    reason = "pause mode";
  } else if (server.expires_at_ <= now && shared_.claim_expiry(now, expiry_gap())) {
    reason = "server lifetime over";
  } else {
    return claim_surplus() ? surplus_reason() : nullptr;
  }
  shared_.start_closing();
  return reason;
}

bool Pool::claim_surplus() {
  return surplus() && shared_.start_closing_above(most_ - shared_.kept_free());
}

const char* Pool::surplus_reason() const {
  return shared_.staying() < most_ ? "evicted" : "too many servers in the pool";
}

const PooledServer& Pool::warmest() const {
  auto& idle = const_cast<Pool*>(this)->in(ServerState::idle);
  return rules_.round_robin ? idle.back() : idle.front();
}

PooledServer& Pool::coldest() {
  auto& idle = in(ServerState::idle);
  return rules_.round_robin ? idle.front() : idle.back();
}

const PooledServer& Pool::coldest() const { return const_cast<Pool*>(this)->coldest(); }

PooledServer* Pool::evict(Instant now) {
  if (in(ServerState::idle).empty()) return nullptr;
  shared_.put_off_minimum(now + minimum_after_eviction);
  return &coldest();
}

void Pool::retire(Instant now, std::vector<Retired>& out) {
  auto& idle = in(ServerState::idle);
  auto shut = [&](PooledServer& server, const char* reason) {
    move(server, ServerEvent::close, now);
    out.push_back({&server, reason});
  };
  while (!idle.empty() && claim_surplus()) shut(coldest(), surplus_reason());
  next_expiry_ = Instant::max();
  idle.for_each([&](PooledServer& server) {
    if (const char* reason = condemn(server, now)) {
      shut(server, reason);
    } else {
      next_expiry_ = std::min(next_expiry_, server.expires_at_);
    }
  });
  Duration timeout = rules_.server_idle_timeout;
  while (timeout > Duration::zero() && !idle.empty() && coldest().since_ + timeout <= now &&
         shared_.start_closing_above(least())) {
    shut(coldest(), "server idle timeout");
  }
  publish_fewer();
}

bool Pool::wants_minimum(bool has_clients, Instant now) {
  last_minimum_ = now;
  minimum_wanted_ = has_clients || rules_.forced_user;
  int wanted = least();
  if (!minimum_wanted_ || paused_ || shared_.staying() >= wanted) return false;
  if (backing_off(now) || now < shared_.minimum_at()) return false;
  return shared_.try_open(wanted) == SharedPool::Take::taken;
}

Duration Pool::replacement_lead() const {
  return std::min<Duration>(replaced_before, rules_.server_lifetime / 20);
}

bool Pool::wants_replacement(Instant now) {
  const auto due = next_replacement();
  if (!due || *due > now) return false;
  replaced_until_ = now + replacement_lead();
  const bool spare = in(ServerState::idle).size() > 1 || shared_.find_idle(me_) != me_;
  if (spare || paused_ || backing_off(now) || shared_.opening() > 0) return false;
  return shared_.try_open(rules_.pool_size) == SharedPool::Take::taken;
}

// --- when to look again

std::optional<Instant> Pool::deadline(Instant now) const {
  std::optional<Instant> first;
  for (auto next : {next_wish(), next_retirement(now), next_minimum(), next_replacement()}) {
    if (next && (!first || *next < *first)) first = next;
  }
  return first;
}

std::optional<Instant> Pool::next_retirement(Instant now) const {
  if (in(ServerState::idle).empty()) return std::nullopt;
  int staying = shared_.staying();
  if (paused_ || surplus()) return now;
  std::optional<Instant> next;
  if (next_expiry_ != Instant::max()) {
    next = std::max(next_expiry_, shared_.next_expiry(expiry_gap()));
  }
  if (rules_.server_idle_timeout > Duration::zero() && staying > least()) {
    Instant at = coldest().since_ + rules_.server_idle_timeout;
    if (!next || at < *next) next = at;
  }
  return next;
}

std::optional<Instant> Pool::next_minimum() const {
  if (!minimum_wanted_ || paused_ || shared_.staying() >= least()) return std::nullopt;
  Instant next = std::max(last_minimum_ + minimum_interval, shared_.minimum_at());
  return shared_.failing() ? std::max(next, shared_.retry_at()) : next;
}

// Only for servers that are in use (or were, just now), and if there is room beside them.
std::optional<Instant> Pool::next_replacement() const {
  if (in(ServerState::idle).empty() || next_expiry_ == Instant::max()) return std::nullopt;
  if (rules_.server_lifetime <= Duration::zero() || next_expiry_ <= replaced_until_) {
    return std::nullopt;
  }
  if (rules_.pool_size > 0 && shared_.staying() >= rules_.pool_size) return std::nullopt;
  const Instant at = next_expiry_ - replacement_lead();
  if (warmest().since_ + replaced_before < at) return std::nullopt;
  return at;
}

// --- for SHOW

Pool::Counts Pool::counts(Instant now) const {
  auto size = [&](ServerState state) { return static_cast<uint32_t>(in(state).size()); };
  Counts counts{.login = size(ServerState::login),
                .active = size(ServerState::active),
                .tested = size(ServerState::tested),
                .closing = size(ServerState::closing)};
  in(ServerState::idle).for_each([&](const PooledServer& server) {
    ++(stale(server, now) ? counts.used : counts.idle);
  });
  return counts;
}

}  // namespace headgate
