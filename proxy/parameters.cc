#include "proxy/parameters.h"

#include <strings.h>

#include <mutex>
#include <string_view>
#include <unordered_map>

namespace headgate {

namespace {

constexpr std::array<View, tracked_count> names = {
    "client_encoding", "DateStyle", "TimeZone", "IntervalStyle", "standard_conforming_strings",
    "application_name"};

// Entries that nobody holds any more are dropped whenever the table has doubled since the last
// time.
class Interner {
 public:
  Text intern(View text) {
    const std::lock_guard lock(mutex_);
    if (auto known = texts_.find(text); known != texts_.end()) return known->second;
    if (texts_.size() >= clean_at_) clean();
    auto made = std::make_shared<const std::string>(text);
    texts_.emplace(View(*made), made);
    return made;
  }

 private:
  void clean() {
    std::erase_if(texts_, [](const auto& entry) { return entry.second.use_count() == 1; });
    clean_at_ = std::max<size_t>(1024, 2 * texts_.size());
  }

  std::mutex mutex_;
  std::unordered_map<View, Text> texts_;
  size_t clean_at_ = 1024;
};

bool equal_ignoring_case(View a, View b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

// Names of people's applications keep their case; the other values are words that have none.
bool same(Tracked parameter, View a, View b) {
  return parameter == Tracked::application_name ? a == b : equal_ignoring_case(a, b);
}

}  // namespace

Text intern(View text) {
  static Interner interner;
  return interner.intern(text);
}

View tracked_name(Tracked parameter) { return names[static_cast<size_t>(parameter)]; }

bool find_tracked(View name, Tracked& out) {
  for (size_t i = 0; i < names.size(); ++i) {
    if (!equal_ignoring_case(name, names[i])) continue;
    out = static_cast<Tracked>(i);
    return true;
  }
  return false;
}

void TrackedValues::fill_from(const TrackedValues& defaults) {
  for (size_t i = 0; i < tracked_count; ++i) {
    if (!values_[i]) values_[i] = defaults.values_[i];
  }
}

std::string TrackedValues::difference(const TrackedValues& server) const {
  std::string sql;
  for (size_t i = 0; i < tracked_count; ++i) {
    const Text& mine = values_[i];
    const Text& its = server.values_[i];
    if (mine == its || !mine || !its || same(static_cast<Tracked>(i), *mine, *its)) continue;
    sql.append("SET ").append(names[i]).append("=").append(quote_literal(*mine)).append(";");
  }
  return sql;
}

std::string quote_literal(View value) {
  const bool escapes = value.find('\\') != View::npos;
  std::string quoted = escapes ? " E'" : "'";
  for (const char c : value) {
    const bool plain = c >= ' ' && c <= '~';
    if (c == '\'' || c == '\\') quoted.push_back(c);
    quoted.push_back(plain ? c : '?');
  }
  quoted.push_back('\'');
  return quoted;
}

}  // namespace headgate
