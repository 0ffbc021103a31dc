#include "conf/entries.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <span>

#include "conf/connstr.h"
#include "conf/lists.h"
#include "conf/nearest.h"
#include "conf/values.h"

namespace headgate {
namespace {

using Warnings = std::vector<std::string>;
using Refusal = std::optional<Error>;

Error config_error(std::string message, std::string hint = {}) {
  Error error(ErrorCode::config, std::move(message));
  error.hint = std::move(hint);
  return error;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// A decimal number. PgBouncer reads these with atoi, so that what follows the digits is let pass,
/// with a warning; but a value without digits, which is 0 there, is refused.
std::optional<int> take_number(const KeyValue& pair, Warnings& warnings) {
  const View text = pair.value;
  const bool negative = text.starts_with('-');
  size_t at = negative || text.starts_with('+') ? 1 : 0;
  if (at == text.size() || !is_digit(text[at])) return std::nullopt;
  int64_t number = 0;
  for (; at < text.size() && is_digit(text[at]); ++at) {
    number = number * 10 + (text[at] - '0');
    if (number > INT32_MAX) return std::nullopt;
  }
  if (at < text.size()) {
    warnings.push_back(fmt::format("{}={} is taken as {}", pair.key, printable(text), number));
  }
  return static_cast<int>(negative ? -number : number);
}

/// What a number below the lowest stands for is "as everywhere else": the entry stays unset.
enum class Lowest : int { zero = 0, one = 1 };

Refusal set_number(std::optional<int>& into, const KeyValue& pair, Warnings& warnings,
                   Lowest lowest) {
  auto number = take_number(pair, warnings);
  if (!number) {
    return config_error(fmt::format("invalid {}: {}", pair.key, printable(pair.value)),
                        "expected an integer");
  }
  into.reset();
  if (*number >= static_cast<int>(lowest)) into = number;
  return std::nullopt;
}

Refusal set_duration(std::optional<Duration>& into, const KeyValue& pair, Warnings& warnings,
                     Lowest lowest) {
  auto duration = parse_duration(pair.value);
  if (!duration) {
    const size_t told = warnings.size();
    auto number = take_number(pair, warnings);
    if (!number) {
      return config_error(
          fmt::format("invalid {}: {}", pair.key, printable(pair.value)),
          fmt::format("expected seconds, or a number with a unit ({})", duration_units));
    }
    if (warnings.size() > told) {
      warnings.back() += fmt::format(" seconds; units are {}", duration_units);
    }
    duration = seconds(*number);
  }
  into.reset();
  if (*duration > Duration::zero() || (lowest == Lowest::zero && *duration == Duration::zero())) {
    into = duration;
  }
  return std::nullopt;
}

Refusal set_port(int& into, const KeyValue& pair, Warnings& warnings) {
  const int port = take_number(pair, warnings).value_or(0);
  if (port < 1 || port > 65535) return config_error("invalid port: " + printable(pair.value));
  into = port;
  return std::nullopt;
}

Refusal set_pool_mode(std::optional<PoolMode>& into, const KeyValue& pair) {
  into = parse_word<PoolMode>(pair.value);
  if (into) return std::nullopt;
  return config_error("invalid pool mode: " + printable(pair.value),
                      "expected one of session, transaction, statement");
}

Refusal set_session_state(std::optional<SessionPolicy>& into, const KeyValue& pair) {
  into = parse_word<SessionPolicy>(pair.value);
  if (into) return std::nullopt;
  return config_error("invalid session_state: " + printable(pair.value),
                      "expected one of track, strict, pgbouncer");
}

Refusal set_session_policy(std::optional<StatePolicies>& into, const KeyValue& pair) {
  StatePolicies policies;
  const auto expected = parse_state_policies(pair.value, policies);
  if (expected) {
    return config_error("invalid session_policy: " + printable(pair.value),
                        "expected " + *expected);
  }
  into = policies;
  return std::nullopt;
}

Refusal set_load_balance(LoadBalance& into, const KeyValue& pair) {
  auto policy = parse_word<LoadBalance>(pair.value);
  if (!policy) {
    return config_error("invalid load_balance_hosts: " + printable(pair.value),
                        "expected one of round-robin, disable");
  }
  into = *policy;
  return std::nullopt;
}

Refusal set_target(TargetRole& into, const KeyValue& pair) {
  auto target = parse_word<TargetRole>(pair.value);
  if (!target) {
    return config_error("invalid target_session_attrs: " + printable(pair.value),
                        "expected one of any, primary, standby, prefer-standby, read-write, "
                        "read-only");
  }
  into = *target;
  return std::nullopt;
}

Refusal set_read_routing(std::optional<ReadRouting>& into, const KeyValue& pair) {
  into = parse_word<ReadRouting>(pair.value);
  if (into) return std::nullopt;
  return config_error("invalid read_routing: " + printable(pair.value),
                      "expected one of off, explicit, report, auto");
}

Refusal set_read_consistency(std::optional<ReadConsistency>& into, const KeyValue& pair) {
  ReadConsistency consistency;
  if (const auto expected = parse_read_consistency(pair.value, consistency)) {
    return config_error("invalid read_consistency: " + printable(pair.value),
                        "expected " + *expected);
  }
  into = consistency;
  return std::nullopt;
}

Refusal set_host_weights(std::vector<int>& into, const KeyValue& pair) {
  into.clear();
  for (const std::string& part : split_at_commas(pair.value)) {
    int weight = -1;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), weight);
    const bool whole = error == std::errc() && end == part.data() + part.size();
    if (!whole || weight < 0 || weight > most_host_weight) {
      return config_error("invalid host_weights: " + printable(pair.value),
                          fmt::format("expected a number from 0 to {} for each host, with commas "
                                      "between them",
                                      most_host_weight));
    }
    into.push_back(weight);
  }
  return std::nullopt;
}

Refusal set_text(std::string& into, const KeyValue& pair) {
  into = pair.value;
  return std::nullopt;
}

Refusal set_text(std::optional<std::string>& into, const KeyValue& pair) {
  into = pair.value;
  return std::nullopt;
}

Refusal set_auth_dbname(std::optional<std::string>& into, const KeyValue& pair) {
  if (pair.value == console_database) {
    return config_error("cannot use the reserved \"pgbouncer\" database as an auth_dbname");
  }
  return set_text(into, pair);
}

Refusal set_startup_parameter(DatabaseEntry& entry, const KeyValue& pair) {
  for (auto& [name, value] : entry.startup_parameters) {
    if (name != pair.key) continue;
    value = pair.value;
    return std::nullopt;
  }
  entry.startup_parameters.emplace_back(pair.key, pair.value);
  return std::nullopt;
}

template <class Entry>
struct Key {
  View name;
  Refusal (*set)(Entry& entry, const KeyValue& pair, Warnings& warnings);
};

using D = DatabaseEntry;
using P = const KeyValue&;
using W = Warnings&;

constexpr Key<DatabaseEntry> database_table[] = {
    {"dbname", [](D& e, P p, W) { return set_text(e.dbname, p); }},
    {"host", [](D& e, P p, W) { return set_text(e.host, p); }},
    {"port", [](D& e, P p, W w) { return set_port(e.port, p, w); }},
    {"user", [](D& e, P p, W) { return set_text(e.user, p); }},
    {"password", [](D& e, P p, W) { return set_text(e.password, p); }},
    {"auth_user", [](D& e, P p, W) { return set_text(e.auth_user, p); }},
    {"auth_query", [](D& e, P p, W) { return set_text(e.auth_query, p); }},
    {"auth_dbname", [](D& e, P p, W) { return set_auth_dbname(e.auth_dbname, p); }},
    {"pool_size", [](D& e, P p, W w) { return set_number(e.pool_size, p, w, Lowest::zero); }},
    {"min_pool_size",
     [](D& e, P p, W w) { return set_number(e.min_pool_size, p, w, Lowest::zero); }},
    {"reserve_pool_size",
     [](D& e, P p, W w) { return set_number(e.reserve_pool_size, p, w, Lowest::zero); }},
    {"reserve_pool",
     [](D& e, P p, W w) { return set_number(e.reserve_pool_size, p, w, Lowest::zero); }},
    {"max_db_connections",
     [](D& e, P p, W w) { return set_number(e.max_db_connections, p, w, Lowest::one); }},
    {"max_db_client_connections",
     [](D& e, P p, W w) { return set_number(e.max_db_client_connections, p, w, Lowest::one); }},
    {"pool_mode", [](D& e, P p, W) { return set_pool_mode(e.pool_mode, p); }},
    {"session_state", [](D& e, P p, W) { return set_session_state(e.session_state, p); }},
    {"session_policy", [](D& e, P p, W) { return set_session_policy(e.session_policy, p); }},
    {"max_pinned_servers",
     [](D& e, P p, W w) { return set_number(e.max_pinned_servers, p, w, Lowest::one); }},
    {"server_lifetime",
     [](D& e, P p, W w) { return set_duration(e.server_lifetime, p, w, Lowest::one); }},
    {"query_wait_timeout",
     [](D& e, P p, W w) { return set_duration(e.query_wait_timeout, p, w, Lowest::zero); }},
    {"connect_query", [](D& e, P p, W) { return set_text(e.connect_query, p); }},
    {"load_balance_hosts", [](D& e, P p, W) { return set_load_balance(e.load_balance_hosts, p); }},
    {"target_session_attrs", [](D& e, P p, W) { return set_target(e.target, p); }},
    {"read_routing", [](D& e, P p, W) { return set_read_routing(e.read_routing, p); }},
    {"read_consistency", [](D& e, P p, W) { return set_read_consistency(e.read_consistency, p); }},
    {"host_weights", [](D& e, P p, W) { return set_host_weights(e.host_weights, p); }},
    {"client_encoding", [](D& e, P p, W) { return set_startup_parameter(e, p); }},
    {"datestyle", [](D& e, P p, W) { return set_startup_parameter(e, p); }},
    {"timezone", [](D& e, P p, W) { return set_startup_parameter(e, p); }},
    {"application_name", [](D& e, P p, W) { return set_startup_parameter(e, p); }},
};

using U = UserEntry;

constexpr Key<UserEntry> user_table[] = {
    {"pool_mode", [](U& e, P p, W) { return set_pool_mode(e.pool_mode, p); }},
    {"session_state", [](U& e, P p, W) { return set_session_state(e.session_state, p); }},
    {"session_policy", [](U& e, P p, W) { return set_session_policy(e.session_policy, p); }},
    {"max_pinned_servers",
     [](U& e, P p, W w) { return set_number(e.max_pinned_servers, p, w, Lowest::one); }},
    {"pool_size", [](U& e, P p, W w) { return set_number(e.pool_size, p, w, Lowest::zero); }},
    {"reserve_pool_size",
     [](U& e, P p, W w) { return set_number(e.reserve_pool_size, p, w, Lowest::zero); }},
    {"max_user_connections",
     [](U& e, P p, W w) { return set_number(e.max_user_connections, p, w, Lowest::one); }},
    {"max_user_client_connections",
     [](U& e, P p, W w) { return set_number(e.max_user_client_connections, p, w, Lowest::one); }},
    {"query_timeout",
     [](U& e, P p, W w) { return set_duration(e.query_timeout, p, w, Lowest::one); }},
    {"idle_transaction_timeout",
     [](U& e, P p, W w) { return set_duration(e.idle_transaction_timeout, p, w, Lowest::one); }},
    {"transaction_timeout",
     [](U& e, P p, W w) { return set_duration(e.transaction_timeout, p, w, Lowest::one); }},
    {"client_idle_timeout",
     [](U& e, P p, W w) { return set_duration(e.client_idle_timeout, p, w, Lowest::one); }},
    {"query_wait_timeout",
     [](U& e, P p, W w) { return set_duration(e.query_wait_timeout, p, w, Lowest::zero); }},
};

constexpr Key<PeerEntry> peer_table[] = {
    {"host", [](PeerEntry& e, P p, W) { return set_text(e.host, p); }},
    {"port", [](PeerEntry& e, P p, W w) { return set_port(e.port, p, w); }},
    {"pool_size",
     [](PeerEntry& e, P p, W w) { return set_number(e.pool_size, p, w, Lowest::zero); }},
};

template <class Entry>
Error unknown_key(View what, View name, std::span<const Key<Entry>> keys) {
  std::vector<View> names;
  for (const auto& key : keys) names.push_back(key.name);
  return config_error(fmt::format("unrecognized {} parameter: {}", what, printable(name)),
                      did_you_mean(name, names));
}

Error syntax_error(View what) {
  return config_error(
      what == "user" ? "syntax error in user settings" : "syntax error in connection string",
      "expected key=value pairs; a value with blanks stands in single quotes");
}

/// Fills `entry` from the pairs of `text`; `what` names the kind of parameter in the error.
template <class Entry, size_t size>
Refusal fill(Entry& entry, View what, const std::string& text, const Key<Entry> (&keys)[size],
             Warnings& warnings) {
  auto pairs = parse_connection_string(text, warnings);
  if (!pairs) return syntax_error(what);
  for (const KeyValue& pair : *pairs) {
    const auto* key = std::find_if(std::begin(keys), std::end(keys),
                                   [&](const auto& known) { return known.name == pair.key; });
    if (key == std::end(keys)) return unknown_key<Entry>(what, pair.key, keys);
    if (auto refusal = key->set(entry, pair, warnings)) return refusal;
  }
  return std::nullopt;
}

template <class Entry, size_t size>
std::vector<View> names_of(const Key<Entry> (&keys)[size]) {
  std::vector<View> names;
  for (const auto& key : keys) names.push_back(key.name);
  return names;
}

}  // namespace

std::vector<View> database_keys() { return names_of(database_table); }
std::vector<View> user_keys() { return names_of(user_table); }
std::vector<View> peer_keys() { return names_of(peer_table); }

Result<DatabaseEntry> parse_database(const std::string& name, const std::string& text,
                                     std::vector<std::string>& warnings) {
  if (name == console_database) return config_error("database name \"pgbouncer\" is reserved");
  if (name.size() > longest_database_name)
    return config_error("too long db name: " + printable(name));
  DatabaseEntry entry;
  entry.name = entry.dbname = name;
  entry.text = text;
  if (auto refusal = fill(entry, "connection", text, database_table, warnings)) return *refusal;
  if (entry.password && !entry.user) warnings.push_back("password has no effect without user");
  return entry;
}

Result<UserEntry> parse_user(const std::string& name, const std::string& text,
                             std::vector<std::string>& warnings) {
  if (name.size() > longest_user_name)
    return config_error("too long user name: " + printable(name));
  UserEntry entry;
  entry.name = name;
  if (auto refusal = fill(entry, "user", text, user_table, warnings)) return *refusal;
  return entry;
}

Result<PeerEntry> parse_peer(const std::string& id, const std::string& text,
                             std::vector<std::string>& warnings) {
  const auto number = parse_integer(id);
  if (!number || *number < 1 || *number > 65535) {
    return config_error("ids of peers must be a number larger than 0 and at most 65536");
  }
  PeerEntry entry;
  entry.id = static_cast<int>(*number);
  if (auto refusal = fill(entry, "connection", text, peer_table, warnings)) return *refusal;
  if (entry.host.empty()) return config_error("a peer needs a host");
  return entry;
}

std::string monitor_user(const Settings& settings, const DatabaseEntry& entry) {
  for (const auto* user : {&settings.monitor_user, &entry.user, &entry.auth_user}) {
    if (*user && !(*user)->empty()) return **user;
  }
  return settings.auth_user.value_or("");
}

bool Config::has_database(const std::string& name) const {
  return databases.contains(name) || find_database(name);
}

std::optional<DatabaseEntry> Config::find_database(const std::string& name) const {
  if (auto found = databases.find(name); found != databases.end()) return found->second;
  if (!fallback) return std::nullopt;
  std::vector<std::string> told_at_load;
  auto made = parse_database(name, *fallback, told_at_load);
  if (!made) return std::nullopt;
  made->made_from_fallback = true;
  return std::move(*made);
}

}  // namespace headgate
