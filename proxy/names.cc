#include "proxy/names.h"

#include <algorithm>
#include <utility>

namespace headgate {

void Names::set_lifetimes(Duration found, Duration failed) {
  found_lifetime_ = found;
  failed_lifetime_ = failed;
}

void Names::find(const std::string& host, Instant now, Told told) {
  Entry& entry = entries_[host];
  if (!entry.use) entry.use = std::make_shared<const std::string>(host);
  if (!entry.looking_up && now < entry.fresh_until) return told(next_of(entry));
  entry.waiting.push_back(std::move(told));
  start(host, entry);
}

void Names::start(const std::string& host, Entry& entry) {
  if (!std::exchange(entry.looking_up, true)) look_up_(host);
}

// The addresses take turns in standing first.
KnownHost Names::next_of(Entry& entry) {
  KnownHost known{entry.use, {}};
  if (!entry.found) return known;
  known.addresses = entry.addresses;
  const auto first = static_cast<ptrdiff_t>(entry.turn++ % known.addresses.size());
  std::rotate(known.addresses.begin(), known.addresses.begin() + first, known.addresses.end());
  return known;
}

// A look-up that fails says nothing about the servers that are there.
void Names::answered(const std::string& host, Result<std::vector<Address>> addresses, Instant now) {
  Entry& entry = entries_.at(host);
  entry.looking_up = false;
  entry.found = addresses && !addresses->empty();
  const Duration lifetime = entry.found ? found_lifetime_ : failed_lifetime_;
  entry.fresh_until = now + lifetime;
  entry.refresh_at = now + std::max(lifetime, shortest_refresh);
  if (entry.found) {
    std::erase_if(entry.addresses, [&](const Address& old) {
      return std::ranges::find(*addresses, old) != addresses->end();
    });
    const auto vanished = std::exchange(entry.addresses, std::move(*addresses));
    if (!vanished.empty()) vanished_(entry.use, vanished);
  }
  for (const Told& told : std::exchange(entry.waiting, {})) told(next_of(entry));
}

void Names::refresh(Instant now) {
  for (auto place = entries_.begin(); place != entries_.end();) {
    auto& [host, entry] = *place;
    const bool due = !entry.looking_up && entry.refresh_at <= now;
    if (due && entry.use.use_count() == 1) {
      place = entries_.erase(place);
      continue;
    }
    if (due) start(host, entry);
    ++place;
  }
}

std::optional<Instant> Names::next_refresh() const {
  std::optional<Instant> next;
  for (const auto& [host, entry] : entries_) {
    if (!entry.looking_up && (!next || entry.refresh_at < *next)) next = entry.refresh_at;
  }
  return next;
}

size_t Names::look_ups() const {
  return static_cast<size_t>(
      std::ranges::count_if(entries_, [](const auto& one) { return one.second.looking_up; }));
}

std::vector<DnsHostRow> Names::rows(Instant now) const {
  std::vector<DnsHostRow> all;
  for (const auto& [host, entry] : entries_) {
    const Duration left = std::max(entry.fresh_until - now, Duration::zero());
    DnsHostRow row{host, std::chrono::duration_cast<seconds>(left).count(), {}};
    if (entry.found) {
      for (const Address& address : entry.addresses) row.addresses.push_back(address.host);
    }
    all.push_back(std::move(row));
  }
  return all;
}

}  // namespace headgate
