#include "proxy/parameters.h"

#include <strings.h>

#include <algorithm>
#include <mutex>
#include <string_view>
#include <unordered_map>

#include "protocol/canonical.h"
#include "protocol/messages.h"

namespace headgate {

namespace {

constexpr View always_tracked[] = {"client_encoding", "DateStyle", "TimeZone",
                                   "standard_conforming_strings", "application_name"};

/// Parameters whose value is a list of names that may be quoted (PostgreSQL: GUC_LIST_QUOTE).
constexpr View lists_of_names[] = {"local_preload_libraries",   "search_path",
                                   "session_preload_libraries", "shared_preload_libraries",
                                   "temp_tablespaces",          "unix_socket_directories"};

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

// The values of the first four are words that have no case; the others may be names of something.
bool same(size_t place, View a, View b) {
  const bool words = place < static_cast<size_t>(Tracked::application_name);
  return words ? equal_ignoring_case(a, b) : a == b;
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_plain(View name) {
  if (name.empty() || !is_letter(name[0])) return false;
  return std::ranges::all_of(name, [](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

/// A name as SQL; those that are no plain word stand in quotes.
std::string quote_name(View name) {
  if (is_plain(name)) return std::string(name);
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') quoted.push_back(c);
    quoted.push_back(c);
  }
  return quoted + '"';
}

bool is_list_of_names(View name) {
  return std::ranges::any_of(lists_of_names,
                             [&](View list) { return equal_ignoring_case(list, name); });
}

/// SET knows no way to write an empty list.
std::string set_to(View name, View value) {
  if (value.empty() && is_list_of_names(name)) {
    return "SELECT pg_catalog.set_config(" + quote_literal(name) + ",'',false)";
  }
  return "SET " + quote_name(name) + "=" + quote_value(name, value);
}

/// Takes apart a list as a server reports it: `"$user", public`. Nothing if it is none.
std::optional<std::vector<std::string>> split_names(View list) {
  constexpr View blanks = " \t\r\n";
  std::vector<std::string> names;
  while (true) {
    list.remove_prefix(std::min(list.find_first_not_of(blanks), list.size()));
    std::string& name = names.emplace_back();
    if (list.starts_with('"')) {
      size_t at = 1;
      for (; at < list.size(); name.push_back(list[at++])) {
        if (list[at] == '"' && list.substr(at + 1, 1) != "\"") break;
        if (list[at] == '"') ++at;
      }
      if (at >= list.size()) return std::nullopt;
      list.remove_prefix(at + 1);
    } else {
      name = list.substr(0, list.find_first_of(", \t\r\n\""));
      list.remove_prefix(name.size());
      for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    }
    list.remove_prefix(std::min(list.find_first_not_of(blanks), list.size()));
    if (list.empty()) return names;
    if (!list.starts_with(',')) return std::nullopt;
    list.remove_prefix(1);
  }
}

}  // namespace

Text intern(View text) {
  static Interner interner;
  return interner.intern(text);
}

TrackedNames::TrackedNames(const std::vector<std::string>& extra)
    : names_(std::begin(always_tracked), std::end(always_tracked)) {
  for (const std::string& name : extra) {
    if (names_.size() < most && !find(name)) names_.push_back(name);
  }
}

std::optional<Tracked> TrackedNames::find(View name) const {
  for (size_t i = 0; i < names_.size(); ++i) {
    if (equal_ignoring_case(name, names_[i])) return static_cast<Tracked>(i);
  }
  return std::nullopt;
}

const Text& TrackedValues::at(size_t place) const {
  static const Text none;
  if (place < first_.size()) return first_[place];
  place -= first_.size();
  return place < more_.size() ? more_[place] : none;
}

void TrackedValues::set(Tracked parameter, Text value) {
  auto place = static_cast<size_t>(parameter);
  if (place < first_.size()) {
    first_[place] = std::move(value);
    return;
  }
  place -= first_.size();
  if (place >= more_.size()) more_.resize(place + 1);
  more_[place] = std::move(value);
}

void TrackedValues::fill_from(const TrackedValues& defaults) {
  for (size_t i = 0; i < defaults.size(); ++i) {
    if (!at(i) && defaults.at(i)) set(static_cast<Tracked>(i), defaults.at(i));
  }
}

void TrackedValues::spell_as(const TrackedValues& server) {
  for (size_t i = 0; i < size(); ++i) {
    const Text& its = server.at(i);
    if (at(i) && its && same(i, *at(i), *its)) set(static_cast<Tracked>(i), its);
  }
}

void TrackedValues::make_canonical() {
  const auto respell = [this](Tracked parameter, View (*canonical)(View)) {
    const Text& value = get(parameter);
    if (!value) return;
    if (const View spelled = canonical(*value); !spelled.empty()) set(parameter, intern(spelled));
  };
  respell(Tracked::client_encoding, canonical_encoding);
  respell(Tracked::standard_conforming_strings, canonical_switch);
}

std::string TrackedValues::difference(const TrackedValues& server,
                                      const TrackedNames& names) const {
  std::string sql;
  if (first_ == server.first_ && more_ == server.more_) return sql;
  for (size_t i = 0; i < size(); ++i) {
    const Text& mine = at(i);
    const Text& its = server.at(i);
    if (mine == its || !mine || !its || same(i, *mine, *its)) continue;
    const View name = names.name(static_cast<Tracked>(i));
    sql.append(set_to(name, *mine)).append(";");
  }
  return sql;
}

void Welcome::learn(View name, View value, std::optional<Tracked> place) {
  encode(messages, backend::ParameterStatus{name, value});
  parameters.push_back({std::string(name), std::string(value), place, messages.size()});
  if (place) tracked.set(*place, intern(value));
}

// Most clients differ in one or two: what lies between is copied as it is.
void Welcome::tell(Bytes& out, const TrackedValues& values, bool at_standby) const {
  const View all = messages;
  size_t told = 0, begin = 0;
  for (const Parameter& parameter : parameters) {
    const Text* own = parameter.tracked ? &values.get(*parameter.tracked) : nullptr;
    const bool differs = own && *own && **own != parameter.value;
    const bool standby = at_standby && parameter.name == "in_hot_standby";
    if (differs || standby) {
      out.append(all.substr(told, begin - told));
      encode(out, backend::ParameterStatus{parameter.name, standby ? View("on") : View(**own)});
      told = parameter.end;
    }
    begin = parameter.end;
  }
  out.append(all.substr(told));
}

View Welcome::value_of(View name) const {
  const auto found =
      std::ranges::find(parameters, name, [](const auto& one) -> View { return one.name; });
  return found == parameters.end() ? View() : View(found->value);
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

std::string quote_value(View name, View value) {
  const auto names = is_list_of_names(name) ? split_names(value) : std::nullopt;
  if (!names) return quote_literal(value);
  std::string quoted;
  for (const std::string& one : *names) {
    quoted.append(quoted.empty() ? "" : ",").append(quote_literal(one));
  }
  return quoted;
}

}  // namespace headgate
