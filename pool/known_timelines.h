// On which timeline a primary was last seen in each cluster of hosts: whoever has not seen it there
// takes no primary of before for the one of now. The hosts of one list are a cluster, and lists
// that share a host are one and the same. Outlives those who ask the hosts, which come and go with
// the settings (proxy/host_monitor.h). Asks nobody.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace headgate {

/// A host as lists name it.
struct HostAddress {
  std::string name;
  int port = 0;
  auto operator<=>(const HostAddress&) const = default;
};

class KnownTimelines {
 public:
  using Cluster = size_t;

  /// These lists are the ones of now. Of a host that none of them names nothing is known any more.
  void set_lists(const std::vector<std::vector<HostAddress>>& lists);
  /// A primary is there. True: that is later than what was known. A host that no list names is
  /// remembered until the lists are set.
  bool saw_primary(const HostAddress& host, uint32_t timeline);
  /// All that is known of its cluster.
  void forget(const HostAddress& host);

  /// 0: nothing is known.
  uint32_t latest(const HostAddress& host) const;
  /// Until the lists are set again.
  std::optional<Cluster> cluster_of(const HostAddress& host) const;
  const std::map<HostAddress, Cluster>& hosts() const { return clusters_; }

  /// More hosts than these are not remembered that no list names.
  static constexpr size_t most_without_list = 10'000;

 private:
  std::map<HostAddress, Cluster> clusters_;
  std::vector<uint32_t> latest_;  // by cluster
};

}  // namespace headgate
