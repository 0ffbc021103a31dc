#include "conf/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>

namespace headgate {
namespace {

struct Unit {
  View name;
  double seconds;
};
constexpr Unit units[] = {{"", 1},       {"us", 1e-6}, {"ms", 1e-3}, {"s", 1},
                          {"min", 60.0}, {"h", 3600},  {"d", 86400}};

std::optional<double> seconds_in(View unit) {
  for (const Unit& known : units) {
    if (known.name == unit) return known.seconds;
  }
  return std::nullopt;
}

std::optional<double> bytes_in(View unit) {
  double bytes = 1;
  for (const View known : {"B", "kB", "MB", "GB", "TB"}) {
    if (equal_ignoring_case(known, unit)) return bytes;
    bytes *= 1024;
  }
  return std::nullopt;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool begins_hexadecimal(View text) {
  return text.size() > 2 && text[0] == '0' && lower(text[1]) == 'x';
}

/// Reads the number at the front of `text` and takes it away. strtod would ask the locale.
std::optional<double> take_number(View& text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  auto format = std::chars_format::general;
  if (begins_hexadecimal(text)) {
    text.remove_prefix(2);
    format = std::chars_format::hex;
  }
  double number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, format);
  if (error != std::errc() || !std::isfinite(number) || number < 0) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return number;
}

}  // namespace

bool equal_ignoring_case(View a, View b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

std::optional<int64_t> parse_integer(View text) {
  const std::string terminated(text);
  char* end = nullptr;
  errno = 0;
  const long long number = std::strtoll(terminated.c_str(), &end, 0);
  const bool whole = end == terminated.c_str() + terminated.size();
  if (errno != 0 || terminated.empty() || !whole) return std::nullopt;
  return number;
}

std::optional<bool> parse_switch(View text) {
  for (View word : {"yes", "true", "on"}) {
    if (equal_ignoring_case(text, word)) return true;
  }
  for (View word : {"no", "false", "off"}) {
    if (equal_ignoring_case(text, word)) return false;
  }
  if (auto number = parse_integer(text)) return *number != 0;
  return std::nullopt;
}

std::optional<Duration> parse_duration(View text) {
  auto number = take_number(text);
  if (!number) return std::nullopt;
  while (text.starts_with(' ')) text.remove_prefix(1);
  auto scale = seconds_in(text);
  if (!scale) return std::nullopt;
  const double microseconds = *number * *scale * 1e6;
  if (microseconds >= static_cast<double>(longest_duration.count())) return longest_duration;
  return Duration(std::llround(microseconds));
}

std::optional<int64_t> parse_size(View text) {
  if (auto bytes = parse_integer(text)) return bytes;
  auto number = take_number(text);
  if (!number) return std::nullopt;
  while (text.starts_with(' ')) text.remove_prefix(1);
  auto scale = bytes_in(text);
  if (!scale) return std::nullopt;
  const double bytes = *number * *scale;
  constexpr double most = 9e15;  // up to here each whole number is one
  if (bytes > most || bytes != std::floor(bytes)) return std::nullopt;
  return static_cast<int64_t>(bytes);
}

std::optional<uint8_t> parse_tls_versions(View text) {
  constexpr uint8_t all = 0b1111, secure = 0b1100;
  constexpr std::pair<View, uint8_t> words[] = {
      {"tlsv1.0", 0b0001}, {"tlsv1.1", 0b0010}, {"tlsv1.2", 0b0100},
      {"tlsv1.3", 0b1000}, {"tlsv1", all},      {"all", all},
      {"legacy", all},     {"secure", secure},  {"default", secure},
  };
  uint8_t versions = 0;
  while (true) {
    const size_t end = std::min(text.find_first_of(",:"), text.size());
    View name = text.substr(0, end);
    while (name.starts_with(' ') || name.starts_with('\t')) name.remove_prefix(1);
    while (name.ends_with(' ') || name.ends_with('\t')) name.remove_suffix(1);
    const bool without = name.starts_with('!');
    if (without) name.remove_prefix(1);
    const auto* word = std::find_if(std::begin(words), std::end(words), [&](const auto& one) {
      return equal_ignoring_case(one.first, name);
    });
    if (word == std::end(words)) return std::nullopt;
    if (without && versions == 0) versions = all;
    versions = without ? versions & ~word->second : versions | word->second;
    if (end == text.size()) break;
    text.remove_prefix(end + 1);
  }
  if (versions == 0) return std::nullopt;
  return versions;
}

std::string to_text(Duration duration) {
  const int64_t whole = duration.count() / 1'000'000;
  const int64_t fraction = duration.count() % 1'000'000;
  if (fraction == 0) return fmt::format("{}", whole);
  std::string text = fmt::format("{}.{:06}", whole, fraction);
  text.erase(text.find_last_not_of('0') + 1);
  return text;
}

std::string printable(View text) {
  constexpr size_t longest = 200;
  std::string printed(text.substr(0, longest));
  const auto is_control = [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; };
  std::replace_if(printed.begin(), printed.end(), is_control, '?');
  return text.size() > longest ? printed + "..." : printed;
}

}  // namespace headgate
