// A value as an SQL literal: PostgreSQL reads back exactly the value, whatever
// standard_conforming_strings says, and nothing behind the literal becomes part of it.
//
// Input: the value.
#include "protocol/sql_scanner.h"
#include "proxy/parameters.h"
#include "tests/fuzz/input.h"

namespace headgate::fuzz {
namespace {

bool is_printable(char c) { return c >= ' ' && c <= '~'; }

std::string expected(View value) {
  std::string text;
  for (const char c : value) text += is_printable(c) ? c : '?';
  return text;
}

/// What '...' or E'...' means (PostgreSQL documentation, "String Constants").
std::string meaning(View literal, bool standard_strings) {
  const bool escapes = literal.starts_with('E') || !standard_strings;
  if (literal.starts_with('E')) literal.remove_prefix(1);
  MUST(literal.size() >= 2 && literal.front() == '\'' && literal.back() == '\'');
  literal = literal.substr(1, literal.size() - 2);
  std::string text;
  for (size_t at = 0; at < literal.size(); ++at) {
    const char c = literal[at];
    if (c == '\'') MUST(literal.substr(++at).starts_with('\''));
    if (c == '\\' && escapes) MUST(literal.substr(++at).starts_with('\\'));
    text += c;
  }
  return text;
}

void check_value(View value, bool standard_strings) {
  const std::string sql = "a=" + quote_literal(value) + ";";
  for (const char c : sql) MUST(is_printable(c));
  SqlScanner scanner(sql, standard_strings);
  scanner.next();
  scanner.next();
  const Token literal = scanner.next();
  MUST(literal.kind == TokenKind::string);
  MUST(scanner.next().is(';') && scanner.next().kind == TokenKind::end);
  MUST(meaning(literal.text, standard_strings) == expected(value));
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const headgate::fuzz::Exact value({reinterpret_cast<const char*>(data), size});
  headgate::fuzz::check_value(value.view(), true);
  headgate::fuzz::check_value(value.view(), false);
  return 0;
}
