// The part of the simulated language that is about a database with several hosts: what reads and
// writes one number for each client, in SQL, since Headgate looks into it for where it may go; and
// what Headgate asks the hosts themselves.
#pragma once

#include <optional>
#include <string>

#include "tests/sim/language.h"

namespace headgate::sim {

/// The SQL of a statement that reads or writes; empty for all others.
std::string data_sql(const Statement& statement);
/// Finds the spelling that this is; nothing where it is none.
std::optional<Statement> parse_data(Statement statement, View sql);
/// The text of a prepared statement of such a shape.
std::string prepared_data_sql(int shape);
/// What Headgate's monitor asks a host: for its role, or for the functions of the database.
std::optional<Statement> parse_monitor(View text);
/// Spellings that say themselves where they may go. They count in front of a request only.
bool is_declared(const Statement& statement);
/// It changes data, whatever its text looks like.
bool writes_data(const Statement& statement);

/// The functions of the database that statements call, and whether they only read.
struct Function {
  View name;
  bool reads;
};
constexpr Function functions[] = {{"app_read", true}, {"app_write", false}};

}  // namespace headgate::sim
