// What must hold between the settings, and which of their values Headgate refuses because it cannot
// do yet what they promise: a start-up error is better than a door left open.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "conf/ini.h"
#include "conf/settings.h"

namespace headgate {

/// Where each setting that a file sets was set last.
using Places = std::map<std::string, Place, std::less<>>;

/// The first thing that is wrong, or nothing; what is only doubtful goes to config.warnings.
std::optional<Error> check(Config& config, const Places& places);
/// Everything that `check` would find, one after the other.
std::vector<Error> check_all(Config& config, const Places& places);

/// The same for what concerns TLS, but for the contents of its files. Apart, because SET must not
/// fail of it: files are changed one by one there, and TLS goes on as it was until they fit.
std::optional<Error> check_tls(const Settings& settings, const Places& places = {});

/// Adds a warning for each setting in `places` that was changed and has no effect (yet).
void warn_of_missing_effects(Config& config, const Places& places);

}  // namespace headgate
