#include "conf/connstr.h"

#include <doctest/doctest.h>

using namespace headgate;

namespace {

/// "key=<value> ..." or the error.
std::string parse(View text) {
  std::vector<std::string> warnings;
  auto pairs = parse_connection_string(text, warnings);
  if (!pairs) return pairs.error().message;
  std::string result;
  for (const KeyValue& pair : *pairs) result += pair.key + "=<" + pair.value + ">";
  return result;
}

}  // namespace

TEST_CASE("connstr: pairs, quotes and blanks as in PgBouncer") {
  struct Case {
    View text, result;
  };
  const Case cases[] = {
      {"", ""},
      {"  ", ""},
      {"host=a port=1", "host=<a>port=<1>"},
      {" host = a\tport= 1 ", "host=<a>port=<1>"},
      {"host='a b' x='it''s'", "host=<a b>x=<it's>"},
      {"p=''''", "p=<'>"},
      {"p=a'b'c", "p=<a'b'c>"},
      {"p=a,b=c", "p=<a,b=c>"},
      {"p=a\\ q=1", "p=<a\\>q=<1>"},
      {"p='abc'd q=1", "p=<abc>q=<1>"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    CHECK(parse(c.text) == c.result);
  }
}

TEST_CASE("connstr: a comment may stand where a key could, and nowhere else") {
  CHECK(parse("host=a # the primary") == "host=<a>");
  CHECK(parse("host=a ;the primary") == "host=<a>");
  CHECK(parse("# nothing") == "");
  CHECK(parse("password=a;b#c") == "password=<a;b#c>");
  CHECK(parse("password= #x") == "password=<#x>");
  CHECK(parse("q='select 1; -- # 2' x=1") == "q=<select 1; -- # 2>x=<1>");
}

TEST_CASE("connstr: what is no pair is an error") {
  for (View text :
       {"host", "host=", "host=''", "host='a", "host='a''", "=a", "a b=c", "host=a port"}) {
    CAPTURE(text);
    CHECK(parse(text) == "syntax error in connection string");
  }
}

TEST_CASE("connstr: characters behind a closing quote give a warning") {
  std::vector<std::string> warnings;
  CHECK(parse_connection_string("password='abc'd", warnings).ok());
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0] == "characters behind the closing quote of password are ignored");
}
