#include "base/deadlines.h"

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <memory>
#include <random>
#include <vector>

using namespace headgate;

namespace {

Instant at(milliseconds since_start) { return Instant(since_start); }
Instant at(int64_t ms) { return at(milliseconds(ms)); }

constexpr milliseconds turn =
    std::chrono::duration_cast<milliseconds>(Deadlines::tick) * static_cast<int>(Deadlines::slots);

// Something that waits, and does what the test says when it is rung.
struct Waiter {
  explicit Waiter(Deadlines& wheel) : deadline(wheel, ring, this) {}
  static void ring(void* owner, Instant now) {
    auto& self = *static_cast<Waiter*>(owner);
    ++self.rings;
    self.rung_at = now;
    if (self.then) self.then(now);
  }
  int rings = 0;
  Instant rung_at{};
  std::function<void(Instant)> then;
  Deadline deadline;
};

}  // namespace

TEST_CASE("deadlines: rung when passed, once, never early and at most a tick late") {
  Deadlines wheel;
  Waiter waiter(wheel);
  waiter.deadline.arm(at(1234));
  CHECK(waiter.deadline.armed());
  CHECK(waiter.deadline.at() == at(1234));
  wheel.expire(at(1233));
  wheel.expire(at(1234));
  CHECK(waiter.rings == 0);
  CHECK(wheel.next() == at(1300));
  wheel.expire(at(1300));
  CHECK(waiter.rings == 1);
  CHECK(waiter.rung_at == at(1300));
  CHECK_FALSE(waiter.deadline.armed());
  wheel.expire(at(9999));
  CHECK(waiter.rings == 1);
  CHECK_FALSE(wheel.next());
}

TEST_CASE("deadlines: one in the past is rung at the next tick") {
  Deadlines wheel;
  wheel.expire(at(5000));
  Waiter waiter(wheel);
  waiter.deadline.arm(at(10));
  CHECK(wheel.next() == at(5100));
  wheel.expire(at(5099));
  CHECK(waiter.rings == 0);
  wheel.expire(at(5100));
  CHECK(waiter.rings == 1);
}

TEST_CASE("deadlines: moved, disarmed or destroyed ones are not rung") {
  Deadlines wheel;
  Waiter moved(wheel);
  Waiter disarmed(wheel);
  moved.deadline.arm(at(100));
  disarmed.deadline.arm(at(100));
  {
    Waiter destroyed(wheel);
    destroyed.deadline.arm(at(100));
  }
  moved.deadline.arm(at(700));
  disarmed.deadline.disarm();
  disarmed.deadline.disarm();
  wheel.expire(at(600));
  CHECK(moved.rings == 0);
  CHECK(wheel.next() == at(700));
  wheel.expire(at(700));
  CHECK(moved.rings == 1);
  CHECK(disarmed.rings == 0);
}

TEST_CASE("deadlines: one that is further away than the wheel reaches waits its turns") {
  Deadlines wheel;
  Waiter waiter(wheel);
  const Instant far = at(3 * turn + milliseconds(250));
  waiter.deadline.arm(far);
  int wakes = 0;
  while (waiter.rings == 0) {
    const auto next = wheel.next();
    REQUIRE(next);
    wheel.expire(*next);
    REQUIRE(++wakes <= 4);
  }
  CHECK(waiter.rung_at >= far);
  CHECK(waiter.rung_at <= far + Deadlines::tick);
}

TEST_CASE("deadlines: after a pause of many turns everything that passed is rung") {
  Deadlines wheel;
  std::vector<std::unique_ptr<Waiter>> waiters;
  for (int i = 0; i < 2000; ++i) {
    waiters.push_back(std::make_unique<Waiter>(wheel));
    waiters.back()->deadline.arm(at(i * 97));
  }
  Waiter later(wheel);
  later.deadline.arm(at(20 * turn));
  wheel.expire(at(10 * turn));
  for (const auto& waiter : waiters) CHECK(waiter->rings == 1);
  CHECK(later.rings == 0);
  CHECK(later.deadline.armed());
}

TEST_CASE("deadlines: a ring may arm its own deadline again") {
  Deadlines wheel;
  Waiter waiter(wheel);
  waiter.then = [&](Instant now) { waiter.deadline.arm(now + milliseconds(500)); };
  waiter.deadline.arm(at(100));
  for (int64_t now = 0; now <= 2100; now += 100) wheel.expire(at(now));
  CHECK(waiter.rings == 5);
  SUBCASE("for now: it comes round at the next tick, not for ever in this one") {
    waiter.then = [&](Instant now) { waiter.deadline.arm(now); };
    waiter.deadline.arm(at(2200));
    wheel.expire(at(2300));
    CHECK(waiter.rings == 6);
    wheel.expire(at(2400));
    CHECK(waiter.rings == 7);
  }
}

TEST_CASE("deadlines: a ring may destroy its owner and disarm others that are due") {
  Deadlines wheel;
  auto dying = std::make_unique<Waiter>(wheel);
  Waiter second(wheel);
  Waiter third(wheel);
  dying->then = [&](Instant) {
    second.deadline.disarm();
    dying.reset();
  };
  dying->deadline.arm(at(100));
  second.deadline.arm(at(100));
  third.deadline.arm(at(100));
  wheel.expire(at(100));
  CHECK(dying == nullptr);
  CHECK(second.rings == 0);
  CHECK(third.rings == 1);
}

TEST_CASE("deadlines: next() is never later than the earliest deadline allows") {
  for (unsigned seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    Deadlines wheel;
    std::vector<std::unique_ptr<Waiter>> waiters(8);
    for (auto& waiter : waiters) waiter = std::make_unique<Waiter>(wheel);
    Instant now = at(static_cast<int64_t>(random() % 200'000));
    wheel.expire(now);
    for (int round = 0; round < 100; ++round) {
      Waiter& some = *waiters[random() % waiters.size()];
      const auto ahead = milliseconds(random() % 4 == 0 ? random() % 200'000 : random() % 3'000);
      if (random() % 4 == 0) {
        some.deadline.disarm();
      } else {
        some.deadline.arm(now + ahead);
      }
      std::optional<Instant> earliest;
      for (const auto& waiter : waiters) {
        if (!waiter->deadline.armed()) continue;
        earliest = std::min(earliest.value_or(Instant::max()), waiter->deadline.at());
      }
      const auto next = wheel.next();
      REQUIRE(next.has_value() == earliest.has_value());
      if (next) {
        REQUIRE(*next <= *earliest + Deadlines::tick);
        REQUIRE(*next > now);
      }
      now += milliseconds(random() % 900);
      std::map<Waiter*, int> due;
      for (const auto& waiter : waiters) {
        if (waiter->deadline.armed() && waiter->deadline.at() + Deadlines::tick <= now) {
          due[waiter.get()] = waiter->rings;
        }
      }
      wheel.expire(now);
      for (const auto& [waiter, rings] : due) {
        REQUIRE(waiter->rings == rings + 1);
        REQUIRE(waiter->rung_at >= waiter->deadline.at());
      }
    }
  }
}
