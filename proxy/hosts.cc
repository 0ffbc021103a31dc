#include "proxy/hosts.h"

#include <algorithm>

#include "conf/entries.h"
#include "conf/lists.h"

namespace headgate {

std::optional<std::string> HostTurns::pick(const DatabaseEntry& entry, Instant now) {
  const std::lock_guard lock(mutex_);
  const auto hosts = candidates(entry);
  if (hosts.empty()) {
    return entry.target == TargetRole::any ? std::optional<std::string>("") : std::nullopt;
  }
  if (hosts.size() == 1) return hosts[0];
  if (entry.load_balance_hosts == LoadBalance::disable) return hosts[next_ % hosts.size()];
  const auto turns = turns_of(hosts, entry);
  for (size_t tried = 0; tried < turns.size(); ++tried) {
    const std::string& host = turns[next_++ % turns.size()];
    if (!alone(host, now)) return host;
  }
  return turns[next_++ % turns.size()];
}

// Each host as often as it weighs, the turns of one spread among those of the others.
std::vector<std::string> HostTurns::turns_of(const std::vector<std::string>& hosts,
                                             const DatabaseEntry& entry) {
  if (entry.host_weights.empty()) return hosts;
  std::vector<std::string> turns;
  for (int round = 0; round < most_host_weight; ++round) {
    for (const std::string& host : hosts) {
      if (round < weight_of(host, entry.host, entry.host_weights)) turns.push_back(host);
    }
  }
  return turns.empty() ? hosts : turns;
}

std::vector<std::string> HostTurns::candidates(const DatabaseEntry& entry) const {
  if (entry.target == TargetRole::any) return split_at_commas(entry.host);
  return roles_.of(entry.target);
}

bool HostTurns::fits(const DatabaseEntry& entry, const std::string& host) const {
  if (entry.target == TargetRole::any) return true;
  const std::lock_guard lock(mutex_);
  const auto& hosts = roles_.of(entry.target);
  return std::ranges::find(hosts, host) != hosts.end();
}

bool HostTurns::any_fits(const DatabaseEntry& entry) const {
  const std::lock_guard lock(mutex_);
  return !roles_.of(entry.target).empty();
}

void HostTurns::set_roles(HostsByRole roles) {
  const std::lock_guard lock(mutex_);
  for (const std::string& host : roles.standbys) {
    // What has failed there says nothing of what has come back.
    if (std::ranges::find(roles_.standbys, host) == roles_.standbys.end()) alone_until_.erase(host);
  }
  roles_ = std::move(roles);
}

void HostTurns::set_readable(std::vector<ReadableHost> hosts) {
  const std::lock_guard lock(mutex_);
  readable_ = std::move(hosts);
}

std::vector<ReadableHost> HostTurns::readable(Instant now) const {
  const std::lock_guard lock(mutex_);
  std::vector<ReadableHost> hosts = readable_;
  std::erase_if(hosts, [&](const ReadableHost& host) { return alone(host.name, now); });
  return hosts;
}

void HostTurns::set_functions(UserFunctionsPtr functions) {
  const std::lock_guard lock(mutex_);
  functions_ = std::move(functions);
}

UserFunctionsPtr HostTurns::functions() const {
  const std::lock_guard lock(mutex_);
  return functions_;
}

void HostTurns::leave_alone(const std::string& host, Instant until) {
  const std::lock_guard lock(mutex_);
  alone_until_[host] = until;
}

bool HostTurns::failed(const DatabaseEntry& entry, const std::string& host, bool unreachable,
                       Instant alone_until, Instant now) {
  const std::lock_guard lock(mutex_);
  const auto hosts = candidates(entry);
  if (hosts.size() < 2) return false;
  if (entry.load_balance_hosts == LoadBalance::disable) {
    // Of several log-ins that fail at this host, the first moves on.
    if (unreachable && hosts[next_ % hosts.size()] == host) ++next_;
    return false;
  }
  std::erase_if(alone_until_, [&](const auto& entry) { return entry.second <= now; });
  alone_until_[host] = alone_until;
  return std::ranges::any_of(hosts, [&](const std::string& other) { return !alone(other, now); });
}

bool HostTurns::faulted(const std::string& host, Instant now) {
  const std::lock_guard lock(mutex_);
  Faults& faults = faults_[host];
  if (now < faults.back_at) return false;  // of before it was left alone
  if (faults.count == 0 || now - faults.since > fault_window)
    faults = {0, now, faults.pauses, faults.back_at};
  if (++faults.count < most_faults) return false;
  if (faults.back_at + forgiven_after < now) faults.pauses = 0;
  const Duration pause =
      std::min(first_pause * (int64_t{1} << std::min(faults.pauses, 10)), longest_pause);
  faults = {0, now, faults.pauses + 1, now + pause};
  alone_until_[host] = faults.back_at;
  return true;
}

bool HostTurns::is_left_alone(const std::string& host, Instant now) const {
  const std::lock_guard lock(mutex_);
  return alone(host, now);
}

void HostTurns::worked(const std::string& host) {
  const std::lock_guard lock(mutex_);
  alone_until_.erase(host);
}

bool HostTurns::alone(const std::string& host, Instant now) const {
  const auto found = alone_until_.find(host);
  return found != alone_until_.end() && now < found->second;
}

}  // namespace headgate
