#include "pool/pool.h"

#include <algorithm>

namespace headgate {

Pool::Pool(SharedPool& shared, WorkerId me, PoolRules rules)
    : shared_(shared), me_(me), others_(~mask_of(me)) {
  set_rules(rules);
}

// --- clients

PooledServer* Pool::ask(Waiter& client, Instant now) {
  PooledServer* server = pick(now);
  bool check_first = server && stale(*server, now);
  if (server && !check_first && waiters_.empty()) {
    lend(*server, now);
    publish_fewer();
    return server;
  }
  client.waiting_since_ = now;
  waiters_.push_back(client);
  if (!check_first) return nullptr;
  move(*server, ServerEvent::check, now);
  publish_fewer();
  return server;
}

void Pool::withdraw(Waiter& client, Instant now) {
  waiters_.remove(client);
  settle_hunger(now);
}

void Pool::ask_again(Waiter& client, Instant waiting_since, Instant now) {
  client.waiting_since_ = waiting_since;
  waiters_.insert_before(
      client, [&](const Waiter& other) { return other.waiting_since() >= waiting_since; });
  settle_hunger(now);
}

// --- servers that come, are free, and go

void Pool::opening(PooledServer& server, Instant now, bool own) {
  MUST(server.state_ == ServerState::login);
  server.own_ = own;
  server.since_ = server.connected_at_ = now;
  in(ServerState::login).push_back(server);
}

Grant Pool::opened(PooledServer& server, Instant now) {
  // Spreads bits that differ little; the servers of one moment must not expire in one moment.
  auto seed = static_cast<uint64_t>(server.connected_at_.time_since_epoch().count()) ^
              (uint64_t{me_} << 48) ^ (uint64_t{++opened_} << 32);
  server.jitter_ = static_cast<uint16_t>((seed * 0x9E3779B97F4A7C15) >> 48);
  set_expiry(server);
  move(server, ServerEvent::login_done, now);
  WorkerMask told = shared_.opening_done() | shared_.login_worked();
  Grant grant = place(server, now);
  grant.look_again = told & others_;
  return grant;
}

Grant Pool::give_back(PooledServer& server, Instant now) {
  move(server, ServerEvent::return_clean, now);
  return place(server, now);
}

void Pool::start_test(PooledServer& server, Instant now) {
  move(server, ServerEvent::return_dirty, now);
}

Grant Pool::tested(PooledServer& server, Instant now) {
  move(server, ServerEvent::test_done, now);
  return place(server, now);
}

Grant Pool::arrived(PooledServer& server, bool fetched, Instant now) {
  MUST(server.state_ == ServerState::idle);
  if (fetched) fetch_failed();
  bounces_.count_arrival();
  set_expiry(server);  // the rules may have changed while it was on its way
  // It may have been idle for longer than those that are here.
  auto& idle = in(ServerState::idle);
  insert_idle(server, idle.empty() || server.since_ >= warmest().since_);
  return place(server, now, stale(server, now));
}

void Pool::fetch_failed() {
  MUST(fetching_ > 0);
  --fetching_;
}

PooledServer* Pool::hand_over(Instant now) {
  PooledServer* server = pick(now);
  if (!server) {
    // Whoever asked must not find the same count again, or it would ask again and again.
    shared_.publish_fewer_idle(me_, 0);
    return nullptr;
  }
  if (starving(now)) return nullptr;  // our own wish takes it
  leave(*server);
  publish_fewer();
  return server;
}

void Pool::close(PooledServer& server, Instant now) {
  ServerState state = server.state_;
  if (state == ServerState::closing) return;
  if (server.own_) shared_.count_own(-1);
  shared_.start_closing();
  move(server, ServerEvent::close, now);
  if (state == ServerState::idle) publish_fewer();
  // Nobody need be told of the free place now: gone() tells everybody who is hungry.
  if (state == ServerState::login) shared_.opening_done();
}

void Pool::login_failed(Instant now) { shared_.login_failed(now + rules_.server_login_retry); }

SharedPool::Freed Pool::gone(PooledServer& server) {
  MUST(server.state_ == ServerState::closing);
  in(ServerState::closing).remove(server);
  return shared_.release();
}

// --- connections that belong to one client alone

void Pool::want_own() { shared_.want_own(me_); }

WorkerMask Pool::forget_own(bool last_of_worker) {
  shared_.forget_own(me_, last_of_worker);
  return shared_.hungry();
}

SharedPool::Take Pool::take_own() {
  const auto take = shared_.try_open(rules_.pool_size > 0 ? most_ : 0);
  if (take == SharedPool::Take::taken) shared_.count_own(1);
  return take;
}

WorkerMask Pool::opened_own(PooledServer& server, Instant now) {
  move(server, ServerEvent::login_done, now);
  move(server, ServerEvent::lend, now);
  return shared_.opening_done() & others_;
}

// --- lending

bool Pool::stale(const PooledServer& server, Instant now) const {
  return now - server.since_ >= check_after_;
}

// The idle server to lend next, if it may be lent at all; a fresh one rather than a stale one.
PooledServer* Pool::pick(Instant now) {
  auto& idle = in(ServerState::idle);
  if (idle.empty() || paused_) return nullptr;
  PooledServer& first = idle.front();
  if (!first.close_needed_ && !stale(first, now)) [[likely]]
    return &first;
  return pick_slowly(now);
}

PooledServer* Pool::pick_slowly(Instant now) {
  PooledServer* fresh = nullptr;
  PooledServer* any = nullptr;
  in(ServerState::idle).for_each([&](PooledServer& server) {
    if (server.close_needed_) return;
    if (!any) any = &server;
    if (!fresh && !stale(server, now)) fresh = &server;
  });
  return fresh ? fresh : any;
}

// Whether nothing speaks against keeping a free server; condemn() says what.
bool Pool::sound(const PooledServer& server, Instant now) const {
  return !server.close_needed_ && !paused_ && now < server.expires_at_ && !surplus();
}

// Decides about a server that has just become idle, and is not published yet.
Grant Pool::place(PooledServer& server, Instant now, bool check_first) {
  if (!sound(server, now)) [[unlikely]] {
    if (const char* reason = condemn(server, now)) {
      move(server, ServerEvent::close, now);
      return Grant{.to = Grant::To::close, .reason = reason};
    }
  }
  if (!waiters_.empty() && !check_first) {
    if (WorkerId worker = claim_hungry(true); worker != me_) {
      leave(server);
      return Grant{.to = Grant::To::worker, .worker = worker};
    }
    return Grant{.to = Grant::To::waiter, .waiter = lend_to_first(server, now)};
  }
  // Published before the looking: somebody may become hungry at this moment.
  shared_.publish_idle(me_, static_cast<uint32_t>(in(ServerState::idle).size()));
  return Grant{.wanted_elsewhere = others_hungry()};
}

std::optional<Pool::Passed> Pool::pass_on(Instant now) {
  if (!others_hungry()) return std::nullopt;
  PooledServer* server = pick(now);
  if (!server) return std::nullopt;
  WorkerId worker = claim_hungry(starving(now));
  if (worker == me_) return std::nullopt;
  leave(*server);
  publish_fewer();
  return Passed{server, worker};
}

// The worker hungry for longest, which will have the server; `me_` if there is none, or if the
// server is needed here and nobody there is much older.
WorkerId Pool::claim_hungry(bool needed_here) {
  const Instant before =
      needed_here ? waiters_.front().waiting_since_ - fairness_bound : Instant::max();
  for (;;) {  // somebody else has got on each time this goes round again
    WorkerId hungriest = me_;
    Instant first = before;
    WorkerMask others = shared_.hungry() & others_;
    for (; others != 0; others &= others - 1) {
      auto worker = static_cast<WorkerId>(__builtin_ctzll(others));
      Instant since = shared_.hungry_since(worker);
      if (since >= first) continue;
      first = since;
      hungriest = worker;
    }
    if (hungriest == me_ || shared_.claim_hungry(hungriest)) return hungriest;
  }
}

Waiter* Pool::lend_to_first(PooledServer& server, Instant now) {
  Waiter* client = waiters_.pop_front();
  last_served_ = now;
  lend(server, now);
  settle_hunger(now);
  return client;
}

void Pool::lend(PooledServer& server, Instant now) {
  move(server, ServerEvent::lend, now);
  bounces_.count_assignment();
  if (rules_.server_lifetime == Duration::zero()) server.expires_at_ = now;
}

bool Pool::unused() const {
  return waiters_.empty() && fetching_ == 0 &&
         std::ranges::all_of(servers_, [](const auto& list) { return list.empty(); });
}

// --- lists

void Pool::leave(PooledServer& server) {
  in(ServerState::idle).remove(server);
  ++handed_over_;
}

void Pool::move(PooledServer& server, ServerEvent event, Instant now) {
  auto next = after(server.state_, event);
  MUST(next);
  in(server.state_).remove(server);
  server.state_ = *next;
  server.since_ = now;
  if (*next == ServerState::idle) {
    insert_idle(server, true);
  } else {
    in(*next).push_back(server);
  }
}

// The one lent next is in front: the last to come back, or with round robin the first.
void Pool::insert_idle(PooledServer& server, bool newest) {
  if (server.expires_at_ < next_expiry_) next_expiry_ = server.expires_at_;
  if (newest != rules_.round_robin) {
    in(ServerState::idle).push_front(server);
  } else {
    in(ServerState::idle).push_back(server);
  }
}

void Pool::publish_fewer() {
  shared_.publish_fewer_idle(me_, static_cast<uint32_t>(in(ServerState::idle).size()));
}

}  // namespace headgate
