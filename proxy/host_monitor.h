// Who watches the hosts of the databases that ask for a role (target_session_attrs): one monitor
// for all databases that list the same hosts, one connection to each of these. What it finds out it
// tells the databases, and every worker; on which timeline it has seen a primary, also the other
// monitors of the cluster, those of later included. On worker 0's thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "admin/snapshot.h"
#include "base/deadlines.h"
#include "pool/host_roles.h"
#include "pool/known_timelines.h"
#include "proxy/host_probe.h"
#include "proxy/registry.h"

namespace headgate {

class Pooler;
class WorkerPool;

class HostMonitor final : public HostProbeUser {
 public:
  HostMonitor(Pooler& pooler, PoolSettingsPtr settings, const Settings& global);

  /// Begins to ask.
  void start();
  /// The databases that go by it, all of them.
  void serve(std::vector<Hold<DatabaseState>> databases);
  /// Its rows of SHOW HOSTS, for each database.
  void describe(Snapshot& snapshot, Instant now) const;
  bool serves(const std::string& database) const;
  /// A primary was seen on that timeline, by whomever.
  void learn(uint32_t timeline);
  /// One of its hosts, which tells its cluster.
  const HostAddress& address() const { return address_; }
  void addresses_vanished(const HostUse& host, const std::vector<Address>& addresses);

 private:
  void host_answered(size_t host, HostAnswer answer, Instant asked) override;
  void host_failed(size_t host, std::string why, bool unreachable) override;
  bool wants_functions(size_t host) const override;
  void host_functions(size_t host, UserFunctionsPtr functions) override;
  void look();
  HostsByRole found() const;
  void roles_changed();
  void tell();
  void tell_readable();
  std::set<std::string> set_readable();
  void tell_pools(std::set<std::string> databases, void (WorkerPool::*what)());

  Pooler& pooler_;
  Worker& worker_;
  const PoolSettingsPtr settings_;
  const Duration interval_, timeout_;
  HostRoles roles_;
  std::optional<size_t> primary_;  // as it was told last
  const HostAddress address_;
  UserFunctionsPtr functions_;
  std::vector<std::unique_ptr<HostProbe>> probes_;
  std::vector<Hold<DatabaseState>> databases_;
  Deadline look_;
};

class HostMonitors {
 public:
  explicit HostMonitors(Pooler& pooler) : pooler_(pooler) {}

  /// A configuration is in force: monitors come and go. What asks for the same goes on.
  void change_config(const Config& config, const TlsContextPtr& tls);
  /// Forgets what is known of the hosts of a database, empty: of all, and asks them anew: all
  /// monitors of its cluster do, so that none remembers what the others forget.
  void start_anew(const std::string& database, const Config& config);
  /// A primary is at that host.
  void saw_primary(const HostAddress& host, uint32_t timeline);
  const KnownTimelines& timelines() const { return timelines_; }
  /// The name of a host leads elsewhere now.
  void addresses_vanished(const HostUse& host, const std::vector<Address>& addresses);
  void describe(Snapshot& snapshot, Instant now) const;
  void stop() { monitors_.clear(); }

 private:
  /// What makes a monitor another one.
  using Key = std::tuple<std::string, int, std::string, std::string, std::string, Duration,
                         Duration, Duration>;

  Pooler& pooler_;
  TlsContextPtr tls_;
  KnownTimelines timelines_;
  std::map<Key, std::unique_ptr<HostMonitor>> monitors_;
};

}  // namespace headgate
