#include "protocol/statement_shape.h"

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <string>

#include "protocol/read_verdict.h"

using namespace headgate;

namespace {

std::string shape(View sql) {
  Bytes out = "before ";
  append_shape(out, sql);
  return std::string(View(out).substr(7));
}

}  // namespace

TEST_CASE("statement shape: constants and blanks make no difference") {
  struct Row {
    View sql, shape;
  };
  const Row rows[] = {
      {"SELECT 1", "SELECT ?"},
      {"  SELECT\n\t1  ", "SELECT ?"},
      {"SELECT abalance FROM a WHERE aid = 12345;", "SELECT abalance FROM a WHERE aid = ?;"},
      {"SELECT 'it''s', 1.5, .5", "SELECT ?, .?"},
      {"SELECT a1, b2c FROM t3", "SELECT a1, b2c FROM t3"},
      {"SELECT $1, $22", "SELECT $1, $22"},
      {"SELECT * FROM t WHERE a IN (1, 2,3 , 4)", "SELECT * FROM t WHERE a IN (? , ?)"},
      {"SELECT * FROM t WHERE a IN ('a','b')", "SELECT * FROM t WHERE a IN (?)"},
      {R"(SELECT "a""b", "C 1" FROM t)", R"(SELECT "a""b", "C 1" FROM t)"},
      {"", ""},
      {"  ", ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.sql);
    CHECK(shape(row.sql) == row.shape);
  }
}

TEST_CASE(
    "statement shape: comments, dollar quotes and what is not closed are looked at in earnest") {
  CHECK(shape("SELECT 1 -- 2\n, a") == "SELECT ?, a");
  CHECK(shape("/* one */ SELECT /* /* */ 2 */ a") == "SELECT a");
  CHECK(shape("SELECT $$it's$$, $a$ $$ $a$ FROM t") == "SELECT ? FROM t");
  CHECK(shape(R"(SELECT E'\'', b)") == "SELECT ?, b");
  CHECK(shape("SELECT 'open") != shape("SELECT 'closed'"));
  CHECK(shape(R"(SELECT U&"d\0061t" FROM t)").find("U&") != std::string::npos);
}

TEST_CASE("statement shape: texts of one shape have one verdict") {
  const View pieces[] = {"SELECT ", "nextval(", "count(", ")",          "'a'", "'it''s'",
                         "1",       "2.5",      " FROM ", "t",          " ",   "\"a\"",
                         ",",       "$1",       "--",     "/*",         "*/",  "\n",
                         "$$",      "INSERT",   "into",   "FOR UPDATE", ";",   "E'x'"};
  std::mt19937 random(1);
  std::map<std::string, std::string> seen;
  for (int round = 0; round < 200'000; ++round) {
    std::string sql;
    for (size_t count = 1 + random() % 6; count > 0; --count)
      sql += pieces[random() % std::size(pieces)];
    const auto [known, is_new] = seen.emplace(shape(sql), to_text(read_verdict(sql)));
    CAPTURE(sql);
    CAPTURE(known->first);
    REQUIRE(known->second == to_text(read_verdict(sql)));
  }
}

TEST_CASE("statement shape: for the log there are no constants, values of settings or passwords") {
  const auto readable = [](View sql, bool standard = true) {
    Bytes out;
    append_without_constants(out, sql, standard);
    return std::string(View(out));
  };
  CHECK(readable("SELECT count(*), t.a FROM t WHERE a IN (1, 2,3) AND b = 'x' -- 'y'") ==
        "SELECT count (*), t.a FROM t WHERE a IN (?) AND b = ?");
  CHECK(readable("insert into t values ($1, $$x$$), ($2, E'\\'secret')") ==
        "insert into t values ($1, ?), ($2, ?)");
  CHECK(readable("set app.token = secret") == "set app.token ...");
  CHECK(readable("SET LOCAL app.token TO secret") == "SET LOCAL app.token ...");
  CHECK(readable("select 1; SET a.b = secret; select 2") == "select ?; SET a.b ...");
  CHECK(readable("ALTER ROLE a PASSWORD secret") == "ALTER ROLE a PASSWORD ...");
  CHECK(readable("create user a with password \"secret\"") == "create user a with password ...");
  CHECK(readable("alter role a set b.c = secret") == "alter role a set ...");
  CHECK(readable("set role secret") == "set role ...");
  CHECK(readable("set; select 1") == "set; select ?");
  CHECK(readable("update t set a = b") == "update t set a = b");
  CHECK(readable("") == "");
}

TEST_CASE("statement shape: for the log, what is cut or not closed ends there") {
  const auto hides = [](std::string sql, bool standard) {
    Bytes out;
    append_without_constants(out, sql, standard);
    CAPTURE(sql);
    CAPTURE(View(out));
    CHECK(View(out).find("secret") == View::npos);
  };
  for (const bool standard : {true, false}) {
    hides("select 'secret", standard);
    hides("select $a$ secret", standard);
    hides("select /* secret", standard);
    hides("select E'a\\' secret', 'secret'", standard);
    hides("select U&'secret' UESCAPE '!'", standard);
    hides("select x'secret", standard);
  }
  hides(R"(select 'a\' secret', 'b')", false);
  for (const View constant : {"'it''s secret'", "E'it\\'s secret'", "$x$ secret $x$"}) {
    const std::string sql = "select a, " + std::string(constant) + " from t";
    for (size_t end = 0; end <= sql.size(); ++end) hides(sql.substr(0, end), true);
  }
  Bytes out;
  append_without_constants(out, std::string(5000, 'a') + " b", true);
  CHECK(out.size() < 1100);
}
