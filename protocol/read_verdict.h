// Whether a text of SQL is a plain read: one that a hot standby may run in the primary's place,
// with the same result and nothing left behind. In doubt it is not. For the text of a simple query
// or of Parse; it reads words, not grammar.
//
// What the caller has to know besides:
// - The text tells nothing of what views, policies, operators, casts and types run, nor that t.f
//   may be f(t). A standby refuses what writes in them; advisory locks it grants.
// - Functions are known by their names in pg_catalog. Those of the database itself, which may have
//   such a name, too, have to be told.
// - Temporary and unlogged tables are on the primary alone, and SERIALIZABLE is refused elsewhere.
//   A sequence that is read as a table is ahead on a standby.
// - For which encodings the text can be read: protocol/sql_scanner.h.
//
// No I/O, no state; the time is in proportion to the length.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "protocol/user_functions.h"

namespace headgate {

/// What speaks against a replica.
enum class NoRead : uint8_t {
  nothing,           // it is a plain read
  unknown_function,  // it may be one, if no function in unknown_functions is volatile
  // It is none:
  empty,
  too_long,
  broken,        // a string, name or comment is not closed
  backslash,     // it depends on standard_conforming_strings where a string ends
  hidden_name,   // a name as U&"..."
  writes,        // the schema, too
  locks_rows,    // FOR UPDATE and its like
  transaction,   // BEGIN, COMMIT, SET TRANSACTION ...
  session,       // depends on the session, or changes it: SET, SHOW, EXECUTE, FETCH, LISTEN ...
  command,       // any other statement
  explains_run,  // EXPLAIN ANALYZE
  calls_own,     // the same of a function of the database, the last of unknown_functions
  calls,         // a function that is volatile, or tells about its server
  names,         // a view that tells about its server, or a temporary object
  many_functions,
};

struct ReadVerdict {
  NoRead reason = NoRead::nothing;
  /// The word that it is about, if there is one: "INSERT", "nextval". Held by the program.
  View detail;
  /// Which statement of the text that is, from 1 on; 0 if it is not about one.
  size_t statement = 0;
  /// Functions of whom nothing is known here, each once, as SQL writes them: my_func, app."F". What
  /// was found before the reason was, if it is another one.
  std::vector<std::string> unknown_functions;

  bool is_read() const { return reason == NoRead::nothing; }
  bool operator==(const ReadVerdict&) const = default;
};

/// The longest text that is read, and the most unknown functions that are listed.
constexpr size_t max_judged_text = 64 * size_t{1024}, max_unknown_functions = 32;

/// Holds whatever standard_conforming_strings is. `functions` are those of the database; null: they
/// are not known.
ReadVerdict read_verdict(View sql, const UserFunctions* functions = nullptr);

/// Whether a text of this verdict is one statement that changes or tells of the session, and leaves
/// the data alone: SET, RESET, SHOW.
bool only_session(View sql, const ReadVerdict& verdict);

/// Whether there are several statements in it, perhaps.
bool has_several_statements(View sql);

/// In words, for operators: "calls nextval".
std::string to_text(const ReadVerdict& verdict);

}  // namespace headgate
