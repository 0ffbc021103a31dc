// A whole configuration: it loads or is refused with a reason. What loads can be loaded again over
// itself and says the same, and what SHOW CONFIG shows of a setting can be set.
//
// Input: the files (tests/fuzz/files.h).
#include <algorithm>

#include "conf/advice.h"
#include "conf/convert.h"
#include "conf/load.h"
#include "conf/report.h"
#include "conf/setting.h"
#include "tests/fuzz/files.h"

namespace headgate::fuzz {
namespace {

std::string shown(const Config& config) {
  std::string text;
  for (const ShownSetting& row : show_settings(config.settings)) {
    text += row.key + "=" + row.value.value_or("(none)") + "\n";
  }
  return text;
}

void check_names(const Config& config) {
  for (const auto& [name, entry] : config.databases) {
    MUST(!name.empty() && entry.port > 0 && entry.port <= 65535);
    MUST(name == entry.name && config.find_database(name));
  }
  for (const auto& [name, entry] : config.users) MUST(name == entry.name);
}

void check_reload(const Config& config, const FileReader& reader) {
  const auto again = load_config("main", reader, &config);
  MUST(again.ok() && shown(*again) == shown(config));
  MUST(again->databases.size() == config.databases.size());
  MUST(again->users.size() == config.users.size() && again->peers.size() == config.peers.size());
  MUST(again->user_list.all() == config.user_list.all());
}

void check_settings(const Config& config) {
  for (const ShownSetting& row : show_settings(config.settings)) {
    if (!row.changeable || !row.value) continue;
    const auto changed = with_setting(config, row.key, *row.value);
    MUST(changed.ok() && shown(*changed) == shown(config));
  }
}

/// --check finds an error where a start does, and has something to say of everything.
void check_inspection(bool loads, const FileReader& reader) {
  const Inspection found = inspect_config("main", reader);
  MUST(found.errors.empty() == loads && found.errors.size() <= most_errors + 20);
  MUST(!report(found, advise({found.config, found.places, 1024})).empty());
}

/// What can be written as TOML says the same there.
void check_conversion(const Config& config, const FileReader& reader) {
  const Conversion made = convert_to_toml("main", reader);
  if (!made.errors.empty()) return;
  const FileReader with_toml = [&](const std::string& path) -> Result<std::string> {
    if (path == "main.toml") return made.toml;
    return reader(path);
  };
  const auto again = load_config("main.toml", with_toml);
  MUST(again.ok());
  for (const Setting& setting : all_settings()) {
    if (setting.name == "conffile") continue;  // the path of either file
    MUST(show(again->settings, setting) == show(config.settings, setting));
  }
  MUST(again->databases.size() == config.databases.size());
  MUST(again->users.size() == config.users.size() && again->peers.size() == config.peers.size());
  MUST(again->fallback.has_value() == config.fallback.has_value());
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  const fuzz::FuzzFiles files(data, size);
  const auto config = load_config("main", files.reader());
  fuzz::check_inspection(config.ok(), files.reader());
  if (!config) {
    MUST(config.error().code == ErrorCode::config && !config.error().message.empty());
    return 0;
  }
  fuzz::check_names(*config);
  fuzz::check_reload(*config, files.reader());
  fuzz::check_settings(*config);
  fuzz::check_conversion(*config, files.reader());
  return 0;
}
