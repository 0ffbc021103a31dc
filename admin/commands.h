// The console's commands, one row each: the words, who may use them, and what may or must follow.
// Read by the parser and by the answers; a test compares them with the text of HELP.
#pragma once

#include <span>

#include "admin/console.h"

namespace headgate {

/// Whether something follows: the name of a database, the id of a client, SQL.
enum class TakesArgument : uint8_t { nothing, maybe_database, database, client, sql };

struct CommandRow {
  View word;    // also the command tag
  View second;  // the word that must follow, if any
  ConsoleVerb verb;
  ConsoleRights rights;
  TakesArgument takes = TakesArgument::nothing;
  ShutdownMode mode = ShutdownMode::immediate;
};

/// All commands but SET, which has a grammar of its own, and SHOW of a parameter.
std::span<const CommandRow> console_commands();

/// The command tag of a verb, without SET's key and value.
View command_tag(ConsoleVerb verb);

/// A parameter that clients ask every server for, or set, before anything else: it never changes.
struct FixedParameter {
  View name;
  View value;
};
/// The parameter of that name in any case, or null.
const FixedParameter* find_parameter(View name);

/// The DETAIL of SHOW HELP.
View console_help();

/// The database that is the console.
constexpr View console_database = "pgbouncer";

}  // namespace headgate
