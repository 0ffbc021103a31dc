// The one table of settings. Reading a file, SET, SHOW CONFIG, RELOAD, --check and the example file
// are loops over it; a new setting is a row here, a member in conf/settings.h, and its reader.
#pragma once

#include <climits>
#include <cstdint>
#include <span>
#include <variant>

#include "base/bytes.h"
#include "conf/settings.h"

namespace headgate {

/// When a change of the file takes effect.
enum class Takes : uint8_t { reload, restart };

/// Whether Headgate does what the setting says.
enum class Effect : uint8_t {
  now,
  never,  // means nothing here, for instance a buffer size; setting it gives a warning
};

// Where a setting's value lives. The alternative picks the parser, the printer and, for text, where
// a comment behind the value begins (conf/ini.h).

/// A number written and shown in octal.
struct Octal {
  int Settings::*member;
};
/// Text with blanks in it, such as a query; `std::string Settings::*` is a name, a list or a path.
struct FreeText {
  std::string Settings::*member;
};
/// A value in Settings::others, under `key`.
struct Other {
  enum class Type : uint8_t { name, free_text, integer, duration };
  View key;
  Type type;
};
using Home =
    std::variant<int Settings::*, uint32_t Settings::*, bool Settings::*, Duration Settings::*,
                 std::string Settings::*, std::optional<std::string> Settings::*,
                 PoolMode Settings::*, AuthMethod Settings::*, SslMode Settings::*,
                 TimeoutAction Settings::*, SessionPolicy Settings::*, StatePolicies Settings::*,
                 AuditRate Settings::*, ReadRouting Settings::*, ReadConsistency Settings::*,
                 ErrorCodes Settings::*, LogFormat Settings::*, Octal, FreeText, Other>;

/// The values of a number that are allowed; durations count in seconds, and where -1 is the lowest
/// it is the only negative one.
struct Range {
  int64_t lowest = 0;
  int64_t highest = INT_MAX;
  bool raise = false;  // a number below `lowest` counts as `lowest`, as PgBouncer starts with it
};

/// What a whole number counts, so that it may be written with another unit. Durations need none.
enum class Counts : uint8_t { things, bytes, seconds, milliseconds };

struct Setting {
  View name;
  Home home;
  const char* default_text;  // null: no value, shown as NULL
  Takes takes;
  Effect effect;
  View help;
  Range range{};
  Counts counts = Counts::things;
};

/// All settings, PgBouncer's in the order of its SHOW CONFIG, Headgate's own behind them.
std::span<const Setting> all_settings();

/// The setting of this name, or null.
const Setting* find_setting(View name);

/// An old or foreign name of a setting, accepted with a warning.
struct OldName {
  View old_name, name;
};
std::span<const OldName> old_names();

}  // namespace headgate
