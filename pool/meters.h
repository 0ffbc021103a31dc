// What is measured of a pool beyond SHOW STATS: how long things took, as histograms, and how
// log-ins to its servers ended. Each worker owns the meters of its share and is the only one to
// write them; sums are made from copies.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace headgate {

/// Times, counted by how long they were: up to 50 us, 100 us, 200 us ... 52.4 s, and longer ones.
class TimeHistogram {
 public:
  static constexpr size_t bounds = 21;
  /// The longest time that counts in a bucket; the bucket number `bounds` has no bound.
  static constexpr Duration bound(size_t bucket) { return shortest * (int64_t{1} << bucket); }
  /// Where a time counts. A clock that went back has taken no time.
  static constexpr size_t bucket_of(Duration time) {
    const auto whole = static_cast<uint64_t>(std::max(time.count(), int64_t{1}) - 1);
    return std::min<size_t>(std::bit_width(whole / shortest.count()), bounds);
  }

  void add(Duration time) {
    ++counts_[bucket_of(time)];
    sum_us_ += static_cast<uint64_t>(std::max(time.count(), int64_t{0}));
  }
  /// Something that took no time at all.
  void add_none() { ++counts_[0]; }

  TimeHistogram& operator+=(const TimeHistogram& other) {
    for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    sum_us_ += other.sum_us_;
    return *this;
  }
  bool operator==(const TimeHistogram&) const = default;

  uint64_t in_bucket(size_t bucket) const { return counts_[bucket]; }
  uint64_t sum_us() const { return sum_us_; }

 private:
  static constexpr Duration shortest = microseconds(50);
  std::array<uint64_t, bounds + 1> counts_{};
  uint64_t sum_us_ = 0;
};
static_assert(TimeHistogram::bucket_of(TimeHistogram::bound(0)) == 0);
static_assert(TimeHistogram::bucket_of(TimeHistogram::bound(0) + Duration(1)) == 1);
static_assert(TimeHistogram::bucket_of(TimeHistogram::bound(20)) == 20);
static_assert(TimeHistogram::bucket_of(TimeHistogram::bound(20) + Duration(1)) == 21);

struct PoolMeters {
  TimeHistogram wait;         // of clients for a server, for a request or to log in
  TimeHistogram query;        // from a request to the ReadyForQuery behind it
  TimeHistogram transaction;  // waiting for the client included
  TimeHistogram login;        // of clients, from their connection to their first ReadyForQuery
  uint64_t server_logins = 0;
  uint64_t server_login_failures = 0;
  uint64_t replica_reads = 0;           // requests and transactions that went to a standby
  uint64_t replica_reads_repeated = 0;  // and then to the primary

  PoolMeters& operator+=(const PoolMeters& other) {
    wait += other.wait;
    query += other.query;
    transaction += other.transaction;
    login += other.login;
    server_logins += other.server_logins;
    server_login_failures += other.server_login_failures;
    replica_reads += other.replica_reads;
    replica_reads_repeated += other.replica_reads_repeated;
    return *this;
  }
  bool operator==(const PoolMeters&) const = default;
};

}  // namespace headgate
