// The settings as values: what a configuration file says, after checking. A Config is an immutable
// snapshot; the process publishes a new one at a reload and every worker swaps its pointer between
// two turns. Code receives the values it needs and never reads a global.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/hba.h"
#include "auth/method.h"
#include "auth/userlist.h"
#include "base/time.h"
#include "conf/audit_rate.h"
#include "conf/read_consistency.h"
#include "conf/state_policies.h"

namespace headgate {

enum class PoolMode : uint8_t { session, transaction, statement };
enum class SslMode : uint8_t { disable, allow, prefer, require, verify_ca, verify_full };
enum class LoadBalance : uint8_t { round_robin, disable };

/// Which of its hosts the servers of a database are at (target_session_attrs, as in libpq).
enum class TargetRole : uint8_t { any, primary, standby, prefer_standby };
/// Which transactions of a database with a primary and standbys are sent to the latter: none; those
/// that are declared to read; none, but what could be is counted; or plain reads, too.
enum class ReadRouting : uint8_t { off, declared, report, automatic };
/// What happens to a query whose time is up: cancel it and keep both connections, or close the
/// client's with an error, as PgBouncer does, and have the server cleaned up.
enum class TimeoutAction : uint8_t { cancel, close };
/// What becomes of the sessions of clients that share servers: settings follow them and the rest
/// pins them; besides, code that cannot be looked into is assumed to have left something; or
/// nothing but the parameters that servers report is cared for.
enum class SessionPolicy : uint8_t { track, strict, pgbouncer };
/// The SQLSTATEs of Headgate's own errors: PostgreSQL's for the like, or PgBouncer's 08P01.
enum class ErrorCodes : uint8_t { postgres, pgbouncer };
/// Lines of the log: PgBouncer's, or objects of JSON.
enum class LogFormat : uint8_t { pgbouncer, json };

/// How many names track_extra_parameters may have.
constexpr size_t most_extra_parameters = 27;

/// Section [pgbouncer]. Each member is one row of the table in conf/settings_table.cc; a Duration
/// of zero means "off" where PgBouncer's 0 does.
struct Settings {
  // listening
  std::string listen_addr;
  int listen_port = 6432;
  int read_port = 0;  // 0: none
  int listen_backlog = 128;
  std::string unix_socket_dir = "/tmp";
  int unix_socket_mode = 0777;
  std::string unix_socket_group;
  bool so_reuseport = false;
  bool tcp_defer_accept = true;
  bool tcp_keepalive = true;
  int tcp_keepcnt = 0;
  int tcp_keepidle = 0;
  int tcp_keepintvl = 0;
  int tcp_socket_buffer = 0;
  int tcp_user_timeout = 0;
  // what an operator reads by HTTP: Headgate's own
  std::string http_addr = "127.0.0.1";
  int http_port = 0;                         // 0: none
  std::optional<std::string> http_password;  // none: anybody may read
  // process
  int workers = 0;  // 0: as many as this process may use CPUs
  std::string logfile;
  std::string pidfile;
  std::string user;
  bool syslog = false;
  std::string syslog_ident = "pgbouncer";
  std::string syslog_facility = "daemon";
  int verbose = 0;
  // authentication
  AuthMethod auth_type = AuthMethod::md5;
  std::optional<std::string> auth_file;
  std::string auth_hba_file;
  std::optional<std::string> auth_ident_file;
  std::optional<std::string> auth_user;
  std::optional<std::string> auth_dbname;
  static constexpr const char* default_auth_query =
      "SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END "
      "FROM pg_authid WHERE rolname=$1 AND rolcanlogin";
  std::string auth_query = default_auth_query;
  int scram_iterations = 4096;
  std::string admin_users;
  std::string stats_users;
  // pools
  PoolMode pool_mode = PoolMode::session;
  SessionPolicy session_state = SessionPolicy::track;
  StatePolicies session_policy;
  AuditRate session_audit;
  int max_pinned_servers = 0;
  bool link_at_login = false;  // Headgate's own
  int default_pool_size = 20;
  int min_pool_size = 0;
  int reserve_pool_size = 0;
  Duration reserve_pool_timeout = seconds(5);
  int max_client_conn = 100;
  int max_db_connections = 0;
  int max_user_connections = 0;
  int max_db_client_connections = 0;
  int max_user_client_connections = 0;
  bool server_round_robin = false;
  // servers
  Duration server_lifetime = seconds(3600);
  Duration server_idle_timeout = seconds(600);
  Duration server_connect_timeout = seconds(15);
  Duration server_login_retry = seconds(15);
  std::string server_check_query = "<empty>";
  Duration server_check_delay = seconds(30);
  std::string server_reset_query = "DISCARD ALL";
  bool server_reset_query_always = false;
  bool server_fast_close = false;
  Duration dns_max_ttl = seconds(15);
  Duration dns_nxdomain_ttl = seconds(15);
  // hosts and their roles: Headgate's own
  std::optional<std::string> monitor_user;
  Duration monitor_interval = milliseconds(250);
  Duration monitor_timeout = seconds(1);
  Duration max_replica_lag{};
  ReadRouting read_routing = ReadRouting::off;
  ReadConsistency read_consistency;
  std::string read_consistency_key;  // empty: none
  // timeouts of clients and queries
  Duration query_timeout{};
  Duration query_wait_timeout = seconds(120);
  Duration query_wait_notify = seconds(5);
  Duration client_idle_timeout{};
  Duration client_login_timeout = seconds(60);
  Duration idle_transaction_timeout{};
  Duration transaction_timeout{};
  Duration cancel_wait_timeout = seconds(10);
  Duration autodb_idle_timeout = seconds(3600);
  Duration pool_idle_timeout{};
  Duration suspend_timeout = seconds(10);
  Duration drain_timeout{};                              // Headgate's own
  TimeoutAction timeout_action = TimeoutAction::cancel;  // Headgate's own
  ErrorCodes error_codes = ErrorCodes::postgres;         // Headgate's own
  // protocol
  bool application_name_add_host = false;
  std::string ignore_startup_parameters;
  std::string track_extra_parameters = "IntervalStyle";  // at most most_extra_parameters names
  bool disable_pqexec = false;
  uint32_t max_packet_size = 2147483647;
  int max_prepared_statements = 200;
  bool prepare_unnamed = false;
  bool defer_begin = false;
  // TLS: what the words mean is said in proxy/tls/context.h
  SslMode client_tls_sslmode = SslMode::disable;
  std::string client_tls_key_file, client_tls_cert_file, client_tls_ca_file;
  std::string client_tls_protocols = "secure", client_tls_ciphers = "default";
  std::optional<std::string> client_tls13_ciphers;
  std::string client_tls_dheparams = "auto", client_tls_ecdhcurve = "auto";
  SslMode server_tls_sslmode = SslMode::prefer;
  std::string server_tls_key_file, server_tls_cert_file, server_tls_ca_file;
  std::string server_tls_protocols = "secure", server_tls_ciphers = "default";
  std::optional<std::string> server_tls13_ciphers;
  std::string login_notify_message;
  int peer_id = 0;
  // logging and statistics
  bool log_connections = true;
  bool log_disconnections = true;
  bool log_pooler_errors = true;
  bool log_stats = true;
  Duration stats_period = seconds(60);
  LogFormat log_format = LogFormat::pgbouncer;  // Headgate's own, as what follows
  Duration log_min_duration = seconds(-1);      // -1: off
  Duration log_min_wait = seconds(-1);          // -1: off
  int log_repeat_limit = 20;                    // 0: none
  /// Settings that are accepted, checked and shown but have no member of their own yet, by name.
  std::map<std::string, std::string> others;
};

/// One line of [databases]. Unset optionals inherit.
struct DatabaseEntry {
  std::string name;
  std::string dbname;
  std::string host;  // empty: unix socket in unix_socket_dir; may be a comma list
  int port = 5432;
  std::optional<std::string> user;  // forced user
  std::optional<std::string> password;
  std::optional<std::string> auth_user, auth_query, auth_dbname;
  std::optional<int> pool_size, min_pool_size, reserve_pool_size;
  std::optional<int> max_db_connections, max_db_client_connections;
  std::optional<PoolMode> pool_mode;
  std::optional<SessionPolicy> session_state;
  std::optional<StatePolicies> session_policy;
  std::optional<int> max_pinned_servers;
  std::optional<Duration> server_lifetime, query_wait_timeout;
  std::optional<std::string> connect_query;
  LoadBalance load_balance_hosts = LoadBalance::round_robin;
  TargetRole target = TargetRole::any;  // target_session_attrs
  std::optional<ReadRouting> read_routing;
  std::optional<ReadConsistency> read_consistency;
  std::vector<int> host_weights;  // of each host of the list; empty: they are even
  /// client_encoding, datestyle, timezone, application_name: put into the server's start-up.
  std::vector<std::pair<std::string, std::string>> startup_parameters;
  /// The connection string as written, to notice a changed `*` entry.
  std::string text;
  bool made_from_fallback = false;

  /// Its name in PostgreSQL.
  const std::string& real_name() const { return dbname.empty() ? name : dbname; }
};

/// One line of [users]. Unset optionals inherit.
struct UserEntry {
  std::string name;
  std::optional<PoolMode> pool_mode;
  std::optional<SessionPolicy> session_state;
  std::optional<StatePolicies> session_policy;
  std::optional<int> max_pinned_servers;
  std::optional<int> pool_size, reserve_pool_size;
  std::optional<int> max_user_connections, max_user_client_connections;
  std::optional<Duration> query_timeout, idle_transaction_timeout, transaction_timeout,
      client_idle_timeout, query_wait_timeout;
};

/// One line of [peers].
struct PeerEntry {
  int id = 0;
  std::string host;
  int port = 6432;
  std::optional<int> pool_size;
};

/// Everything the files say, at one moment.
struct Config {
  Settings settings;
  std::map<std::string, DatabaseEntry, std::less<>> databases;
  std::optional<std::string> fallback;  // the connection string of `*`
  std::map<std::string, UserEntry, std::less<>> users;
  std::map<int, PeerEntry> peers;
  UserList user_list;
  HbaRules hba;
  IdentMaps ident;
  LdapOptions ldap;  // of auth_ldap_options; the rules of hba have their own
  std::string path;
  /// What the operator should know: old names, settings without effect, files that are missing.
  std::vector<std::string> warnings;

  /// The entry of a database: configured, or made from `*` under this name, or nothing.
  std::optional<DatabaseEntry> find_database(const std::string& name) const;
  bool has_database(const std::string& name) const;
};
/// Who asks the hosts of a database for their roles; empty: nobody may.
std::string monitor_user(const Settings& settings, const DatabaseEntry& entry);
using ConfigPtr = std::shared_ptr<const Config>;

}  // namespace headgate
