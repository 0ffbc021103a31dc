#include "conf/check.h"

#include <fmt/format.h>

#include "conf/entries.h"
#include "conf/setting.h"
#include "conf/values.h"

namespace headgate {
namespace {

/// ` in configuration (FILE:LINE)`, or nothing for a setting that no file sets.
std::string where(const Places& places, View name) {
  const auto found = places.find(name);
  return found == places.end() ? "" : in_configuration(found->second);
}

bool is_supported(AuthMethod method) {
  switch (method) {
    case AuthMethod::any:
    case AuthMethod::trust:
    case AuthMethod::plain:
    case AuthMethod::md5:
    case AuthMethod::scram_sha_256:
      return true;
    case AuthMethod::cert:
    case AuthMethod::hba:
    case AuthMethod::pam:
    case AuthMethod::ldap:
      return false;
  }
  return false;
}

Error unsupported(View name, View value, const Places& places, std::string hint) {
  Error error(ErrorCode::config,
              fmt::format("{}={} is not supported yet{}", name, value, where(places, name)));
  error.hint = std::move(hint);
  return error;
}

/// The names of all settings with this effect, as a list.
std::string names_with_effect(Effect effect) {
  std::string names;
  for (const Setting& setting : all_settings()) {
    if (setting.effect != effect) continue;
    if (!names.empty()) names += ", ";
    names += setting.name;
  }
  return names;
}

std::string listening(const Settings& settings) {
  std::string text;
  if (!settings.listen_addr.empty()) {
    text = fmt::format("{} port {}", settings.listen_addr, settings.listen_port);
  }
  if (!settings.unix_socket_dir.empty()) {
    if (!text.empty()) text += " and ";
    text += fmt::format("{}/.s.PGSQL.{}", settings.unix_socket_dir, settings.listen_port);
  }
  return text.empty() ? "nothing" : text;
}

}  // namespace

std::optional<Error> check(Config& config, const Places& places) {
  const Settings& settings = config.settings;
  if (!is_supported(settings.auth_type)) {
    return unsupported("auth_type", name_of(settings.auth_type), places,
                       "any, trust, plain, md5 and scram-sha-256 are");
  }
  if (settings.auth_dbname == console_database) {
    return Error(ErrorCode::config,
                 "cannot use the reserved \"pgbouncer\" database as an auth_dbname" +
                     where(places, "auth_dbname"));
  }
  return std::nullopt;
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
    if (setting.effect != Effect::later && setting.effect != Effect::never) continue;
    const auto place = places.find(setting.name);
    if (place == places.end() || is_default(config.settings, setting)) continue;
    const View what = setting.effect == Effect::later ? "is accepted but not yet in effect"
                                                      : "has no effect in Headgate";
    config.warnings.push_back(
        fmt::format("{} {}{}", setting.name, what, in_configuration(place->second)));
  }
}

std::string report(const Config& config) {
  std::string text;
  for (const std::string& warning : config.warnings) text += "warning: " + warning + "\n";
  text += fmt::format("{} is valid\n", config.path);
  text += fmt::format("listening on: {}\n", listening(config.settings));
  text += fmt::format("databases: {}{}; [users]: {}; in auth_file: {}\n", config.databases.size(),
                      config.fallback ? " and *" : "", config.users.size(),
                      config.user_list.all().size());
  text += fmt::format("pool_mode: {}; auth_type: {}; max_client_conn: {}\n",
                      name_of(config.settings.pool_mode), name_of(config.settings.auth_type),
                      config.settings.max_client_conn);
  text += fmt::format("not yet in effect: {}\n", names_with_effect(Effect::later));
  text += fmt::format("without effect: {}\n", names_with_effect(Effect::never));
  return text;
}

}  // namespace headgate
