// The SQL in which a session is spoken of: texts and names of settings in quotes, and the
// statements that change one setting.
#pragma once

#include <string>

#include "base/bytes.h"

namespace headgate {

/// A text as an SQL string that means the same whatever is in it and whatever the session's
/// settings are: $h$text$h$. The text is in the session's client_encoding.
std::string quote_dollar(View text);

/// A setting's name, of one or more parts, as SQL: "app"."user".
std::string quote_setting(View name);

/// The statement that gives a setting this value.
std::string set_to(View name, View value);

/// The statement that gives it the value with which the server's session began.
std::string reset_to_default(View name);

/// SET statement_timeout to none.
std::string no_time_limit_sql();

}  // namespace headgate
