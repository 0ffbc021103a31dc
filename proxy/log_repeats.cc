#include "proxy/log_repeats.h"

#include <algorithm>
#include <functional>

namespace headgate {

namespace {

uint64_t mixed(uint64_t a, uint64_t b) { return (a ^ (b + 0x9e3779b97f4a7c15 + (a << 6))) * 31; }

uint64_t hash(std::string_view text) { return std::hash<std::string_view>()(text); }

}  // namespace

LogRepeats::Row& LogRepeats::row_of(const LogMessage& message) {
  const uint64_t site = hash({reinterpret_cast<const char*>(&message.site), sizeof message.site});
  uint64_t key = mixed(site, hash(message.text));
  if (message.subject) {
    key = mixed(mixed(key, hash(message.subject->database)), hash(message.subject->user));
  }
  const auto found = rows_.find(key);
  if (found != rows_.end()) return found->second;
  return rows_[rows_.size() < most_rows ? key : site];
}

bool LogRepeats::passes(const LogMessage& message, Time now) {
  if (limit_ <= 0) return true;
  Row& row = row_of(message);
  if (row.lines == 0) {
    row.since = now;
    first_end_ = std::min(first_end_, now + period);
  }
  if (++row.lines <= limit_) return true;
  Held& held = row.held;
  if (++held.lines > 1) return false;
  held.level = message.level;
  held.text = message.text;
  if (!message.subject) return false;
  held.database = message.subject->database;
  held.user = message.subject->user;
  return false;
}

// A clock that was set back ends a period, too.
std::vector<LogRepeats::Held> LogRepeats::take(Time now, bool all) {
  std::vector<Held> over;
  if (!all && now < first_end_ && first_end_ - now <= period) return over;
  first_end_ = Time::max();
  for (auto it = rows_.begin(); it != rows_.end();) {
    Row& row = it->second;
    const auto passed = now - row.since;
    if (!all && passed >= Time::duration::zero() && passed < period) {
      first_end_ = std::min(first_end_, row.since + period);
      ++it;
      continue;
    }
    row.held.seconds =
        std::max<int64_t>(std::chrono::ceil<std::chrono::seconds>(passed).count(), 1);
    if (row.held.lines > 0) over.push_back(std::move(row.held));
    it = rows_.erase(it);
  }
  return over;
}

}  // namespace headgate
