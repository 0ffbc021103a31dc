// Whose turn it is among the hosts of a database (`host = a,b,c`), and which of them are left alone
// for a while because they failed: so that a dead host does not hold up the others. One for each
// database, shared by all workers.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "conf/settings.h"
#include "protocol/user_functions.h"

namespace headgate {

/// What is known of the roles of the hosts of one database.
struct HostsByRole {
  std::vector<std::string> primary;   // at most one
  std::vector<std::string> standbys;  // those that can be read

  /// Where servers for that role may be; empty: nowhere now. Not for `any`.
  const std::vector<std::string>& of(TargetRole target) const {
    const bool writes =
        target == TargetRole::primary || (target == TargetRole::prefer_standby && standbys.empty());
    return writes ? primary : standbys;
  }
};

/// A standby that can be read.
struct ReadableHost {
  std::string name;
  /// All that was committed on the primary before this is to be seen there.
  Instant shows_until = Instant::min();
  std::optional<Duration> lag;  // when it was asked; nothing: it is not known
};

class HostTurns {
 public:
  /// The host to try now. In turns, past those that are left alone if others are there; with
  /// `disable`, the same until it fails. Nothing: none has the role that the entry asks for.
  std::optional<std::string> pick(const DatabaseEntry& entry, Instant now);
  /// Whether a server at that host may be lent by this entry.
  bool fits(const DatabaseEntry& entry, const std::string& host) const;
  /// Whether there is one at all; not for `any`.
  bool any_fits(const DatabaseEntry& entry) const;
  /// Told by the monitor.
  void set_roles(HostsByRole roles);
  void set_readable(std::vector<ReadableHost> hosts);
  void set_functions(UserFunctionsPtr functions);

  /// The standbys that reads can be sent to, but for those that are left alone.
  std::vector<ReadableHost> readable(Instant now) const;
  /// Those of the database, as its primary has told them.
  UserFunctionsPtr functions() const;

  /// A log-in at `host` has failed; `unreachable`: not even a connection came about. True: another
  /// host of the list can be tried at once. With `disable` nothing is tried at once, but the next
  /// host has its turn if this one was unreachable.
  bool failed(const DatabaseEntry& entry, const std::string& host, bool unreachable,
              Instant alone_until, Instant now);
  /// The same of a pool that has no other host.
  void leave_alone(const std::string& host, Instant until);
  /// A standby could not do what another can: an error that is its machine's, a server that has
  /// ended. True: that was often of late, and it is left alone for a while, longer each time.
  bool faulted(const std::string& host, Instant now);
  bool is_left_alone(const std::string& host, Instant now) const;
  /// So many within that time are too many.
  static constexpr int most_faults = 5;
  static constexpr Duration fault_window = seconds(10);
  static constexpr Duration first_pause = seconds(1), longest_pause = seconds(30);
  static constexpr Duration forgiven_after = seconds(60);
  /// A log-in has worked.
  void worked(const std::string& host);

 private:
  struct Faults {
    int count = 0;  // since then
    Instant since = Instant::min();
    int pauses = 0;  // in a row
    Instant back_at = Instant::min();
  };

  bool alone(const std::string& host, Instant now) const;
  std::vector<std::string> candidates(const DatabaseEntry& entry) const;
  static std::vector<std::string> turns_of(const std::vector<std::string>& hosts,
                                           const DatabaseEntry& entry);

  mutable std::mutex mutex_;
  HostsByRole roles_;
  std::vector<ReadableHost> readable_;
  UserFunctionsPtr functions_;
  size_t next_ = 0;
  std::map<std::string, Instant> alone_until_;  // hosts of the list, and of lists before a reload
  std::map<std::string, Faults> faults_;
};

}  // namespace headgate
