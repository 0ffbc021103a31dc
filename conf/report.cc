#include "conf/report.h"

#include <fmt/format.h>

#include "conf/settings_table.h"
#include "conf/values.h"

namespace headgate {
namespace {

std::string names_without_effect() {
  std::string names;
  for (const Setting& setting : all_settings()) {
    if (setting.effect != Effect::never) continue;
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

std::string summary(const Config& config) {
  const Settings& settings = config.settings;
  return fmt::format(
      "listening on: {}\n"
      "databases: {}{}; [users]: {}; in auth_file: {}\n"
      "pool_mode: {}; auth_type: {}; max_client_conn: {}\n"
      "without effect: {}\n",
      listening(settings), config.databases.size(), config.fallback ? " and *" : "",
      config.users.size(), config.user_list.all().size(), name_of(settings.pool_mode),
      name_of(settings.auth_type), settings.max_client_conn, names_without_effect());
}

}  // namespace

std::string describe(const Error& error) {
  std::string text = "error: " + error.message + "\n";
  if (!error.detail.empty()) text += "  " + error.detail + "\n";
  if (!error.hint.empty()) text += "  hint: " + error.hint + "\n";
  return text;
}

std::string report(const Inspection& inspection, const std::vector<Advice>& advice) {
  const Config& config = inspection.config;
  std::string text;
  for (const Error& error : inspection.errors) text += describe(error);
  for (const std::string& warning : config.warnings) text += "warning: " + warning + "\n";
  for (const Advice& one : advice) text += "warning: " + one.text + "\n";
  const std::string what = config.path.empty() ? "the environment" : config.path;
  if (inspection.errors.empty()) return text + what + " is valid\n" + summary(config);
  const size_t count = inspection.errors.size();
  return text + fmt::format("{} has {} error{}\n", what, count, count == 1 ? "" : "s");
}

}  // namespace headgate
