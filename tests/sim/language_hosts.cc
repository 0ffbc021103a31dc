#include "tests/sim/language_hosts.h"

#include <fmt/format.h>

namespace headgate::sim {

namespace {

using Kind = Statement::Kind;

constexpr View question_of_roles = "SELECT r, CASE WHEN r THEN pg_catalog.pg_last_wal_replay_lsn()";
constexpr View question_of_functions = "SELECT n.nspname, p.proname, ";
constexpr int read_declared = 1, write_declared = 2;

std::string read_sql(const Statement& statement) {
  switch (statement.spelling) {
    case 0:
      return fmt::format("SELECT v FROM r WHERE c = {}", statement.client);
    case read_declared:
      return fmt::format("/* headgate:route=replica */ SELECT v FROM r WHERE c = {}",
                         statement.client);
    case 2:
      return fmt::format("SELECT app_read({})", statement.client);
    default:
      return fmt::format("WITH own AS (SELECT v FROM r WHERE c = {}) SELECT v FROM own",
                         statement.client);
  }
}

// What is declared to read and writes is the client's mistake, which costs it nothing but time.
std::string write_sql(const Statement& statement) {
  const int value = statement.size;
  switch (statement.spelling) {
    case 0:
      return fmt::format("UPDATE r SET v = {} WHERE c = {}", value, statement.client);
    case 1:
      return fmt::format("SELECT app_write({}, {})", statement.client, value);
    case write_declared:
      return fmt::format("/* headgate:route=replica */ UPDATE r SET v = {} WHERE c = {}", value,
                         statement.client);
    default:
      return fmt::format("INSERT INTO r VALUES ({}, {})", statement.client, value);
  }
}

constexpr View begin_reading_sql[] = {"BEGIN READ ONLY", "START TRANSACTION READ ONLY",
                                      "begin transaction isolation level repeatable read read only",
                                      "BEGIN WORK READ ONLY"};

}  // namespace

std::string data_sql(const Statement& statement) {
  switch (statement.kind) {
    case Kind::read:
      return read_sql(statement);
    case Kind::write:
      return write_sql(statement);
    case Kind::sly:  // a view, which notes who has read
      return fmt::format("SELECT v FROM noted{} WHERE c = {}", statement.request % 20,
                         statement.client);
    case Kind::copy_in:
    case Kind::copy_bad:
      return statement.spelling == 1 ? "COPY r FROM STDIN" : "";
    case Kind::begin_reading:
      return std::string(begin_reading_sql[statement.spelling]);
    default:
      return "";
  }
}

std::optional<Statement> parse_data(Statement statement, View sql) {
  for (statement.spelling = 0; statement.spelling < most_spellings; ++statement.spelling) {
    if (data_sql(statement) == sql) return statement;
  }
  return std::nullopt;
}

std::string prepared_data_sql(int shape) {
  if (shape == read_shape) return "SELECT v FROM r WHERE $1 = $1";
  if (shape == write_shape) return "UPDATE r SET v = app_write($1)";
  return "SELECT v FROM noted WHERE $1 = $1";
}

std::optional<Statement> parse_monitor(View text) {
  if (text.starts_with(question_of_functions)) return Statement{.kind = Kind::ask_functions};
  if (!text.starts_with(question_of_roles)) return std::nullopt;
  Statement question{.kind = Kind::ask_role};
  if (text.find("pg_control_checkpoint") != text.npos) question.name = "timeline of a standby";
  return question;
}

bool is_declared(const Statement& statement) {
  return (statement.kind == Kind::read && statement.spelling == read_declared) ||
         (statement.kind == Kind::write && statement.spelling == write_declared);
}

bool writes_data(const Statement& statement) {
  return statement.kind == Kind::write || statement.kind == Kind::sly ||
         statement.kind == Kind::call;
}

}  // namespace headgate::sim
