#include "proxy/hosts.h"

#include <doctest/doctest.h>

using namespace headgate;

namespace {

constexpr Instant start = Instant(seconds(1000));

DatabaseEntry in_turns(std::string hosts) {
  DatabaseEntry entry;
  entry.host = std::move(hosts);
  return entry;
}

DatabaseEntry one_only(std::string hosts) {
  DatabaseEntry entry = in_turns(std::move(hosts));
  entry.load_balance_hosts = LoadBalance::disable;
  return entry;
}

DatabaseEntry aimed_at(TargetRole target) {
  DatabaseEntry entry = in_turns("a,b,c");
  entry.target = target;
  return entry;
}

}  // namespace

TEST_CASE("hosts: they take turns, blanks do not matter") {
  HostTurns turns;
  CHECK(turns.pick(in_turns("a, b ,c"), start) == "a");
  CHECK(turns.pick(in_turns("a, b ,c"), start) == "b");
  CHECK(turns.pick(in_turns("a, b ,c"), start) == "c");
  CHECK(turns.pick(in_turns("a, b ,c"), start) == "a");
}

TEST_CASE("hosts: a single one is a single one, whatever befalls it") {
  HostTurns turns;
  CHECK_FALSE(turns.failed(in_turns("::1"), "::1", true, start + seconds(15), start));
  CHECK(turns.pick(in_turns("::1"), start) == "::1");
  CHECK(turns.pick(in_turns(""), start) == "");
}

TEST_CASE("hosts: one that failed is left alone while others are there, and comes back") {
  HostTurns turns;
  CHECK(turns.pick(in_turns("a,b"), start) == "a");
  CHECK(turns.failed(in_turns("a,b"), "a", true, start + seconds(15), start));
  for (int i = 0; i < 4; ++i) CHECK(turns.pick(in_turns("a,b"), start + seconds(14)) == "b");
  const Instant later = start + seconds(15);
  CHECK(turns.pick(in_turns("a,b"), later) != turns.pick(in_turns("a,b"), later));
}

TEST_CASE("hosts: when all have failed they are tried in turns, and nothing at once") {
  HostTurns turns;
  CHECK(turns.failed(in_turns("a,b"), "a", true, start + seconds(15), start));
  CHECK_FALSE(turns.failed(in_turns("a,b"), "b", false, start + seconds(15), start));
  CHECK(turns.pick(in_turns("a,b"), start) != turns.pick(in_turns("a,b"), start));
  turns.worked("b");
  for (int i = 0; i < 3; ++i) CHECK(turns.pick(in_turns("a,b"), start) == "b");
}

TEST_CASE("hosts: without balancing one is used until it cannot be reached") {
  HostTurns turns;
  for (int i = 0; i < 3; ++i) CHECK(turns.pick(one_only("a,b"), start) == "a");
  CHECK_FALSE(turns.failed(one_only("a,b"), "a", false, start, start));  // it only refused
  CHECK(turns.pick(one_only("a,b"), start) == "a");
  CHECK_FALSE(turns.failed(one_only("a,b"), "a", true, start, start));
  CHECK_FALSE(turns.failed(one_only("a,b"), "a", true, start, start));  // a second log-in there
  CHECK(turns.pick(one_only("a,b"), start) == "b");
}

TEST_CASE("hosts: where a role is asked for, only those that have it are tried") {
  HostTurns turns;
  const auto primary = aimed_at(TargetRole::primary), standby = aimed_at(TargetRole::standby),
             prefer = aimed_at(TargetRole::prefer_standby);
  for (const auto& entry : {primary, standby, prefer}) CHECK_FALSE(turns.pick(entry, start));
  CHECK_FALSE(turns.any_fits(primary));

  turns.set_roles({{"b"}, {"a", "c"}});
  CHECK(turns.any_fits(primary));
  for (int i = 0; i < 3; ++i) CHECK(turns.pick(primary, start) == "b");
  CHECK(turns.pick(standby, start) != turns.pick(standby, start));
  CHECK(turns.fits(primary, "b"));
  CHECK_FALSE(turns.fits(primary, "a"));
  CHECK(turns.fits(standby, "c"));
  CHECK_FALSE(turns.fits(prefer, "b"));
  CHECK(turns.fits(in_turns("a,b,c"), "c"));

  turns.set_roles({{"b"}, {}});
  CHECK_FALSE(turns.pick(standby, start));
  CHECK(turns.pick(prefer, start) == "b");
  CHECK(turns.fits(prefer, "b"));
}

TEST_CASE("hosts: a primary that fails is not tried again at once") {
  HostTurns turns;
  turns.set_roles({{"b"}, {"a", "c"}});
  const auto primary = aimed_at(TargetRole::primary), standby = aimed_at(TargetRole::standby);
  CHECK_FALSE(turns.failed(primary, "b", true, start + seconds(15), start));
  CHECK(turns.failed(standby, "a", true, start + seconds(15), start));
  for (int i = 0; i < 3; ++i) CHECK(turns.pick(standby, start) == "c");
}

TEST_CASE(
    "hosts: a standby that is left alone is not read until its time is over, or it has come back") {
  HostTurns turns;
  const auto names = [&](Instant now) {
    std::string all;
    for (const ReadableHost& host : turns.readable(now)) all += host.name;
    return all;
  };
  turns.set_roles({{"a"}, {"b", "c"}});
  turns.set_readable({{"b", start, {}}, {"c", start, {}}});
  CHECK(names(start) == "bc");
  turns.leave_alone("b", start + seconds(15));
  CHECK(names(start) == "c");
  CHECK(names(start + seconds(15)) == "bc");
  turns.leave_alone("b", start + seconds(15));
  turns.set_roles({{"a"}, {"c"}});
  turns.set_roles({{"a"}, {"b", "c"}});
  CHECK(names(start) == "bc");
}

TEST_CASE("hosts: one that weighs more has more turns, one that weighs nothing has none") {
  HostTurns turns;
  DatabaseEntry entry = in_turns("a,b,c");
  entry.host_weights = {1, 3, 0};
  std::map<std::string, int> counts;
  for (int i = 0; i < 40; ++i) ++counts[*turns.pick(entry, start)];
  CHECK(counts == std::map<std::string, int>{{"a", 10}, {"b", 30}});
  entry.host_weights = {0, 0, 0};
  CHECK(turns.pick(entry, start) != turns.pick(entry, start));
}

TEST_CASE("hosts: a standby with many faults in a short time is left alone, longer each time") {
  HostTurns turns;
  Instant now = start;
  const auto fault = [&](int times) {
    for (int i = 1; i < times; ++i) CHECK_FALSE(turns.faulted("b", now));
    return turns.faulted("b", now);
  };
  CHECK(fault(HostTurns::most_faults));
  CHECK(turns.is_left_alone("b", now));
  CHECK_FALSE(turns.is_left_alone("c", now));
  CHECK_FALSE(turns.faulted("b", now));  // of those that were under way
  now += HostTurns::first_pause;
  CHECK_FALSE(turns.is_left_alone("b", now));
  CHECK(fault(HostTurns::most_faults));
  now += HostTurns::first_pause;
  CHECK(turns.is_left_alone("b", now));
  now += HostTurns::first_pause;
  CHECK_FALSE(turns.is_left_alone("b", now));
  now += HostTurns::forgiven_after + seconds(1);
  CHECK(fault(HostTurns::most_faults));
  CHECK_FALSE(turns.is_left_alone("b", now + HostTurns::first_pause));
}

TEST_CASE("hosts: a fault now and then is none") {
  HostTurns turns;
  for (int i = 0; i < 100; ++i) {
    CHECK_FALSE(turns.faulted("b", start + i * (HostTurns::fault_window / 2)));
  }
}
