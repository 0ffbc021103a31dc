#include "proxy/hosts.h"

#include <algorithm>

#include "conf/lists.h"

namespace headgate {

std::string HostTurns::pick(View list, LoadBalance policy, Instant now) {
  const auto hosts = split_at_commas(list);
  if (hosts.empty()) return {};
  if (hosts.size() == 1) return hosts[0];
  const std::lock_guard lock(mutex_);
  if (policy == LoadBalance::disable) return hosts[next_ % hosts.size()];
  for (size_t tried = 0; tried < hosts.size(); ++tried) {
    const std::string& host = hosts[next_++ % hosts.size()];
    if (!alone(host, now)) return host;
  }
  return hosts[next_++ % hosts.size()];
}

bool HostTurns::failed(View list, LoadBalance policy, const std::string& host, bool unreachable,
                       Instant alone_until, Instant now) {
  const auto hosts = split_at_commas(list);
  if (hosts.size() < 2) return false;
  const std::lock_guard lock(mutex_);
  if (policy == LoadBalance::disable) {
    // Of several log-ins that fail at this host, the first moves on.
    if (unreachable && hosts[next_ % hosts.size()] == host) ++next_;
    return false;
  }
  std::erase_if(alone_until_, [&](const auto& entry) { return entry.second <= now; });
  alone_until_[host] = alone_until;
  return std::ranges::any_of(hosts, [&](const std::string& other) { return !alone(other, now); });
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
