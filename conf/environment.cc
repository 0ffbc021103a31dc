#include "conf/environment.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "conf/connstr.h"
#include "conf/database_url.h"
#include "conf/entries.h"
#include "conf/nearest.h"
#include "conf/settings_table.h"
#include "conf/values.h"

namespace headgate {
namespace {

constexpr View ours = "HEADGATE_", theirs = "PGBOUNCER_", databases = "DATABASES_";
constexpr View from_file = "_FILE";

/// The settings' names that images have invented.
constexpr OldName names_of_images[] = {
    {"port", "listen_port"},
    {"bind_address", "listen_addr"},
    {"listen_address", "listen_addr"},
};

/// Variables of images that are no settings but are read.
constexpr View words_of_images[] = {"PGBOUNCER_DATABASE", "PGBOUNCER_CONNECT_QUERY",
                                    "PGBOUNCER_SET_DATABASE_USER", "PGBOUNCER_USERLIST"};
constexpr View dsn = "PGBOUNCER_DSN_";

/// What an image calls the five parts of a database. `is_forced`: the servers are always that
/// user's; otherwise clients keep their own names, and that user may look the others up.
struct Dialect {
  View host, port, user, password, name;
  bool is_forced;
};
constexpr Dialect dialects[] = {
    {"DATABASES_HOST", "DATABASES_PORT", "DATABASES_USER", "DATABASES_PASSWORD", "DATABASES_DBNAME",
     true},
    {"DATABASE_URL", "", "", "", "", false},
    {"DB_HOST", "DB_PORT", "DB_USER", "DB_PASSWORD", "DB_NAME", false},
    {"POSTGRESQL_HOST", "POSTGRESQL_PORT", "POSTGRESQL_USERNAME", "POSTGRESQL_PASSWORD",
     "POSTGRESQL_DATABASE", false},
};

std::string in_lower_case(View text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

std::string in_capitals(View text) {
  std::string capitals(text);
  for (char& c : capitals) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return capitals;
}

/// The name of the setting that a variable means behind its prefix; empty if there is none.
std::string setting_named(View rest) {
  const std::string name = in_lower_case(rest);
  for (const OldName& known : names_of_images) {
    if (known.old_name == name) return std::string(known.name);
  }
  const auto is_old = [&](const OldName& old) { return old.old_name == name; };
  return find_setting(name) || std::ranges::any_of(old_names(), is_old) ? name : std::string();
}

/// A cluster tells every container of services that it has, and one of them may have our name:
/// HEADGATE_PORT=tcp://10.0.0.1:6432, HEADGATE_SERVICE_HOST, HEADGATE_PORT_6432_TCP_ADDR.
bool is_news_of_services(View rest, View value) {
  const bool is_link = value.starts_with("tcp://") || value.starts_with("udp://");
  const bool of_port =
      rest.starts_with("PORT_") && rest.size() > 5 && rest[5] >= '0' && rest[5] <= '9';
  return is_link || of_port || rest == "SERVICE_HOST" || rest.starts_with("SERVICE_PORT");
}

/// A variable by its name: the name of the one that it gives the value of, and whether by a file.
struct Named {
  std::string name;
  bool by_file = false;
};

bool is_known(View name) {
  for (View prefix : {ours, theirs}) {
    if (name.starts_with(prefix) && !setting_named(name.substr(prefix.size())).empty()) return true;
  }
  if (std::ranges::find(words_of_images, name) != std::end(words_of_images)) return true;
  if (name.starts_with(databases)) {
    const std::string key = in_lower_case(name.substr(databases.size()));
    return std::ranges::any_of(database_keys(), [&](View known) { return known == key; });
  }
  return name.starts_with(dsn) || std::ranges::any_of(dialects, [&](const Dialect& dialect) {
           return name == dialect.host || name == dialect.port || name == dialect.user ||
                  name == dialect.password || name == dialect.name;
         });
}

// client_tls_key_file is a setting, so a name that is known as it is comes first.
Named named(View name) {
  if (is_known(name) || !name.ends_with(from_file)) return {std::string(name), false};
  const View without = name.substr(0, name.size() - from_file.size());
  if (is_known(without)) return {std::string(without), true};
  return {std::string(name), false};
}

/// POOL_MODE and the like, as one image has them. Short names (USER) mean other things.
bool is_bare_setting(View name) {
  return name.find('_') != View::npos && in_capitals(name) == name &&
         find_setting(in_lower_case(name)) != nullptr;
}

class EnvironmentReader {
 public:
  EnvironmentReader(const Environment& environment, bool alone, const FileReader& read)
      : environment_(environment), alone_(alone), read_(read) {}
  EnvironmentItems read();

 private:
  struct Value {
    std::string text;
    std::string variable;  // that it comes from: itself, or with _FILE
  };

  void gather();
  void gather(const EnvironmentVariable& variable);
  void gather_settings(View prefix);
  void refuse_unknown();
  void warn_of_unread();
  void gather_databases();
  void gather_more_databases();
  void gather_url(const Value& url);
  void gather_parts(const Dialect& dialect);
  void gather_parameter(const KeyValue& parameter, const Place& place,
                        std::vector<KeyValue>& pairs);
  void add_user(const std::string& name, const std::string& secret);
  void add_setting(std::string name, std::string value, Place place);
  void add_database(std::string name, const std::vector<KeyValue>& pairs, Place place);
  const Value* find(View name) const;
  std::string text(View name) const;
  void fail(std::string message, std::string hint = {});

  static Place place_of(const std::string& variable) {
    return {"environment variable " + variable, 0};
  }

  const Environment& environment_;
  const bool alone_;
  const FileReader& read_;
  std::map<std::string, Value, std::less<>> values_;
  EnvironmentItems found_;
};

void EnvironmentReader::fail(std::string message, std::string hint) {
  Error error(ErrorCode::config, std::move(message));
  error.hint = std::move(hint);
  found_.errors.push_back(std::move(error));
}

const EnvironmentReader::Value* EnvironmentReader::find(View name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? nullptr : &found->second;
}

std::string EnvironmentReader::text(View name) const {
  const Value* value = find(name);
  return value == nullptr ? std::string() : value->text;
}

/// The contents of a secret's file; editors and `echo` leave a line's end behind it.
std::string without_line_end(std::string text) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  return text;
}

void EnvironmentReader::gather(const EnvironmentVariable& variable) {
  auto [name, by_file] = named(variable.name);
  // What a compose file leaves empty is not said. Only ours can say "empty".
  if (variable.value.empty() && (by_file || !name.starts_with(ours))) return;
  if (!is_known(name)) return;
  const size_t prefix = name.find('_') + 1;
  if (is_news_of_services(View(name).substr(prefix), variable.value)) return;
  if (const Value* other = find(name)) {
    return fail(fmt::format("{} and {} are both set", other->variable, variable.name));
  }
  Value value{variable.value, variable.name};
  if (by_file) {
    auto contents = read_(variable.value);
    if (!contents) {
      return fail(fmt::format("could not open {} {}: {}", variable.name, printable(variable.value),
                              contents.error().message));
    }
    value.text = without_line_end(std::move(*contents));
    if (value.text.find('\0') != std::string::npos) {
      return fail(
          fmt::format("there is a zero byte in {} {}", variable.name, printable(variable.value)));
    }
  }
  values_[std::move(name)] = std::move(value);
}

void EnvironmentReader::add_setting(std::string name, std::string value, Place place) {
  found_.items.push_back({.section = "pgbouncer",
                          .key = std::move(name),
                          .value = std::move(value),
                          .place = std::move(place),
                          .whole = true});
}

void EnvironmentReader::add_database(std::string name, const std::vector<KeyValue>& pairs,
                                     Place place) {
  found_.items.push_back({.section = "databases",
                          .key = std::move(name),
                          .value = to_connection_string(pairs),
                          .place = std::move(place),
                          .whole = true});
}

void EnvironmentReader::add_user(const std::string& name, const std::string& secret) {
  if (!name.empty() && !secret.empty()) found_.users.emplace_back(name, secret);
}

void EnvironmentReader::gather_settings(View prefix) {
  for (const auto& [name, value] : values_) {
    if (!View(name).starts_with(prefix)) continue;
    const std::string setting = setting_named(View(name).substr(prefix.size()));
    if (!setting.empty()) add_setting(setting, value.text, place_of(value.variable));
  }
}

/// `did you mean PREFIX_NAME?`, or nothing.
std::string hint_for(View prefix, View rest) {
  std::vector<std::string> known;
  if (prefix == databases) {
    for (View key : database_keys()) known.push_back(in_capitals(key));
  } else {
    for (const Setting& setting : all_settings()) known.push_back(in_capitals(setting.name));
  }
  const View near = nearest_name(rest, std::vector<View>(known.begin(), known.end()));
  return near.empty() ? "" : fmt::format("did you mean {}{}?", prefix, near);
}

/// Of ours a name that means nothing is a mistake. Images have variables of their own for theirs.
void EnvironmentReader::refuse_unknown() {
  for (const auto& [variable, value] : environment_) {
    const View name = variable;
    const View prefix = name.starts_with(ours)     ? ours
                        : name.starts_with(theirs) ? theirs
                                                   : databases;
    if (!name.starts_with(prefix) || (prefix == databases && !alone_)) continue;
    const View rest = name.substr(prefix.size());
    if (is_known(named(name).name) || is_news_of_services(rest, value)) continue;
    const std::string hint = hint_for(prefix, rest);
    if (prefix == ours) {
      fail("unknown environment variable " + printable(name), hint);
    } else {
      found_.warnings.push_back(fmt::format("environment variable {} means nothing here{}{}",
                                            printable(name), hint.empty() ? "" : ": ", hint));
    }
  }
}

/// What somebody who sets it will miss.
void EnvironmentReader::warn_of_unread() {
  for (const auto& [variable, value] : environment_) {
    if (is_bare_setting(variable) && alone_) {
      found_.warnings.push_back(
          fmt::format("environment variable {0} is not read: call it {1}{0}", variable, ours));
    }
    if (View(variable).starts_with(databases) && !alone_) {
      found_.warnings.push_back(
          fmt::format("environment variable {} is not read: the file names the databases",
                      printable(variable)));
    }
  }
}

/// What libpq knows and Headgate has a setting or a key for; the rest is told.
void EnvironmentReader::gather_parameter(const KeyValue& parameter, const Place& place,
                                         std::vector<KeyValue>& pairs) {
  constexpr OldName settings[] = {{"sslmode", "server_tls_sslmode"},
                                  {"sslrootcert", "server_tls_ca_file"},
                                  {"sslcert", "server_tls_cert_file"},
                                  {"sslkey", "server_tls_key_file"},
                                  {"connect_timeout", "server_connect_timeout"}};
  for (const OldName& known : settings) {
    if (known.old_name != parameter.key) continue;
    return add_setting(std::string(known.name), parameter.value, place);
  }
  for (View key : {"application_name", "client_encoding", "target_session_attrs"}) {
    if (key != parameter.key || parameter.value.empty()) continue;
    pairs.push_back(parameter);
    return;
  }
  found_.warnings.push_back(
      fmt::format("{} is ignored{}", printable(parameter.key), in_configuration(place)));
}

void add_pair(std::vector<KeyValue>& pairs, View key, const std::string& value) {
  if (!value.empty()) pairs.push_back({std::string(key), value});
}

void EnvironmentReader::gather_url(const Value& value) {
  const Place place = place_of(value.variable);
  auto url = parse_database_url(value.text);
  if (!url) return fail(url.error().message + in_configuration(place), url.error().hint);
  std::vector<KeyValue> pairs;
  add_pair(pairs, "host", url->host);
  add_pair(pairs, "port", url->port);
  add_pair(pairs, "dbname", url->name);
  add_pair(pairs, "auth_user", url->user);
  for (const KeyValue& parameter : url->parameters) gather_parameter(parameter, place, pairs);
  add_user(url->user, url->password);
  add_database(url->name.empty() ? "*" : url->name, pairs, place);
}

void EnvironmentReader::gather_parts(const Dialect& dialect) {
  std::string user = text(dialect.user);
  const std::string password = text(dialect.password), name = text(dialect.name);
  if (user.empty() && !password.empty()) user = "postgres";  // as the images have it
  std::string shown = name.empty() ? "*" : name;
  std::vector<KeyValue> pairs;
  add_pair(pairs, "host", text(dialect.host));
  add_pair(pairs, "port", text(dialect.port));
  add_pair(pairs, "dbname", name);
  bool is_forced = dialect.is_forced;
  if (dialect.host == "POSTGRESQL_HOST") {
    if (const Value* alias = find("PGBOUNCER_DATABASE")) shown = alias->text;
    is_forced = parse_switch(text("PGBOUNCER_SET_DATABASE_USER")).value_or(false);
    add_pair(pairs, "connect_query", text("PGBOUNCER_CONNECT_QUERY"));
  }
  add_pair(pairs, is_forced ? "user" : "auth_user", user);
  if (is_forced) add_pair(pairs, "password", password);
  if (dialect.host == "DATABASES_HOST") {
    for (View key : database_keys()) {
      const bool is_there =
          std::ranges::any_of(pairs, [&](const KeyValue& pair) { return pair.key == key; });
      if (!is_there) add_pair(pairs, key, text(fmt::format("{}{}", databases, in_capitals(key))));
    }
  }
  add_user(user, password);
  add_database(std::move(shown), pairs, place_of(find(dialect.host)->variable));
}

void EnvironmentReader::gather_more_databases() {
  for (const auto& [name, value] : values_) {
    if (!View(name).starts_with(dsn)) continue;
    const size_t end = value.text.find('=');
    if (end == std::string::npos) {
      fail(value.variable + " has no =", "expected name=host=... port=...");
      continue;
    }
    found_.items.push_back({.section = "databases",
                            .key = std::string(trimmed(View(value.text).substr(0, end))),
                            .value = std::string(trimmed(View(value.text).substr(end + 1))),
                            .place = place_of(value.variable)});
  }
}

void EnvironmentReader::gather_databases() {
  const Dialect* chosen = nullptr;
  for (const Dialect& dialect : dialects) {
    if (find(dialect.host) == nullptr) continue;
    if (chosen == nullptr) {
      chosen = &dialect;
    } else {
      found_.warnings.push_back(
          fmt::format("{} is not read: {} names the database", dialect.host, chosen->host));
    }
  }
  if (chosen != nullptr && chosen->host == "DATABASE_URL") {
    gather_url(*find(chosen->host));
  } else if (chosen != nullptr) {
    gather_parts(*chosen);
  }
  gather_more_databases();
  const auto names_database = [](const IniItem& item) { return item.section == "databases"; };
  if (found_.errors.empty() && std::ranges::none_of(found_.items, names_database)) {
    fail("the environment names no database",
         "set DATABASES_HOST, DATABASE_URL, DB_HOST or POSTGRESQL_HOST, or name a configuration "
         "file");
  }
}

EnvironmentItems EnvironmentReader::read() {
  for (const EnvironmentVariable& variable : environment_) gather(variable);
  refuse_unknown();
  if (alone_) {
    found_.items.push_back({.opens_section = true, .section = "pgbouncer"});
    // A container that nobody can reach is of no use, and JDBC sends this parameter always.
    add_setting("listen_addr", "*", {});
    add_setting("ignore_startup_parameters", "extra_float_digits", {});
    gather_databases();
    found_.user_list = text("PGBOUNCER_USERLIST");
  }
  warn_of_unread();
  gather_settings(theirs);
  gather_settings(ours);
  return std::move(found_);
}

}  // namespace

bool may_concern_us(View name) {
  for (View prefix :
       {ours, theirs, databases, View("DATABASE_URL"), View("DB_"), View("POSTGRESQL_")}) {
    if (name.starts_with(prefix)) return true;
  }
  return is_bare_setting(name);
}

bool configures(const Environment& environment) {
  return std::ranges::any_of(environment, [](const EnvironmentVariable& variable) {
    const View name = variable.name;
    if (variable.value.empty()) return false;
    const std::string meant = named(name).name;
    const bool host = std::ranges::any_of(
        dialects, [&](const Dialect& dialect) { return meant == dialect.host; });
    return host || name.starts_with(ours) || name.starts_with(theirs);
  });
}

EnvironmentItems read_environment(const Environment& environment, bool alone,
                                  const FileReader& read) {
  return EnvironmentReader(environment, alone, read).read();
}

}  // namespace headgate
