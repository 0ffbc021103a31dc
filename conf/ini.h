// The ini form of a configuration: text to (section, key, value, place), one after the other. Knows
// nothing of settings. The grammar, as PgBouncer's:
//
//   ; comment        # comment        (first in the line; leading white space never matters)
//   [section]                         (the rest of the line is read on)
//   key = value                       key: letters, digits and _ . - *, or 'anything'
//   %include path                     (in place, relative to the working directory, 10 deep)
//
// A value runs to the end of the line. A COMMENT MAY FOLLOW A VALUE, which PgBouncer does not have.
// So that every value which works there works here, what is cut depends on what the value is:
//
//   numbers, times, switches, words of a list of choices: the whole value is tried first; only if
//     it is not valid, it is cut at the first `;` or `#` behind white space and tried again.
//   names, lists and paths: cut at the first run of `;` or `#` that stands alone, that is, with
//   white
//     space (or nothing) on both sides. `/srv/pool #1/log` is whole; `/srv/log # why` is cut.
//   connection strings: `;` or `#` where a key is expected. Inside values, quoted or not, they are
//     part of the value (`password=a;b#c`, `password= #x`).
//   queries and messages: never cut, because `;` and `#` mean something in SQL, which has comments
//     of its own: `server_check_query = select 1 -- why`.
//
// What looks like a comment and is kept gives a warning.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace headgate {

/// Reads a whole file, or says why it cannot be read.
using FileReader = std::function<Result<std::string>(const std::string& path)>;

/// Where something stands: in a line of a file; in what `file` names, if there is no line; without
/// a file, nowhere.
struct Place {
  std::string file;
  int line = 0;
};
/// ` in configuration (FILE:LINE)`, as PgBouncer's messages end, or ` in FILE`; empty for nowhere.
std::string in_configuration(const Place& place);

/// The opening of a section (then key and value are empty), or a key with its value.
struct IniItem {
  bool opens_section = false;
  std::string section{}, key{}, value{};
  Place place{};
  bool whole = false;  // no comment can follow the value
};

/// Takes the items in their order; an error ends the reading.
using IniSink = std::function<std::optional<Error>(const IniItem&)>;

inline constexpr int deepest_include = 10;
inline constexpr int most_files = 1000;

/// Reads a file and what it includes. The first error, of the text or of `take`, ends the reading;
/// but with `errors`, the errors of lines are gathered there and the reading goes on, until there
/// are `most_errors`.
std::optional<Error> read_ini(const std::string& path, const FileReader& read, const IniSink& take,
                              std::vector<Error>* errors = nullptr);
inline constexpr size_t most_errors = 100;

/// The value in front of a comment: a `;` or `#` behind white space, or at the very front.
View before_comment(View value);
/// The same, but the `;` or `#` (or a run of them) must also have white space or nothing behind it.
View before_lone_comment(View value);

/// Without the white space around it.
View trimmed(View text);

}  // namespace headgate
