// What the process knows of databases, users and pools while it runs: exact counts, switches that
// the console flips, and what a pool has learnt (its welcome, its credentials, its last failure).
// Shared by all workers: entries are made and dropped under a lock, live while somebody holds them
// (proxy/hold.h), and have atomics or a lock of their own.
//
// Names that the configuration knows are kept. Those of databases made from `*` come from clients,
// so they are forgotten: at once if nobody has proved himself there, after autodb_idle_timeout if
// nobody uses them, and sooner if there are too many (most_idle).
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "auth/login.h"
#include "base/error.h"
#include "conf/settings.h"
#include "pool/meters.h"
#include "pool/slots.h"
#include "pool/stats.h"
#include "proxy/audit_book.h"
#include "proxy/hold.h"
#include "proxy/hosts.h"
#include "proxy/parameters.h"
#include "proxy/use_board.h"

namespace headgate {

struct DatabaseState : Holdable {
  explicit DatabaseState(std::string n) : name(std::move(n)) {}
  const std::string name;
  Permits servers;                // max_db_connections
  std::atomic<int> listening{0};  // connections that listen for others
  Permits clients;                // max_db_client_connections
  std::atomic<bool> paused{false};
  std::atomic<bool> disabled{false};
  HostTurns hosts;
  /// Somebody has proved himself to be allowed here, or an operator has named it.
  std::atomic<bool> registered{false};

  /// What was counted by pools that have been forgotten, by a worker's share of them: told with
  /// what its other pools count, so that nothing is ever told twice or left out.
  void keep(WorkerId worker, const PoolStats& stats);
  PoolStats kept(WorkerId worker) const;

 private:
  friend class Registry;
  std::optional<Instant> idle_since_;  // guarded by the Registry
  mutable std::mutex mutex_;
  std::map<WorkerId, PoolStats> kept_;
};

struct UserState : Holdable {
  explicit UserState(std::string n) : name(std::move(n)) {}
  const std::string name;
  Permits servers;  // max_user_connections
  std::atomic<int> listening{0};
  Permits clients;  // max_user_client_connections
};

struct Snapshot;

class PoolEntry : public Holdable {
 public:
  /// `at`: the host that it is all about, for reads of `home`; empty: those that its database
  /// wants.
  PoolEntry(uint32_t id, Hold<DatabaseState> of, Hold<UserState> for_whom, size_t workers,
            std::string at, Hold<PoolEntry> home)
      : database(*of),
        user(*for_whom),
        host(std::move(at)),
        shared(id, database.name, user.name, PoolLimits{database.servers, user.servers}, workers),
        held_database_(std::move(of)),
        held_user_(std::move(for_whom)),
        held_home_(std::move(home)) {}

  DatabaseState& database;
  UserState& user;  // the one that logs in to the server
  const std::string host;
  SharedPool shared;
  std::atomic<int> clients{0};    // logged in to this pool, on all workers
  std::atomic<int> elsewhere{0};  // servers that the process has which this one takes over from
  Permits pinned;                 // max_pinned_servers
  AuditBook audits;
  UseBoard uses;

  /// It serves the reads of another pool, at one standby.
  bool is_reader() const { return !host.empty(); }
  /// The pool that clients log in to: this one, or the one whose reads it serves.
  const PoolEntry& home() const { return held_home_ ? *held_home_ : *this; }

  WelcomePtr welcome() const;
  void set_welcome(WelcomePtr welcome);
  /// The keys that a client's SCRAM log-in has taught us.
  std::optional<ScramKeys> keys() const;
  void set_keys(const ScramKeys& keys);
  /// The secret that a client of this user has proved, where it is in no file (auth_query, PAM,
  /// LDAP).
  std::optional<Secret> secret() const;
  void set_secret(const Secret& secret);
  std::optional<Error> last_failure() const;
  void set_last_failure(std::optional<Error> error);
  /// As DatabaseState::keep(), for as long as the pool is known.
  void keep(WorkerId worker, const PoolMeters& meters);
  PoolMeters kept(WorkerId worker) const;

 private:
  friend class Registry;
  const Hold<DatabaseState> held_database_;
  const Hold<UserState> held_user_;
  const Hold<PoolEntry> held_home_;
  std::optional<Instant> idle_since_;  // guarded by the Registry
  mutable std::mutex mutex_;
  WelcomePtr welcome_;
  std::optional<ScramKeys> keys_;
  std::optional<Secret> secret_;
  std::optional<Error> last_failure_;
  std::map<WorkerId, PoolMeters> kept_;
};

class Registry {
 public:
  /// So many databases made from `*` are remembered while nobody uses them.
  static constexpr size_t most_idle = 1000;

  Registry(size_t workers, ConfigPtr config) : workers_(workers), config_(std::move(config)) {}

  /// The entry of this name or number; made if need be.
  Hold<DatabaseState> database(const std::string& name);
  Hold<UserState> user(const std::string& name);
  Hold<PoolEntry> pool(const std::string& database, const std::string& user);
  /// The pool for the reads of `home` at that host.
  Hold<PoolEntry> reader(const Hold<PoolEntry>& home, const std::string& host);
  /// Null where there is none.
  Hold<DatabaseState> known_database(const std::string& name);
  Hold<PoolEntry> pool(uint32_t id);

  /// From now on it is remembered; logged the first time for one made from `*`.
  void remember(DatabaseState& database);
  /// From now on it is not, and that is logged.
  void drop(DatabaseState& database);

  /// New limits, for the entries that are there and those to come.
  void set_limits(ConfigPtr config);

  /// Forgets what nobody holds and nobody needs. Returns the pools that have been idle for so long
  /// that the workers are to let go of them; then the next call forgets those.
  std::vector<uint32_t> tidy(Instant now);
  /// There are many more entries than should be: tidy() should be called before long. Says so once.
  bool crowded();

  /// Adds the rows of databases and users.
  void describe(const Config& config, Snapshot& snapshot);

  /// Entries in the order of their names or numbers.
  std::vector<Hold<DatabaseState>> databases();
  std::vector<Hold<UserState>> users();
  std::vector<Hold<PoolEntry>> pools();

 private:
  using Names = std::tuple<std::string, std::string, std::string>;  // database, user, host

  Hold<PoolEntry> find_pool(Names names, const Hold<PoolEntry>& home);
  DatabaseState& find_database(const std::string& name);
  UserState& find_user(const std::string& name);
  void apply_limits(DatabaseState& database) const;
  void apply_limits(UserState& user) const;
  bool made_from_fallback(const DatabaseState& database) const;
  void forget_strangers();
  void forget_unheld();
  bool given_up(const DatabaseState& database) const;
  void forget_visits(DatabaseState& database) const;
  void give_up_idle_databases(Instant now);
  bool overdue(PoolEntry& pool, Instant now) const;

  const size_t workers_;
  ConfigPtr config_;
  mutable std::mutex mutex_;
  std::map<std::string, DatabaseState> databases_;
  std::map<std::string, UserState> users_;
  std::map<Names, PoolEntry*> by_name_;
  std::map<uint32_t, std::unique_ptr<PoolEntry>> pools_;  // numbers are never used again
  uint32_t next_pool_ = 0;
  size_t strangers_at_most_ = most_idle;
  bool crowded_told_ = false;
};

}  // namespace headgate
