// From files to a Config. The only file reading in this room goes through FileReader, so that tests
// hand in text.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "conf/check.h"
#include "conf/environment.h"
#include "conf/ini.h"
#include "conf/settings.h"

namespace headgate {

/// Reads from the file system; at most 16 MB. Files, pipes and character devices (/dev/null),
/// nothing else.
Result<std::string> read_file(const std::string& path);

/// What the program was started with, beside the file.
struct Start {
  int verbose = 0;            // how often -v was given; the setting `verbose` replaces it
  Environment environment{};  // overrides the file
};

/// Reads a file, TOML if its name ends in .toml, else an ini file with its includes, and the user
/// list it names; an empty `path` is no file: then the
/// environment says everything. An error leaves nothing half
/// changed; its message says what is wrong, its detail where (if the message does not), its hint
/// what would be right or the nearest known name. `running` is the configuration in force when this
/// is a reload (restart-only settings keep its values, and so does the user list if its file cannot
/// be read), else null.
///
/// A reload checks restart-only settings, too, before it leaves them as they are: a file that could
/// not be started with is refused at once. A setting that is not in the file has its default, also
/// at a reload, where PgBouncer leaves those without a default (auth_file, auth_user ...) as they
/// were.
Result<Config> load_config(const std::string& path, const FileReader& read,
                           const Config* running = nullptr, const Start& start = {});

/// A configuration as far as it could be read, and all that is wrong with it.
struct Inspection {
  Config config;
  Places places;
  std::vector<Error> errors;
};
/// What load_config would do at a start, but an error does not end it: at most `most_errors` and a
/// few more. (--check)
Inspection inspect_config(const std::string& path, const FileReader& read, const Start& start = {});

/// SET key = value of the console: a checked copy of `config` with that one setting changed.
/// Restart-only settings are accepted and ignored, as in PgBouncer. The copy's warnings are those
/// of this change alone.
Result<Config> with_setting(const Config& config, const std::string& key, const std::string& value);

/// A row of SHOW CONFIG.
struct ShownSetting {
  std::string key;
  std::optional<std::string> value, default_value;
  bool changeable = true;
};
/// All settings in PgBouncer's order, those of Headgate's own behind them; no secrets.
std::vector<ShownSetting> show_settings(const Settings& settings);

}  // namespace headgate
