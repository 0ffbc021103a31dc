// The scanner of SQL: tokens lie in the text in their order, only blanks and comments lie between
// them, and each is the same where it stands in front.
//
// Input: a byte whose lowest bit is standard_conforming_strings, the text.
#include "protocol/sql_scanner.h"

#include "tests/fuzz/input.h"

namespace headgate::fuzz {
namespace {

void check_token(View sql, const Token& token, bool standard_strings) {
  MUST(!token.text.empty() && lent_from(sql, token.text));
  const char* end = sql.data() + sql.size();
  MUST(token.kind != TokenKind::broken || token.text.data() + token.text.size() == end);
  const auto at = static_cast<size_t>(token.text.data() - sql.data());
  const Token again = SqlScanner(sql.substr(at), standard_strings).next();
  MUST(again.kind == token.kind && again.text.data() == token.text.data());
  MUST(again.text.size() == token.text.size());
}

void check_text(View sql, bool standard_strings) {
  SqlScanner scanner(sql, standard_strings);
  size_t end = 0;
  for (Token token = scanner.next(); token.kind != TokenKind::end; token = scanner.next()) {
    check_token(sql, token, standard_strings);
    const auto start = static_cast<size_t>(token.text.data() - sql.data());
    MUST(start >= end);
    MUST(SqlScanner(sql.substr(end, start - end)).next().kind == TokenKind::end);
    end = start + token.text.size();
  }
  MUST(SqlScanner(sql.substr(end)).next().kind == TokenKind::end);
  MUST(scanner.next().kind == TokenKind::end);
  MUST(scanner.next().text.data() == sql.data() + sql.size());
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  headgate::fuzz::FuzzInput input(data, size);
  const bool standard_strings = input.byte() & 1;
  headgate::fuzz::check_text(input.rest(), standard_strings);
  return 0;
}
