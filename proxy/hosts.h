// Whose turn it is among the hosts of a database (`host = a,b,c`), and which of them are left alone
// for a while because they failed: so that a dead host does not hold up the others. One for each
// database, shared by all workers.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "base/bytes.h"
#include "base/time.h"
#include "conf/settings.h"

namespace headgate {

class HostTurns {
 public:
  /// The host to try now. In turns, past those that are left alone if others are there; with
  /// `disable`, the same until it fails.
  std::string pick(View list, LoadBalance policy, Instant now);

  /// A log-in at `host` has failed; `unreachable`: not even a connection came about. True: another
  /// host of the list can be tried at once. With `disable` nothing is tried at once, but the next
  /// host has its turn if this one was unreachable.
  bool failed(View list, LoadBalance policy, const std::string& host, bool unreachable,
              Instant alone_until, Instant now);
  /// A log-in has worked.
  void worked(const std::string& host);

 private:
  bool alone(const std::string& host, Instant now) const;

  mutable std::mutex mutex_;
  size_t next_ = 0;
  std::map<std::string, Instant> alone_until_;  // hosts of the list, and of lists before a reload
};

}  // namespace headgate
