#include "conf/setting.h"

#include <fmt/format.h>

#include <algorithm>

#include "conf/ini.h"
#include "conf/nearest.h"
#include "conf/values.h"

namespace headgate {
namespace {

using Expected = std::optional<std::string>;

template <Worded E>
std::string all_words() {
  std::string list = "one of ";
  for (const auto& word : words_of(E{})) {
    if (list.size() > 7) list += ", ";
    list += word.text;
  }
  return list;
}

std::string with_unit(View whole, View units) {
  return fmt::format("{}, or a number with a unit ({})", whole, units);
}

std::string expected_integer(const Setting& setting) {
  const Range& range = setting.range;
  switch (setting.counts) {
    case Counts::bytes:
      return with_unit("bytes", size_units);
    case Counts::seconds:
      return with_unit("whole seconds", duration_units);
    case Counts::milliseconds:
      return with_unit("whole milliseconds", duration_units);
    case Counts::things:
      break;
  }
  if (range.lowest < 0) return "an integer";
  if (range.highest == INT_MAX) return fmt::format("an integer from {} on", range.lowest);
  return fmt::format("an integer from {} to {}", range.lowest, range.highest);
}

std::optional<int64_t> parse_whole(View text, Duration unit) {
  const auto duration = parse_duration(text);
  if (!duration || duration->count() % unit.count() != 0) return std::nullopt;
  return duration->count() / unit.count();
}

/// A number as it is or, where it counts bytes or time, with another unit.
std::optional<int64_t> parse_count(Counts what, View text) {
  if (auto number = parse_integer(text)) return number;
  // A plain number is an integer also where a duration may have a fraction.
  const bool has_unit = !text.empty() && text.find_first_not_of("0123456789.") != View::npos;
  switch (what) {
    case Counts::bytes:
      return parse_size(text);
    case Counts::seconds:
      return has_unit ? parse_whole(text, seconds(1)) : std::nullopt;
    case Counts::milliseconds:
      return has_unit ? parse_whole(text, milliseconds(1)) : std::nullopt;
    case Counts::things:
      break;
  }
  return std::nullopt;
}

Expected parse_in_range(const Setting& setting, View text, int& into) {
  const Range& range = setting.range;
  auto number = parse_count(setting.counts, text);
  if (number && range.raise) number = std::max(*number, range.lowest);
  if (!number || *number < range.lowest || *number > range.highest) {
    return expected_integer(setting);
  }
  into = static_cast<int>(*number);
  return std::nullopt;
}

Expected parse_in_range(const Setting& setting, View text, Duration& into) {
  const Range& range = setting.range;
  auto duration = parse_duration(text);
  const auto number = parse_integer(text);
  if (range.raise && number && *number < range.lowest) duration = seconds(range.lowest);
  if (number && *number == -1 && range.lowest == -1) duration = seconds(-1);
  if (!duration || *duration < seconds(range.lowest)) {
    if (range.lowest < 0) return with_unit("-1 or seconds", duration_units);
    const std::string from = range.lowest > 0 ? fmt::format(" from {} on", range.lowest) : "";
    return with_unit("seconds" + from, duration_units);
  }
  into = *duration;
  return std::nullopt;
}

/// Assigns through whatever home the setting has.
struct Assigner {
  Settings& settings;
  const Setting& setting;
  View text;

  Expected operator()(int Settings::*member) const {
    return parse_in_range(setting, text, settings.*member);
  }
  Expected operator()(Octal octal) const { return (*this)(octal.member); }
  Expected operator()(Duration Settings::*member) const {
    return parse_in_range(setting, text, settings.*member);
  }
  Expected operator()(uint32_t Settings::*member) const {
    auto number = parse_count(setting.counts, text);
    if (!number) return expected_integer(setting);
    // -1 and what is too large are "as large as possible" in PgBouncer.
    const bool fits = *number >= 0 && *number <= UINT32_MAX;
    settings.*member = fits ? static_cast<uint32_t>(*number) : UINT32_MAX;
    return std::nullopt;
  }
  Expected operator()(bool Settings::*member) const {
    auto on = parse_switch(text);
    if (!on) return "1 or 0 (yes or no, true or false, on or off)";
    settings.*member = *on;
    return std::nullopt;
  }
  template <Worded E>
  Expected operator()(E Settings::*member) const {
    auto value = parse_word<E>(text);
    if (!value) return all_words<E>();
    settings.*member = *value;
    return std::nullopt;
  }
  Expected operator()(StatePolicies Settings::*member) const {
    return parse_state_policies(text, settings.*member);
  }
  Expected operator()(AuditRate Settings::*member) const {
    return parse_audit_rate(text, settings.*member);
  }
  Expected operator()(ReadConsistency Settings::*member) const {
    return parse_read_consistency(text, settings.*member);
  }
  Expected operator()(std::string Settings::*member) const {
    settings.*member = text;
    return std::nullopt;
  }
  Expected operator()(FreeText free) const { return (*this)(free.member); }
  Expected operator()(std::optional<std::string> Settings::*member) const {
    (settings.*member).reset();
    if (!text.empty()) (settings.*member).emplace(text);
    return std::nullopt;
  }
  Expected operator()(const Other& other) const {
    std::string value(text);
    if (other.type == Other::Type::integer) {
      int number = 0;
      if (auto expected = parse_in_range(setting, text, number)) return expected;
      value = std::to_string(number);
    }
    if (other.type == Other::Type::duration) {
      Duration duration{};
      if (auto expected = parse_in_range(setting, text, duration)) return expected;
      value = to_text(duration);
    }
    settings.others[std::string(other.key)] = std::move(value);
    return std::nullopt;
  }
};

std::optional<std::string> default_of(const Setting& setting) {
  if (setting.default_text == nullptr) return std::nullopt;
  return setting.default_text;
}

struct Shower {
  const Settings& settings;
  const Setting& setting;
  using Shown = std::optional<std::string>;

  Shown operator()(int Settings::*member) const { return std::to_string(settings.*member); }
  Shown operator()(uint32_t Settings::*member) const { return std::to_string(settings.*member); }
  Shown operator()(bool Settings::*member) const { return settings.*member ? "1" : "0"; }
  Shown operator()(Octal octal) const { return fmt::format("{:04o}", settings.*octal.member); }
  Shown operator()(Duration Settings::*member) const { return to_text(settings.*member); }
  template <Worded E>
  Shown operator()(E Settings::*member) const {
    return std::string(name_of(settings.*member));
  }
  Shown operator()(StatePolicies Settings::*member) const { return to_text(settings.*member); }
  Shown operator()(AuditRate Settings::*member) const { return to_text(settings.*member); }
  Shown operator()(ReadConsistency Settings::*member) const { return to_text(settings.*member); }
  /// An empty text is no value where the default is none.
  Shown text(const std::string& value) const {
    if (value.empty()) return default_of(setting) ? Shown("") : std::nullopt;
    return value;
  }
  Shown operator()(std::string Settings::*member) const { return text(settings.*member); }
  Shown operator()(FreeText free) const { return settings.*free.member; }
  Shown operator()(std::optional<std::string> Settings::*member) const { return settings.*member; }
  Shown operator()(const Other& other) const {
    const auto found = settings.others.find(std::string(other.key));
    if (found == settings.others.end()) return default_of(setting);
    return text(found->second);
  }
};

struct Copier {
  const Settings& from;
  Settings& to;

  template <class Value>
  void operator()(Value Settings::*member) const {
    to.*member = from.*member;
  }
  void operator()(Octal octal) const { (*this)(octal.member); }
  void operator()(FreeText free) const { (*this)(free.member); }
  void operator()(const Other& other) const {
    const std::string key(other.key);
    to.others.erase(key);
    if (auto found = from.others.find(key); found != from.others.end()) to.others.insert(*found);
  }
};

enum class Form : uint8_t { exact, name, free_text };

/// How the end of the value is told from a comment behind it.
Form form_of(const Setting& setting) {
  if (const auto* other = std::get_if<Other>(&setting.home)) {
    if (other->type == Other::Type::free_text) return Form::free_text;
    return other->type == Other::Type::name ? Form::name : Form::exact;
  }
  if (std::holds_alternative<FreeText>(setting.home)) return Form::free_text;
  const bool name = std::holds_alternative<std::string Settings::*>(setting.home) ||
                    std::holds_alternative<std::optional<std::string> Settings::*>(setting.home);
  return name ? Form::name : Form::exact;
}

/// A `;` in free text ends a statement; only a `#` that stands alone is taken for a mistake.
bool has_lone_hash(View text) {
  return text.starts_with("# ") || text.ends_with(" #") || text.find(" # ") != View::npos;
}

/// A line that is in the wrong section may be a connection string.
std::string without_password(View value) {
  const size_t password = value.find("password");
  if (password == View::npos) return printable(value);
  return printable(value.substr(0, password)) + "password***";
}

}  // namespace

std::optional<std::string> assign(Settings& settings, const Setting& setting, View text) {
  return std::visit(Assigner{settings, setting, text}, setting.home);
}

std::optional<std::string> assign_line(Settings& settings, const Setting& setting, View line,
                                       bool& suspicious) {
  suspicious = false;
  switch (form_of(setting)) {
    case Form::free_text:
      suspicious = has_lone_hash(line);
      return assign(settings, setting, line);
    case Form::name:
      line = before_lone_comment(line);
      suspicious = before_comment(line).size() < line.size();
      return assign(settings, setting, line);
    case Form::exact:
      break;
  }
  if (!assign(settings, setting, line)) return std::nullopt;
  return assign(settings, setting, before_comment(line));
}

std::optional<std::string> show(const Settings& settings, const Setting& setting) {
  return std::visit(Shower{settings, setting}, setting.home);
}

bool is_default(const Settings& settings, const Setting& setting) {
  return show(settings, setting) == show(default_settings(), setting);
}

void copy(const Setting& setting, const Settings& from, Settings& to) {
  std::visit(Copier{from, to}, setting.home);
}

Settings default_settings() {
  Settings settings;
  for (const Setting& setting : all_settings()) {
    if (setting.default_text != nullptr) {
      MUST(!assign(settings, setting, setting.default_text));
    }
  }
  return settings;
}

Error unknown_setting(View name) {
  std::vector<View> names;
  for (const Setting& setting : all_settings()) names.push_back(setting.name);
  Error error(ErrorCode::config, "unknown parameter: pgbouncer/" + printable(name));
  error.hint = did_you_mean(name, names);
  return error;
}

Error invalid_setting(View name, View value, const std::string& where,
                      const std::string& expected) {
  Error error(ErrorCode::config, fmt::format("invalid value \"{}\" for parameter {}{}",
                                             without_password(value), printable(name), where));
  error.hint = "expected " + expected;
  return error;
}

}  // namespace headgate
