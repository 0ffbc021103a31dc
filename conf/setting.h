// What can be done with one setting of the table: assign it from text, show it, copy it.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "conf/settings_table.h"

namespace headgate {

/// Puts the value of `text` into `settings`. If it is not valid, changes nothing and says what
/// would be: `an integer`, `one of session, transaction, statement`.
std::optional<std::string> assign(Settings& settings, const Setting& setting, View text);

/// The same for a line of a file, where a comment may follow the value; `conf/ini.h` has the rule.
/// `suspicious` tells of what looks like a comment but is part of the value.
std::optional<std::string> assign_line(Settings& settings, const Setting& setting, View line,
                                       bool& suspicious);

/// The value in the words of the file, or nothing where there is none.
std::optional<std::string> show(const Settings& settings, const Setting& setting);

bool is_default(const Settings& settings, const Setting& setting);

/// Makes the setting in `to` what it is in `from`.
void copy(const Setting& setting, const Settings& from, Settings& to);

/// Every setting at its default.
Settings default_settings();

/// `unknown parameter: pgbouncer/NAME`, with the nearest known name as the hint.
Error unknown_setting(View name);

/// `invalid value "V" for parameter NAME` and then `where`; the hint says what is expected.
Error invalid_setting(View name, View value, const std::string& where, const std::string& expected);

}  // namespace headgate
