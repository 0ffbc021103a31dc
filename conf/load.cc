#include "conf/load.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "conf/check.h"
#include "conf/entries.h"
#include "conf/setting.h"
#include "conf/toml.h"
#include "conf/values.h"

namespace headgate {
namespace {

Error main_section_missing() {
  return Error(ErrorCode::config, "main section missing from config file");
}

/// The file that RELOAD reads next.
void follow_conffile(Config& config) {
  const auto file = config.settings.others.find("conffile");
  if (file != config.settings.others.end() && !file->second.empty()) config.path = file->second;
}

bool is_section_of_entries(View name) {
  return name == "databases" || name == "users" || name == "peers";
}

/// Builds a Config from the lines of its files, in their order.
class Loader {
 public:
  Loader(const std::string& path, const Config* running, int verbose)
      : running_(running), verbose_(verbose) {
    config_.path = path;
    reset();
  }

  std::optional<Error> take(const IniItem& item);
  /// What is wrong in it goes to `errors`.
  void take(EnvironmentItems environment, std::vector<Error>& errors);
  Result<Config> finish(const FileReader& read);
  /// The same, with everything that is wrong added to `errors`.
  Inspection finish(const FileReader& read, std::vector<Error> errors);

 private:
  void reset();
  std::optional<Error> open_section(const IniItem& item);
  std::optional<Error> take_setting(const IniItem& item);
  std::optional<Error> take_entry(const IniItem& item);
  std::optional<Error> take_database(const IniItem& item);
  std::string current_name(const IniItem& item);
  void add_warnings(const std::vector<std::string>& warnings, const Place& place);
  void keep_what_needs_a_restart();
  void keep_forced_users();
  void read_users(const FileReader& read);
  void read_user_file(const FileReader& read);
  std::optional<Error> read_rules(const FileReader& read);
  std::optional<Error> read_maps(const FileReader& read);
  std::optional<Error> cannot_read(View setting, const std::string& path, const Error& reason);
  std::optional<Error> take_problems(View kind, const std::vector<LineProblem>& problems);

  Config config_;
  const Config* running_;
  int verbose_;
  bool main_section_seen_ = false;
  Places places_;
  EnvironmentItems environment_;  // but for its items, which are taken
};

void Loader::reset() {
  config_.settings = default_settings();
  config_.settings.verbose = verbose_;
  config_.settings.others["conffile"] = config_.path;
}

std::optional<Error> Loader::take(const IniItem& item) {
  if (item.opens_section) return open_section(item);
  if (item.section == "pgbouncer") return take_setting(item);
  if (!item.section.empty() && !is_section_of_entries(item.section)) {
    return std::nullopt;  // its head was refused
  }
  if (item.section.empty()) {
    Error error(ErrorCode::config, "value without section: " + item.key);
    error.detail = invalid_setting(item.key, item.value, in_configuration(item.place), "").message;
    return error;
  }
  return take_entry(item);
}

std::optional<Error> Loader::open_section(const IniItem& item) {
  if (item.section == "pgbouncer") {
    // As in PgBouncer, the settings of an earlier [pgbouncer] are lost, but for those that have no
    // default or need a restart.
    if (main_section_seen_) {
      const Settings earlier = config_.settings;
      reset();
      for (const Setting& setting : all_settings()) {
        const bool kept = setting.takes == Takes::restart || setting.default_text == nullptr;
        if (kept) copy(setting, earlier, config_.settings);
      }
      add_warnings({"a second [pgbouncer] section resets what the first one set"}, item.place);
    }
    main_section_seen_ = true;
    return std::nullopt;
  }
  if (is_section_of_entries(item.section)) return std::nullopt;
  return Error(ErrorCode::config, fmt::format("invalid section \"{}\"{}", printable(item.section),
                                              in_configuration(item.place)));
}

/// The name of the setting, with a warning if the file has an old one.
std::string Loader::current_name(const IniItem& item) {
  for (const OldName& old : old_names()) {
    if (old.old_name != item.key) continue;
    add_warnings({fmt::format("{} is an old name of {}", old.old_name, old.name)}, item.place);
    return std::string(old.name);
  }
  return item.key;
}

std::optional<Error> Loader::take_setting(const IniItem& item) {
  const Setting* setting = find_setting(current_name(item));
  const std::string where = in_configuration(item.place);
  if (setting == nullptr) {
    Error error = unknown_setting(item.key);
    error.detail = invalid_setting(item.key, item.value, where, "").message;
    return error;
  }
  bool suspicious = false;
  auto expected = item.whole ? assign(config_.settings, *setting, item.value)
                             : assign_line(config_.settings, *setting, item.value, suspicious);
  if (expected) return invalid_setting(item.key, item.value, where, *expected);
  if (suspicious) {
    add_warnings({fmt::format("what looks like a comment is part of the value of {}", item.key)},
                 item.place);
  }
  places_[std::string(setting->name)] = item.place;
  return std::nullopt;
}

std::optional<Error> Loader::take_database(const IniItem& item) {
  std::vector<std::string> warnings;
  const bool fallback = item.key == "*";
  auto entry = parse_database(item.key, item.value, warnings);
  if (!entry && (!fallback || item.whole)) return std::move(entry).error();
  if (!entry) {
    // Only a client that asks for an unknown database would find out in PgBouncer.
    warnings.push_back("the connection string of * is of no use: " + entry.error().message);
  }
  add_warnings(warnings, item.place);
  if (fallback) {
    config_.fallback = item.value;
  } else {
    config_.databases[item.key] = std::move(*entry);
  }
  return std::nullopt;
}

std::optional<Error> Loader::take_entry(const IniItem& item) {
  std::vector<std::string> warnings;
  std::optional<Error> error;
  if (item.section == "databases") {
    error = take_database(item);
  } else if (item.section == "users") {
    auto entry = parse_user(item.key, item.value, warnings);
    if (entry)
      config_.users[item.key] = std::move(*entry);
    else
      error = std::move(entry).error();
  } else {
    auto entry = parse_peer(item.key, item.value, warnings);
    if (entry)
      config_.peers[entry->id] = std::move(*entry);
    else
      error = std::move(entry).error();
  }
  add_warnings(warnings, item.place);
  // The value may hold a password, so it is not shown.
  if (error) {
    error->detail = fmt::format("invalid value \"***\" for parameter {}{}", printable(item.key),
                                in_configuration(item.place));
  }
  return error;
}

void Loader::add_warnings(const std::vector<std::string>& warnings, const Place& place) {
  for (const std::string& warning : warnings) {
    config_.warnings.push_back(warning + in_configuration(place));
  }
}

void Loader::keep_what_needs_a_restart() {
  if (running_ == nullptr) return;
  for (const Setting& setting : all_settings()) {
    if (setting.takes == Takes::restart) copy(setting, running_->settings, config_.settings);
  }
}

// The clients that are there were let in because of it.
void Loader::keep_forced_users() {
  if (running_ == nullptr) return;
  for (auto& [name, entry] : config_.databases) {
    const auto before = running_->databases.find(name);
    if (entry.user || before == running_->databases.end() || !before->second.user) continue;
    entry.user = before->second.user;
    if (!entry.password) entry.password = before->second.password;
    config_.warnings.push_back("losing forced user not supported, keeping old setting: database " +
                               printable(name));
  }
}

void Loader::take(EnvironmentItems environment, std::vector<Error>& errors) {
  environment_ = std::move(environment);
  for (Error& error : environment_.errors) errors.push_back(std::move(error));
  for (const IniItem& item : environment_.items) {
    if (auto error = take(item)) errors.push_back(*std::move(error));
  }
  for (std::string& warning : environment_.warnings) {
    config_.warnings.push_back(std::move(warning));
  }
}

void Loader::read_users(const FileReader& read) {
  read_user_file(read);
  const UserList more = UserList::parse(
      environment_.user_list, "environment variable PGBOUNCER_USERLIST", config_.warnings);
  for (const auto& [name, secret] : more.all()) config_.user_list.set(name, secret);
  for (auto& [name, secret] : environment_.users) {
    config_.user_list.set(name, Secret(std::move(secret)));
  }
}

void Loader::read_user_file(const FileReader& read) {
  const Settings& settings = config_.settings;
  const bool needless =
      settings.auth_type == AuthMethod::any || settings.auth_type == AuthMethod::pam;
  if (!settings.auth_file || needless) return;
  auto text = read(*settings.auth_file);
  if (text) {
    config_.user_list = UserList::parse(*text, *settings.auth_file, config_.warnings);
    return;
  }
  config_.warnings.push_back(
      fmt::format("could not open auth_file {}: {}", *settings.auth_file, text.error().message));
  if (running_ != nullptr) config_.user_list = running_->user_list;
}

// What is wrong with the rules keeps a reload from happening: the old ones stay. A start goes on
// without the bad lines, as PgBouncer's does, and without the file lets nobody in.
std::optional<Error> Loader::read_rules(const FileReader& read) {
  if (auto error = read_maps(read)) return error;
  const std::string& path = config_.settings.auth_hba_file;
  if (path.empty()) return std::nullopt;
  const auto text = read(path);
  if (!text) return cannot_read("auth_hba_file", path, text.error());
  std::vector<LineProblem> problems, doubts;
  config_.hba = HbaRules::parse(*text, path, config_.ident, read, problems, doubts);
  for (const LineProblem& doubt : doubts) {
    config_.warnings.push_back(fmt::format("hba config line {}: {} ({}:{})", doubt.line, doubt.what,
                                           doubt.file, doubt.line));
  }
  return take_problems("hba", problems);
}

std::optional<Error> Loader::read_maps(const FileReader& read) {
  const auto& path = config_.settings.auth_ident_file;
  if (!path || path->empty()) return std::nullopt;
  const auto text = read(*path);
  if (!text) return cannot_read("auth_ident_file", *path, text.error());
  std::vector<LineProblem> problems;
  config_.ident = IdentMaps::parse(*text, *path, problems);
  return take_problems("ident", problems);
}

std::optional<Error> Loader::cannot_read(View setting, const std::string& path,
                                         const Error& reason) {
  std::string message = fmt::format("could not open {} {}: {}", setting, path, reason.message);
  if (running_ != nullptr) return Error(ErrorCode::config, std::move(message));
  config_.warnings.push_back(std::move(message));
  return std::nullopt;
}

std::optional<Error> Loader::take_problems(View kind, const std::vector<LineProblem>& problems) {
  for (const LineProblem& problem : problems) {
    std::string message = fmt::format("could not parse {} config line {}: {} ({}:{})", kind,
                                      problem.line, problem.what, problem.file, problem.line);
    if (running_ != nullptr) return Error(ErrorCode::config, std::move(message));
    config_.warnings.push_back(std::move(message));
  }
  return std::nullopt;
}

Result<Config> Loader::finish(const FileReader& read) {
  if (!main_section_seen_) return main_section_missing();
  keep_what_needs_a_restart();
  keep_forced_users();
  follow_conffile(config_);
  warn_of_missing_effects(config_, places_);
  if (auto error = check(config_, places_)) return std::move(*error);
  if (auto error = check_tls(config_.settings, places_)) return std::move(*error);
  if (auto error = read_rules(read)) return std::move(*error);
  read_users(read);
  return std::move(config_);
}

Inspection Loader::finish(const FileReader& read, std::vector<Error> errors) {
  const auto add = [&](std::optional<Error> error) {
    if (error) errors.push_back(*std::move(error));
  };
  if (!main_section_seen_ && errors.empty()) add(main_section_missing());
  follow_conffile(config_);
  warn_of_missing_effects(config_, places_);
  for (Error& error : check_all(config_, places_)) add(std::move(error));
  add(check_tls(config_.settings, places_));
  add(read_rules(read));
  read_users(read);
  return {std::move(config_), std::move(places_), std::move(errors)};
}

/// Reads from an open file until its end.
Result<std::string> read_all(int file) {
  constexpr size_t largest = 16 << 20;
  std::string text;
  char part[1 << 14];
  for (;;) {
    const ssize_t size = ::read(file, part, sizeof part);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Error(ErrorCode::io, std::strerror(errno));
    if (size == 0) return text;
    text.append(part, static_cast<size_t>(size));
    if (text.size() > largest) return Error(ErrorCode::io, "the file is larger than 16 MB");
  }
}

/// Reads whatever kind of file it is; no path is no file.
std::optional<Error> read_file_of(const std::string& path, const FileReader& read,
                                  const IniSink& take, std::vector<Error>* errors) {
  if (path.empty()) return std::nullopt;
  return is_toml(path) ? read_toml(path, read, take, errors) : read_ini(path, read, take, errors);
}

bool is_readable_kind(int file) {
  struct stat status {};
  if (fstat(file, &status) != 0) return false;
  return S_ISREG(status.st_mode) || S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode);
}

}  // namespace

Result<std::string> read_file(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (file < 0) return Error(ErrorCode::io, std::strerror(errno));
  Result<std::string> text = is_readable_kind(file)
                                 ? read_all(file)
                                 : Result<std::string>(Error(ErrorCode::io, "not a regular file"));
  close(file);
  return text;
}

Result<Config> load_config(const std::string& path, const FileReader& read, const Config* running,
                           const Start& start) {
  Loader loader(path, running, start.verbose);
  std::vector<Error> errors;
  const auto take = [&](const IniItem& item) { return loader.take(item); };
  if (auto refusal = read_file_of(path, read, take, nullptr)) return *std::move(refusal);
  loader.take(read_environment(start.environment, path.empty(), read), errors);
  if (!errors.empty()) return std::move(errors.front());
  return loader.finish(read);
}

Inspection inspect_config(const std::string& path, const FileReader& read, const Start& start) {
  Loader loader(path, nullptr, start.verbose);
  std::vector<Error> errors;
  const auto take = [&](const IniItem& item) { return loader.take(item); };
  auto refusal = read_file_of(path, read, take, &errors);
  if (refusal) errors.push_back(*std::move(refusal));
  loader.take(read_environment(start.environment, path.empty(), read), errors);
  return loader.finish(read, std::move(errors));
}

Result<Config> with_setting(const Config& config, const std::string& key,
                            const std::string& value) {
  std::string name = key;
  for (const OldName& old : old_names()) {
    if (old.old_name == key) name = old.name;
  }
  const Setting* setting = find_setting(name);
  if (setting == nullptr) return unknown_setting(key);
  Config changed = config;
  changed.warnings.clear();
  if (setting->takes == Takes::restart) return changed;
  if (auto expected = assign(changed.settings, *setting, value)) {
    return invalid_setting(key, value, "", *expected);
  }
  follow_conffile(changed);
  warn_of_missing_effects(changed, {{name, {}}});
  if (auto error = check(changed, {})) return std::move(*error);
  return changed;
}

std::vector<ShownSetting> show_settings(const Settings& settings) {
  std::vector<ShownSetting> rows;
  for (const Setting& setting : all_settings()) {
    ShownSetting row;
    row.key = setting.name;
    row.value = show(settings, setting);
    if (row.key == "auth_ldap_options" && row.value) {
      row.value = LdapOptions::without_password(*row.value);
    }
    if (row.key == "http_password" && row.value) row.value = "********";
    if (setting.default_text != nullptr) row.default_value = setting.default_text;
    row.changeable = setting.takes == Takes::reload;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace headgate
