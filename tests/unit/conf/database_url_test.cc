#include "conf/database_url.h"

#include <doctest/doctest.h>

using namespace headgate;

namespace {

/// "user:password@host:port/name key=value ..." of what was read, or the error.
std::string read(View text) {
  const auto url = parse_database_url(text);
  if (!url) return url.error().message;
  std::string out =
      url->user + ":" + url->password + "@" + url->host + ":" + url->port + "/" + url->name;
  for (const auto& [key, value] : url->parameters) out += " " + key + "=" + value;
  return out;
}

}  // namespace

TEST_CASE("database url: all of its parts, and none") {
  CHECK(read("postgres://app:secret@db.example:5433/shop?sslmode=require&application_name=x") ==
        "app:secret@db.example:5433/shop sslmode=require application_name=x");
  CHECK(read("postgresql://") == ":@:/");
  CHECK(read("postgres:///shop") == ":@:/shop");
  CHECK(read("postgres://db") == ":@db:/");
  CHECK(read("postgres://app@db/") == "app:@db:/");
  CHECK(read("postgres://db?sslmode=disable") == ":@db:/ sslmode=disable");
  CHECK(read("postgres://db/x?a&b=&=c") == ":@db:/x a= b= =c");
}

TEST_CASE("database url: what is written with % is any character") {
  CHECK(read("postgres://a%40b:p%2Fw%3A%25@%2Frun%2Fpg/my%20db") == "a@b:p/w:%@/run/pg:/my db");
  CHECK(read("postgres://app:p@ss:word@db/x") == "app:p@ss:word@db:/x");
}

TEST_CASE("database url: hosts in a list, and IPv6 numbers") {
  CHECK(read("postgres://a,b:5432/x") == "not a database URL: its hosts must have the same port");
  CHECK(read("postgres://a:1,b:1/x") == ":@a,b:1/x");
  CHECK(read("postgres://[::1]:5433/x") == ":@::1:5433/x");
  CHECK(read("postgres://[fe80::1]/x") == ":@fe80::1:/x");
}

TEST_CASE("database url: what is none is refused, and not repeated") {
  const View no_digits = "not a database URL: a % is not followed by two digits";
  CHECK(read("") == "not a database URL: it does not begin with postgres://");
  CHECK(read("mysql://a:secret@b/c") == "not a database URL: it does not begin with postgres://");
  CHECK(read("postgres:/db") == "not a database URL: it does not begin with postgres://");
  CHECK(read("postgres://a%4@db") == no_digits);
  CHECK(read("postgres://db/%zz") == no_digits);
  CHECK(read("postgres://db/%00") == no_digits);
  CHECK(read("postgres://db/x?a=%") == no_digits);
  CHECK(read("postgres://[::1/x") == "not a database URL: a [ is not closed");
  CHECK(read("postgres://[::1]x/y") == "not a database URL: there is something behind the ]");
}
