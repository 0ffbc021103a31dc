// The statements of a query: they lie in the text in their order, only blanks, comments and
// semicolons lie between them, and each is the same statement on its own.
//
// Input: a byte whose lowest bit is standard_conforming_strings, the text.
#include "protocol/database_command.h"
#include "protocol/sql.h"
#include "tests/fuzz/input.h"

namespace headgate::fuzz {
namespace {

bool only_semicolons(View text) {
  SqlScanner scanner(text);
  Token token = scanner.next();
  while (token.is(';')) token = scanner.next();
  return token.kind == TokenKind::end;
}

void check_statement(View sql, const SqlStatement& statement, bool standard_strings) {
  MUST(!statement.text.empty() && lent_from(sql, statement.text));
  MUST(statement.kind != StatementKind::empty);
  MUST(SqlScanner(statement.text, standard_strings).next().text.data() == statement.text.data());
  const bool reads = statement.kind == StatementKind::select ||
                     statement.kind == StatementKind::values ||
                     statement.kind == StatementKind::table;
  MUST(reads || !statement.writes);

  Statements alone(statement.text, standard_strings);
  const auto again = alone.next();
  MUST(again && !alone.next());
  MUST(again->text == statement.text && again->kind == statement.kind);
  MUST(again->writes == statement.writes && again->locks_rows == statement.locks_rows);
  MUST(again->broken == statement.broken);
}

void check_text(View sql, bool standard_strings) {
  Statements statements(sql, standard_strings);
  const SqlStatement first = first_statement(sql, standard_strings);
  size_t end = 0;
  bool broken = false;
  while (const auto statement = statements.next()) {
    MUST(!broken);
    check_statement(sql, *statement, standard_strings);
    const auto start = static_cast<size_t>(statement->text.data() - sql.data());
    MUST(start >= end && only_semicolons(sql.substr(end, start - end)));
    if (end == 0) MUST(first.text == statement->text && first.kind == statement->kind);
    end = start + statement->text.size();
    broken = statement->broken;
  }
  MUST(only_semicolons(sql.substr(end)));
  MUST(end > 0 || first.kind == StatementKind::empty);
  MUST(!statements.next());
}

// What wants a database to itself is one statement, of one of three kinds.
void check_database_command(View sql, bool standard_strings) {
  if (!find_database_command(sql, standard_strings)) return;
  Statements statements(sql, standard_strings);
  const auto only = statements.next();
  MUST(only && !only->broken && !statements.next());
  MUST(only->kind == StatementKind::create || only->kind == StatementKind::alter ||
       only->kind == StatementKind::drop);
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  headgate::fuzz::FuzzInput input(data, size);
  const bool standard_strings = input.byte() & 1;
  const headgate::View text = input.rest();
  headgate::fuzz::check_text(text, standard_strings);
  headgate::fuzz::check_database_command(text, standard_strings);
  return 0;
}
