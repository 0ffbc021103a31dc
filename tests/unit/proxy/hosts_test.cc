#include "proxy/hosts.h"

#include <doctest/doctest.h>

using namespace headgate;

namespace {

constexpr Instant start = Instant(seconds(1000));
constexpr auto in_turns = LoadBalance::round_robin;
constexpr auto one_only = LoadBalance::disable;

}  // namespace

TEST_CASE("hosts: they take turns, blanks do not matter") {
  HostTurns turns;
  CHECK(turns.pick("a, b ,c", in_turns, start) == "a");
  CHECK(turns.pick("a, b ,c", in_turns, start) == "b");
  CHECK(turns.pick("a, b ,c", in_turns, start) == "c");
  CHECK(turns.pick("a, b ,c", in_turns, start) == "a");
}

TEST_CASE("hosts: a single one is a single one, whatever befalls it") {
  HostTurns turns;
  CHECK_FALSE(turns.failed("::1", in_turns, "::1", true, start + seconds(15), start));
  CHECK(turns.pick("::1", in_turns, start) == "::1");
  CHECK(turns.pick("", in_turns, start).empty());
}

TEST_CASE("hosts: one that failed is left alone while others are there, and comes back") {
  HostTurns turns;
  CHECK(turns.pick("a,b", in_turns, start) == "a");
  CHECK(turns.failed("a,b", in_turns, "a", true, start + seconds(15), start));
  for (int i = 0; i < 4; ++i) CHECK(turns.pick("a,b", in_turns, start + seconds(14)) == "b");
  const Instant later = start + seconds(15);
  CHECK(turns.pick("a,b", in_turns, later) != turns.pick("a,b", in_turns, later));
}

TEST_CASE("hosts: when all have failed they are tried in turns, and nothing at once") {
  HostTurns turns;
  CHECK(turns.failed("a,b", in_turns, "a", true, start + seconds(15), start));
  CHECK_FALSE(turns.failed("a,b", in_turns, "b", false, start + seconds(15), start));
  CHECK(turns.pick("a,b", in_turns, start) != turns.pick("a,b", in_turns, start));
  turns.worked("b");
  for (int i = 0; i < 3; ++i) CHECK(turns.pick("a,b", in_turns, start) == "b");
}

TEST_CASE("hosts: without balancing one is used until it cannot be reached") {
  HostTurns turns;
  for (int i = 0; i < 3; ++i) CHECK(turns.pick("a,b", one_only, start) == "a");
  CHECK_FALSE(turns.failed("a,b", one_only, "a", false, start, start));  // it only refused
  CHECK(turns.pick("a,b", one_only, start) == "a");
  CHECK_FALSE(turns.failed("a,b", one_only, "a", true, start, start));
  CHECK_FALSE(turns.failed("a,b", one_only, "a", true, start, start));  // a second log-in there
  CHECK(turns.pick("a,b", one_only, start) == "b");
}
