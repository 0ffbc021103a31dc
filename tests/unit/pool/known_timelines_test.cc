#include "pool/known_timelines.h"

#include <doctest/doctest.h>

namespace headgate {
namespace {

const HostAddress a{"a", 5432}, b{"b", 5432}, c{"c", 5432}, d{"d", 5432}, e{"e", 5432};

TEST_CASE("known timelines: what one host of a list says counts for all of them") {
  KnownTimelines known;
  known.set_lists({{a, b}, {c, d}});
  CHECK(known.latest(a) == 0);
  CHECK(known.saw_primary(b, 3));
  CHECK(known.latest(a) == 3);
  CHECK(known.latest(b) == 3);
  CHECK(known.latest(c) == 0);
  CHECK(known.cluster_of(a) == known.cluster_of(b));
  CHECK(known.cluster_of(a) != known.cluster_of(c));
}

TEST_CASE("known timelines: only a later one is news") {
  KnownTimelines known;
  known.set_lists({{a, b}});
  CHECK(known.saw_primary(a, 3));
  CHECK_FALSE(known.saw_primary(b, 3));
  CHECK_FALSE(known.saw_primary(b, 2));
  CHECK(known.latest(b) == 3);
  CHECK(known.saw_primary(b, 4));
}

TEST_CASE("known timelines: the same name at another port is another host") {
  KnownTimelines known;
  const HostAddress other{"a", 5433};
  known.set_lists({{a, b}, {other, {"b", 5433}}});
  known.saw_primary(a, 3);
  CHECK(known.latest(other) == 0);
}

TEST_CASE("known timelines: lists that share a host are one cluster, however many are in between") {
  KnownTimelines known;
  SUBCASE("in order") { known.set_lists({{a, b}, {b, c}, {c, d}}); }
  SUBCASE("joined by the last") { known.set_lists({{a}, {d, c}, {b}, {a, b, c}}); }
  SUBCASE("joined at its end") { known.set_lists({{a, b}, {c, d}, {e, d, a}, {d, c}}); }
  CHECK(known.saw_primary(d, 2));
  for (const auto& host : {a, b, c, d}) CHECK(known.latest(host) == 2);
  known.forget(b);
  for (const auto& host : {a, b, c, d}) CHECK(known.latest(host) == 0);
}

TEST_CASE("known timelines: what is known outlives the lists as long as one names the host") {
  KnownTimelines known;
  known.set_lists({{a, b}, {d}});
  known.saw_primary(b, 7);
  known.saw_primary(d, 2);
  known.set_lists({{a, c}});  // b has gone: a is as much of its cluster as before
  CHECK(known.latest(a) == 7);
  CHECK(known.latest(c) == 7);
  CHECK(known.latest(b) == 0);
  CHECK_FALSE(known.cluster_of(b));
  known.set_lists({{a}, {d}});
  CHECK(known.latest(a) == 7);
  CHECK(known.latest(d) == 0);
  CHECK(known.hosts().size() == 2);
}

TEST_CASE("known timelines: clusters that become one know what each of them knew") {
  KnownTimelines known;
  known.set_lists({{a, b}, {c, d}});
  known.saw_primary(a, 5);
  known.saw_primary(c, 2);
  known.set_lists({{a, b}, {c, d}, {b, c}});
  CHECK(known.latest(d) == 5);
  known.set_lists({{c, d}});
  CHECK(known.latest(d) == 5);
}

TEST_CASE("known timelines: what is forgotten can be learnt again") {
  KnownTimelines known;
  known.set_lists({{a, b}, {c}});
  known.saw_primary(a, 5);
  known.saw_primary(c, 4);
  known.forget(b);
  CHECK(known.latest(a) == 0);
  CHECK(known.latest(c) == 4);
  CHECK(known.saw_primary(a, 1));
  CHECK(known.latest(b) == 1);
  known.forget(e);  // whom nobody knows
}

TEST_CASE("known timelines: a host may be told of before there is a list") {
  KnownTimelines known;
  CHECK(known.saw_primary(a, 5));
  CHECK(known.saw_primary(d, 9));
  CHECK(known.latest(a) == 5);
  known.set_lists({{a, b}});
  CHECK(known.latest(b) == 5);
  CHECK(known.latest(d) == 0);
}

TEST_CASE("known timelines: hosts without a list are remembered within bounds") {
  KnownTimelines known;
  known.set_lists({{a}});
  for (int port = 0; port < 20'000; ++port) known.saw_primary({"x", port}, 2);
  CHECK(known.hosts().size() == KnownTimelines::most_without_list);
  CHECK(known.saw_primary(a, 1));
  known.set_lists({{a}});
  CHECK(known.hosts().size() == 1);
}

}  // namespace
}  // namespace headgate
