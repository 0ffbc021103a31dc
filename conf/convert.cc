#include "conf/convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "conf/connstr.h"
#include "conf/entries.h"
#include "conf/load.h"
#include "conf/setting.h"
#include "conf/toml.h"
#include "conf/values.h"

namespace headgate {
namespace {

/// A text where TOML has no number for it.
std::string duration_value(Duration duration) {
  const int64_t count = duration.count();
  if (count % 1'000'000 == 0) return std::to_string(count / 1'000'000);
  if (count % 1000 == 0) return fmt::format("\"{}ms\"", count / 1000);
  return fmt::format("\"{}us\"", count);
}

struct Writer {
  const Settings& settings;
  const Setting& setting;

  std::string operator()(int Settings::*member) const { return std::to_string(settings.*member); }
  std::string operator()(uint32_t Settings::*member) const {
    return std::to_string(settings.*member);
  }
  std::string operator()(bool Settings::*member) const {
    return settings.*member ? "true" : "false";
  }
  std::string operator()(Duration Settings::*member) const {
    return duration_value(settings.*member);
  }
  std::string operator()(Octal octal) const {
    return fmt::format("0o{:o}", settings.*octal.member);
  }
  template <class Home>
  std::string operator()(Home) const {
    return toml_text(show(settings, setting).value_or(""));
  }
};

/// Which keys of a line are numbers. A password of digits is none.
bool is_number(const KeyValue& pair) {
  constexpr View canonical = "0123456789";
  const View key = pair.key, value = pair.value;
  const bool counts = key == "port" || key.find("size") != View::npos ||
                      key.find("max_") != View::npos || key.ends_with("timeout") ||
                      key.ends_with("lifetime");
  const bool plain = value.size() < 10 && value.find_first_not_of(canonical) == View::npos;
  return counts && plain && (value == "0" || !value.starts_with('0'));
}

class Converter {
 public:
  Converter(const std::string& path, const FileReader& read) : path_(path), read_(read) {}
  Conversion convert();

 private:
  void write_settings(const Inspection& found);
  void gather_entries();
  void write_entries(View section);
  void write_entry(View section, const std::string& name, const std::string& text);

  const std::string& path_;
  const FileReader& read_;
  std::map<std::pair<std::string, std::string>, std::string> entries_;  // by section and name
  Conversion made_;
};

void Converter::write_settings(const Inspection& found) {
  made_.toml += "[headgate]\n";
  const Settings& settings = found.config.settings;
  for (const Setting& setting : all_settings()) {
    const bool is_said = found.places.contains(setting.name);
    const bool is_path_of_old = setting.name == "conffile" && !is_said;
    if ((!is_said && is_default(settings, setting)) || is_path_of_old) continue;
    made_.toml +=
        fmt::format("{} = {}\n", setting.name, std::visit(Writer{settings, setting}, setting.home));
  }
}

// What a line of the file said last counts.
void Converter::gather_entries() {
  const auto take = [&](const IniItem& item) -> std::optional<Error> {
    if (!item.opens_section && item.section != "pgbouncer") {
      entries_[{item.section, item.key}] = item.value;
    }
    return std::nullopt;
  };
  if (auto error = read_ini(path_, read_, take)) made_.errors.push_back(*std::move(error));
}

void Converter::write_entry(View section, const std::string& name, const std::string& text) {
  std::vector<std::string> ignored;
  auto pairs = parse_connection_string(text, ignored);
  // That of `*` is of use to nobody then, but an ini file may have it.
  if (!pairs || (name == "*" && !parse_database(name, text, ignored))) {
    made_.errors.emplace_back(
        ErrorCode::config,
        fmt::format("the connection string of {} cannot be converted", printable(name)));
    return;
  }
  made_.toml += fmt::format("\n[{}.{}]\n", section, toml_key(name));
  for (auto pair = pairs->begin(); pair != pairs->end(); ++pair) {
    const auto same_key = [&](const KeyValue& later) { return later.key == pair->key; };
    if (std::any_of(pair + 1, pairs->end(), same_key)) continue;  // the last one counts
    made_.toml += fmt::format("{} = {}\n", toml_key(pair->key),
                              is_number(*pair) ? pair->value : toml_text(pair->value));
  }
}

void Converter::write_entries(View section) {
  for (const auto& [place, text] : entries_) {
    if (place.first == section) write_entry(section, place.second, text);
  }
}

Conversion Converter::convert() {
  if (is_toml(path_)) {
    made_.errors.emplace_back(ErrorCode::config, printable(path_) + " is TOML already");
    return std::move(made_);
  }
  Inspection found = inspect_config(path_, read_);
  made_.errors = std::move(found.errors);
  if (!made_.errors.empty()) return std::move(made_);
  write_settings(found);
  gather_entries();
  for (View section : {"databases", "users", "peers"}) write_entries(section);
  // A file may hold bytes that are no UTF-8, and TOML cannot.
  if (auto problem = toml_problem(made_.toml)) {
    made_.errors.emplace_back(ErrorCode::config, path_ + " cannot be written as TOML: " + *problem);
  }
  return std::move(made_);
}

}  // namespace

Conversion convert_to_toml(const std::string& path, const FileReader& read) {
  return Converter(path, read).convert();
}

}  // namespace headgate
