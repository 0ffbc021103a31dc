#include "conf/check.h"

#include <fmt/format.h>

#include "conf/entries.h"
#include "conf/lists.h"
#include "conf/setting.h"
#include "conf/values.h"

namespace headgate {
namespace {

/// ` in configuration (FILE:LINE)`, or nothing for a setting that no file sets.
std::string where(const Places& places, View name) {
  const auto found = places.find(name);
  return found == places.end() ? "" : in_configuration(found->second);
}

std::string text_of(const Settings& settings, View name) {
  return show(settings, *find_setting(name)).value_or("");
}

/// auth_type=cert means nothing without a verified certificate.
std::optional<Error> check_cert(const Settings& settings, const Places& places) {
  View missing;
  if (settings.client_tls_sslmode != SslMode::verify_full) {
    missing = "client_tls_sslmode=SSLMODE_VERIFY_FULL";
  } else if (settings.client_tls_ca_file.empty()) {
    missing = "client_tls_ca_file";
  }
  if (missing.empty()) return std::nullopt;
  return Error(ErrorCode::config,
               fmt::format("auth_type=cert requires {}{}", missing, where(places, "auth_type")));
}

std::optional<Error> check_auth(Config& config, const Places& places) {
  const Settings& settings = config.settings;
  if (settings.auth_type == AuthMethod::cert) {
    if (auto error = check_cert(settings, places)) return error;
  }
  const std::string ldap = text_of(settings, "auth_ldap_options");
  config.ldap = LdapOptions();
  if (ldap.empty()) {
    if (settings.auth_type != AuthMethod::ldap) return std::nullopt;
    return Error(ErrorCode::config, "auth_ldap_options is null" + where(places, "auth_type"));
  }
  auto parsed = LdapOptions::parse(ldap);
  if (!parsed) {  // the value may hold a password, so it is not shown
    Error error(ErrorCode::config, "invalid value \"***\" for parameter auth_ldap_options" +
                                       where(places, "auth_ldap_options"));
    error.hint = parsed.error().message;
    return error;
  }
  config.ldap = *std::move(parsed);
  return std::nullopt;
}

/// Every client and every server carries a value of each.
std::optional<Error> check_tracked(const Settings& settings, const Places& places) {
  if (split_at_commas(settings.track_extra_parameters).size() <= most_extra_parameters) {
    return std::nullopt;
  }
  return Error(ErrorCode::config,
               fmt::format("track_extra_parameters has more than {} names{}", most_extra_parameters,
                           where(places, "track_extra_parameters")));
}

// Where reads go to the standbys, all else goes to the primary.
void settle_targets(Config& config) {
  for (auto& [name, entry] : config.databases) {
    const bool routes =
        entry.read_routing.value_or(config.settings.read_routing) != ReadRouting::off;
    const bool has_hosts = entry.host.find(',') != std::string::npos;
    if (routes && has_hosts && entry.target == TargetRole::any) entry.target = TargetRole::primary;
  }
}

// Roles are found by asking, and somebody has to ask.
std::optional<Error> check_target(const Settings& settings, const DatabaseEntry& entry) {
  if (entry.target == TargetRole::any) return std::nullopt;
  const std::string database = "database " + printable(entry.name);
  if (entry.host.empty()) {
    return Error(ErrorCode::config, database + ": target_session_attrs needs a host");
  }
  if (!monitor_user(settings, entry).empty()) return std::nullopt;
  Error error(ErrorCode::config, database +
                                     ": target_session_attrs needs a user who asks its "
                                     "hosts for their roles");
  error.hint = "set monitor_user, or user or auth_user of the database";
  return error;
}

// A weight is for a host of the list.
std::optional<Error> check_weights(const DatabaseEntry& entry) {
  const size_t hosts = split_at_commas(entry.host).size();
  if (entry.host_weights.empty() || entry.host_weights.size() == hosts) return std::nullopt;
  Error error(ErrorCode::config,
              fmt::format("database {}: host_weights has {} weights for {} hosts",
                          printable(entry.name), entry.host_weights.size(), hosts));
  error.hint = "one for each host of the list, in its order; 0 keeps reads away from a host";
  return error;
}

void check_targets(const Config& config, std::vector<Error>& errors) {
  for (const auto& [name, entry] : config.databases) {
    if (auto error = check_target(config.settings, entry)) errors.push_back(*std::move(error));
    if (auto error = check_weights(entry)) errors.push_back(*std::move(error));
  }
  const auto any = config.find_database("");
  if (config.fallback && any && any->target != TargetRole::any) {
    errors.emplace_back(ErrorCode::config,
                        "database *: target_session_attrs needs a database by name");
  }
}

}  // namespace

std::vector<Error> check_all(Config& config, const Places& places) {
  const Settings& settings = config.settings;
  std::vector<Error> errors;
  if (auto error = check_auth(config, places)) errors.push_back(*std::move(error));
  if (settings.auth_dbname == console_database) {
    errors.emplace_back(ErrorCode::config,
                        "cannot use the reserved \"pgbouncer\" database as an auth_dbname" +
                            where(places, "auth_dbname"));
  }
  settle_targets(config);
  check_targets(config, errors);
  if (auto error = check_tracked(settings, places)) errors.push_back(*std::move(error));
  return errors;
}

std::optional<Error> check(Config& config, const Places& places) {
  auto errors = check_all(config, places);
  if (errors.empty()) return std::nullopt;
  return std::move(errors.front());
}

std::optional<Error> check_tls(const Settings& settings, const Places& places) {
  for (const auto& [name, versions] :
       {std::pair<View, View>{"client_tls_protocols", settings.client_tls_protocols},
        std::pair<View, View>{"server_tls_protocols", settings.server_tls_protocols}}) {
    if (parse_tls_versions(versions)) continue;
    return invalid_setting(name, versions, where(places, name),
                           "a list of tlsv1.0, tlsv1.1, tlsv1.2, tlsv1.3, secure, all, each with "
                           "or without ! in front");
  }
  const View parameters = settings.client_tls_dheparams;
  if (!equal_ignoring_case(parameters, "auto") && !equal_ignoring_case(parameters, "none")) {
    return invalid_setting("client_tls_dheparams", parameters,
                           where(places, "client_tls_dheparams"), "auto or none");
  }
  if (settings.client_tls_sslmode == SslMode::disable) return std::nullopt;
  const std::string place = where(places, "client_tls_sslmode");
  if (settings.client_tls_key_file.empty() || settings.client_tls_cert_file.empty()) {
    return Error(ErrorCode::config,
                 "To allow TLS connections from clients, client_tls_key_file and "
                 "client_tls_cert_file must be set." +
                     place);
  }
  if (settings.client_tls_sslmode >= SslMode::verify_ca && settings.client_tls_ca_file.empty()) {
    return Error(ErrorCode::config, "client_tls_sslmode requires client_tls_ca_file" + place);
  }
  return std::nullopt;
}

void warn_of_missing_effects(Config& config, const Places& places) {
  for (const Setting& setting : all_settings()) {
    if (setting.effect != Effect::never) continue;
    const auto place = places.find(setting.name);
    if (place == places.end() || is_default(config.settings, setting)) continue;
    config.warnings.push_back(fmt::format("{} has no effect in Headgate{}", setting.name,
                                          in_configuration(place->second)));
  }
}

}  // namespace headgate
