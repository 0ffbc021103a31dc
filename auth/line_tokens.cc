#include "auth/line_tokens.h"

#include <optional>

namespace headgate {

namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f'; }

// Takes the token that begins at `at`, which is no blank; moves `at` behind it. Nothing where a
// quote is not closed.
std::optional<LineToken> take_token(View line, size_t& at) {
  LineToken token;
  token.begin = at;
  token.quoted = line[at] == '"';
  bool inside = false;
  for (; at < line.size(); ++at) {
    const char c = line[at];
    if (c == '"') {
      const bool doubled = inside && line.substr(at + 1).starts_with('"');
      if (doubled) token.text += line[at++];
      if (!doubled) inside = !inside;
      continue;
    }
    if (!inside && (is_blank(c) || c == ',' || c == '#')) break;
    token.text += c;
  }
  token.end = at;
  if (inside) return std::nullopt;
  return token;
}

}  // namespace

Result<std::vector<LineToken>> tokens_of_line(View line) {
  if (line.find('\0') != View::npos) return Error(ErrorCode::config, "a zero byte in the line");
  std::vector<LineToken> tokens;
  for (size_t at = 0; at < line.size() && line[at] != '#';) {
    if (is_blank(line[at])) {
      ++at;
    } else if (line[at] == ',') {
      tokens.push_back({",", at, at + 1, false, true});
      ++at;
    } else {
      auto token = take_token(line, at);
      if (!token) return Error(ErrorCode::config, "a quote that is not closed");
      tokens.push_back(*std::move(token));
    }
  }
  return tokens;
}

std::string expected_instead(View what, const LineToken* token) {
  std::string text = "expected ";
  text.append(what).append(", found ");
  if (token == nullptr) return text + "the end of the line";
  constexpr size_t longest = 63;
  text += '"';
  for (const char c : View(token->text).substr(0, longest)) text += c >= 0 && c < ' ' ? '?' : c;
  text += '"';
  return text;
}

}  // namespace headgate
