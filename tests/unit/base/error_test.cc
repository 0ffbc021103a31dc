#include "base/error.h"

#include <doctest/doctest.h>

#include <cctype>
#include <memory>

#include "base/result.h"

using namespace headgate;

TEST_CASE("error: every code has a row with a text and a well-formed SQLSTATE") {
  for (int number = 0; number <= static_cast<int>(ErrorCode::admin_reload); ++number) {
    const auto code = static_cast<ErrorCode>(number);
    const ErrorRow& row = error_row(code);
    CHECK(row.code == code);
    CHECK_FALSE(row.text.empty());
    for (const std::string_view sqlstate : {row.sqlstate, row.sqlstate_in_pgbouncer}) {
      CHECK(sqlstate.size() == 5);
      for (const char c : sqlstate) CHECK((std::isdigit(c) || std::isupper(c)));
    }
  }
}

TEST_CASE("error: the texts that clients and scripts match on") {
  CHECK(error_row(ErrorCode::query_wait_timeout).text == "query_wait_timeout");
  CHECK(error_row(ErrorCode::max_client_conn).text ==
        "no more connections allowed (max_client_conn)");
  CHECK(error_row(ErrorCode::server_crashed).text == "server conn crashed?");
  CHECK(error_row(ErrorCode::query_canceled).sqlstate == std::string_view("57014"));
}

TEST_CASE("error: an error has its row's text and SQLSTATE unless it brings its own") {
  const Error plain(ErrorCode::no_such_database);
  CHECK(plain.message == "no such database");
  CHECK(plain.sqlstate() == "3D000");
  CHECK(plain.sqlstate_in_pgbouncer() == "08P01");
  CHECK(plain.severity() == Severity::fatal);
  Error other(ErrorCode::server_login_failed, "no such database: x");
  other.sqlstate_override = "3D000";
  CHECK(other.message == "no such database: x");
  CHECK(other.sqlstate() == "3D000");
  CHECK(other.sqlstate_in_pgbouncer() == "3D000");  // it passes on what a server says of a log-in
  Error cached(ErrorCode::login_failing);
  cached.sqlstate_override = "3D000";
  CHECK(cached.sqlstate_in_pgbouncer() == "08P01");
}

TEST_CASE("result: a value or an error, moved out without a copy") {
  Result<std::unique_ptr<int>> good(std::make_unique<int>(7));
  REQUIRE(good.ok());
  CHECK(**good == 7);
  const std::unique_ptr<int> taken = *std::move(good);
  CHECK(*taken == 7);

  Result<int> bad(Error(ErrorCode::io, "no"));
  CHECK_FALSE(bad.ok());
  CHECK_FALSE(bad);
  CHECK(bad.error().message == "no");
  const Error error = std::move(bad).error();
  CHECK(error.code == ErrorCode::io);
}
