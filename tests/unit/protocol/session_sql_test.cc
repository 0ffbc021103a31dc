#include "protocol/session_sql.h"

#include <doctest/doctest.h>

#include <string>

#include "protocol/sql_scanner.h"

using namespace headgate;

TEST_CASE("session sql: a text in dollars is one string whatever is in it") {
  CHECK(quote_dollar("") == "$h$$h$");
  CHECK(quote_dollar("it's \\ \"q\"") == "$h$it's \\ \"q\"$h$");
  CHECK(quote_dollar("$h$") == "$hh$$h$$hh$");
  CHECK(quote_dollar("$hh$ $h$") == "$hhh$$hh$ $h$$hhh$");
  for (const View text : {"", "$", "$h", "$$", "$hh", "h$", "$h$$hh$$hhh", "$hhhh", "$H$"}) {
    CAPTURE(text);
    const std::string quoted = quote_dollar(text);
    SqlScanner scanner(quoted);
    const Token token = scanner.next();
    CHECK(token.kind == TokenKind::string);
    CHECK(token.text == quoted);
    CHECK(scanner.next().kind == TokenKind::end);
  }
}

TEST_CASE("session sql: a setting's name is quoted part by part") {
  CHECK(quote_setting("work_mem") == "\"work_mem\"");
  CHECK(quote_setting("app.user") == "\"app\".\"user\"");
  CHECK(quote_setting("a.b.c") == "\"a\".\"b\".\"c\"");
  CHECK(quote_setting("a\"b.c;\"") == "\"a\"\"b\".\"c;\"\"\"");
  CHECK(quote_setting("") == "\"\"");
}
