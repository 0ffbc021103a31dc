#include "proxy/log_repeats.h"

#include <doctest/doctest.h>

namespace headgate {

namespace {

struct Rig {
  LogRepeats repeats;
  LogRepeats::Time now{std::chrono::hours(1000)};

  explicit Rig(int limit) { repeats.set_limit(limit); }
  bool says(std::string_view text, std::string_view user = "", const void* site = nullptr) {
    const LogSubject subject{.database = "app", .user = user};
    return repeats.passes({LogLevel::warning, site, user.empty() ? nullptr : &subject, text, {}},
                          now);
  }
  int passed(int times, std::string_view text, std::string_view user = "") {
    int passed = 0;
    for (int i = 0; i < times; ++i) passed += says(text, user) ? 1 : 0;
    return passed;
  }
};

}  // namespace

TEST_CASE("log repeats: so many are logged, and the rest is told when the period is over") {
  Rig rig(3);
  CHECK(rig.passed(1000, "no such user", "alice") == 3);
  rig.now += LogRepeats::period - std::chrono::milliseconds(1);
  CHECK(rig.repeats.take(rig.now, false).empty());
  CHECK(rig.passed(1, "no such user", "alice") == 0);
  rig.now += std::chrono::milliseconds(1);
  const auto held = rig.repeats.take(rig.now, false);
  REQUIRE(held.size() == 1);
  CHECK(held[0].lines == 998);
  CHECK(held[0].seconds == 10);
  CHECK(held[0].level == LogLevel::warning);
  CHECK(held[0].text == "no such user");
  CHECK(held[0].database == "app");
  CHECK(held[0].user == "alice");
  CHECK(rig.repeats.take(rig.now, false).empty());
  CHECK(rig.passed(1000, "no such user", "alice") == 3);
}

TEST_CASE("log repeats: what is said by others, or is another thing, is not hidden") {
  Rig rig(2);
  CHECK(rig.passed(100, "no such user", "alice") == 2);
  CHECK(rig.passed(100, "no such user", "bob") == 2);
  CHECK(rig.passed(100, "no such user") == 2);
  CHECK(rig.passed(100, "server is gone", "alice") == 2);
  const int another_place = 0;
  CHECK(rig.says("no such user", "alice", &another_place));
}

TEST_CASE("log repeats: what is said a few times is not told of again") {
  Rig rig(5);
  CHECK(rig.passed(5, "x") == 5);
  CHECK(rig.repeats.take(rig.now, true).empty());
  CHECK(rig.passed(5, "x") == 5);  // taken: a new period
}

TEST_CASE("log repeats: at the end all that was held back is told") {
  Rig rig(1);
  rig.passed(3, "x");
  rig.passed(2, "y");
  rig.now += std::chrono::milliseconds(2500);
  const auto held = rig.repeats.take(rig.now, true);
  CHECK(held.size() == 2);
  for (const auto& one : held) CHECK(one.seconds == 3);
}

TEST_CASE("log repeats: texts without end are bounded, in memory and in lines") {
  Rig rig(1);
  size_t passed = 0;
  for (int i = 0; i < 100'000; ++i)
    passed += rig.says("no such user: " + std::to_string(i)) ? 1 : 0;
  CHECK(passed == LogRepeats::most_rows + 1);
  const auto held = rig.repeats.take(rig.now, true);
  REQUIRE(held.size() == 1);
  CHECK(held[0].lines == 100'000 - static_cast<int64_t>(passed));
}

TEST_CASE("log repeats: a clock that is set back ends the period") {
  Rig rig(1);
  rig.passed(3, "x");
  rig.now -= std::chrono::hours(5);
  const auto held = rig.repeats.take(rig.now, false);
  REQUIRE(held.size() == 1);
  CHECK(held[0].seconds == 1);
  CHECK(rig.says("x"));
}

TEST_CASE("log repeats: no limit is none") {
  Rig rig(0);
  CHECK(rig.passed(1000, "x") == 1000);
}

}  // namespace headgate
