#include "pool/host_roles.h"

#include <algorithm>

namespace headgate {

namespace {

// Where every cluster begins: nobody is on an earlier one.
constexpr uint32_t first_timeline = 1;

// The probe may take away the header of a page from what a primary says.
constexpr uint64_t longest_page_header = 40;

}  // namespace

HostRoles::HostRoles(std::vector<std::string> names, HostRules rules, Instant began)
    : rules_(rules), began_(began) {
  for (std::string& name : names) hosts_.emplace_back().name = std::move(name);
}

// --- what has happened

bool HostRoles::answered(size_t host, HostAnswer answer, Instant asked, Instant now) {
  Host& from = hosts_[host];
  from.heard = true;
  from.role = answer.in_recovery ? HostRole::standby : HostRole::primary;
  from.usual_latency = from.asked && from.error.empty()
                           ? from.usual_latency + (now - asked - from.usual_latency) / 4
                           : now - asked;
  from.latency = now - asked;
  from.asked = asked;
  from.answer = answer;
  from.error.clear();
  if (!answer.in_recovery) timeline_ = std::max(timeline_, answer.timeline);
  const bool changed = update(now);
  if (primary_ == host) remember(answer.lsn, asked);
  note_diverged();
  return changed;
}

bool HostRoles::failed(size_t host, std::string why, bool unreachable, Instant now) {
  hosts_[host].heard = true;
  hosts_[host].error = std::move(why);
  if (unreachable) hosts_[host].role = HostRole::unknown;
  return update(now);
}

bool HostRoles::learn(uint32_t timeline, Instant now) {
  timeline_ = std::max(timeline_, timeline);
  return update(now);
}

bool HostRoles::tend(Instant now) { return update(now); }

// --- what follows

std::optional<size_t> HostRoles::elect() const {
  if (!began_well_) return std::nullopt;
  const auto may_be = [&](size_t host) {
    return hosts_[host].role == HostRole::primary && !is_former_primary(host);
  };
  if (primary_ && may_be(*primary_)) return primary_;
  for (size_t host = 0; host < hosts_.size(); ++host) {
    if (may_be(host)) return host;
  }
  return std::nullopt;
}

bool HostRoles::is_former_primary(size_t host) const {
  return hosts_[host].role == HostRole::primary && hosts_[host].answer.timeline < timeline_;
}

bool HostRoles::is_well(size_t host, Instant now) const {
  const Host& one = hosts_[host];
  if (!answers(one, now) || one.slow) return false;
  return rules_.max_lag.count() == 0 || lag(host).value_or(Duration::zero()) <= rules_.max_lag;
}

bool HostRoles::answers(const Host& host, Instant now) const {
  return host.role == HostRole::standby && now - *host.asked <= rules_.patience;
}

// Only beside a faster one: the last that can be read is better than none.
bool HostRoles::is_slow(size_t host, Instant now) const {
  std::optional<Duration> fastest;
  for (const Host& one : hosts_) {
    if (&one == &hosts_[host] || !answers(one, now) || one.slow) continue;
    fastest = std::min(fastest.value_or(one.usual_latency), one.usual_latency);
  }
  if (!fastest || !answers(hosts_[host], now)) return false;
  const Duration limit = std::max(never_slow, *fastest * slow_factor);
  return hosts_[host].usual_latency > (hosts_[host].slow ? limit / 2 : limit);
}

bool HostRoles::update(Instant now) {
  began_well_ =
      began_well_ || now - began_ >= rules_.patience || std::ranges::all_of(hosts_, &Host::heard);
  const auto primary = elect();
  bool changed = primary != primary_;
  primary_ = primary;
  if (changed && primary) remember(hosts_[*primary].answer.lsn, *hosts_[*primary].asked);
  for (size_t host = 0; host < hosts_.size(); ++host) {
    Host& one = hosts_[host];
    if (one.readable_since && now - *one.readable_since >= forgiven_after) one.ejections = 0;
    one.slow = is_slow(host, now);
    const bool well = is_well(host, now);
    if (one.readable && !well) {
      const Duration out = first_ejection * (int64_t{1} << std::min(one.ejections, 10));
      one.back_at = now + std::min(out, longest_ejection);
      ++one.ejections;
    }
    const bool readable = well && (one.readable || one.back_at <= now);
    changed |= readable != one.readable;
    if (readable != one.readable) one.readable_since = now;
    if (!readable) one.readable_since.reset();
    one.readable = readable;
  }
  return changed;
}

// A standby that follows has only what its primary wrote before. Of one that has more it is still
// true when the primary has written as much. Who is on an earlier timeline does not follow anyway,
// until it has been rewound and tells the one of now.
void HostRoles::note_diverged() {
  if (!primary_) return;
  const Host& primary = hosts_[*primary_];
  for (Host& one : hosts_) {
    if (one.role != HostRole::standby || *one.asked + one.latency > *primary.asked) continue;
    const bool ahead = one.answer.lsn > primary.answer.lsn + longest_page_header;
    if (ahead && timeline_of(one) >= timeline_) one.diverged_from = timeline_;
  }
}

void HostRoles::remember(uint64_t lsn, Instant at) {
  while (!samples_.empty() && at - samples_.front().at > memory) samples_.pop_front();
  // A new primary may begin behind what the old one had reached; and of a position that has not
  // moved, it is the later time that counts.
  while (!samples_.empty() && samples_.back().lsn >= lsn) samples_.pop_back();
  samples_.push_back({at, lsn, timeline_});
}

Instant HostRoles::shows_until(size_t host) const {
  const Host& one = hosts_[host];
  if (one.role != HostRole::standby || has_diverged(host)) return Instant::min();
  const uint32_t timeline = timeline_of(one);
  const auto behind = std::ranges::partition_point(samples_, [&](const Sample& sample) {
    return sample.lsn <= one.answer.lsn && sample.timeline <= timeline;
  });
  return behind == samples_.begin() ? Instant::min() : std::prev(behind)->at;
}

// Of who cannot tell nothing later is certain.
uint32_t HostRoles::timeline_of(const Host& host) {
  return host.answer.timeline == 0 ? first_timeline : host.answer.timeline;
}

bool HostRoles::has_diverged(size_t host) const {
  const Host& one = hosts_[host];
  return one.role == HostRole::standby && one.diverged_from > 0 && one.diverged_from == timeline_;
}

bool HostRoles::follows(size_t host) const {
  return !has_diverged(host) && timeline_of(hosts_[host]) >= timeline_;
}

std::optional<Duration> HostRoles::lag(size_t host) const {
  const Host& one = hosts_[host];
  if (one.role != HostRole::standby || samples_.empty()) return std::nullopt;
  if (one.answer.lsn >= samples_.back().lsn) return Duration::zero();
  const auto behind = std::ranges::upper_bound(samples_, one.answer.lsn, {}, &Sample::lsn);
  const Sample& reached = behind == samples_.begin() ? *behind : *std::prev(behind);
  return std::max(*one.asked - reached.at, Duration::zero());
}

}  // namespace headgate
