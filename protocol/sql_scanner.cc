#include "protocol/sql_scanner.h"

#include <array>

namespace headgate {

namespace {

enum Class : uint8_t {
  other = 0,
  space = 1,
  newline = 2,     // a space, too
  name_start = 4,  // letters, _, and everything that is not ASCII
  digit = 8,
  op_char = 16,
  forgiving_op = 32  // operator characters that allow + or - at the end of an operator
};

constexpr auto classes = [] {
  std::array<uint8_t, 256> table{};
  const auto mark = [&table](View characters, int flags) {
    for (const char c : characters) table[static_cast<unsigned char>(c)] |= flags;
  };
  mark(" \t\f\v", space);
  mark("\n\r", space | newline);
  mark("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_", name_start);
  for (size_t c = 128; c < 256; ++c) table[c] |= name_start;
  mark("0123456789", digit);
  mark("+-*/<>=", op_char);
  mark("~!@#^&|`?%", op_char | forgiving_op);
  return table;
}();

constexpr bool is_a(char c, int flags) { return classes[static_cast<unsigned char>(c)] & flags; }
constexpr bool goes_on_name(char c) { return is_a(c, name_start | digit) || c == '$'; }
constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

bool decimal_digit(char c) { return is_a(c, digit); }
bool hexadecimal_digit(char c) { return is_a(c, digit) || (lower(c) >= 'a' && lower(c) <= 'f'); }
bool octal_digit(char c) { return c >= '0' && c <= '7'; }
bool binary_digit(char c) { return c == '0' || c == '1'; }

}  // namespace

bool same_word(View word, View lower_case) {
  if (word.size() != lower_case.size()) return false;
  for (size_t i = 0; i < word.size(); ++i) {
    if (lower(word[i]) != lower_case[i]) return false;
  }
  return true;
}

bool Token::is(View keyword) const { return kind == TokenKind::word && same_word(text, keyword); }

Token SqlScanner::token(TokenKind kind, size_t end) {
  const Token token{kind, sql_.substr(at_, end - at_)};
  at_ = end;
  return token;
}

Token SqlScanner::next() {
  if (!skip_blanks()) return broken();
  if (at_ == sql_.size()) return token(TokenKind::end, at_);
  const char c = sql_[at_];
  if (is_a(c, name_start)) return word_or_prefixed_string();
  if (is_a(c, digit) || (c == '.' && is_a(at(at_ + 1), digit))) return number();
  if (is_a(c, op_char)) return op();
  switch (c) {
    case '\'':
      return string(at_, backslash_quotes_ ? Escapes::backslash : Escapes::none);
    case '"':
      return quoted_name(at_);
    case '$':
      return dollar();
    case ':':
      if (at(at_ + 1) == ':' || at(at_ + 1) == '=') return token(TokenKind::op, at_ + 2);
      break;
    case '.':
      if (at(at_ + 1) == '.') return token(TokenKind::op, at_ + 2);
      break;
    default:
      break;
  }
  return token(TokenKind::symbol, at_ + 1);
}

bool SqlScanner::comment_starts(size_t place) const {
  return (at(place) == '-' && at(place + 1) == '-') || (at(place) == '/' && at(place + 1) == '*');
}

// White space and comments. False, at the comment, if one is not closed.
bool SqlScanner::skip_blanks() {
  while (at_ < sql_.size()) {
    if (is_a(sql_[at_], space)) {
      ++at_;
    } else if (!comment_starts(at_)) {
      return true;
    } else if (sql_[at_] == '/') {
      if (!skip_nested_comment()) return false;
    } else {
      while (at_ < sql_.size() && !is_a(sql_[at_], newline)) ++at_;
    }
  }
  return true;
}

bool SqlScanner::skip_nested_comment() {
  size_t depth = 0;
  for (size_t place = at_; place + 1 < sql_.size(); ++place) {
    if (sql_[place] == '/' && sql_[place + 1] == '*') {
      ++depth;
      ++place;
    } else if (sql_[place] == '*' && sql_[place + 1] == '/') {
      ++place;
      if (--depth == 0) {
        at_ = place + 1;
        return true;
      }
    }
  }
  return false;
}

Token SqlScanner::word_or_prefixed_string() {
  const char quote = at(at_ + 1);
  switch (lower(sql_[at_])) {
    case 'e':
      if (quote == '\'') return string(at_ + 1, Escapes::backslash);
      break;
    case 'b':
    case 'x':
      if (quote == '\'') return string(at_ + 1, Escapes::no_quotes, TokenKind::bit_string);
      break;
    case 'u':
      if (quote != '&') break;
      if (at(at_ + 2) == '\'') return string(at_ + 2, Escapes::none);
      if (at(at_ + 2) == '"') return quoted_name(at_ + 2);
      break;
    default:
      break;
  }
  size_t end = at_ + 1;
  while (end < sql_.size() && goes_on_name(sql_[end])) ++end;
  return token(TokenKind::word, end);
}

// Parts of a string that are parted by a line end belong together.
Token SqlScanner::string(size_t quote, Escapes escapes, TokenKind kind) {
  while (true) {
    const size_t end = end_of_string_part(quote + 1, escapes);
    if (end == View::npos) return broken();
    quote = continuation(end);
    if (quote == View::npos) return token(kind, end);
  }
}

// Where the part of a string that has been opened before `place` is closed, or npos.
size_t SqlScanner::end_of_string_part(size_t place, Escapes escapes) const {
  for (; place < sql_.size(); ++place) {
    if (sql_[place] == '\\' && escapes == Escapes::backslash) {
      ++place;
    } else if (sql_[place] == '\'') {
      const bool doubled = at(place + 1) == '\'' && escapes != Escapes::no_quotes;
      if (!doubled) return place + 1;
      ++place;
    }
  }
  return View::npos;
}

// The quote that continues a string closed before `place`: behind white space and -- comments with
// at least one line end among them. Or npos.
size_t SqlScanner::continuation(size_t place) const {
  bool line_ended = false;
  for (; place < sql_.size(); ++place) {
    if (is_a(sql_[place], newline)) {
      line_ended = true;
    } else if (sql_[place] == '-' && at(place + 1) == '-') {
      while (place + 1 < sql_.size() && !is_a(sql_[place + 1], newline)) ++place;
    } else if (!is_a(sql_[place], space)) {
      break;
    }
  }
  return line_ended && at(place) == '\'' ? place : View::npos;
}

Token SqlScanner::quoted_name(size_t quote) {
  for (size_t place = quote + 1; place < sql_.size(); ++place) {
    if (sql_[place] != '"') continue;
    if (at(place + 1) != '"') return token(TokenKind::quoted_name, place + 1);
    ++place;
  }
  return broken();
}

// A parameter, a dollar-quoted string, or a lone dollar.
Token SqlScanner::dollar() {
  size_t end = at_ + 1;
  if (is_a(at(end), digit)) return token(TokenKind::parameter, end_of_digits(end, decimal_digit));
  if (is_a(at(end), name_start)) {
    while (is_a(at(end), name_start | digit)) ++end;
  }
  if (at(end) != '$') return token(TokenKind::symbol, at_ + 1);
  const View delimiter = sql_.substr(at_, end + 1 - at_);
  const size_t close = sql_.find(delimiter, end + 1);
  if (close == View::npos) return broken();
  return token(TokenKind::string, close + delimiter.size());
}

// Digits, single underscores between them allowed (since PostgreSQL 16). Where there is no digit,
// the place itself.
size_t SqlScanner::end_of_digits(size_t place, bool (*is_digit)(char)) const {
  while (is_digit(at(place))) {
    ++place;
    if (at(place) == '_' && is_digit(at(place + 1))) ++place;
  }
  return place;
}

Token SqlScanner::number() {
  if (sql_[at_] == '0') {
    const size_t digits = at_ + (at(at_ + 2) == '_' ? 3 : 2);
    size_t end = digits;
    switch (lower(at(at_ + 1))) {
      case 'x':
        end = end_of_digits(digits, hexadecimal_digit);
        break;
      case 'o':
        end = end_of_digits(digits, octal_digit);
        break;
      case 'b':
        end = end_of_digits(digits, binary_digit);
        break;
      default:
        break;
    }
    if (end > digits) return token(TokenKind::number, end);
  }
  size_t end = end_of_digits(at_, decimal_digit);
  if (at(end) == '.' && at(end + 1) != '.') end = end_of_digits(end + 1, decimal_digit);
  if (lower(at(end)) == 'e') {
    const size_t sign = end + 1;
    const size_t digits = at(sign) == '+' || at(sign) == '-' ? sign + 1 : sign;
    if (is_a(at(digits), digit)) end = end_of_digits(digits, decimal_digit);
  }
  return token(TokenKind::number, end);
}

// As many operator characters as there are up to a comment. But + and - end an operator of several
// characters only if it holds one that no operator of the SQL standard has: so 1*-2 can be written.
Token SqlScanner::op() {
  if (at_ < signs_until_) return token(TokenKind::op, at_ + 1);
  size_t end = at_;
  bool forgiving = false;
  while (is_a(at(end), op_char) && !comment_starts(end)) {
    forgiving = forgiving || is_a(sql_[end], forgiving_op);
    ++end;
  }
  if (!forgiving) {
    signs_until_ = end;
    while (end > at_ + 1 && (sql_[end - 1] == '+' || sql_[end - 1] == '-')) --end;
  }
  return token(TokenKind::op, end);
}

}  // namespace headgate
