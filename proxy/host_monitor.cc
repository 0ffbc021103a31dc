#include "proxy/host_monitor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "conf/lists.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

View word_for(HostRole role) {
  switch (role) {
    case HostRole::primary:
      return "primary";
    case HostRole::standby:
      return "standby";
    case HostRole::unknown:
      return "unknown";
  }
  return {};
}

constexpr char former_primary[] = "a primary on an earlier timeline: not written to";

std::vector<HostAddress> hosts_of(const std::string& list, int port) {
  std::vector<HostAddress> hosts;
  for (std::string& name : split_at_commas(list)) hosts.push_back({std::move(name), port});
  return hosts;
}

std::string listed(const std::vector<std::string>& names) {
  return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

HostMonitor::HostMonitor(Pooler& pooler, PoolSettingsPtr settings, const Settings& global)
    : pooler_(pooler),
      worker_(pooler.worker(0)),
      settings_(std::move(settings)),
      interval_(std::max<Duration>(global.monitor_interval, milliseconds(10))),
      timeout_(std::max<Duration>(global.monitor_timeout, interval_)),
      roles_(split_at_commas(settings_->entry.host), {timeout_, global.max_replica_lag},
             worker_.now()),
      address_{roles_.hosts().empty() ? "" : roles_.hosts()[0].name, settings_->entry.port},
      look_(
          worker_.deadlines(), [](void* self, Instant) { static_cast<HostMonitor*>(self)->look(); },
          this) {
  for (const HostRoles::Host& host : roles_.hosts()) {
    probes_.push_back(std::make_unique<HostProbe>(worker_, *this, probes_.size(), host.name,
                                                  settings_,
                                                  monitor_user(global, settings_->entry)));
  }
}

void HostMonitor::start() {
  for (const auto& probe : probes_) probe->start(interval_, timeout_);
  look();
}

void HostMonitor::serve(std::vector<Hold<DatabaseState>> databases) {
  databases_ = std::move(databases);
  for (const auto& database : databases_) database->hosts.set_functions(functions_);
  tell();
}

void HostMonitor::host_answered(size_t host, HostAnswer answer, Instant asked) {
  const HostRole before = roles_.hosts()[host].role;
  const bool had_failed = !roles_.hosts()[host].error.empty();
  const bool changed = roles_.answered(host, answer, asked, worker_.now());
  const HostRoles::Host& now = roles_.hosts()[host];
  if (now.role != before || had_failed) {
    log(LogLevel::log, "host {}: {}", field("host", now.name), field("role", word_for(now.role)));
    if (roles_.is_former_primary(host)) {
      log(LogLevel::warning, "host {}: {}", field("host", now.name), former_primary);
    }
  }
  changed ? roles_changed() : tell_readable();
  if (answer.in_recovery) return;
  pooler_.monitors().saw_primary({now.name, address_.port}, answer.timeline);
}

void HostMonitor::learn(uint32_t timeline) {
  if (roles_.learn(timeline, worker_.now())) roles_changed();
}

bool HostMonitor::wants_functions(size_t host) const {
  const Config& config = pooler_.config();
  return roles_.primary() == host && std::ranges::any_of(databases_, [&](const auto& database) {
           const auto entry = config.find_database(database->name);
           const ReadRouting global = config.settings.read_routing;
           return entry && entry->read_routing.value_or(global) >= ReadRouting::report;
         });
}

void HostMonitor::host_functions(size_t host, UserFunctionsPtr functions) {
  if (roles_.primary() != host) return;
  if (functions_ && functions && *functions_ == *functions) return;
  functions_ = std::move(functions);
  for (const auto& database : databases_) database->hosts.set_functions(functions_);
  tell_readable();
}

// Where reads are sent to standbys, what these show is told as often as they are asked.
void HostMonitor::tell_readable() {
  std::set<std::string> routed = set_readable();
  if (!routed.empty()) tell_pools(std::move(routed), &WorkerPool::hosts_went_on);
}

// The databases of which reads are sent to standbys.
std::set<std::string> HostMonitor::set_readable() {
  std::vector<ReadableHost> readable;
  for (size_t i = 0; i < roles_.hosts().size(); ++i) {
    const HostRoles::Host& host = roles_.hosts()[i];
    if (!host.readable) continue;
    const auto lag = roles_.follows(i) ? roles_.lag(i) : std::nullopt;
    readable.push_back({host.name, roles_.shows_until(i), lag});
  }
  const Config& config = pooler_.config();
  std::set<std::string> routed;
  for (const auto& database : databases_) {
    const auto entry = config.find_database(database->name);
    const ReadRouting global = config.settings.read_routing;
    if (!entry || entry->read_routing.value_or(global) == ReadRouting::off) continue;
    database->hosts.set_readable(readable);
    routed.insert(database->name);
  }
  return routed;
}

// One letter to each worker, however many databases share the hosts.
void HostMonitor::tell_pools(std::set<std::string> databases, void (WorkerPool::*what)()) {
  pooler_.post_to_all([databases = std::move(databases), what](Worker& worker) {
    worker.for_each_pool([&](WorkerPool& pool) {
      if (databases.contains(pool.entry().database.name)) (pool.*what)();
    });
  });
}

void HostMonitor::host_failed(size_t host, std::string why, bool unreachable) {
  if (roles_.hosts()[host].error != why) {
    log(LogLevel::warning, "host {}: cannot be asked for its role: {}",
        field("host", roles_.hosts()[host].name), field("reason", why));
  }
  if (roles_.failed(host, std::move(why), unreachable, worker_.now())) roles_changed();
}

// Silence is noticed by nobody else.
void HostMonitor::look() {
  look_.arm(worker_.now() + interval_);
  if (roles_.tend(worker_.now())) roles_changed();
}

HostsByRole HostMonitor::found() const {
  HostsByRole found;
  if (const auto primary = roles_.primary()) found.primary = {roles_.hosts()[*primary].name};
  for (const HostRoles::Host& host : roles_.hosts()) {
    if (host.readable) found.standbys.push_back(host.name);
  }
  return found;
}

void HostMonitor::roles_changed() {
  const HostsByRole now = found();
  log(LogLevel::log, "hosts {}: primary: {}; standbys to read from: {}", settings_->entry.host,
      listed(now.primary), listed(now.standbys));
  tell();
  const auto before = std::exchange(primary_, roles_.primary());
  if (primary_ && primary_ != before) probes_[*primary_]->functions_wanted();
}

void HostMonitor::addresses_vanished(const HostUse& host, const std::vector<Address>& addresses) {
  for (const auto& probe : probes_) probe->addresses_vanished(host, addresses);
}

void HostMonitor::tell() {
  set_readable();
  std::set<std::string> names;
  for (const auto& database : databases_) {
    database->hosts.set_roles(found());
    names.insert(database->name);
  }
  tell_pools(std::move(names), &WorkerPool::hosts_changed);
}

void HostMonitor::describe(Snapshot& snapshot, Instant now) const {
  for (const auto& database : databases_) {
    const auto entry = pooler_.config().find_database(database->name);
    if (!entry) continue;
    for (size_t i = 0; i < probes_.size(); ++i) {
      const HostRoles::Host& host = roles_.hosts()[i];
      HostRow row;
      row.database = database->name;
      row.host = host.name;
      row.port = entry->port;
      row.role = word_for(host.role);
      row.in_use = database->hosts.fits(*entry, host.name);
      row.weight = weight_of(host.name, entry->host, entry->host_weights);
      const bool alone = database->hosts.is_left_alone(host.name, now);
      row.read = host.readable && !alone && row.weight > 0;
      row.error = host.error;
      if (row.error.empty() && roles_.is_former_primary(i)) row.error = former_primary;
      if (row.error.empty() && roles_.has_diverged(i)) row.error = "ahead of the primary";
      if (row.error.empty() && host.slow) row.error = "left alone: slower than others by far";
      if (row.error.empty() && alone) row.error = "left alone for a while: it has failed";
      if (const auto lag = roles_.lag(i)) row.lag_us = lag->count();
      if (host.asked) {
        row.lsn = fmt::format("{:X}/{:X}", host.answer.lsn >> 32, host.answer.lsn & UINT32_MAX);
        row.latency_us = host.latency.count();
        row.silent_us = (now - *host.asked - host.latency).count();
      }
      snapshot.hosts.push_back(std::move(row));
    }
  }
}

bool HostMonitor::serves(const std::string& database) const {
  return std::ranges::any_of(databases_,
                             [&](const auto& served) { return served->name == database; });
}

// --- all of them

void HostMonitors::change_config(const Config& config, const TlsContextPtr& tls) {
  if (!same_rules(tls, tls_)) monitors_.clear();
  tls_ = tls;
  const Settings& global = config.settings;
  std::map<Key, std::vector<Hold<DatabaseState>>> wanted;
  std::map<Key, const DatabaseEntry*> entries;
  for (const auto& [name, entry] : config.databases) {
    if (entry.target == TargetRole::any) continue;
    const Key key{entry.host,
                  entry.port,
                  entry.real_name(),
                  monitor_user(global, entry),
                  entry.password.value_or(""),
                  global.monitor_interval,
                  global.monitor_timeout,
                  global.max_replica_lag};
    wanted[key].push_back(pooler_.registry().database(name));
    entries[key] = &entry;
  }
  std::erase_if(monitors_, [&](const auto& monitor) { return !wanted.contains(monitor.first); });
  std::vector<std::vector<HostAddress>> lists;
  for (const auto& [key, databases] : wanted) {
    lists.push_back(hosts_of(std::get<0>(key), std::get<1>(key)));
  }
  timelines_.set_lists(lists);
  for (auto& [key, databases] : wanted) {
    auto& monitor = monitors_[key];
    const bool is_new = !monitor;
    if (is_new) {
      PoolSettings settings = resolve_pool(config, *entries[key], std::get<3>(key));
      settings.tls = tls;
      settings.entry.target = TargetRole::any;
      monitor = std::make_unique<HostMonitor>(
          pooler_, std::make_shared<const PoolSettings>(std::move(settings)), global);
    }
    monitor->serve(std::move(databases));
    monitor->learn(timelines_.latest(monitor->address()));
    if (is_new) monitor->start();
  }
}

void HostMonitors::start_anew(const std::string& database, const Config& config) {
  std::set<std::optional<KnownTimelines::Cluster>> clusters;
  for (const auto& [key, monitor] : monitors_) {
    if (!database.empty() && !monitor->serves(database)) continue;
    timelines_.forget(monitor->address());
    clusters.insert(timelines_.cluster_of(monitor->address()));
  }
  std::erase_if(monitors_, [&](const auto& monitor) {
    return clusters.contains(timelines_.cluster_of(monitor.second->address()));
  });
  change_config(config, tls_);
}

void HostMonitors::saw_primary(const HostAddress& host, uint32_t timeline) {
  if (!timelines_.saw_primary(host, timeline)) return;
  const auto cluster = timelines_.cluster_of(host);
  for (const auto& [key, monitor] : monitors_) {
    if (timelines_.cluster_of(monitor->address()) == cluster) monitor->learn(timeline);
  }
}

void HostMonitors::addresses_vanished(const HostUse& host, const std::vector<Address>& addresses) {
  for (const auto& [key, monitor] : monitors_) monitor->addresses_vanished(host, addresses);
}

void HostMonitors::describe(Snapshot& snapshot, Instant now) const {
  for (const auto& [key, monitor] : monitors_) monitor->describe(snapshot, now);
}

}  // namespace headgate
