// Which host of a database is its primary, and which standbys can be read: by what each host says
// of itself when it is asked (proxy/host_monitor.h), and when. Roles are found, not configured, so
// a failover needs no reload. Decides; asks nobody, and knows no clock.
//
// A host is the primary if it is not in recovery and no other has been seen on a later timeline: a
// primary of before, which comes back and does not know of its successor, is not written to. The
// first one is elected when all hosts were heard, or had their time to answer. One that has become
// silent stays the primary until another says that it is, but a host that could not be reached has
// no role until it has answered again.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"

namespace headgate {

enum class HostRole : uint8_t { unknown, primary, standby };

/// What a host says of itself.
struct HostAnswer {
  bool in_recovery = false;
  uint64_t lsn = 0;       // replayed by a standby, written by a primary
  uint32_t timeline = 0;  // a standby's: one that it surely follows; 0: it cannot tell
};

struct HostRules {
  Duration patience = seconds(1);  // who has not answered for longer is not read (monitor_timeout)
  Duration max_lag{};              // a standby that is further behind is not read; 0: no limit
};

class HostRoles {
 public:
  struct Host {
    std::string name;
    HostRole role = HostRole::unknown;
    bool readable = false;         // a standby that is in rotation
    std::optional<Instant> asked;  // the last question that was answered
    Duration latency{};            // of that answer
    Duration usual_latency{};      // of the answers of late
    bool slow = false;             // a standby that is left alone since others are much faster
    HostAnswer answer;
    std::string error;  // why there was none, since the last answer

   private:
    friend class HostRoles;
    bool heard = false;          // has answered or failed
    uint32_t diverged_from = 0;  // the primary's timeline on which it had what that never wrote
    std::optional<Instant> readable_since;
    Instant back_at = Instant::min();  // in rotation again, if all is well
    int ejections = 0;                 // in a row
  };

  HostRoles(std::vector<std::string> names, HostRules rules, Instant began);

  // --- what has happened; true: the primary, or who can be read, is another now
  bool answered(size_t host, HostAnswer answer, Instant asked, Instant now);
  /// `unreachable`: no server process is there, or not the one of before.
  bool failed(size_t host, std::string why, bool unreachable, Instant now);
  /// Others have seen a primary on that timeline.
  bool learn(uint32_t timeline, Instant now);
  /// Time has passed.
  bool tend(Instant now);

  // --- what follows
  std::optional<size_t> primary() const { return primary_; }
  const std::vector<Host>& hosts() const { return hosts_; }
  /// It says that it is a primary, on an earlier timeline than one that was seen.
  bool is_former_primary(size_t host) const;
  /// How far a standby was behind the primary when it was asked, to within the interval of the
  /// questions; nothing: it is not known.
  std::optional<Duration> lag(size_t host) const;
  /// The standby has what the primary of this timeline never wrote.
  bool has_diverged(size_t host) const;
  /// The standby is on the primary's timeline, so that their positions can be compared.
  bool follows(size_t host) const;
  /// All that was committed on the primary before this can be seen on that standby. A position on a
  /// timeline that it may not follow says nothing: an old primary has one far ahead, maybe.
  Instant shows_until(size_t host) const;

  /// A standby that leaves the rotation stays out of it for as long at least, twice as long each
  /// time that follows soon.
  static constexpr Duration first_ejection = milliseconds(500);
  static constexpr Duration longest_ejection = seconds(30);
  /// After so long in rotation what was before is forgotten.
  static constexpr Duration forgiven_after = seconds(60);
  /// A standby is slow that answers in so many times what the fastest takes, and not below that
  /// time in any case; until it takes half of it.
  static constexpr int slow_factor = 5;
  static constexpr Duration never_slow = milliseconds(100);
  /// How far back positions of the primary are known.
  static constexpr Duration memory = seconds(600);

 private:
  struct Sample {
    Instant at;  // all that was committed before is at or below
    uint64_t lsn;
    uint32_t timeline;
  };

  bool update(Instant now);
  std::optional<size_t> elect() const;
  void note_diverged();
  bool is_well(size_t host, Instant now) const;
  bool is_slow(size_t host, Instant now) const;
  bool answers(const Host& host, Instant now) const;
  void remember(uint64_t lsn, Instant at);
  static uint32_t timeline_of(const Host& host);

  std::vector<Host> hosts_;
  HostRules rules_;
  const Instant began_;
  bool began_well_ = false;  // all were heard, or had their time
  std::optional<size_t> primary_;
  uint32_t timeline_ = 0;  // the latest that a primary was on
  std::deque<Sample> samples_;
};

}  // namespace headgate
