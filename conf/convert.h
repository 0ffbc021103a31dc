// --convert: an ini file as TOML that loads to the same settings. Comments do not survive, includes
// are resolved, secrets stay as they are.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "conf/ini.h"

namespace headgate {

/// The text of the TOML file. Otherwise everything that is wrong with the ini file.
struct Conversion {
  std::string toml;
  std::vector<Error> errors;
};
Conversion convert_to_toml(const std::string& path, const FileReader& read);

}  // namespace headgate
