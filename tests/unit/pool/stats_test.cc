#include "pool/stats.h"

#include <doctest/doctest.h>

namespace headgate {
namespace {

TEST_CASE("stats: the sum over workers is the sum of every counter") {
  PoolStats all{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  all += PoolStats{10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120};
  CHECK(all == PoolStats{11, 22, 33, 44, 55, 66, 77, 88, 99, 110, 121, 132});
}

TEST_CASE("stats: averages are counts per second and times per event") {
  PoolStats before{.server_assignment_count = 100, .xact_count = 100, .xact_time = 5'000};
  PoolStats now{.server_assignment_count = 120,
                .xact_count = 110,
                .query_count = 40,
                .bytes_received = 1'000'000,
                .bytes_sent = 3,
                .xact_time = 6'000,
                .query_time = 400,
                .wait_time = 60,
                .client_parse_count = 4,
                .server_parse_count = 6,
                .bind_count = 8,
                .client_login_count = 10};
  PoolStats expected{.server_assignment_count = 10,
                     .xact_count = 5,
                     .query_count = 20,
                     .bytes_received = 500'000,
                     .bytes_sent = 1,
                     .xact_time = 100,
                     .query_time = 10,
                     .wait_time = 3,
                     .client_parse_count = 2,
                     .server_parse_count = 3,
                     .bind_count = 4,
                     .client_login_count = 5};
  CHECK(averages(before, now, seconds(2)) == expected);
}

TEST_CASE("stats: nothing happened, no time passed or a counter went back: zero") {
  PoolStats some{.query_count = 5, .query_time = 100};
  CHECK(averages(some, some, seconds(60)) == PoolStats{});
  CHECK(averages(some, PoolStats{}, seconds(60)) == PoolStats{});
  CHECK(averages(PoolStats{}, some, Duration{}).query_count == 0);
}

TEST_CASE("stats: large counters do not overflow") {
  PoolStats now{.bytes_sent = UINT64_MAX / 2};
  CHECK(averages(PoolStats{}, now, seconds(1)).bytes_sent == UINT64_MAX / 2);
}

}  // namespace
}  // namespace headgate
