// The part of the simulated language that is SQL, since Headgate looks into it for what it may
// leave in a session; and what Headgate itself says about sessions.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "tests/sim/language.h"

namespace headgate::sim {

/// The SQL of a statement that is about its session; empty for all others.
std::string session_sql(const Statement& statement);
/// The same the other way: its kind, name, value and spelling. Reads all that PostgreSQL would take
/// for the same, as Headgate spells it too.
std::optional<Statement> parse_session_sql(View text);
/// What can stay in a session beside settings and locks: each kind by the word for it.
struct Thing {
  View kind;
  View asked;  // where the question looks for it
  View makes, unmakes;
  bool rolls_back;
};
extern const std::span<const Thing> things;
const Thing* find_thing(View kind);
/// What Headgate asks when a transaction is over.
std::optional<Statement> parse_question(View text);
/// What it asks when it audits a server: the first part is about its time limits.
std::optional<Statement> parse_audit(View text);
/// What Headgate says to have a server listen for others, or listen no more.
std::optional<Statement> parse_listening(View text);
/// Headgate may say this for itself.
bool is_of_headgate(Statement::Kind kind);
/// Where the first statement of a text ends: at a semicolon that is no part of a string.
size_t end_of_statement(View text);

}  // namespace headgate::sim
