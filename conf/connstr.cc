#include "conf/connstr.h"

#include <algorithm>
#include <optional>

namespace headgate {
namespace {

constexpr View white_space = " \t\r\n\v\f";

void skip_blanks(View& text) {
  text.remove_prefix(std::min(text.find_first_not_of(white_space), text.size()));
}

/// Takes the text up to one of `ends`, which stays.
View take_until_any(View& text, View ends) {
  const View taken = text.substr(0, text.find_first_of(ends));
  text.remove_prefix(taken.size());
  return taken;
}

/// The inside of a quoted value, with '' made one quote; nothing if the quote is never closed.
std::optional<std::string> take_quoted(View& text) {
  std::string value;
  text.remove_prefix(1);
  for (;;) {
    value += take_until_any(text, "'");
    if (text.empty()) return std::nullopt;
    text.remove_prefix(1);
    if (!text.starts_with('\'')) return value;
    value += '\'';
    text.remove_prefix(1);
  }
}

std::optional<std::string> take_value(View& text, const std::string& key,
                                      std::vector<std::string>& warnings) {
  if (!text.starts_with('\'')) return std::string(take_until_any(text, white_space));
  auto value = take_quoted(text);
  if (value && !take_until_any(text, white_space).empty()) {
    warnings.push_back("characters behind the closing quote of " + key + " are ignored");
  }
  return value;
}

std::optional<KeyValue> take_pair(View& text, std::vector<std::string>& warnings) {
  KeyValue pair;
  pair.key = take_until_any(text, " \t\r\n\v\f=");
  skip_blanks(text);
  if (pair.key.empty() || !text.starts_with('=')) return std::nullopt;
  text.remove_prefix(1);
  skip_blanks(text);
  auto value = take_value(text, pair.key, warnings);
  if (!value || value->empty()) return std::nullopt;
  pair.value = std::move(*value);
  return pair;
}

}  // namespace

Result<std::vector<KeyValue>> parse_connection_string(View text,
                                                      std::vector<std::string>& warnings) {
  std::vector<KeyValue> pairs;
  for (skip_blanks(text); !text.empty(); skip_blanks(text)) {
    if (text.starts_with('#') || text.starts_with(';')) break;
    auto pair = take_pair(text, warnings);
    if (!pair) return Error(ErrorCode::config, "syntax error in connection string");
    pairs.push_back(std::move(*pair));
  }
  return pairs;
}

std::string to_connection_string(const std::vector<KeyValue>& pairs) {
  std::string text;
  for (const auto& [key, value] : pairs) {
    if (!text.empty()) text += ' ';
    text += key + "='";
    for (const char c : value) text += c == '\'' ? std::string("''") : std::string(1, c);
    text += '\'';
  }
  return text;
}

}  // namespace headgate
