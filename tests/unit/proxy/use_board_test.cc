#include "proxy/use_board.h"

#include <doctest/doctest.h>

using namespace headgate;

namespace {

constexpr Instant start{seconds(100)};

PoolUse running(uint32_t count, int64_t held_us) {
  PoolUse use;
  use.running = count;
  use.opening = 1;
  use.opening_us = held_us;
  use.longest.emplace();
  use.longest->held_us = held_us;
  return use;
}

}  // namespace

TEST_CASE("use board: what others have told adds up, what was told last counts") {
  UseBoard board;
  CHECK(board.of_others(0, start).counted() == 0);
  board.tell(0, running(5, 1'000'000), start);
  board.tell(1, running(2, 3'000'000), start);
  board.tell(2, running(9, 1), start);
  board.tell(2, running(3, 2'000'000), start);
  const PoolUse sum = board.of_others(0, start);
  CHECK(sum.running == 5);
  CHECK(sum.longest->held_us == 3'000'000);
  CHECK(board.of_others(1, start).running == 8);
}

TEST_CASE("use board: what was told grows older, and is forgotten") {
  UseBoard board;
  board.tell(1, running(2, 1'000'000), start);
  const PoolUse later = board.of_others(0, start + seconds(2));
  CHECK(later.longest->held_us == 3'000'000);
  CHECK(later.opening_us == 3'000'000);
  CHECK(board.of_others(0, start + UseBoard::believed).running == 2);
  CHECK(board.of_others(0, start + UseBoard::believed + microseconds(1)).running == 0);
}

TEST_CASE("use board: one asks, and one logs, at a time") {
  UseBoard board;
  CHECK(board.claim_survey(start));
  CHECK_FALSE(board.claim_survey(start));
  CHECK(board.claim_line(start));
  CHECK_FALSE(board.claim_line(start + UseBoard::between_lines - microseconds(1)));
  CHECK(board.claim_line(start + UseBoard::between_lines));
  CHECK(board.claim_survey(start + UseBoard::between_surveys));
}
