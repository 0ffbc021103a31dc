// The answer of EXPLAIN ROUTE.
#include <doctest/doctest.h>

#include "tests/unit/admin/rig.h"

using namespace headgate;
using headgate::test::show;
using headgate::test::TextRows;

TEST_CASE("views: EXPLAIN ROUTE tells where a text would go, and why") {
  const auto answer = show("EXPLAIN ROUTE SELECT lower('A')");
  CHECK(answer.heads() == "route t, reason t, functions t");
  CHECK(answer.rows == TextRows{{"replica", "plain read", ""}});
  CHECK(answer.tag == "EXPLAIN");
  CHECK(show("EXPLAIN ROUTE DELETE FROM t;").rows == TextRows{{"primary", "writes: DELETE", ""}});
  CHECK(show("EXPLAIN ROUTE 'SELECT 1; SELECT ''a''; COMMIT'").rows ==
        TextRows{{"primary", "statement 3: transaction: COMMIT", ""}});
  CHECK(show("EXPLAIN ROUTE SELECT f(1), app.\"G\"(2)").rows ==
        TextRows{{"primary", "calls functions that are not known", "f, app.\"G\""}});
}
