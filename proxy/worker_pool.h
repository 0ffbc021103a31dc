// One worker's end of one pool: carries out what its share (pool/pool.h) decides. Opens servers,
// hands them to waiting clients, passes them to other workers, closes what is too old. Owned by its
// worker.
#pragma once

#include <deque>
#include <memory>

#include "admin/pool_use.h"
#include "base/deadlines.h"
#include "pool/meters.h"
#include "pool/pool.h"
#include "pool/stats.h"
#include "proxy/pool_settings.h"
#include "proxy/readers.h"
#include "proxy/registry.h"

namespace headgate {

class Borrower;
class Client;
class SharedListener;
class Server;
class Subscribers;
class Worker;

class WorkerPool {
 public:
  WorkerPool(Worker& worker, Hold<PoolEntry> entry, PoolSettingsPtr settings);
  ~WorkerPool();

  Worker& worker() { return worker_; }
  PoolEntry& entry() { return *held_; }
  const Hold<PoolEntry>& held() const { return held_; }
  Pool& share() { return share_; }
  const PoolSettings& settings() const { return *settings_; }
  const PoolSettingsPtr& shared_settings() const { return settings_; }
  PoolStats& stats() { return stats_; }
  PoolMeters& meters() { return meters_; }
  /// The server that is being lent is to be looked at behind its client (session_audit).
  bool audit_is_due();
  /// Logged-in clients of this pool on this worker.
  size_t clients() const { return clients_; }
  /// Its database was killed: who waits is told, and the pool is not shown until somebody comes
  /// again.
  void forget(const Error& why);
  bool forgotten() const { return forgotten_ && clients_ == 0; }
  void client_came();
  void client_left();
  /// No client, no server, and no letter on its way that it must be there for.
  bool unused() const;

  /// New settings; servers that no longer fit are closed when they come back.
  void change_settings(PoolSettingsPtr settings);
  /// The database was paused or resumed.
  void apply_pause();
  /// The roles of its database's hosts have changed (proxy/host_monitor.h): servers at a standby
  /// that is not to be read go as they become free, those at a former primary at once.
  void hosts_changed();
  /// What is known of them has changed otherwise.
  void hosts_went_on();
  /// A server of the standby that it serves could not do what the primary can.
  void host_faulted();
  /// Closes all servers as they become free (RECONNECT).
  void reconnect();

  /// Deals with servers that are close_needed and in nobody's use.
  void close_unwanted();

  /// Does what the share wishes for: after anything that may leave a waiter without a server.
  void look_again();
  /// The same a little later, for a client that has just begun to wait: most often one of this
  /// worker's own servers comes back before another worker could send one. At the end of the turn
  /// if none of them is at work; else when `patience` has passed since it began to wait and since
  /// one came back for a client before it, but not later than `longest_patience`: the bound of
  /// promise 4 across workers.
  void look_soon();
  static constexpr Duration patience = milliseconds(1);
  static constexpr Duration longest_patience = milliseconds(4);
  /// What was left for the end of the turn. Returns when a look is due that is not due yet: to be
  /// called again at the end of the next turn, and by then.
  std::optional<Instant> end_turn();
  /// Carries out what has been decided about a free server.
  void settle(Server& server, Grant grant);
  /// The same for one that has been given back: nobody waits for another because of that.
  void settle_returned(Server& server, Grant grant);
  /// Closes what is due, opens what min_pool_size lacks, fails waiters that wait in vain.
  void tend();

  // --- letters from other workers
  void fetch_for(WorkerId asker);
  void server_arrives(std::unique_ptr<Server> server, ParcelPtr parcel, bool fetched);
  void fetch_failed();
  /// Closes the server that has been idle longest, to make room under a shared limit.
  bool evict_one();
  /// Somebody who is linked to a server of this pool wants a database of the same PostgreSQL to
  /// himself: the idle servers in it, of whatever pool, are closed. False: there is none.
  bool vacate(const std::string& database);
  /// Nobody here will be served: the last log-in failed and no server is left.
  void fail_waiters();
  /// A first server has told how it introduces itself: those who log in may go on.
  void welcome_known();

  /// The error for clients when the last log-in failed and no server is left; nothing otherwise.
  std::optional<Error> fast_failure() const;

  // --- replication (proxy/replication.cc)
  /// The client gets a server of its own as soon as there is room for one.
  void ask_own(Client& client);
  void withdraw_own(Client& client);
  void opened_own(Server& server);
  /// How often room is looked for, beside what others tell.
  static constexpr Duration own_retry = milliseconds(100);

  // --- reads at standbys (proxy/client_route.cc); made on first use
  Readers& readers();
  bool has_readers() const { return readers_ != nullptr; }

  // --- clients that listen (proxy/subscribers.h); made on first use
  Subscribers& subscribers();
  bool has_subscribers() const { return subscribers_ != nullptr; }
  /// On the worker of the listening connection.
  SharedListener& listener();
  /// Its limits leave room for a listening connection beside others.
  bool shares_listening() const;
  void client_forgotten(Client& client);
  void drop_listener();
  // --- why clients wait (worker_waits.cc)
  /// What the servers of this share are busy with.
  PoolUse use();
  /// What decides how long clients wait, but for the use of servers.
  PoolNeed need() const;
  /// All of it, of all workers as far as a survey has told it; a moment old.
  const PoolNeed& need_of_all();
  /// Some of its clients will soon have waited for too long: all workers tell what they know.
  void survey();
  /// What a client that has waited for long is told (query_wait_notify).
  std::string why_clients_wait() const;
  /// Clients that wait for a server.
  size_t clients_waiting() const;

  // --- told by servers
  /// A server has introduced itself.
  void login_worked(const WelcomePtr& welcome);
  void login_has_failed(const Error& error);
  void server_gone(Server& server);

 private:
  void tell_readers();
  void open_server();
  void open_own();
  void open_server_for(Client& client);
  void fail_own(const Error& error);
  void end_replication();
  void make_room(Wish::Want want);
  void tell_to_look_again(WorkerMask workers);
  void send_server(Server& server, WorkerId to, bool fetched);
  void call_at_turn_end();
  void pass_on_later();
  std::optional<Instant> look_if_due();
  void fail_all_waiters(const Error& error);
  void send_waiters_elsewhere();
  std::vector<Borrower*> all_waiters();
  void arm_tend();

  Worker& worker_;
  const Hold<PoolEntry> held_;
  PoolEntry& entry_;
  PoolSettingsPtr settings_;
  Pool share_;
  PoolStats stats_;
  PoolMeters meters_;
  Deadline tend_, own_retry_;
  std::unique_ptr<Readers> readers_;
  std::unique_ptr<Subscribers> subscribers_;
  std::unique_ptr<SharedListener> listener_;
  std::deque<Client*> want_own_;
  size_t clients_ = 0;
  int since_audit_ = 0;  // servers lent
  bool forgotten_ = false;
  bool called_at_turn_end_ = false;
  struct KnownNeed {
    PoolNeed need;
    Instant at;
  };
  std::unique_ptr<KnownNeed> need_;
  bool looks_soon_ = false;
  bool passes_on_ = false;
};

}  // namespace headgate
