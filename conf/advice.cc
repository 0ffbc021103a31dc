#include "conf/advice.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "conf/lists.h"
#include "conf/setting.h"
#include "conf/values.h"

namespace headgate {
namespace {

using S = const Situation&;
using D = const DatabaseEntry&;

const Settings& settings(S s) { return s.config.settings; }

/// A rule about the whole. In the text `{name}` stands for a setting with its value, or is one of
/// `special_words`.
struct Rule {
  View name;
  bool (*applies)(S situation);
  View text;
};

/// A rule about each database; the text is said once, behind the names of all that it applies to.
struct DatabaseRule {
  View name;
  bool (*applies)(S situation, D database);
  View text;
};

bool is_set(S s, View name) {
  return s.places.contains(name) && !is_default(settings(s), *find_setting(name));
}

bool any_set(S s, std::initializer_list<View> names) {
  return std::ranges::any_of(names, [&](View name) { return is_set(s, name); });
}

bool is_loopback(View host) {
  return host.starts_with("127.") || host == "::1" || equal_ignoring_case(host, "localhost");
}

bool is_socket(View host) { return host.starts_with('/') || host.starts_with('@'); }

bool is_open_to_others(S s) {
  const auto addresses = split_at_commas(settings(s).listen_addr);
  return !std::ranges::all_of(addresses, is_loopback);
}

bool is_remote(D database) {
  const auto hosts = split_at_commas(database.host);
  return std::ranges::any_of(hosts,
                             [](View host) { return !is_socket(host) && !is_loopback(host); });
}

int pool_size(S s, D database) {
  return database.pool_size.value_or(settings(s).default_pool_size);
}

PoolMode pool_mode(S s, D database) { return database.pool_mode.value_or(settings(s).pool_mode); }

bool asks_passwords_in_clear(AuthMethod method) {
  return method == AuthMethod::plain || method == AuthMethod::pam || method == AuthMethod::ldap;
}

bool reads_secrets(AuthMethod method) {
  return method == AuthMethod::md5 || method == AuthMethod::scram_sha_256 ||
         method == AuthMethod::plain;
}

bool has_auth_user(S s) {
  if (settings(s).auth_user) return true;
  return std::ranges::any_of(s.config.databases,
                             [](const auto& one) { return one.second.auth_user.has_value(); });
}

bool any_reserve(S s) {
  if (settings(s).reserve_pool_size > 0) return true;
  const auto has_one = [](const auto& one) { return one.second.reserve_pool_size.value_or(0) > 0; };
  return std::ranges::any_of(s.config.databases, has_one) ||
         std::ranges::any_of(s.config.users, has_one);
}

bool any_shared(S s) {
  return settings(s).pool_mode != PoolMode::session ||
         std::ranges::any_of(s.config.databases, [&](const auto& one) {
           return pool_mode(s, one.second) != PoolMode::session;
         });
}

/// A server, and how many connections one user of each of its databases may take together.
struct Busiest {
  std::string server;
  int64_t connections = 0;
};

Busiest busiest_server(S s) {
  Busiest busiest;
  for (const auto& [server, sum] : most_connections(s.config)) {
    if (sum > busiest.connections) busiest = {server, sum};
  }
  return busiest;
}

/// A time limit that another one, shorter and not off, makes pointless.
bool comes_later(Duration late, Duration early) {
  return late > Duration::zero() && early > Duration::zero() && late > early;
}

// PostgreSQL's own default of max_connections, less what it keeps for superusers.
constexpr int64_t usual_connections = 97;

// What Kubernetes leaves a pod after SIGTERM.
constexpr Duration usual_grace = seconds(30);

constexpr Rule rules[] = {
    // who gets in
    {"open_trust",
     [](S s) { return settings(s).auth_type == AuthMethod::trust && is_open_to_others(s); },
     "{auth_type} with {listen_addr}: whoever reaches this port is in, under any name of "
     "auth_file, without a password"},
    {"open_any",
     [](S s) { return settings(s).auth_type == AuthMethod::any && is_open_to_others(s); },
     "{auth_type} with {listen_addr}: whoever reaches this port is in, under any name at all"},
    {"clear_passwords",
     [](S s) {
       return asks_passwords_in_clear(settings(s).auth_type) && is_open_to_others(s) &&
              settings(s).client_tls_sslmode < SslMode::require;
     },
     "{auth_type} with {client_tls_sslmode}: clients send their passwords as they are, and without "
     "TLS anybody on the way can read them; set client_tls_sslmode = require"},
    {"deprecated_plain", [](S s) { return settings(s).auth_type == AuthMethod::plain; },
     "{auth_type} is deprecated: scram-sha-256 works with the same auth_file"},
    {"nobody_known",
     [](S s) {
       return reads_secrets(settings(s).auth_type) && s.config.user_list.all().empty() &&
              !has_auth_user(s);
     },
     "{auth_type}: no client can log in, as auth_file names nobody and no auth_user may look "
     "secrets up"},
    {"nobody_administers", [](S s) { return settings(s).admin_users.empty(); },
     "admin_users is empty: PAUSE, RELOAD and the like are for nobody but the owner of this "
     "process "
     "on the unix socket"},
    {"dropped_options",
     [](S s) {
       const std::string& names = settings(s).ignore_startup_parameters;
       return settings(s).session_state != SessionPolicy::pgbouncer &&
              (list_contains(names, "options") || list_contains(names, "search_path"));
     },
     "{ignore_startup_parameters}: what clients ask for by search_path or options is dropped in "
     "silence; left out of this list, it is applied"},
    {"drain_beyond_grace", [](S s) { return settings(s).drain_timeout >= usual_grace; },
     "{drain_timeout}: Kubernetes kills a pod 30 s after SIGTERM if nothing else is said, in the "
     "middle of this; leave a few seconds, or raise terminationGracePeriodSeconds (TimeoutStopSec= "
     "of systemd, 90 s)"},
    {"short_drain",
     [](S s) {
       return settings(s).drain_timeout.count() > 0 && settings(s).drain_timeout < seconds(2);
     },
     "{drain_timeout} is short: clients are closed within half of it, all at about the same time, "
     "and transactions that take longer are lost"},
    {"nowhere",
     [](S s) { return settings(s).listen_addr.empty() && settings(s).unix_socket_dir.empty(); },
     "listen_addr and unix_socket_dir are empty: without sockets from the service manager there is "
     "nothing to listen on, and no start"},
    {"no_databases", [](S s) { return s.config.databases.empty() && !s.config.fallback; },
     "no database is configured: clients reach the admin console and nothing else"},

    // how many
    {"small_session_pool",
     [](S s) {
       const int size = settings(s).default_pool_size;
       return settings(s).pool_mode == PoolMode::session && size > 0 &&
              settings(s).max_client_conn >= 10 * int64_t{size};
     },
     "{pool_mode} with {default_pool_size} and {max_client_conn}: a client keeps its server until "
     "it "
     "leaves, so most of them would wait; pool_mode = transaction shares servers"},
    {"descriptors",
     [](S s) { return s.descriptors && expected_descriptors(s.config) > *s.descriptors; },
     "{max_client_conn}: {needed_descriptors} file descriptors may be needed, this process may "
     "have "
     "{descriptors}; raise the limit (ulimit -n, LimitNOFILE=)"},
    {"many_servers", [](S s) { return busiest_server(s).connections > usual_connections; },
     "the pools of {busiest_server} may open {most_servers} connections for a single user, more "
     "than "
     "PostgreSQL takes unless its max_connections was raised; limit them by max_db_connections"},
    {"small_database_limit",
     [](S s) {
       const int limit = settings(s).max_db_connections;
       return limit > 0 && limit < settings(s).default_pool_size;
     },
     "{max_db_connections} is less than {default_pool_size}: no pool can ever be full"},
    {"small_user_limit",
     [](S s) {
       const int limit = settings(s).max_user_connections;
       return limit > 0 && limit < settings(s).default_pool_size;
     },
     "{max_user_connections} is less than {default_pool_size}: no pool can ever be full"},
    {"large_minimum",
     [](S s) {
       const int size = settings(s).default_pool_size;
       return size > 0 && settings(s).min_pool_size > size;
     },
     "{min_pool_size} is more than {default_pool_size}: the pool ends where its size does"},
    {"no_reserve", [](S s) { return is_set(s, "reserve_pool_timeout") && !any_reserve(s); },
     "{reserve_pool_timeout} has no effect: {reserve_pool_size}"},
    {"reserve_never",
     [](S s) { return any_reserve(s) && settings(s).reserve_pool_timeout == Duration::zero(); },
     "{reserve_pool_timeout}: the reserve is never opened"},

    // how long
    {"idle_beyond_lifetime",
     [](S s) { return comes_later(settings(s).server_idle_timeout, settings(s).server_lifetime); },
     "{server_idle_timeout} is more than {server_lifetime}, which always comes first"},
    {"lifetime_zero", [](S s) { return settings(s).server_lifetime == Duration::zero(); },
     "{server_lifetime}: each server is used once and then replaced, which costs a log-in each "
     "time"},
    {"query_beyond_transaction",
     [](S s) { return comes_later(settings(s).query_timeout, settings(s).transaction_timeout); },
     "{query_timeout} is more than {transaction_timeout}, which always comes first"},
    {"idle_beyond_transaction",
     [](S s) {
       return comes_later(settings(s).idle_transaction_timeout, settings(s).transaction_timeout);
     },
     "{idle_transaction_timeout} is more than {transaction_timeout}, which always comes first"},
    {"reserve_beyond_wait",
     [](S s) {
       return any_reserve(s) &&
              comes_later(settings(s).reserve_pool_timeout, settings(s).query_wait_timeout);
     },
     "{reserve_pool_timeout} is more than {query_wait_timeout}: clients are sent away before the "
     "reserve is opened"},
    {"endless_wait", [](S s) { return settings(s).query_wait_timeout == Duration::zero(); },
     "{query_wait_timeout}: when no server can be had, clients hang instead of getting an error"},
    {"endless_login", [](S s) { return settings(s).client_login_timeout == Duration::zero(); },
     "{client_login_timeout}: connections that never log in keep their places"},

    // what clients share
    {"nothing_tracked",
     [](S s) { return any_shared(s) && settings(s).session_state == SessionPolicy::pgbouncer; },
     "{session_state}: what a client sets in its session is found by the next one on that server"},
    {"no_prepared_statements",
     [](S s) { return any_shared(s) && settings(s).max_prepared_statements == 0; },
     "{max_prepared_statements}: drivers that prepare statements fail where clients share servers"},
    {"reset_each_time",
     [](S s) {
       return settings(s).server_reset_query_always && any_shared(s) &&
              settings(s).session_state != SessionPolicy::pgbouncer;
     },
     "{server_reset_query_always}: a reset behind each transaction, though {session_state} keeps "
     "clients apart already"},

    // what does nothing
    {"hba_unused",
     [](S s) { return is_set(s, "auth_hba_file") && settings(s).auth_type != AuthMethod::hba; },
     "{auth_hba_file} has no effect: {auth_type}"},
    {"hba_missing",
     [](S s) {
       return settings(s).auth_type == AuthMethod::hba && settings(s).auth_hba_file.empty();
     },
     "{auth_type} without auth_hba_file: no rule lets anybody in"},
    {"query_without_user",
     [](S s) {
       return any_set(s, {"auth_query", "auth_dbname"}) && !has_auth_user(s);
     },
     "auth_query and auth_dbname have no effect without auth_user"},
    {"keepalive_off",
     [](S s) {
       return !settings(s).tcp_keepalive &&
              any_set(s, {"tcp_keepcnt", "tcp_keepidle", "tcp_keepintvl"});
     },
     "tcp_keepcnt, tcp_keepidle and tcp_keepintvl have no effect: {tcp_keepalive}"},
    {"syslog_off",
     [](S s) {
       return !settings(s).syslog && any_set(s, {"syslog_ident", "syslog_facility"});
     },
     "syslog_ident and syslog_facility have no effect: {syslog}"},
    {"client_tls_off",
     [](S s) {
       return settings(s).client_tls_sslmode == SslMode::disable &&
              any_set(s, {"client_tls_key_file", "client_tls_cert_file", "client_tls_ca_file"});
     },
     "the files of client_tls_ have no effect: {client_tls_sslmode}"},
    {"server_ca_unused",
     [](S s) {
       return is_set(s, "server_tls_ca_file") &&
              settings(s).server_tls_sslmode < SslMode::verify_ca;
     },
     "{server_tls_ca_file} has no effect: {server_tls_sslmode} verifies nobody"},
    {"check_delay_unused",
     [](S s) { return is_set(s, "server_check_delay") && settings(s).server_check_query.empty(); },
     "{server_check_delay} has no effect: server_check_query is empty"},
};

constexpr DatabaseRule database_rules[] = {
    {"any_without_user",
     [](S s, D database) { return settings(s).auth_type == AuthMethod::any && !database.user; },
     "{auth_type} needs `user`, as clients' own names are not looked at"},
    {"unverified_server",
     [](S s, D database) {
       return is_remote(database) && settings(s).server_tls_sslmode < SslMode::verify_full;
     },
     "{server_tls_sslmode}: whoever gets in between this pooler and a remote host can pretend to "
     "be "
     "it, read and change everything; verify-full prevents it"},
    {"session_among_shared",
     [](S s, D database) {
       return pool_mode(s, database) == PoolMode::session &&
              settings(s).pool_mode != PoolMode::session && pool_size(s, database) > 0 &&
              settings(s).max_client_conn >= 10 * int64_t{pool_size(s, database)};
     },
     "pool_mode = session with a small pool and {max_client_conn}: a client keeps its server until "
     "it leaves, so most of them would wait"},
    {"minimum_beyond_pool",
     [](S s, D database) {
       const int size = pool_size(s, database);
       return size > 0 && database.min_pool_size.value_or(0) > size;
     },
     "min_pool_size is more than the size of the pool, which ends there"},
    {"limit_below_pool",
     [](S, D database) {
       const int limit = database.max_db_connections.value_or(0);
       return limit > 0 && database.pool_size && limit < *database.pool_size;
     },
     "max_db_connections is less than pool_size: no pool can ever be full"},
    {"password_in_file_without_tls",
     [](S s, D database) {
       return database.password && is_remote(database) &&
              settings(s).server_tls_sslmode == SslMode::disable;
     },
     "{server_tls_sslmode}: a log-in with a password to a remote host, and all that follows, can "
     "be "
     "read on the way"},
};

std::string value_of(S s, View name) {
  return fmt::format("{} = {}", name,
                     show(settings(s), *find_setting(name)).value_or(std::string()));
}

/// What stands for a word in braces.
std::string word(S s, View name) {
  if (name == "descriptors") return std::to_string(s.descriptors.value_or(0));
  if (name == "needed_descriptors") return std::to_string(expected_descriptors(s.config));
  if (name == "busiest_server") return busiest_server(s).server;
  if (name == "most_servers") return std::to_string(busiest_server(s).connections);
  return printable(value_of(s, name));
}

/// The text with its words filled in, and the place of the first setting in it that has one.
std::string filled(S s, View text) {
  std::string out, where;
  while (!text.empty()) {
    const size_t open = std::min(text.find('{'), text.size());
    out += text.substr(0, open);
    text.remove_prefix(open);
    if (text.empty()) break;
    const View name = text.substr(1, text.find('}') - 1);
    out += word(s, name);
    const auto place = s.places.find(name);
    if (where.empty() && place != s.places.end()) where = in_configuration(place->second);
    text.remove_prefix(name.size() + 2);
  }
  return out + where;
}

std::string names_of(const std::vector<View>& databases) {
  constexpr size_t most_named = 5;
  std::string text = databases.size() == 1 ? "database " : "databases ";
  for (size_t at = 0; at < std::min(databases.size(), most_named); ++at) {
    if (at > 0) text += ", ";
    text += printable(databases[at]);
  }
  if (databases.size() > most_named) {
    text += fmt::format(" and {} more", databases.size() - most_named);
  }
  return text;
}

}  // namespace

std::map<std::string, int64_t> most_connections(const Config& config) {
  const Settings& settings = config.settings;
  std::map<std::string, int64_t> sums;
  for (const auto& [name, database] : config.databases) {
    int64_t most = database.pool_size.value_or(settings.default_pool_size) +
                   database.reserve_pool_size.value_or(settings.reserve_pool_size);
    const int limit = database.max_db_connections.value_or(settings.max_db_connections);
    if (limit > 0) most = std::min<int64_t>(most, limit);
    for (const std::string& host : split_at_commas(database.host)) {
      sums[fmt::format("{}:{}", host, database.port)] += most;
    }
  }
  return sums;
}

uint64_t expected_descriptors(const Config& config) {
  constexpr uint64_t own = 32;  // log, listeners, epoll and the like
  const uint64_t http = config.settings.http_port > 0 ? 24 : 0;  // proxy/http/door.h
  uint64_t servers = 0;
  for (const auto& [name, entry] : config.databases) {
    const int size = entry.pool_size.value_or(config.settings.default_pool_size);
    servers += static_cast<uint64_t>(std::max(size, 0));
  }
  return static_cast<uint64_t>(std::max(config.settings.max_client_conn, 0)) + servers + own + http;
}

std::vector<Advice> advise(const Situation& situation) {
  std::vector<Advice> all;
  for (const Rule& rule : rules) {
    if (rule.applies(situation)) all.push_back({rule.name, filled(situation, rule.text)});
  }
  const auto any = situation.config.find_database("*");
  for (const DatabaseRule& rule : database_rules) {
    std::vector<View> names;
    for (const auto& [name, entry] : situation.config.databases) {
      if (rule.applies(situation, entry)) names.push_back(name);
    }
    if (situation.config.fallback && any && rule.applies(situation, *any)) names.push_back("*");
    if (names.empty()) continue;
    all.push_back({rule.name, names_of(names) + ": " + filled(situation, rule.text)});
  }
  return all;
}

}  // namespace headgate
