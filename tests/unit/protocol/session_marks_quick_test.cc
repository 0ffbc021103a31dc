#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "protocol/session_marks.h"
#include "tests/unit/protocol/sql_torture.h"

using namespace headgate;

TEST_CASE("session marks: the quick look sees that a plain statement has none") {
  for (const View sql : {"select 1", "  SELECT 1 ; ", "begin", "COMMIT;",
                         "insert into t values (1)", "update offset set a = 1", ""}) {
    CAPTURE(sql);
    CHECK_FALSE(may_have_marks(sql));
  }
}

TEST_CASE("session marks: what may be one is found in each place of a text") {
  for (const std::string part : {"SET_", "set_", "Advi", "temp"}) {
    for (size_t before = 0; before < 40; ++before) {
      for (size_t after = 0; after < 40; ++after) {
        const std::string sql =
            "select " + std::string(before, 's') + part + std::string(after, 't');
        if (!may_have_marks(sql)) FAIL_CHECK(sql);
      }
      CHECK_FALSE(may_have_marks("select " + std::string(before, 's') + part.substr(0, 3)));
    }
  }
}

TEST_CASE("session marks: the quick look misses nothing") {
  std::vector<std::string> pieces = {"select ",
                                     "set ",
                                     "set_config(",
                                     "SET_CONFIG (",
                                     "'app.x'",
                                     ", ",
                                     "false)",
                                     "true)",
                                     ";",
                                     "; ",
                                     "reset ",
                                     "all",
                                     "explain ",
                                     "with a as (select 1) ",
                                     "create ",
                                     "temp ",
                                     "Temporary ",
                                     "pg_temp.t ",
                                     "into ",
                                     "pg_advisory_lock(1)",
                                     "do $$",
                                     "$$ ",
                                     "listen ",
                                     "U&\"x\"",
                                     "\"set_config\"(",
                                     "declare c cursor with hold for ",
                                     "prepare p as ",
                                     "\\",
                                     "'",
                                     "/*",
                                     "*/",
                                     "--",
                                     "\n",
                                     "(",
                                     "begin ",
                                     "copy (",
                                     "insert into t ",
                                     "values (",
                                     "execute p",
                                     "discard all",
                                     "$1",
                                     "::text",
                                     "t ",
                                     "function ",
                                     "analyze ",
                                     "drop ",
                                     "close "};
  for (const char* text : sql_torture) pieces.emplace_back(text);
  for (unsigned seed = 0; seed < 50000; ++seed) {
    std::mt19937 random(seed);
    std::string sql;
    for (size_t n = 1 + random() % 7; n > 0; --n) sql += pieces[random() % pieces.size()];
    const bool any = session_marks(sql).any() || session_marks(sql, false).any();
    if (any && !may_have_marks(sql)) FAIL_CHECK("seed " << seed << ": " << sql);
  }
}
