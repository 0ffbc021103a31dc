#include "admin/wrong_tries.h"

#include <doctest/doctest.h>

using namespace headgate;

namespace {

constexpr Instant start{seconds(1000)};

/// So many of the tries that are made at once are looked at, and are wrong.
int heard(WrongTries& tries, const std::string& place, Instant now, int made) {
  int count = 0;
  for (int i = 0; i < made && tries.wait(place, now) == Duration::zero(); ++i) {
    tries.note(place, now);
    ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("wrong tries: some are heard at once, then one in each interval") {
  WrongTries tries;
  CHECK(heard(tries, "a", start, 100) == WrongTries::at_once);
  CHECK(tries.wait("a", start) == WrongTries::interval);
  CHECK(tries.wait("a", start + seconds(1)) == WrongTries::interval - seconds(1));
  int later = 0;
  for (int second = 1; second <= 600; ++second) {
    later += heard(tries, "a", start + seconds(second), 100);
  }
  CHECK(later == 100);
}

TEST_CASE("wrong tries: another place is heard all the same") {
  WrongTries tries;
  heard(tries, "a", start, 100);
  CHECK(tries.wait("b", start) == Duration::zero());
}

TEST_CASE("wrong tries: who has made none for a while has all of them again") {
  WrongTries tries;
  heard(tries, "a", start, 100);
  const Instant later = start + WrongTries::at_once * WrongTries::interval;
  CHECK(heard(tries, "a", later - seconds(1), 100) < WrongTries::at_once);
  CHECK(heard(tries, "a", later + WrongTries::interval * WrongTries::at_once, 100) ==
        WrongTries::at_once);
}

TEST_CASE("wrong tries: of many places those that would be forgotten first make room") {
  WrongTries tries;
  heard(tries, "guesses", start, 100);
  for (size_t i = 0; i < 3 * WrongTries::most_places; ++i) tries.note(std::to_string(i), start);
  CHECK(tries.places() == WrongTries::most_places);
  CHECK(tries.wait("guesses", start) > Duration::zero());
  const Instant later = start + WrongTries::at_once * WrongTries::interval;
  tries.note("one more", later);
  CHECK(tries.places() == 1);
}
