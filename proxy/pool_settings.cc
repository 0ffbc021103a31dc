#include "proxy/pool_settings.h"

namespace headgate {

namespace {

const UserEntry* find_user(const Config& config, const std::string& name) {
  const auto found = config.users.find(name);
  return found == config.users.end() ? nullptr : &found->second;
}

template <class T>
T first_of(const std::optional<T>& user, const std::optional<T>& database, const T& global) {
  return user ? *user : database.value_or(global);
}

PoolRules resolve_rules(const Settings& settings, const DatabaseEntry& entry,
                        const UserEntry& user) {
  PoolRules rules;
  rules.pool_size = first_of(user.pool_size, entry.pool_size, settings.default_pool_size);
  rules.min_pool_size = entry.min_pool_size.value_or(settings.min_pool_size);
  rules.reserve_pool_size =
      first_of(user.reserve_pool_size, entry.reserve_pool_size, settings.reserve_pool_size);
  rules.reserve_pool_timeout = settings.reserve_pool_timeout;
  rules.server_lifetime = entry.server_lifetime.value_or(settings.server_lifetime);
  rules.server_idle_timeout = settings.server_idle_timeout;
  rules.server_login_retry = settings.server_login_retry;
  rules.server_check_delay = settings.server_check_query.empty()
                                 ? std::nullopt
                                 : std::optional(settings.server_check_delay);
  rules.round_robin = settings.server_round_robin;
  rules.forced_user = entry.user.has_value();
  return rules;
}

}  // namespace

bool PoolSettings::dirties(const PoolSettings& other) const {
  // Whatever has changed in `*`, as in PgBouncer.
  if (entry.made_from_fallback && entry.text != other.entry.text) return true;
  return entry.dbname != other.entry.dbname || entry.host != other.entry.host ||
         entry.port != other.entry.port || entry.connect_query != other.entry.connect_query ||
         entry.load_balance_hosts != other.entry.load_balance_hosts ||
         entry.target != other.entry.target || !same_rules(tls, other.tls);
}

SessionPolicy resolve_session_state(const Config& config, const DatabaseEntry& entry,
                                    const std::string& server_user) {
  const UserEntry* user = find_user(config, server_user);
  return first_of(user ? user->session_state : std::nullopt, entry.session_state,
                  config.settings.session_state);
}

PoolSettings resolve_pool(const Config& config, const DatabaseEntry& entry,
                          const std::string& server_user) {
  static const UserEntry nobody;
  const UserEntry* found = find_user(config, server_user);
  const UserEntry& user = found ? *found : nobody;
  const Settings& settings = config.settings;
  PoolSettings pool;
  pool.entry = entry;
  pool.rules = resolve_rules(settings, entry, user);
  pool.mode = first_of(user.pool_mode, entry.pool_mode, settings.pool_mode);
  pool.session_state = resolve_session_state(config, entry, server_user);
  pool.prepared_statements = pool.mode == PoolMode::session ? 0 : settings.max_prepared_statements;
  pool.prepare_unnamed = settings.prepare_unnamed;
  pool.session_audit = settings.session_audit;
  pool.read_routing = entry.read_routing.value_or(settings.read_routing);
  if (!pool.tracks_sessions())
    pool.read_routing = ReadRouting::off;  // what they depend on is unknown
  pool.read_consistency = entry.read_consistency.value_or(settings.read_consistency);
  pool.defer_begin = settings.defer_begin && pool.mode == PoolMode::transaction;
  pool.policies = first_of(user.session_policy, entry.session_policy, settings.session_policy);
  pool.max_pinned_servers =
      first_of(user.max_pinned_servers, entry.max_pinned_servers, settings.max_pinned_servers);
  pool.query_timeout = user.query_timeout.value_or(settings.query_timeout);
  pool.idle_transaction_timeout =
      user.idle_transaction_timeout.value_or(settings.idle_transaction_timeout);
  pool.transaction_timeout = user.transaction_timeout.value_or(settings.transaction_timeout);
  pool.timeout_action = settings.timeout_action;
  pool.log_min_duration = settings.log_min_duration;
  pool.connect_timeout = settings.server_connect_timeout;
  pool.cancel_wait_timeout = settings.cancel_wait_timeout;
  // PgBouncer's word for "send an empty query".
  pool.check_query = settings.server_check_query == "<empty>" ? ";" : settings.server_check_query;
  pool.reset_query = settings.server_reset_query;
  pool.reset_always = settings.server_reset_query_always;
  pool.fast_close = settings.server_fast_close && pool.mode == PoolMode::session;
  pool.link_at_login = settings.link_at_login && pool.mode == PoolMode::session;
  pool.disable_pqexec = settings.disable_pqexec;
  pool.socket = socket_options(settings);
  pool.unix_socket_dir = settings.unix_socket_dir;
  return pool;
}

// The entry's password belongs to the entry's user and nobody else, as in PgBouncer.
std::optional<Secret> secret_for_server(const Config& config, const DatabaseEntry& entry,
                                        const std::string& user) {
  if (entry.password && entry.user == user) return Secret(*entry.password);
  const Secret* known = config.user_list.find(user);
  if (known && known->kind() != SecretKind::none) return *known;
  return std::nullopt;
}

ClientTimeouts resolve_client(const Config& config, const DatabaseEntry& entry,
                              const std::string& name) {
  const UserEntry* user = find_user(config, name);
  ClientTimeouts timeouts;
  timeouts.idle = config.settings.client_idle_timeout;
  timeouts.query_wait = entry.query_wait_timeout.value_or(config.settings.query_wait_timeout);
  if (user && user->client_idle_timeout) timeouts.idle = *user->client_idle_timeout;
  if (user && user->query_wait_timeout) timeouts.query_wait = *user->query_wait_timeout;
  return timeouts;
}

const char* shown_balance(const DatabaseEntry& entry) {
  if (entry.host.find(',') == std::string::npos) return nullptr;
  return entry.load_balance_hosts == LoadBalance::disable ? "disable" : "round-robin";
}

SocketOptions socket_options(const Settings& settings) {
  SocketOptions options;
  options.keepalive = settings.tcp_keepalive;
  options.keepcnt = settings.tcp_keepcnt;
  options.keepidle = settings.tcp_keepidle;
  options.keepintvl = settings.tcp_keepintvl;
  options.buffer_bytes = settings.tcp_socket_buffer;
  options.user_timeout_ms = settings.tcp_user_timeout;
  return options;
}

}  // namespace headgate
