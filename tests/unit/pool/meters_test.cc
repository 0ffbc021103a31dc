#include "pool/meters.h"

#include <doctest/doctest.h>

using namespace headgate;

TEST_CASE("meters: each bucket holds what is up to its bound, and no more") {
  for (size_t bucket = 0; bucket < TimeHistogram::bounds; ++bucket) {
    const Duration bound = TimeHistogram::bound(bucket);
    CHECK(TimeHistogram::bucket_of(bound) == bucket);
    CHECK(TimeHistogram::bucket_of(bound + Duration(1)) == bucket + 1);
    if (bucket > 0) CHECK(bound == TimeHistogram::bound(bucket - 1) * 2);
  }
  CHECK(TimeHistogram::bound(0) == microseconds(50));
  CHECK(TimeHistogram::bucket_of(Duration(0)) == 0);
  CHECK(TimeHistogram::bucket_of(Duration(-1)) == 0);
  CHECK(TimeHistogram::bucket_of(Duration::min()) == 0);
  CHECK(TimeHistogram::bucket_of(seconds(60)) == TimeHistogram::bounds);
  CHECK(TimeHistogram::bucket_of(Duration::max()) == TimeHistogram::bounds);
}

TEST_CASE("meters: a histogram knows how many there were and how long they took together") {
  TimeHistogram times;
  for (const Duration time : {Duration(0), Duration(50), Duration(51), Duration(10'000'000)}) {
    times.add(time);
  }
  times.add_none();
  times.add(Duration(-5));
  CHECK(times.in_bucket(0) == 4);
  CHECK(times.in_bucket(1) == 1);
  CHECK(times.in_bucket(TimeHistogram::bucket_of(seconds(10))) == 1);
  CHECK(times.sum_us() == 10'000'101);
}

TEST_CASE("meters: the sum over workers is the sum of everything") {
  PoolMeters one, other;
  one.wait.add(seconds(1));
  one.query.add(seconds(2));
  one.server_logins = 3;
  other.transaction.add(seconds(4));
  other.login.add(seconds(5));
  other.query.add(seconds(2));
  other.server_login_failures = 6;
  PoolMeters sum = one;
  sum += other;
  CHECK(sum.wait.sum_us() == 1'000'000);
  CHECK(sum.query.in_bucket(TimeHistogram::bucket_of(seconds(2))) == 2);
  CHECK(sum.transaction.sum_us() == 4'000'000);
  CHECK(sum.login.sum_us() == 5'000'000);
  CHECK(sum.server_logins == 3);
  CHECK(sum.server_login_failures == 6);
  one += PoolMeters{};
  CHECK_FALSE(one == sum);
}
