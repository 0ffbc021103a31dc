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
    die,           // the server's process ends with a FATAL
    look,          // answers what its session is like
    assign,        // SET: a client's, or Headgate's own
    assign_local,  // SET LOCAL
    reset,         // a client's, or Headgate's own
    reset_all,
    discard,  // a client's, or Headgate's own: server_reset_query
    lock,     // an advisory lock, one for each client
    unlock,   // answers whether it was held
    make,     // something else that stays in its session, one of each kind for each client
    unmake,
    prepare,     // PREPARE in SQL: a client's, or Headgate's own
    run_made,    // EXECUTE: answers a row, of what that statement is
    deallocate,  // a client's, also of a statement of the protocol; or Headgate's own
    secret,      // a function that leaves something in its session, which its text does not tell
    question,    // Headgate's own: what its client has made of the session
    audit,       // Headgate's own: all that there is in the session
    check,       // Headgate's own: server_check_query
    hear,        // Headgate's own LISTEN, for the client whose number is the size
    unhear,      // Headgate's own UNLISTEN; size 0: *
    meet,        // Headgate's own LISTEN, to the channel of this name, on which clients cross over
    cross,       // Headgate's own NOTIFY there, of this value
    stray,       // Execute of a portal that nobody has
    prepared,    // one of several shapes, the same for all; what to run comes with the Bind
    read,        // answers the number that its client has written, as this host knows it, and rows
    write,       // sets that number to its size
    sly,         // writes, though its text is that of a read
    call,        // sets that number, by a FunctionCall
    begin_reading,  // BEGIN READ ONLY
    ask_role,       // Headgate's own: what a host is, and how far; with a name: on which timeline
    ask_functions,  // Headgate's own: the functions of the database
  };
  Kind kind = Kind::nothing;
  int client = 0;
  int request = 0;
  int rows = 0, size = 0, milliseconds = 0;
  int shape = 0;                // prepared
  int spelling = 0;             // one of several that mean the same
  std::string name{}, value{};  // of a setting, or a statement; or what to make
  std::string query{};          // in which a PREPARE stood
  /// What a question asks, in the order of its columns: "=name" for a setting's value, "?name"
  /// whether it is at its default, "@name" for a statement's text, "!name" whether there is
  /// anything of a kind that pins, "!prepared:name,..." the same but for these, "&" what is
  /// listened to. The names that an audit asks for.
  std::vector<std::string> columns{};
};
/// How many spellings a statement that sets something has.
constexpr int most_spellings = 4;
/// It answers rows, if rows are what it answers.
bool answers_rows(const Statement& statement);

/// Who asks for what: "c7 r42".
std::string signature(const Statement& statement);
std::string to_text(const Statement& statement);
/// The statements of a query, or nothing where one of them is not of this language.
std::optional<std::vector<Statement>> parse_query(View text);

/// The text of a prepared statement, and the parameters that make it run `statement`.
std::string prepared_text(int shape);
std::vector<std::string> prepared_parameters(int shape, const Statement& statement);
/// What such parameters make a prepared statement run; nothing if they were meant for another
/// shape.
std::optional<Statement> run_prepared(int shape, const std::vector<std::string>& parameters);
/// Shapes up to this one do nothing to their session; those up to the last one set something.
constexpr int last_plain_shape = 5, last_shape = 8;
/// Those that read or write the number of their client, for databases with several hosts.
constexpr int read_shape = 9, write_shape = 10, sly_shape = 11;
/// Makes the statement what this shape does.
void adapt_to_shape(Statement& statement, int shape);

/// The content of a row: tells whose it is, and shows when a byte of it was lost or exchanged.
Bytes row_content(const Statement& statement, int row);

/// A message as it goes over the wire.
void append_message(Bytes& out, char tag, View body);

}  // namespace headgate::sim
