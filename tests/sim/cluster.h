// The simulated PostgreSQL as a whole: one host, or a primary and its standbys, which replay what
// it has written, later; and what befalls them together. Of the data there is one number for each
// client, the last that it has written. A standby has received all that was committed, so what is
// acknowledged outlives its primary.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/postgres.h"

namespace headgate::sim {

class Cluster {
 public:
  /// What is so all the time.
  struct Habits {
    int hosts = 1;
    int conflicts = 0;               // permille of the reads of a standby that a conflict ends
    Duration most_lag{};             // of what is replayed
    bool tells_timeline = true;      // a standby, to Headgate's monitor
    bool stale_primaries = false;    // an old primary may come back as it was
    bool diverged_standbys = false;  // it may come back as a standby that is ahead by its own
  };
  Cluster(World& world, Network& network, Ledger& ledger, Habits habits);

  static Address address_of(size_t host);
  static std::string name_of(size_t host) { return fmt::format("h{}", host); }
  /// "h0,h1,h2"
  std::string list() const;
  size_t size() const { return hosts_.size(); }
  bool has_standbys() const { return size() > 1; }
  Postgres& host(size_t number) { return *hosts_[number].postgres; }
  /// Who is the primary, or was it last.
  Postgres& primary() { return host(primary_); }
  const Habits& habits() const { return habits_; }

  // --- of all hosts
  std::vector<Backend*> backends();
  const Backend* find(int process) const;
  /// But for the monitor's.
  size_t sessions(const std::string& database, const std::string& user) const;

  // --- what a host knows
  bool is_standby(size_t host) const { return hosts_[host].standby; }
  int value_of(size_t host, int client) const;
  /// A transaction that has written is committed there.
  void commit(size_t host, int client, int value);
  /// Its answer to the monitor: role, position and timeline. The second question of one connection
  /// shows that Headgate has the first answer.
  struct Answer {
    bool in_recovery;
    uint64_t lsn;
    uint32_t timeline;
  };
  Answer ask(size_t host, bool again);

  // --- what befalls them
  void pause_replay(size_t host, Duration time);
  /// Its processes stand still, and it lets nobody in.
  void freeze(size_t host, Duration time);
  /// It is gone for a while, and comes back as it was.
  void vanish(size_t host, Duration time, bool politely);
  /// Its log-ins fail in that way for a while.
  void close_door(size_t host, Postgres::Door door, Duration time);
  /// The primary goes, a standby is promoted, and the old one comes back as something else.
  void fail_over();
  /// All of them are there, and follow.
  void heal();

  /// Called when the primary cannot be reached.
  std::function<void()> on_trouble;

 private:
  struct Host {
    std::unique_ptr<Postgres> postgres;
    bool standby = false, up = true, follows = true, due = false;
    uint32_t timeline = 1, told_timeline = 1;
    size_t replayed = 0;
    uint64_t ahead = 0;  // of its own, on a timeline that nobody else follows
    std::map<int, int> values;
    Instant paused_until{};
    uint64_t fate = 0;  // tells one misfortune from the next
  };
  struct Write {
    uint64_t lsn;
    int client, value;
  };

  void append(int client, int value);
  void replay(size_t host, size_t until);
  void schedule_replay(size_t host);
  void take_down(size_t host, bool politely);
  void bring_up(size_t host);
  void promote();
  void old_comes_back();
  void follow(size_t host);
  /// What befalls it is a part of the failover that is under way.
  bool is_former(size_t host) const { return failover_ != Failover::none && host == old_; }

  World& world_;
  Ledger& ledger_;
  const Habits habits_;
  std::vector<Host> hosts_;
  std::vector<Write> written_;
  uint64_t lsn_ = 0x1000028;
  size_t primary_ = 0, old_ = 0;
  uint32_t timeline_ = 1;
  enum class Failover : uint8_t { none, without_primary, promoted } failover_ = Failover::none;
  uint64_t failovers_ = 0;
  bool primary_is_known_ = false;  // to one monitor at least, of whatever database
};

}  // namespace headgate::sim
