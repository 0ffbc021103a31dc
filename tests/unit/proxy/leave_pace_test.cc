#include "proxy/leave_pace.h"

#include <doctest/doctest.h>

using namespace headgate;

TEST_CASE("leave pace: clients go evenly over the time") {
  const Instant start(seconds(100));
  const LeavePace pace(start, seconds(10), 1000);
  CHECK(pace.due(start - seconds(1)) == 0);
  CHECK(pace.due(start) == 0);
  CHECK(pace.due(start + seconds(1)) == 100);
  CHECK(pace.due(start + seconds(5)) == 500);
  CHECK(pace.due(start + seconds(9)) == 900);
}

TEST_CASE("leave pace: behind the time nobody is held back") {
  const Instant start(seconds(100));
  CHECK(LeavePace(start, seconds(10), 3).due(start + seconds(10)) == SIZE_MAX);
  CHECK(LeavePace(start, {}, 3).due(start) == SIZE_MAX);
}

TEST_CASE("leave pace: ten thousand leave by dozens, not in herds") {
  const Instant start(seconds(100));
  const LeavePace pace(start, seconds(15), 10'000);
  size_t before = 0;
  for (Instant now = start; now < start + seconds(15); now += milliseconds(100)) {
    const size_t due = pace.due(now);
    CHECK(due >= before);
    CHECK(due - before <= 67);
    before = due;
  }
}
