#include "admin/console_line.h"

#include <algorithm>

#include "conf/values.h"

namespace headgate {

namespace {

// Not isalpha() and its like: those ask the locale.
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_word_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

// A view of what is left to read; each function takes one piece off its front, or none.
class Scanner {
 public:
  explicit Scanner(View rest) : rest_(rest) {}

  bool blanks() { return !take(length_of(is_blank)).empty(); }

  std::optional<std::string> word() {
    if (rest_.starts_with('"')) return quoted('"');
    const View found = take(length_of(is_word_char));
    if (found.empty()) return {};
    return std::string(found);
  }

  std::optional<std::string> word_or_string() { return is_string() ? quoted('\'') : word(); }

  bool literal(View text) {
    if (!equal_ignoring_case(rest_.substr(0, text.size()), text)) return false;
    take(text.size());
    return true;
  }

  // What is left but for its `end`.
  std::string all() {
    const auto drop_blanks = [&] {
      while (!rest_.empty() && is_blank(rest_.back())) rest_.remove_suffix(1);
    };
    drop_blanks();
    if (rest_.ends_with(';')) rest_.remove_suffix(1);
    drop_blanks();
    return std::string(take(rest_.size()));
  }

  bool is_string() const { return rest_.starts_with('\''); }

  bool end() {
    blanks();
    if (literal(";")) blanks();
    return rest_.empty();
  }

 private:
  template <class Is>
  size_t length_of(Is is) const {
    return static_cast<size_t>(std::find_if_not(rest_.begin(), rest_.end(), is) - rest_.begin());
  }

  View take(size_t size) {
    const View taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  std::optional<std::string> quoted(char quote) {
    std::string text;
    for (size_t at = 1; at < rest_.size(); ++at) {
      if (rest_[at] != quote) {
        text += rest_[at];
      } else if (at + 1 < rest_.size() && rest_[at + 1] == quote) {
        text += rest_[at++];
      } else {
        take(at + 1);
        return text;
      }
    }
    return {};  // no closing quote
  }

  View rest_;
};

std::optional<ConsoleLine> read_setting(Scanner scanner, ConsoleLine line) {
  std::optional<std::string> key = scanner.word();
  if (!key) return {};
  scanner.blanks();
  if (!scanner.literal("=") && !scanner.literal("to")) return {};
  scanner.blanks();
  std::optional<std::string> value = scanner.word_or_string();
  if (!value || !scanner.end()) return {};
  line.argument = std::move(*key);
  line.value = std::move(*value);
  line.is_setting = true;
  return line;
}

std::optional<ConsoleLine> read_explain(Scanner scanner, ConsoleLine line) {
  const std::optional<std::string> second = scanner.word();
  if (!second || !equal_ignoring_case(*second, "route") || !scanner.blanks()) return {};
  std::optional<std::string> sql =
      scanner.is_string() ? scanner.word_or_string() : std::optional(scanner.all());
  if (!sql || !scanner.end()) return {};
  line.argument = *second;
  line.value = std::move(*sql);
  line.is_explain = true;
  return line;
}

std::optional<ConsoleLine> read_command(Scanner scanner, bool separated, ConsoleLine line) {
  if (separated) line.argument = scanner.word().value_or("");
  if (!scanner.end()) return {};
  return line;
}

}  // namespace

bool ConsoleLine::within_limits() const {
  return word.size() <= max_word && argument.size() <= max_argument &&
         (is_explain || value.size() <= max_value) && !(is_setting && argument.empty());
}

std::optional<ConsoleLine> read_console_line(View query) {
  // A zero byte cannot be sent as text, so nothing may come in that could be asked to go out again.
  if (query.find('\0') != View::npos) return {};
  Scanner scanner(query);
  scanner.blanks();
  std::optional<std::string> word = scanner.word();
  if (!word) return {};
  const bool separated = scanner.blanks();
  ConsoleLine line;
  line.word = std::move(*word);
  if (separated && equal_ignoring_case(line.word, "set")) {
    if (auto setting = read_setting(scanner, line)) return setting;
  }
  if (separated && equal_ignoring_case(line.word, "explain")) {
    if (auto explain = read_explain(scanner, line)) return explain;
  }
  return read_command(scanner, separated, std::move(line));
}

}  // namespace headgate
