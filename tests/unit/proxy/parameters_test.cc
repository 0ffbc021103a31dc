#include "proxy/parameters.h"

#include <doctest/doctest.h>

using namespace headgate;

namespace {

TrackedValues values(View zone, View application) {
  TrackedValues made;
  made.set(Tracked::time_zone, intern(zone));
  made.set(Tracked::application_name, intern(application));
  return made;
}

}  // namespace

TEST_CASE("parameters: equal texts are one text") {
  CHECK(intern("UTC") == intern(std::string("U") + "TC"));
  CHECK(intern("UTC") != intern("GMT"));
}

TEST_CASE("parameters: names are found in any case, others are not tracked") {
  Tracked found;
  REQUIRE(find_tracked("timezone", found));
  CHECK(found == Tracked::time_zone);
  CHECK(tracked_name(found) == "TimeZone");
  CHECK_FALSE(find_tracked("search_path", found));
}

TEST_CASE("parameters: only what differs is set, and only what the server has reported") {
  CHECK(values("UTC", "psql").difference(values("UTC", "psql")).empty());
  CHECK(values("UTC", "psql").difference(values("GMT", "psql")) == "SET TimeZone='UTC';");
  CHECK(values("UTC", "psql").difference(TrackedValues()).empty());
}

TEST_CASE("parameters: the case of a word does not matter, that of an application's name does") {
  CHECK(values("utc", "psql").difference(values("UTC", "psql")).empty());
  CHECK(values("UTC", "App").difference(values("UTC", "app")) == "SET application_name='App';");
}

TEST_CASE("parameters: a value cannot leave its quotes") {
  CHECK(quote_literal("it's") == "'it''s'");
  CHECK(quote_literal("a\\'; DROP TABLE t; --") == " E'a\\\\''; DROP TABLE t; --'");
  // Bytes that are half a character in some client encodings, with a backslash as its other half.
  CHECK(quote_literal("\x95\\' x") == " E'?\\\\'' x'");
  CHECK(quote_literal(View("a\0b\n", 4)) == "'a?b?'");
}

TEST_CASE("parameters: defaults fill only what is missing") {
  TrackedValues mine;
  mine.set(Tracked::application_name, intern("mine"));
  mine.fill_from(values("UTC", "theirs"));
  CHECK(*mine.get(Tracked::time_zone) == "UTC");
  CHECK(*mine.get(Tracked::application_name) == "mine");
}
