#include "protocol/user_functions.h"

#include <doctest/doctest.h>

#include "protocol/read_verdict.h"

using namespace headgate;

namespace {

UserFunctions some() {
  UserFunctions functions;
  functions.add("public", "twice", true);
  functions.add("public", "save", false);
  functions.add("app", "mixed", true);
  functions.add("other", "mixed", false);
  functions.add("public", "lower", false);
  functions.add("public", "upper", true);
  functions.add("public", "Quoted", true);
  return functions;
}

std::string verdict(View sql) {
  const UserFunctions functions = some();
  return to_text(read_verdict(sql, &functions));
}

}  // namespace

TEST_CASE("user functions: a name without a schema may be that of any") {
  const UserFunctions functions = some();
  CHECK(functions.reads({}, "twice") == true);
  CHECK(functions.reads({}, "save") == false);
  CHECK(functions.reads({}, "mixed") == false);
  CHECK(functions.reads("app", "mixed") == true);
  CHECK(functions.reads("other", "mixed") == false);
  CHECK_FALSE(functions.reads("nowhere", "mixed"));
  CHECK_FALSE(functions.reads({}, "unheard_of"));
}

TEST_CASE("user functions: what they make of a verdict") {
  CHECK(verdict("SELECT twice(a), TWICE(b), public.twice(c) FROM t") == "plain read");
  CHECK(verdict("SELECT \"Quoted\"(a)") == "plain read");
  CHECK(verdict("SELECT quoted(a)") == "calls functions that are not known");
  CHECK(verdict("SELECT save(a)") == "calls save");
  CHECK(verdict("SELECT app.mixed(a)") == "plain read");
  CHECK(verdict("SELECT mixed(a)") == "calls mixed");
  CHECK(verdict("SELECT elsewhere.twice(a)") == "calls functions that are not known");
}

TEST_CASE("user functions: one that has the name of PostgreSQL's may stand in front of it") {
  CHECK(verdict("SELECT lower(a)") == "calls lower");
  CHECK(verdict("SELECT pg_catalog.lower(a)") == "plain read");
  CHECK(verdict("SELECT upper(a)") == "plain read");
}

TEST_CASE("user functions: the first that writes is told") {
  CHECK(verdict("SELECT unheard_of(a), save(b)") == "calls save");
  CHECK(verdict("SELECT twice(1); SELECT public.save(2)") == "statement 2: calls public.save");
}
