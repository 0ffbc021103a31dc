// One worker's share of one pool: its waiting clients, its servers, and the rules by which they
// find each other. It decides, and the caller carries out: no sockets, no clock, no logs. While a
// client finds a server idle on its own worker, and a server given back finds a waiter or nobody
// hungry, the share writes no cache line but its own (it reads one that all share).
//
// What the caller owes:
//   * It calls wish(), carries the answer out, and again until it says `nothing`, after every call
//     that may leave a waiter without a server on its way: ask() that did not lend a server,
//     ask_again(), opened(), tested(), arrived(), fetch_failed(), close() of a server that was not
//     active, gone(), set_rules(), set_paused(false), hand_over() of null, a passed deadline(), and
//     when told to look again. It may call it at any other time. ask() that lent a server, and
//     give_back(), need none.
//   * It delivers every message to another worker: a fetch (answered by hand_over() there), a
//     server (arrived() there) or the news that there was none (fetch_failed() there), and "look
//     again at this pool" to every worker of Grant::look_again and Freed::hungry, itself perhaps
//     among them; Freed::others says to tell every worker to look again at every pool.
//   * After a Grant or a Wish that said wanted_elsewhere: pass_on() at the end of its turn.
//   * When deadline() has passed: retire(), wants_minimum(), wants_replacement(), wish().
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/list.h"
#include "base/time.h"
#include "pool/bounce.h"
#include "pool/server_life.h"
#include "pool/slots.h"

namespace headgate {

/// Somebody who waits for a server: a base of the client session.
class Waiter : public ListNode<Waiter> {
 public:
  bool waiting() const { return linked(); }
  Instant waiting_since() const { return waiting_since_; }

 private:
  friend class Pool;
  Instant waiting_since_{};
};

/// What the pool knows of a server connection: a base of the server session.
class PooledServer : public ListNode<PooledServer> {
 public:
  ServerState state() const { return state_; }
  /// When it entered its state.
  Instant since() const { return since_; }
  /// When its connection was asked for.
  Instant connected_at() const { return connected_at_; }
  /// It must not be lent again: it is closed as soon as it comes back (RECONNECT, changed
  /// configuration, dirt). For an idle one, retire() is to be called next.
  bool close_needed() const { return close_needed_; }
  void set_close_needed() { close_needed_ = true; }

 private:
  friend class Pool;
  ServerState state_ = ServerState::login;
  bool close_needed_ = false;
  bool own_ = false;     // belongs to one client alone
  uint16_t jitter_ = 0;  // of its lifetime, in 1/65536 of the tenth that may vary
  Instant since_{};
  Instant connected_at_{};
  Instant expires_at_ = Instant::max();  // server_lifetime with jitter
};

/// The settings of one pool, resolved (user over database over global).
struct PoolRules {
  int pool_size = 20;  // 0: no limit
  int min_pool_size = 0;
  int reserve_pool_size = 0;
  Duration reserve_pool_timeout = seconds(5);   // 0: no reserve
  Duration server_lifetime = seconds(3600);     // 0: single use
  Duration server_idle_timeout = seconds(600);  // 0: never
  Duration server_login_retry = seconds(15);
  /// Idle for this long: check before lending. No value: never check.
  std::optional<Duration> server_check_delay = seconds(30);
  bool round_robin = false;
  bool forced_user = false;  // min_pool_size holds even without clients
};

/// What a share wants done next.
struct Wish {
  enum class Want : uint8_t {
    nothing,
    lend,   // a server of this share: as Grant::To::waiter
    test,   // an idle server of this share must be checked first, it is in state tested now
    open,   // connect a server; the permits are taken; hand its object to opening() at once
    fetch,  // ask worker `from` to hand over an idle server
    evict_database,  // the database's limit is in the way: close an idle server of another pool
    evict_user,      // the user's limit is in the way
  };
  Want want = Want::nothing;
  WorkerId from = 0;               // fetch
  PooledServer* server = nullptr;  // lend, test
  Waiter* waiter = nullptr;        // lend
  bool reserve = false;            // open: beyond pool_size, "taking connection from reserve_pool"
  bool wanted_elsewhere = false;   // nothing: as Grant::wanted_elsewhere
};

/// What becomes of a server that is free.
struct Grant {
  enum class To : uint8_t {
    idle,    // it stays here, idle
    waiter,  // lend it to `waiter`, who has left the queue
    worker,  // it has left this share: post it to `worker`, who did not fetch it
    close,   // it is not wanted any more, for `reason` (PgBouncer's words); state is closing
  };
  To to = To::idle;
  Waiter* waiter = nullptr;
  WorkerId worker = 0;
  const char* reason = nullptr;
  bool wanted_elsewhere = false;  // idle: pass_on() is to be called at the end of this turn
  WorkerMask look_again = 0;      // opened(): other workers that can open connections again
};

class Pool {
 public:
  Pool(SharedPool& shared, WorkerId me, PoolRules rules);

  SharedPool& shared() { return shared_; }
  const PoolRules& rules() const { return rules_; }
  /// New rules, for the servers that are there too. Then retire() and wish().
  void set_rules(const PoolRules& rules);
  /// Paused: nobody is lent a server, free servers are closed: the idle ones by the retire() that
  /// the caller calls next, others as they come back.
  void set_paused(bool paused, Instant now);
  bool paused() const { return paused_; }

  // --- clients
  /// Asks for a server. The answer is one of three:
  ///   a server in state active: lent to the client, who is not queued;
  ///   a server in state tested: it was idle for long. The client IS queued; the caller runs the
  ///     check query on the server and then calls tested() or close(), whatever became of the
  ///     client, and goes by the Grant: the server's next user may be another client. A check may
  ///     hang, so the caller calls wish() as well;
  ///   null: the client is queued; the caller calls wish().
  PooledServer* ask(Waiter& client, Instant now);
  /// The client waits no longer: it left, was cancelled or timed out.
  void withdraw(Waiter& client, Instant now);
  /// Puts a client that had been granted a server, here or elsewhere, into the queue with its old
  /// time, in front of all that came later: the server was dead, or could not do what was asked.
  void ask_again(Waiter& client, Instant waiting_since, Instant now);
  const List<Waiter>& waiters() const { return waiters_; }
  /// When one of the waiters got a server last.
  Instant last_served() const { return last_served_; }

  // --- servers
  Wish wish(Instant now);
  /// The connection that a wish to open started. State login.
  void opening(PooledServer& server, Instant now, bool own = false);
  /// Its log-in is done.
  Grant opened(PooledServer& server, Instant now);
  /// An exchange is over and the server is clean.
  Grant give_back(PooledServer& server, Instant now);
  /// The server must be reset or checked before anybody else gets it: active to tested.
  void start_test(PooledServer& server, Instant now);
  /// Reset or check worked: as give_back().
  Grant tested(PooledServer& server, Instant now);
  /// A server handed over by another worker has arrived, because fetched or unasked.
  Grant arrived(PooledServer& server, bool fetched, Instant now);
  /// The worker that was asked had none.
  void fetch_failed();
  /// Another worker asks: an idle server that no waiter here needs, which has left this share; or
  /// null, and then the caller calls wish(), because there may be one that a waiter here needs.
  PooledServer* hand_over(Instant now);
  /// After a Grant or a Wish that said wanted_elsewhere, at the end of the turn (most often a
  /// client of this worker has asked for the server by then): an idle server that has left this
  /// share, to be posted to `worker`, who did not fetch it. To be called until it returns nothing.
  struct Passed {
    PooledServer* server;
    WorkerId worker;
  };
  std::optional<Passed> pass_on(Instant now);
  /// The server is being closed, for whatever reason and in whatever state: it leaves its list, its
  /// permits stay taken. Does nothing to one that is closing already.
  void close(PooledServer& server, Instant now);
  /// A log-in failed (before close() of that server).
  void login_failed(Instant now);
  /// No server is opened before that time, for a reason of our own.
  void put_off_opening(Instant until) { shared_.login_failed(until); }
  /// The connection has gone, the server process too as far as can be known. State was closing.
  SharedPool::Freed gone(PooledServer& server);

  /// The server that has been idle longest is to be closed, to make room for another pool; null if
  /// there is none. Somebody who waits there comes before min_pool_size here, as in PgBouncer; what
  /// it lacks then is not opened again for a while, or both would take turns.
  PooledServer* evict(Instant now);

  // --- connections that belong to one client alone, and are never idle or lent to another
  /// A client waits for one: others make room, here by the retire() that the caller calls next, and
  /// on every worker. forget_own() ends that; who is hungry then is to be told to look again.
  void want_own();
  WorkerMask forget_own(bool last_of_worker);
  /// Takes a permit, of the reserve too. Then opening() of it with `own`.
  SharedPool::Take take_own();
  /// Its log-in is done, it is active now. Who is to be told to look again.
  WorkerMask opened_own(PooledServer& server, Instant now);

  // --- time
  /// When the caller must look after this share at the latest (see above); may be too early, but
  /// never again and again.
  std::optional<Instant> deadline(Instant now) const;
  /// Appends the idle servers that are to go now (too old, idle too long, too many, paused,
  /// close_needed), each with its reason; they are closing already, and the caller closes them.
  struct Retired {
    PooledServer* server;
    const char* reason;
  };
  void retire(Instant now, std::vector<Retired>& out);
  /// Servers missing for min_pool_size: true takes a permit as a wish to open does, and the caller
  /// asks again.
  bool wants_minimum(bool has_clients, Instant now);

  /// True: a server that is in use will soon be too old, nothing else is idle, and the limits allow
  /// one more; a permit is taken as by a wish to open, so that nobody waits for its replacement.
  bool wants_replacement(Instant now);

  // --- for SHOW
  /// `used` are the idle ones that must be checked before they are lent; they are not in `idle`.
  struct Counts {
    uint32_t login = 0, idle = 0, used = 0, active = 0, tested = 0, closing = 0;
  };
  Counts counts(Instant now) const;
  /// Calls visit(PooledServer&) for each server of this share.
  template <class Visit>
  void for_each_server(Visit&& visit) {
    for (auto& list : servers_) list.for_each(visit);
  }
  /// No waiter, no server, and no answer of another worker awaited.
  bool unused() const;
  /// Servers lent to clients of this share.
  size_t active() const { return in(ServerState::active).size(); }
  /// Servers that left this share for another worker.
  uint64_t handed_over() const { return handed_over_; }

  /// How much older a waiter elsewhere must be to be served before one's own. Ages of others are
  /// known to within hunger_step, so the bound on unfairness between workers is the sum of both,
  /// and the time until the next server is given back.
  static constexpr Duration fairness_bound = milliseconds(5);
  /// By how much the age of the oldest waiter may move before it is published anew.
  static constexpr Duration hunger_step = milliseconds(1);
  /// A server that is being checked or reset is counted on by somebody who waits for this long;
  /// then another is looked for.
  static constexpr Duration test_patience = milliseconds(200);
  /// Where servers bounce, a new one is waited for this long before one is fetched after all.
  static constexpr Duration opening_patience = milliseconds(200);
  /// Evictions asked for are given this long to help before more are asked for.
  static constexpr Duration eviction_time = milliseconds(100);
  /// How often missing servers of min_pool_size are looked at, and when after an eviction.
  static constexpr Duration minimum_interval = seconds(1);
  static constexpr Duration minimum_after_eviction = seconds(5);
  /// A replacement is opened this long before a lifetime ends, or a twentieth of it if that is
  /// less.
  static constexpr Duration replaced_before = seconds(2);

 private:
  // lending (pool.cc)
  List<PooledServer>& in(ServerState state) { return servers_[static_cast<size_t>(state)]; }
  const List<PooledServer>& in(ServerState state) const {
    return servers_[static_cast<size_t>(state)];
  }
  bool stale(const PooledServer& server, Instant now) const;
  PooledServer* pick(Instant now);
  PooledServer* pick_slowly(Instant now);
  Grant place(PooledServer& server, Instant now, bool check_first = false);
  bool sound(const PooledServer& server, Instant now) const;
  bool others_hungry() const { return (shared_.hungry() & others_) != 0; }
  WorkerId claim_hungry(bool needed_here);
  Waiter* lend_to_first(PooledServer& server, Instant now);
  void lend(PooledServer& server, Instant now);
  void leave(PooledServer& server);
  void move(PooledServer& server, ServerEvent event, Instant now);
  void insert_idle(PooledServer& server, bool newest);
  void publish_fewer();

  // wishes (pool_wish.cc)
  size_t on_their_way(Instant now) const;
  bool starving(Instant now) const { return !paused_ && waiters_.size() > on_their_way(now); }
  void publish_hunger();
  void settle_hunger(Instant now);
  Wish wish_for_own(Instant now);
  Wish nothing_to_wish(Instant now);
  Wish wish_to_open(size_t missing, Instant now);
  Wish wish_to_evict(Wish::Want want, size_t missing, Instant now);
  Wish taken();
  SharedPool::Take try_open(int limit);
  size_t logging_in() const;
  int most_now(Instant now) const;
  bool backing_off(Instant now) const;
  std::optional<Instant> next_wish() const;

  // upkeep (pool_upkeep.cc)
  const char* condemn(PooledServer& server, Instant now);
  bool claim_surplus();
  bool surplus() const { return shared_.staying() + shared_.kept_free() > most_; }
  const char* surplus_reason() const;
  int least() const;
  Duration expiry_gap() const;
  const PooledServer& warmest() const;
  PooledServer& coldest();
  const PooledServer& coldest() const;
  void set_expiry(PooledServer& server);
  std::optional<Instant> next_retirement(Instant now) const;
  std::optional<Instant> next_minimum() const;
  Duration replacement_lead() const;
  std::optional<Instant> next_replacement() const;

  SharedPool& shared_;
  const WorkerId me_;
  const WorkerMask others_;
  PoolRules rules_;
  Duration check_after_{};  // server_check_delay
  int most_ = 0;            // servers above this number are surplus
  bool paused_ = false;
  bool hungry_here_ = false;  // we have published hunger since it was last cleared by us
  bool minimum_wanted_ = false;
  List<Waiter> waiters_;
  List<PooledServer> servers_[server_states];  // the idle ones: the next to be lent in front
  uint32_t fetching_ = 0;
  uint32_t evicting_ = 0;
  uint32_t opened_ = 0;
  uint64_t handed_over_ = 0;
  BounceMeter bounces_;
  Instant hungry_since_{};                // as published
  Instant next_expiry_ = Instant::max();  // no idle server expires earlier
  Instant evicting_until_{};
  Instant last_served_ = Instant::min();
  Instant last_wish_ = Instant::min();
  Instant last_minimum_{};
  Instant replaced_until_{};  // expiries up to here have been seen to
};

}  // namespace headgate
