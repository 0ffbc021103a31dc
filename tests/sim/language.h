// The language that simulated clients and servers speak instead of SQL: statements that say who
// asks, for what, and what is to happen. Besides, a server understands what Headgate itself says to
// it, and nothing else: any other text has been torn or mixed up on the way.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace headgate::sim {

struct Statement {
  enum class Kind : uint8_t {
    nothing,
    begin,
    commit,
    rollback,
    run,   // answers rows, after a while
    fail,  // an error
    copy_in,
    copy_bad,  // a COPY FROM STDIN that fails: at once, or half way through its rows
    copy_out,
    die,       // the server's process ends with a FATAL
    set,       // Headgate's own: a parameter
    discard,   // Headgate's own: server_reset_query
    check,     // Headgate's own: server_check_query
    stray,     // Execute of a portal that nobody has
    prepared,  // one of several shapes, the same for all; what to run comes with the Bind
  };
  Kind kind = Kind::nothing;
  int client = 0;
  int request = 0;
  int rows = 0, size = 0, milliseconds = 0;
  int shape = 0;                // prepared
  std::string name{}, value{};  // set
};

/// Who asks for what: "c7 r42".
std::string signature(const Statement& statement);
std::string to_text(const Statement& statement);
/// The statements of a query, or nothing where one of them is not of this language.
std::optional<std::vector<Statement>> parse_query(View text);

/// The text of a prepared statement, and the parameter that makes it run `statement`.
std::string prepared_text(int shape);
std::string prepared_parameter(int shape, const Statement& statement);
/// What such a parameter makes a prepared statement run; nothing if it was meant for another shape.
std::optional<Statement> run_prepared(int shape, View parameter);

/// The content of a row: tells whose it is, and shows when a byte of it was lost or exchanged.
Bytes row_content(const Statement& statement, int row);

/// A message as it goes over the wire.
void append_message(Bytes& out, char tag, View body);

}  // namespace headgate::sim
