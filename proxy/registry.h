// What the process knows of databases, users and pools while it runs: exact counts, switches that
// the console flips, and what a pool has learnt (its welcome, its credentials, its last failure).
// Shared by all workers: entries are made under a lock, never removed, and hold atomics or a lock
// of their own. Only names that authenticated users or the configuration brought in get an entry.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "auth/login.h"
#include "base/error.h"
#include "conf/settings.h"
#include "pool/slots.h"
#include "proxy/parameters.h"

namespace headgate {

struct DatabaseState {
  explicit DatabaseState(std::string n) : name(std::move(n)) {}
  const std::string name;
  Permits servers;  // max_db_connections
  Permits clients;  // max_db_client_connections
  std::atomic<bool> paused{false};
  std::atomic<bool> disabled{false};
  std::atomic<uint32_t> next_host{0};  // round robin over a host list
};

struct UserState {
  explicit UserState(std::string n) : name(std::move(n)) {}
  const std::string name;
  Permits servers;  // max_user_connections
  Permits clients;  // max_user_client_connections
};

struct Snapshot;

class PoolEntry {
 public:
  PoolEntry(uint32_t id, DatabaseState& database, UserState& user, size_t workers)
      : shared(id, database.name, user.name, PoolLimits{database.servers, user.servers}, workers),
        database(database),
        user(user) {}

  SharedPool shared;
  DatabaseState& database;
  UserState& user;  // the one that logs in to the server

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

 private:
  mutable std::mutex mutex_;
  WelcomePtr welcome_;
  std::optional<ScramKeys> keys_;
  std::optional<Secret> secret_;
  std::optional<Error> last_failure_;
};

class Registry {
 public:
  Registry(size_t workers, ConfigPtr config) : workers_(workers), config_(std::move(config)) {}

  DatabaseState& database(const std::string& name);
  UserState& user(const std::string& name);
  PoolEntry& pool(const std::string& database, const std::string& user);

  /// New limits, for the entries that are there and those to come.
  void set_limits(ConfigPtr config);

  /// Adds the rows of databases and users.
  void describe(const Config& config, Snapshot& snapshot);

  /// Entries in the order of their names or numbers; the pointers stay valid.
  std::vector<DatabaseState*> databases();
  std::vector<UserState*> users();
  std::vector<PoolEntry*> pools();

 private:
  DatabaseState& find_database(const std::string& name);
  UserState& find_user(const std::string& name);
  void apply_limits(DatabaseState& database) const;
  void apply_limits(UserState& user) const;

  const size_t workers_;
  ConfigPtr config_;
  mutable std::mutex mutex_;
  std::map<std::string, DatabaseState> databases_;
  std::map<std::string, UserState> users_;
  std::map<std::pair<std::string, std::string>, PoolEntry*> by_name_;
  std::vector<std::unique_ptr<PoolEntry>> pools_;
};

}  // namespace headgate
