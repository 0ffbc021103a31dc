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
