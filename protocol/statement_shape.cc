#include "protocol/statement_shape.h"

#include <array>

#include "protocol/sql_scanner.h"

namespace headgate {

namespace {

// What a byte may begin, for the quick way.
enum class Begins : uint8_t { itself, blank, word, number, string, quoted_name, doubt };

constexpr auto begins = [] {
  std::array<Begins, 256> table{};
  for (size_t i = 0; i < table.size(); ++i) {
    const bool letter = (i >= 'a' && i <= 'z') || (i >= 'A' && i <= 'Z') || i == '_' || i >= 0x80;
    if (letter) table[i] = Begins::word;
  }
  for (size_t i = '0'; i <= '9'; ++i) table[i] = Begins::number;
  for (const unsigned char blank : {' ', '\t', '\n', '\r', '\f', '\v'})
    table[blank] = Begins::blank;
  table['\''] = Begins::string;
  table['"'] = Begins::quoted_name;
  table['\\'] = table['$'] = table['\0'] = Begins::doubt;
  return table;
}();

Begins begun_by(char c) { return begins[static_cast<unsigned char>(c)]; }

bool goes_on_word(char c) {
  const Begins kind = begun_by(c);
  return kind == Begins::word || kind == Begins::number || c == '$';
}

void append_constant(Bytes& out) {
  if (out.ends_with("?, ")) return out.resize(out.size() - 2);
  if (out.ends_with("?,")) return out.resize(out.size() - 1);
  out += '?';
}

void append_blank(Bytes& out, size_t from) {
  if (out.size() > from && out.back() != ' ') out += ' ';
}

// Texts of words, numbers, plain strings and signs, which are nearly all that programs say.
class QuickShape {
 public:
  QuickShape(Bytes& out, View sql) : out_(out), from_(out.size()), sql_(sql) {}

  /// False: this text is not for here.
  bool append() {
    while (at_ < sql_.size()) {
      if (!part()) return false;
    }
    if (out_.size() > from_ && out_.back() == ' ') out_.pop_back();
    return true;
  }

 private:
  char next() const { return at_ + 1 < sql_.size() ? sql_[at_ + 1] : '\0'; }

  bool part() {
    switch (begun_by(sql_[at_])) {
      case Begins::blank:
        append_blank(out_, from_);
        ++at_;
        return true;
      case Begins::word:
        word();
        return true;
      case Begins::number:
        number();
        return true;
      case Begins::string:
        return quoted('\'');
      case Begins::quoted_name:
        return quoted('"');
      case Begins::itself:
        return sign();
      case Begins::doubt:
        return parameter();
    }
    return false;
  }

  void word() {
    const size_t start = at_;
    while (at_ < sql_.size() && goes_on_word(sql_[at_])) ++at_;
    out_ += sql_.substr(start, at_ - start);
  }

  void number() {
    while (at_ < sql_.size() && (begun_by(sql_[at_]) == Begins::number || sql_[at_] == '.')) ++at_;
    append_constant(out_);
  }

  bool quoted(char quote) {
    const size_t start = at_++;
    while (at_ < sql_.size() && (sql_[at_] != quote || next() == quote)) {
      if (sql_[at_] == '\\') return false;
      at_ += sql_[at_] == quote ? 2 : 1;
    }
    if (at_ >= sql_.size()) return false;
    ++at_;
    if (quote == '\'') {
      append_constant(out_);
    } else {
      out_ += sql_.substr(start, at_ - start);
    }
    return true;
  }

  bool sign() {
    const char c = sql_[at_];
    const bool comment = (c == '-' && next() == '-') || (c == '/' && next() == '*');
    if (comment || (c == '&' && next() == '"')) return false;
    out_ += c;
    ++at_;
    return true;
  }

  bool parameter() {
    if (sql_[at_] != '$' || begun_by(next()) != Begins::number) return false;
    out_ += '$';
    ++at_;
    word();
    return true;
  }

  Bytes& out_;
  const size_t from_;
  const View sql_;
  size_t at_ = 0;
};

bool is_constant(TokenKind kind) {
  return kind == TokenKind::string || kind == TokenKind::bit_string || kind == TokenKind::number;
}

void append_slowly(Bytes& out, View sql) {
  const size_t from = out.size();
  SqlScanner scanner(sql);
  for (Token token = scanner.next(); token.kind != TokenKind::end; token = scanner.next()) {
    if (!token.is(',')) append_blank(out, from);
    is_constant(token.kind) ? append_constant(out) : void(out += token.text);
  }
}

constexpr size_t longest_readable = 1000;

// Values of settings and passwords need no quotes, or have the wrong ones.
bool hides_rest(const Token& verb, const Token& before, const Token& token) {
  if (token.is(';') || before.text.data() == verb.text.data()) return false;
  if (verb.is("alter") || verb.is("create")) return before.is("password") || before.is("set");
  if (!verb.is("set")) return false;
  return !before.is("local") && !before.is("session") && !before.is('.') && !token.is('.');
}

bool blank_between(const Bytes& out, const Token& token) {
  if (out.ends_with('(') || out.ends_with('.') || out.ends_with('[')) return false;
  if (token.kind != TokenKind::symbol) return true;
  return token.text.find_first_of(",).;[]") == View::npos;
}

}  // namespace

void append_without_constants(Bytes& out, View sql, bool standard_conforming_strings) {
  const size_t from = out.size();
  SqlScanner scanner(sql, standard_conforming_strings);
  Token verb, before;
  for (Token token = scanner.next(); token.kind != TokenKind::end; token = scanner.next()) {
    const bool goes_on = verb.kind != TokenKind::end;
    if (token.kind == TokenKind::broken || out.size() - from > longest_readable ||
        (goes_on && hides_rest(verb, before, token))) {
      out += " ...";
      return;
    }
    if (blank_between(out, token)) append_blank(out, from);
    if (is_constant(token.kind)) {
      append_constant(out);
    } else {
      out += token.text.substr(0, longest_readable);
    }
    if (!goes_on) verb = token;
    if (token.is(';')) verb = Token();
    before = token;
  }
}

void append_shape(Bytes& out, View sql) {
  const size_t from = out.size();
  if (QuickShape(out, sql).append()) return;
  out.resize(from);
  append_slowly(out, sql);
}

}  // namespace headgate
