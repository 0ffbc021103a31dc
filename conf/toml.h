// The TOML form of a configuration: a file whose name ends in .toml, read into the same items as an
// ini file. Knows nothing of settings.
//
//   [headgate]              settings; [pgbouncer] is the same
//   [databases.shop]        a table of keys for each line of an ini file; "*" in quotes
//   [users.joe]  [peers.1]
//
// A value is a string (which may have a unit), a number, true or false, or an array of those for
// what is a comma list. A database may also be a string: a connection string.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "conf/ini.h"

namespace headgate {

bool is_toml(View path);

/// Reads a file as read_ini does, its items in the order of their lines. There are no includes, and
/// what is no TOML is one error.
std::optional<Error> read_toml(const std::string& path, const FileReader& read, const IniSink& take,
                               std::vector<Error>* errors = nullptr);

/// What a text is in TOML: in quotes, with escapes.
std::string toml_text(View text);
/// What a name is in front of `=` or in `[...]`: bare where it can be.
std::string toml_key(View name);
/// What is wrong with a text of TOML, if anything.
std::optional<std::string> toml_problem(View text);

}  // namespace headgate
