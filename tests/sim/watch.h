// Looks at the house after every event and compares what it sees with what Headgate promises
// (DESIGN, section 1). A broken promise is a Violation.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "tests/sim/cluster.h"
#include "tests/sim/house.h"

namespace headgate::sim {

class Watch {
 public:
  /// What one pool may have, by the story's settings; 0: no limit.
  struct Limits {
    int pool = 0, database = 0, user = 0;
  };
  /// Beyond these, a client waits beside an idle server, or is overtaken for too long.
  static constexpr Duration longest_idle_beside_waiter = milliseconds(60);
  static constexpr Duration longest_check = seconds(4);  // of frozen servers, one after another
  static constexpr Duration after_pause = milliseconds(100);
  static constexpr Duration longest_overtaking = milliseconds(80);

  Watch(World& world, House& house, Cluster& cluster, Ledger& ledger, Limits limits)
      : world_(world), house_(house), cluster_(cluster), ledger_(ledger), limits_(limits) {}

  void after_event();
  /// A server has taken a session: are there too many now?
  void count_sessions();
  /// Everybody has gone: nothing may be left.
  void check_empty();
  /// Promises about waiting do not hold while threads are kept from running.
  void excuse_waiting(Duration time);

 private:
  struct Wait {
    WorkerId worker = 0;
    Instant since{};
    Instant overtaken{};  // for the first time; zero: not yet
    bool is_new = true;   // maybe put back when the other had been served
  };
  struct Idle {
    Instant since{}, in_vain_since{}, paused_at{};
    std::string shares{};  // as noted last
  };
  using Waits = std::map<uint64_t, Wait>;  // by the client's id
  struct Use {
    Instant last{};
    bool let_in = false;  // somebody was, so it is to be remembered for a time
  };

  void check_limits();
  void check_forgotten();
  size_t pools_of(const PoolEntry& entry);
  void check_sessions();
  void check_waiting(PoolEntry& entry);
  void check_fairness(PoolEntry& entry);
  bool is_active(const PoolEntry& entry, WorkerId worker, uint64_t id);
  void served(PoolEntry& entry, Waits& waits, const Wait& one, uint64_t id);
  Waits waits_of(PoolEntry& entry);

  World& world_;
  House& house_;
  Cluster& cluster_;
  Ledger& ledger_;
  const Limits limits_;
  std::map<uint32_t, Idle> idle_beside_waiter_;
  std::map<uint32_t, Waits> waits_;
  std::map<std::string, Use> uses_;  // of the databases that Headgate knows
  Instant excused_until_{};
};

}  // namespace headgate::sim
