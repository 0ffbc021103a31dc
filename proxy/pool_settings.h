// The settings that hold for one pool and for one client, resolved: user over database over global
// (PGBOUNCER.md, sections 1.3 and 1.4). Made anew at each reload; immutable in between.
#pragma once

#include <memory>
#include <string>

#include "conf/settings.h"
#include "pool/pool.h"
#include "proxy/io.h"
#include "proxy/tls/context.h"

namespace headgate {

/// What holds for the servers of a pool, by its database entry and the user that logs in to the
/// server.
struct PoolSettings {
  DatabaseEntry entry;
  PoolRules rules;
  PoolMode mode = PoolMode::session;
  SessionPolicy session_state = SessionPolicy::track;
  /// How many prepared statements a server keeps for its clients; 0: they are not tracked.
  int prepared_statements = 0;
  bool prepare_unnamed = false;
  bool defer_begin = false;  // in transaction mode
  StatePolicies policies;    // session_policy
  AuditRate session_audit;
  ReadRouting read_routing = ReadRouting::off;
  ReadConsistency read_consistency;
  int max_pinned_servers = 0;  // 0: no limit
  Duration query_timeout{}, idle_transaction_timeout{}, transaction_timeout{};
  TimeoutAction timeout_action = TimeoutAction::cancel;
  Duration log_min_duration = seconds(-1);  // negative: off
  Duration connect_timeout{}, cancel_wait_timeout{};
  std::string check_query;  // empty: never check
  std::string reset_query;  // empty: no reset
  bool reset_always = false;
  bool fast_close = false;  // server_fast_close, in session mode
  bool disable_pqexec = false;
  bool link_at_login = false;  // in session mode
  SocketOptions socket;
  TlsContextPtr tls;  // null: none
  std::string unix_socket_dir;

  /// The sessions of clients are looked at.
  bool tracks_sessions() const {
    return mode != PoolMode::session && session_state != SessionPolicy::pgbouncer;
  }
  /// What clients say is looked at for whether a replica can run it.
  bool routes() const { return read_routing != ReadRouting::off; }
  bool sends_to_replicas() const { return routes() && read_routing != ReadRouting::report; }
  bool has_timeouts() const {
    return query_timeout.count() + idle_transaction_timeout.count() + transaction_timeout.count() >
           0;
  }
  /// A server made under `other` must not serve clients any more under these settings.
  bool dirties(const PoolSettings& other) const;
};
using PoolSettingsPtr = std::shared_ptr<const PoolSettings>;

SessionPolicy resolve_session_state(const Config& config, const DatabaseEntry& entry,
                                    const std::string& server_user);

PoolSettings resolve_pool(const Config& config, const DatabaseEntry& entry,
                          const std::string& server_user);

/// How hosts take turns, as an operator is shown it; null where there is one only.
const char* shown_balance(const DatabaseEntry& entry);

/// The secret of a user towards servers, if the configuration has one.
std::optional<Secret> secret_for_server(const Config& config, const DatabaseEntry& entry,
                                        const std::string& user);

/// What holds for a client, by the user it logged in as.
struct ClientTimeouts {
  Duration idle{}, query_wait{};
};
ClientTimeouts resolve_client(const Config& config, const DatabaseEntry& entry,
                              const std::string& user);

SocketOptions socket_options(const Settings& settings);

}  // namespace headgate
