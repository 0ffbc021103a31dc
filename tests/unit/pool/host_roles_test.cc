#include "pool/host_roles.h"

#include <doctest/doctest.h>

namespace headgate {
namespace {

constexpr size_t a = 0, b = 1, c = 2;
constexpr Duration interval = milliseconds(250);

/// Three hosts that are asked at times which the test moves on.
struct Cluster {
  Instant now{seconds(100)};
  HostRoles roles;

  /// Long ago, unless a test begins with it.
  explicit Cluster(HostRules rules = {}, Duration age = seconds(10))
      : roles({"a", "b", "c"}, rules, now - age) {}

  void primary(size_t host, uint64_t lsn = 1000, uint32_t timeline = 1) {
    roles.answered(host, {false, lsn, timeline}, now, now + milliseconds(1));
  }
  void standby(size_t host, uint64_t lsn = 1000, uint32_t timeline = 0) {
    roles.answered(host, {true, lsn, timeline}, now, now + milliseconds(1));
  }
  void all(uint64_t lsn = 1000) {
    primary(a, lsn);
    standby(b, lsn);
    standby(c, lsn);
  }
  void wait(Duration time) {
    now += time;
    roles.tend(now);
  }
  bool readable(size_t host) const { return roles.hosts()[host].readable; }
};

TEST_CASE("host roles: nobody has a role before it has said so") {
  Cluster cluster;
  CHECK_FALSE(cluster.roles.primary());
  CHECK_FALSE(cluster.readable(b));
  CHECK(cluster.roles.hosts()[a].role == HostRole::unknown);
  cluster.all();
  CHECK(cluster.roles.primary() == a);
  CHECK_FALSE(cluster.readable(a));
  CHECK(cluster.readable(b));
  CHECK(cluster.readable(c));
}

TEST_CASE("host roles: what changes is told once") {
  Cluster cluster;
  const Instant now = cluster.now;
  CHECK(cluster.roles.answered(a, {false, 1, 1}, now, now));
  CHECK_FALSE(cluster.roles.answered(a, {false, 2, 1}, now, now));
  CHECK(cluster.roles.answered(b, {true, 1, 0}, now, now));
  CHECK_FALSE(cluster.roles.answered(b, {true, 2, 0}, now, now));
  CHECK_FALSE(cluster.roles.tend(now + seconds(1)));
  CHECK(cluster.roles.tend(now + seconds(1) + microseconds(1)));
  CHECK_FALSE(cluster.roles.tend(now + seconds(2)));
}

TEST_CASE("host roles: a silent primary stays the primary until another says that it is") {
  Cluster cluster;
  cluster.all();
  cluster.wait(seconds(60));
  cluster.roles.failed(a, "no answer", false, cluster.now);
  CHECK(cluster.roles.primary() == a);
  cluster.standby(b);
  CHECK(cluster.roles.primary() == a);
  cluster.primary(b, 1000, 2);
  CHECK(cluster.roles.primary() == b);
}

TEST_CASE("host roles: a primary that cannot be reached has no role until it has answered again") {
  Cluster cluster;
  cluster.all();
  cluster.roles.failed(a, "connection refused", true, cluster.now);
  CHECK_FALSE(cluster.roles.primary());
  CHECK(cluster.roles.hosts()[a].error == "connection refused");
  cluster.primary(a);
  CHECK(cluster.roles.primary() == a);
  CHECK(cluster.roles.hosts()[a].error.empty());
}

TEST_CASE("host roles: a primary that was demoted is none") {
  Cluster cluster;
  cluster.all();
  cluster.standby(a);
  CHECK_FALSE(cluster.roles.primary());
  CHECK(cluster.readable(a));
}

TEST_CASE("host roles: a primary of an earlier timeline is not written to") {
  Cluster cluster;
  cluster.all();
  cluster.primary(b, 1000, 2);
  CHECK(cluster.roles.primary() == b);
  cluster.primary(a, 5000, 1);
  CHECK(cluster.roles.primary() == b);
  SUBCASE("not even if its successor has gone") {
    cluster.roles.failed(b, "connection refused", true, cluster.now);
    CHECK_FALSE(cluster.roles.primary());
    cluster.primary(a, 6000, 1);
    CHECK_FALSE(cluster.roles.primary());
  }
  SUBCASE("but again when it is promoted itself") {
    cluster.primary(a, 6000, 3);
    CHECK(cluster.roles.primary() == a);
  }
}

TEST_CASE("host roles: of two that claim the same timeline the first stays") {
  Cluster cluster;
  cluster.primary(b);
  cluster.primary(a);
  CHECK(cluster.roles.primary() == b);
}

/// One that nobody has been heard of.
Cluster beginning() { return Cluster({}, Duration::zero()); }

TEST_CASE("host roles: nobody is the primary before each host was heard") {
  Cluster cluster = beginning();
  cluster.primary(a, 9000, 1);
  CHECK_FALSE(cluster.roles.primary());
  cluster.primary(a, 9100, 1);
  cluster.standby(c, 1000, 2);
  CHECK(cluster.readable(c));
  CHECK_FALSE(cluster.roles.primary());
  SUBCASE("and then it is the one on the latest timeline") {
    cluster.primary(b, 1000, 2);
    CHECK(cluster.roles.primary() == b);
    CHECK(cluster.roles.is_former_primary(a));
  }
  SUBCASE("or has failed, however that was") {
    cluster.roles.failed(b, "", false, cluster.now);
    CHECK(cluster.roles.primary() == a);
  }
}

TEST_CASE("host roles: who does not answer at the beginning is waited for as long as it may take") {
  Cluster cluster = beginning();
  cluster.primary(a);
  cluster.standby(c);
  cluster.wait(seconds(1) - microseconds(1));
  CHECK_FALSE(cluster.roles.primary());
  CHECK_FALSE(cluster.roles.tend(cluster.now));
  CHECK(cluster.roles.tend(cluster.now + microseconds(1)));
  CHECK(cluster.roles.primary() == a);
  // Once: whoever is the next primary is so at once.
  cluster.roles.failed(a, "gone", true, cluster.now);
  cluster.primary(c, 1000, 2);
  CHECK(cluster.roles.primary() == c);
}

TEST_CASE("host roles: what the first primary had said before it was elected counts") {
  Cluster cluster = beginning();
  cluster.primary(a, 1000);
  const Instant asked = cluster.now;
  cluster.wait(milliseconds(10));
  cluster.standby(b, 1000);
  cluster.standby(c, 999);
  REQUIRE(cluster.roles.primary() == a);
  CHECK(cluster.roles.shows_until(b) == asked);
  CHECK(cluster.roles.shows_until(c) == Instant::min());
}

TEST_CASE(
    "host roles: of a timeline that others have seen a primary on none before it is written") {
  Cluster cluster;
  cluster.all();
  REQUIRE(cluster.roles.primary() == a);
  CHECK(cluster.roles.learn(2, cluster.now));
  CHECK_FALSE(cluster.roles.primary());
  CHECK(cluster.roles.is_former_primary(a));
  CHECK_FALSE(cluster.roles.is_former_primary(b));
  CHECK_FALSE(cluster.roles.learn(2, cluster.now));
  CHECK_FALSE(cluster.roles.learn(1, cluster.now));
  cluster.primary(a, 2000, 1);
  CHECK_FALSE(cluster.roles.primary());
  cluster.primary(b, 1500, 2);
  CHECK(cluster.roles.primary() == b);
}

TEST_CASE("host roles: what is known at the beginning counts from the first answer on") {
  Cluster cluster = beginning();
  CHECK_FALSE(cluster.roles.learn(2, cluster.now));
  cluster.all();
  CHECK_FALSE(cluster.roles.primary());
  cluster.primary(a, 1000, 2);
  CHECK(cluster.roles.primary() == a);
}

TEST_CASE("host roles: a standby that is silent is out of rotation, and back by itself") {
  Cluster cluster;
  cluster.all();
  cluster.wait(seconds(1));
  CHECK(cluster.readable(b));
  cluster.wait(microseconds(1));
  CHECK_FALSE(cluster.readable(b));
  cluster.standby(b);
  CHECK_FALSE(cluster.readable(b));  // for a while
  cluster.wait(HostRoles::first_ejection);
  cluster.standby(b);
  CHECK(cluster.readable(b));
}

TEST_CASE("host roles: a standby that comes and goes stays out for longer each time") {
  Cluster cluster;
  const auto time_out = [&] {
    cluster.standby(b);
    REQUIRE(cluster.readable(b));
    cluster.roles.failed(b, "gone", true, cluster.now);
    REQUIRE_FALSE(cluster.readable(b));
    const Instant since = cluster.now;
    while (!cluster.readable(b)) {
      cluster.wait(milliseconds(100));
      cluster.standby(b);
    }
    return cluster.now - since;
  };
  CHECK(time_out() == milliseconds(500));
  CHECK(time_out() == milliseconds(1000));
  CHECK(time_out() == milliseconds(2000));
  for (int i = 0; i < 20; ++i) time_out();
  CHECK(time_out() == HostRoles::longest_ejection);
  SUBCASE("and is forgiven") {
    for (Duration waited{}; waited <= HostRoles::forgiven_after; waited += interval) {
      cluster.wait(interval);
      cluster.standby(b);
    }
    CHECK(time_out() == HostRoles::first_ejection);
  }
}

TEST_CASE("host roles: lag is the age of what a standby has reached") {
  Cluster cluster;
  CHECK_FALSE(cluster.roles.lag(b));
  for (uint64_t lsn = 1000; lsn <= 5000; lsn += 1000) {
    cluster.wait(interval);
    cluster.primary(a, lsn);
  }
  CHECK_FALSE(cluster.roles.lag(a));
  cluster.standby(b, 5000);
  CHECK(cluster.roles.lag(b) == Duration::zero());
  cluster.standby(b, 4999);
  CHECK(cluster.roles.lag(b) == interval);
  cluster.standby(b, 2000);
  CHECK(cluster.roles.lag(b) == 3 * interval);
  cluster.standby(b, 1);  // older than what is known
  CHECK(cluster.roles.lag(b) == 4 * interval);
  cluster.standby(b, 9000);  // asked later than the primary
  CHECK(cluster.roles.lag(b) == Duration::zero());
}

TEST_CASE("host roles: time in which nothing is written is no lag") {
  Cluster cluster;
  cluster.all(1000);
  for (int i = 0; i < 10; ++i) {
    cluster.wait(interval);
    cluster.primary(a, 1000);
  }
  cluster.standby(b, 1000);
  CHECK(cluster.roles.lag(b) == Duration::zero());
  cluster.wait(interval);
  cluster.primary(a, 2000);
  cluster.standby(b, 1000);
  CHECK(cluster.roles.lag(b) == interval);
}

TEST_CASE("host roles: a standby that is too far behind is not read") {
  Cluster cluster({seconds(1), seconds(2)});
  cluster.all(1000);
  for (uint64_t lsn = 2000; lsn < 12000; lsn += 1000) {
    cluster.wait(interval);
    cluster.primary(a, lsn);
    cluster.standby(b, lsn);
    cluster.standby(c, 1000);
  }
  CHECK(cluster.readable(b));
  CHECK_FALSE(cluster.readable(c));
  cluster.wait(seconds(1));
  cluster.all(20000);
  CHECK(cluster.readable(c));
}

TEST_CASE("host roles: a new primary may begin behind the old one") {
  Cluster cluster;
  cluster.all(1000);
  cluster.wait(interval);
  cluster.all(9000);
  cluster.roles.failed(a, "gone", true, cluster.now);
  cluster.wait(interval);
  cluster.primary(b, 5000, 2);
  cluster.standby(c, 5000);
  CHECK(cluster.roles.lag(c) == Duration::zero());
  cluster.standby(c, 4000);
  CHECK(cluster.roles.lag(c) == 2 * interval);
}

TEST_CASE(
    "host roles: what a standby shows is what was committed before the sample that it has "
    "replayed") {
  Cluster cluster;
  CHECK(cluster.roles.shows_until(b) == Instant::min());
  cluster.primary(a, 1000);
  const Instant first = cluster.now;
  cluster.standby(b, 999);
  CHECK(cluster.roles.shows_until(b) == Instant::min());
  cluster.standby(b, 1000);
  CHECK(cluster.roles.shows_until(b) == first);
  cluster.wait(interval);
  cluster.primary(a, 1500);
  const Instant second = cluster.now;
  cluster.standby(b, 1499);
  CHECK(cluster.roles.shows_until(b) == first);
  cluster.standby(b, 1500);
  CHECK(cluster.roles.shows_until(b) == second);
  CHECK(cluster.roles.shows_until(a) == Instant::min());
}

TEST_CASE("host roles: of a primary that writes nothing the later sample counts") {
  Cluster cluster;
  cluster.all(1000);
  const Instant first = cluster.now;
  cluster.wait(interval);
  cluster.primary(a, 1000);
  CHECK(cluster.roles.shows_until(b) == cluster.now);
  CHECK(cluster.now > first);
}

TEST_CASE(
    "host roles: a standby on an earlier timeline shows nothing of the later, however far it is") {
  Cluster cluster;
  cluster.primary(a, 1000);
  const Instant first = cluster.now;
  cluster.standby(b, 900, 1);
  cluster.standby(c, 1000, 1);
  CHECK(cluster.roles.follows(c));
  cluster.wait(interval);
  cluster.roles.failed(a, "gone", true, cluster.now);
  cluster.primary(b, 1100, 2);
  const Instant later = cluster.now;
  cluster.standby(a, 9000, 1);  // it has come back as a standby, with what nobody else has
  cluster.standby(c, 1100, 0);
  for (const size_t host : {a, c}) {
    CHECK(cluster.roles.shows_until(host) == first);
    CHECK_FALSE(cluster.roles.follows(host));
  }
  cluster.standby(c, 1100, 2);
  CHECK(cluster.roles.shows_until(c) == later);
  CHECK(cluster.roles.follows(c));
}

TEST_CASE("host roles: a new primary that begins behind the old one shows nothing of it") {
  Cluster cluster;
  cluster.all(1000);
  cluster.wait(interval);
  cluster.primary(a, 2000);
  cluster.wait(interval);
  cluster.primary(b, 1100, 2);
  const Instant later = cluster.now;
  cluster.standby(c, 1050, 2);
  CHECK(cluster.roles.shows_until(c) < later);
  cluster.standby(c, 1100, 2);
  CHECK(cluster.roles.shows_until(c) == later);
}

TEST_CASE("host roles: a standby that cannot tell its timeline follows the first, and no other") {
  Cluster cluster;
  SUBCASE("a primary on the first") {
    cluster.all();
    CHECK(cluster.roles.follows(b));
    CHECK(cluster.roles.shows_until(b) == cluster.now);
  }
  SUBCASE("a later one, also when no other was ever seen") {
    cluster.primary(a, 1000, 3);
    cluster.standby(b, 1000, 0);
    CHECK_FALSE(cluster.roles.follows(b));
    CHECK(cluster.roles.shows_until(b) == Instant::min());
    CHECK(cluster.readable(b));
  }
}

TEST_CASE("host roles: a standby that is ahead of what the primary says later does not follow it") {
  uint32_t told = 0;
  SUBCASE("which it cannot tell") { told = 0; }
  SUBCASE("or tells") { told = 1; }
  CAPTURE(told);
  Cluster cluster;
  cluster.primary(a, 1000);
  cluster.standby(b, 2000, told);
  cluster.standby(c, 1040, told);  // as far as a page's header may be: no more than the primary has
  CHECK(cluster.roles.follows(b));  // the primary may have written that meanwhile
  CHECK(cluster.roles.shows_until(b) == cluster.now);
  cluster.primary(a, 1000);  // asked when b's answer had not come
  CHECK(cluster.roles.follows(b));
  cluster.wait(interval);
  cluster.primary(a, 1000);
  CHECK_FALSE(cluster.roles.follows(b));
  CHECK(cluster.roles.has_diverged(b));
  CHECK(cluster.roles.shows_until(b) == Instant::min());
  CHECK(cluster.roles.follows(c));
  SUBCASE("also when the primary has as much, and the standby was away") {
    cluster.roles.failed(b, "gone", true, cluster.now);
    cluster.wait(interval);
    cluster.primary(a, 3000);
    cluster.standby(b, 2000, told);
    CHECK_FALSE(cluster.roles.follows(b));
    CHECK(cluster.roles.shows_until(b) == Instant::min());
  }
  SUBCASE("unless that primary was itself one of before") {
    cluster.primary(c, 2500, 2);
    cluster.standby(b, 2500, 2);
    CHECK(cluster.roles.follows(b));
    CHECK(cluster.roles.shows_until(b) == cluster.now);
  }
  SUBCASE("and is no standby any more when it is promoted") {
    cluster.primary(b, 2000, 2);
    CHECK_FALSE(cluster.roles.has_diverged(b));
    CHECK(cluster.roles.primary() == b);
  }
}

TEST_CASE("host roles: an old primary that was ahead follows when it has been rewound") {
  Cluster cluster;
  cluster.all();
  cluster.wait(interval);
  cluster.primary(b, 1100, 2);
  cluster.standby(a, 9000, 1);  // with what nobody else has
  cluster.wait(interval);
  cluster.primary(b, 1200, 2);
  CHECK_FALSE(cluster.roles.follows(a));
  cluster.roles.failed(a, "gone", true, cluster.now);
  cluster.standby(a, 1200, 2);
  CHECK(cluster.roles.follows(a));
  CHECK(cluster.roles.shows_until(a) == cluster.now);
}

/// Each host answers in its time until all have, and have done so a few times.
void answer_in(Cluster& cluster, Duration b_takes, Duration c_takes) {
  for (int i = 0; i < 30; ++i) {
    cluster.wait(interval);
    cluster.primary(a);
    cluster.roles.answered(b, {true, 1000, 0}, cluster.now - b_takes, cluster.now);
    cluster.roles.answered(c, {true, 1000, 0}, cluster.now - c_takes, cluster.now);
  }
}

TEST_CASE(
    "host roles: a standby that is slower than another by far is left alone until it is not") {
  Cluster cluster;
  answer_in(cluster, milliseconds(2), milliseconds(99));
  CHECK(cluster.readable(c));
  answer_in(cluster, milliseconds(2), milliseconds(150));
  CHECK_FALSE(cluster.readable(c));
  CHECK(cluster.roles.hosts()[c].slow);
  CHECK(cluster.readable(b));
  answer_in(cluster, milliseconds(2), milliseconds(60));
  CHECK_FALSE(cluster.readable(c));
  answer_in(cluster, milliseconds(2), milliseconds(40));
  CHECK(cluster.readable(c));
  CHECK_FALSE(cluster.roles.hosts()[c].slow);
}

TEST_CASE("host roles: slow is what is slower than others, and one is always left") {
  Cluster cluster;
  answer_in(cluster, milliseconds(80), milliseconds(300));
  CHECK(cluster.readable(c));
  answer_in(cluster, milliseconds(40), milliseconds(300));
  CHECK_FALSE(cluster.readable(c));
  cluster.roles.failed(b, "gone", true, cluster.now);
  for (int i = 0; i < 4; ++i) {
    cluster.wait(interval);
    cluster.primary(a);
    cluster.roles.answered(c, {true, 1000, 0}, cluster.now - milliseconds(300), cluster.now);
  }
  CHECK_FALSE(cluster.readable(b));
  CHECK(cluster.readable(c));
}

}  // namespace
}  // namespace headgate
