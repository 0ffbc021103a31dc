#include "pool/known_timelines.h"

#include <algorithm>

namespace headgate {

void KnownTimelines::set_lists(const std::vector<std::vector<HostAddress>>& lists) {
  KnownTimelines now;
  for (const auto& list : lists) {
    std::optional<Cluster> cluster;
    for (const HostAddress& host : list) {
      const auto there = now.cluster_of(host);
      if (!cluster) cluster = there;
      if (!there || there == cluster) continue;
      for (auto& [other, its] : now.clusters_) its = its == *there ? *cluster : its;
      now.latest_[*cluster] = std::max(now.latest_[*cluster], now.latest_[*there]);
    }
    if (!cluster) {
      cluster = now.latest_.size();
      now.latest_.push_back(0);
    }
    for (const HostAddress& host : list) {
      now.clusters_[host] = *cluster;
      now.latest_[*cluster] = std::max(now.latest_[*cluster], latest(host));
    }
  }
  *this = std::move(now);
}

bool KnownTimelines::saw_primary(const HostAddress& host, uint32_t timeline) {
  auto cluster = cluster_of(host);
  if (!cluster && clusters_.size() >= most_without_list) return false;
  if (!cluster) {
    cluster = latest_.size();
    latest_.push_back(0);
    clusters_.emplace(host, *cluster);
  }
  if (timeline <= latest_[*cluster]) return false;
  latest_[*cluster] = timeline;
  return true;
}

void KnownTimelines::forget(const HostAddress& host) {
  if (const auto cluster = cluster_of(host)) latest_[*cluster] = 0;
}

uint32_t KnownTimelines::latest(const HostAddress& host) const {
  const auto cluster = cluster_of(host);
  return cluster ? latest_[*cluster] : 0;
}

std::optional<KnownTimelines::Cluster> KnownTimelines::cluster_of(const HostAddress& host) const {
  const auto found = clusters_.find(host);
  return found == clusters_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace headgate
