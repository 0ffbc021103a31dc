#include "protocol/session_marks.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "protocol/sql.h"

namespace headgate {

namespace {

using Tokens = std::span<const Token>;

constexpr size_t longest_name = 63;  // PostgreSQL: NAMEDATALEN
constexpr View blanks = " \t\r\n\f\v";

/// `a''b` for `''` as the quote: what stands between the quotes, or nothing if a quote stands alone
/// in it, as where a string goes on in the next line.
std::optional<std::string> without_doubled(View text, char quote) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == quote && text.substr(++i, 1) != View(&quote, 1)) return std::nullopt;
    plain.push_back(text[i]);
  }
  return plain;
}

View between_quotes(View quoted) { return quoted.substr(1, quoted.size() - 2); }

/// The name that a token is; nothing for U&"..." and what is none.
std::optional<std::string> name_of(const Token& token) {
  if (token.kind == TokenKind::word) return lower_case(token.text);
  if (token.kind != TokenKind::quoted_name || token.text[0] != '"') return std::nullopt;
  return without_doubled(between_quotes(token.text), '"');
}

/// The same of a statement, cut as PostgreSQL does; nothing where that depends on the encoding.
std::optional<std::string> statement_name(const Token& token) {
  constexpr size_t longest = 63;  // PostgreSQL: NAMEDATALEN
  auto name = name_of(token);
  if (!name || name->empty() || !is_ascii(*name)) return std::nullopt;
  name->resize(std::min(name->size(), longest));
  return name;
}

/// The value of a string, where it can be read without knowing more.
std::optional<std::string> string_of(const Token& token) {
  if (token.kind != TokenKind::string) return std::nullopt;
  if (token.text[0] == '$') {
    const size_t tag = token.text.find('$', 1) + 1;
    return std::string(token.text.substr(tag, token.text.size() - 2 * tag));
  }
  const bool plain = token.text[0] == '\'' && token.text.find('\\') == View::npos;
  return plain ? without_doubled(between_quotes(token.text), '\'') : std::nullopt;
}

std::optional<uint16_t> parameter_of(const Token& token) {
  if (token.kind != TokenKind::parameter || token.text.size() > 6) return std::nullopt;
  unsigned number = 0;
  for (const char c : token.text.substr(1)) number = number * 10 + static_cast<unsigned>(c - '0');
  if (number == 0 || number > UINT16_MAX) return std::nullopt;
  return static_cast<uint16_t>(number);
}

bool contains_word(Tokens tokens, View word) {
  return std::ranges::any_of(tokens, [&](const Token& token) {
    const auto name = name_of(token);
    return name && *name == word;
  });
}

/// A setting's name of one or more parts from the first token on; empty if there is none.
std::string setting_name(Tokens tokens) {
  std::string whole;
  for (size_t i = 0; i < tokens.size(); i += 2) {
    const auto part = name_of(tokens[i]);
    if (!part) return {};
    whole.append(lower_case(*part));
    if (i + 1 >= tokens.size() || !tokens[i + 1].is('.')) return whole;
    whole.push_back('.');
  }
  return {};
}

/// Settings of a transaction, whoever says SESSION, and the seed of random(): nothing stays.
bool is_passing(View name) {
  return name == "transaction_isolation" || name == "transaction_read_only" ||
         name == "transaction_deferrable" || name == "seed" || name == "is_superuser";
}

bool names_setting(Tokens behind) {
  return behind.size() > 1 &&
         (behind[1].is("to") || behind[1].is('.') || behind[1].text == View("="));
}

/// What follows SET [SESSION] or RESET where that is not a setting's name.
struct SpecialForm {
  View first, second;  // words
  std::vector<View> settings;
};
const SpecialForm special_forms[] = {
    {"session", "authorization", {"session_authorization"}},
    {"session",
     "characteristics",
     {"default_transaction_isolation", "default_transaction_read_only",
      "default_transaction_deferrable"}},
    {"time", "zone", {"timezone"}},
    {"names", "", {"client_encoding"}},
    {"role", "", {"role"}},
    {"schema", "", {"search_path"}},
    {"xml", "option", {"xmloption"}},
    {"transaction", "", {}},
};

/// Whether a statement of a routine that begins with this may leave something, calls left out.
bool leaves_something(const Token& first) {
  constexpr View words[] = {"set",    "reset",   "create", "listen",  "load",
                            "select", "execute", "do",     "prepare", "deallocate"};
  return std::ranges::any_of(words, [&](View word) { return first.is(word); });
}

size_t length_of_statement(Tokens tokens) {
  const auto end = std::ranges::find_if(tokens, [](const Token& token) { return token.is(';'); });
  const View last = std::prev(end)->text;
  return static_cast<size_t>(last.data() + last.size() - tokens.front().text.data());
}

class Marker {
 public:
  Marker(SessionMarks& marks, bool standard_strings)
      : marks_(marks), standard_strings_(standard_strings) {}

  void text(View sql) {
    Statements statements(sql, standard_strings_);
    size_t count = 0;  // but for savepoints, within which a driver may do it
    StatementKind kind = StatementKind::empty;
    bool savepoints = false;
    while (const auto statement = statements.next()) {
      one(*statement);
      const bool is_savepoint =
          statement->kind == StatementKind::savepoint || statement->kind == StatementKind::release;
      savepoints |= is_savepoint;
      if (is_savepoint) continue;
      kind = statement->kind;
      ++count;
    }
    const bool alone = depth_ == 0 && count == 1 && marks_.statements.size() == 1;
    marks_.only_prepares = alone && !savepoints && kind == StatementKind::prepare;
    marks_.only_deallocates = alone && kind == StatementKind::deallocate;
  }

 private:
  static constexpr int deepest = 3;              // texts in texts that are looked at
  static constexpr size_t most_settings = 200;   // that one text is taken to set
  static constexpr size_t most_arguments = 400;  // tokens of set_config()'s

  std::vector<Token> tokens_of(View sql) const;
  void one(const SqlStatement& statement);
  void by_kind(StatementKind kind, Tokens tokens, bool writes);
  void set_or_reset(Tokens tokens, bool is_reset);
  void setting(std::string name, bool to_default = false);
  void prepare(Tokens tokens);
  void deallocate(Tokens tokens);
  void statement(std::string name);
  void discard(Tokens tokens);
  void listen(Tokens tokens, std::vector<std::string>& channels);
  void calls(Tokens tokens);
  void call(const std::string& function, Tokens arguments);
  void set_config(Tokens arguments);
  void code(Tokens tokens);
  void body_of_routine(View body);
  void every_setting();

  SessionMarks& marks_;
  const bool standard_strings_;
  int depth_ = 0;
};

std::vector<Token> Marker::tokens_of(View sql) const {
  std::vector<Token> tokens;
  SqlScanner scanner(sql, standard_strings_);
  for (Token token = scanner.next(); token.kind != TokenKind::end; token = scanner.next()) {
    tokens.push_back(token);
  }
  return tokens;
}

// CREATE [OR REPLACE] FUNCTION | PROCEDURE
bool creates_routine(Tokens tokens) {
  if (tokens.size() > 3 && tokens[1].is("or")) tokens = tokens.subspan(2);
  return tokens.size() > 1 && (tokens[1].is("function") || tokens[1].is("procedure"));
}

void Marker::one(const SqlStatement& statement) {
  const std::vector<Token> tokens = tokens_of(statement.text);
  by_kind(statement.kind, tokens, statement.writes);
  if (statement.kind == StatementKind::prepare) return prepare(tokens);
  const bool calls_later = statement.kind == StatementKind::create && creates_routine(tokens);
  if (!calls_later) calls(tokens);
}

// What it calls it calls at each EXECUTE.
void Marker::prepare(Tokens tokens) {
  SessionMarks of_body;
  Marker(of_body, standard_strings_).calls(tokens);
  marks_.prepares = true;
  auto name = tokens.size() > 1 ? statement_name(tokens[1]) : std::nullopt;
  name ? statement(std::move(*name)) : marks_.begins.add(Pin::prepared);
  if (of_body.any()) marks_.begins.add(Pin::setting);
}

// DEALLOCATE [PREPARE] name, or ALL. Where the name cannot be told it may be any.
void Marker::deallocate(Tokens tokens) {
  marks_.ends.add(Pin::prepared);
  tokens = tokens.subspan(tokens.size() > 2 && tokens[1].is("prepare") ? 2 : 1);
  if (tokens.empty()) return;
  auto name = tokens[0].is("all") ? std::nullopt : statement_name(tokens[0]);
  if (!name) {
    marks_.forgets_statements = true;
    return;
  }
  statement(std::move(*name));
}

void Marker::statement(std::string name) {
  if (marks_.statements.size() >= most_settings) return marks_.begins.add(Pin::setting);
  if (std::ranges::find(marks_.statements, name) == marks_.statements.end()) {
    marks_.statements.push_back(std::move(name));
  }
}

void Marker::by_kind(StatementKind kind, Tokens tokens, bool writes) {
  const auto speaks_of_temporary = [&] {
    return contains_word(tokens, "temp") || contains_word(tokens, "temporary") ||
           std::ranges::any_of(tokens, [](const Token& token) {
             return name_of(token).value_or("").starts_with("pg_temp");  // pg_temp_3 as well
           });
  };
  switch (kind) {
    case StatementKind::set:
    case StatementKind::reset:
      return set_or_reset(tokens.subspan(1), kind == StatementKind::reset);
    case StatementKind::discard:
      return discard(tokens);
    case StatementKind::create:
    case StatementKind::explain:  // ANALYZE CREATE TABLE AS makes the table
      if (speaks_of_temporary()) marks_.begins.add(Pin::temporary);
      return;
    case StatementKind::select:
    case StatementKind::other:
      if ((writes || kind == StatementKind::other) && speaks_of_temporary()) {
        marks_.begins.add(Pin::temporary);
      }
      return;
    case StatementKind::drop:
      return marks_.ends.add(Pin::temporary);
    case StatementKind::declare_cursor:
      if (contains_word(tokens, "hold")) marks_.begins.add(Pin::cursor);
      return;
    case StatementKind::close:
      return marks_.ends.add(Pin::cursor);
    case StatementKind::deallocate:
      return deallocate(tokens);
    case StatementKind::listen:
      return listen(tokens, marks_.listens);
    case StatementKind::load:
      marks_.loads = true;
      return;
    case StatementKind::unlisten:
      marks_.unlistens_all |= tokens.size() > 1 && tokens[1].text == View("*");
      return listen(tokens, marks_.unlistens);
    case StatementKind::do_block:
      return code(tokens);
    case StatementKind::execute:
    case StatementKind::call:
      marks_.opaque = true;
      return;
    default:
      return;
  }
}

void Marker::setting(std::string name, bool to_default) {
  if (is_passing(name)) return;
  if (marks_.settings.size() >= most_settings) return marks_.begins.add(Pin::setting);
  if (name == "session_authorization") setting("role", to_default);
  std::erase(marks_.settings_reset, name);
  if (to_default) marks_.settings_reset.push_back(name);
  if (std::ranges::find(marks_.settings, name) == marks_.settings.end()) {
    marks_.settings.push_back(std::move(name));
  }
}

void Marker::every_setting() {
  marks_.every_setting = true;
  for (const std::string& name : marks_.settings) {
    const bool stays = name == "role" || name == "session_authorization";
    const auto& reset = marks_.settings_reset;
    if (!stays && std::ranges::find(reset, name) == reset.end()) {
      marks_.settings_reset.push_back(name);
    }
  }
}

void Marker::set_or_reset(Tokens tokens, bool is_reset) {
  if (tokens.empty()) return;
  if (is_reset && tokens[0].is("all")) return every_setting();
  const bool to_default = is_reset || tokens.back().is("default");
  const auto second_is = [&](View word) { return tokens.size() > 1 && tokens[1].is(word); };
  if (!is_reset && tokens[0].is("session") && !names_setting(tokens) &&
      !second_is("authorization") && !second_is("characteristics")) {
    tokens = tokens.subspan(1);
  }
  if (!names_setting(tokens)) {
    for (const SpecialForm& form : special_forms) {
      if (tokens.empty() || !tokens[0].is(form.first)) continue;
      if (!form.second.empty() && !second_is(form.second)) continue;
      for (const View name : form.settings) setting(std::string(name), to_default);
      return;
    }
  }
  std::string name = setting_name(tokens);
  if (!name.empty() && !has_long_part(name)) return setting(std::move(name), to_default);
  if (!tokens.empty()) marks_.begins.add(Pin::setting);  // U&"..."
}

void Marker::discard(Tokens tokens) {
  if (tokens.size() > 1 && tokens[1].is("all")) marks_.discards = marks_.forgets_statements = true;
  if (contains_word(tokens, "temp") || contains_word(tokens, "temporary")) {
    marks_.ends.add(Pin::temporary);
  }
}

// LISTEN, UNLISTEN. A name is cut where the server cuts it, if its encoding is UTF-8.
void Marker::listen(Tokens tokens, std::vector<std::string>& channels) {
  (&channels == &marks_.listens ? marks_.begins : marks_.ends).add(Pin::listen);
  auto name = tokens.size() > 1 ? name_of(tokens[1]) : std::nullopt;
  if (!name || name->empty() || channels.size() >= most_settings) return;
  if (name->size() > longest_name) {
    size_t end = longest_name;
    while (end > 0 && (static_cast<unsigned char>((*name)[end]) & 0xC0) == 0x80) --end;
    name->resize(end);
  }
  if (std::ranges::find(channels, *name) == channels.end()) channels.push_back(std::move(*name));
}

// DO: its code is one of the strings, in a language that may not be plpgsql.
void Marker::code(Tokens tokens) {
  marks_.opaque = true;
  for (const Token& token : tokens) {
    if (token.kind != TokenKind::string) continue;
    const auto body = string_of(token);
    if (!body || depth_ == deepest) {
      marks_.begins.add(Pin::setting);
      continue;
    }
    ++depth_;
    body_of_routine(*body);
    --depth_;
  }
  if (marks_.named_by.empty()) return;
  marks_.named_by.clear();  // parameters of EXECUTE, and not of the client
  marks_.begins.add(Pin::setting);
}

/// Words that a statement of plpgsql follows.
bool statement_follows(const Token& token) {
  return token.is(';') || token.text == View(">>") || token.is("begin") || token.is("then") ||
         token.is("else") || token.is("loop");
}

// Texts that EXECUTE gets stand in strings.
void Marker::body_of_routine(View body) {
  const std::vector<Token> tokens = tokens_of(body);
  const char* looked_until = body.data();
  for (size_t i = 0; i < tokens.size(); ++i) {
    const char* at = tokens[i].text.data();
    const bool begins = at >= looked_until && (i == 0 || statement_follows(tokens[i - 1]));
    if (begins && leaves_something(tokens[i])) {
      const View statement(at, length_of_statement(Tokens(tokens).subspan(i)));
      text(statement);
      looked_until = at + statement.size();
    }
    const auto string = string_of(tokens[i]);
    if (string && leaves_something(SqlScanner(*string).next())) text(*string);
  }
  calls(tokens);
}

void Marker::calls(Tokens tokens) {
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    if (!tokens[i + 1].is('(')) continue;
    if (tokens[i].kind != TokenKind::word && tokens[i].kind != TokenKind::quoted_name) continue;
    const auto name = name_of(tokens[i]);
    if (!name) {
      marks_.opaque = true;
      continue;
    }
    call(*name, tokens.subspan(i + 2));
  }
}

void Marker::call(const std::string& function, Tokens arguments) {
  if (function == "set_config") return set_config(arguments);
  const View name = function;
  if (name.starts_with("pg_advisory_") || name.starts_with("pg_try_advisory_")) {
    if (name.find("_xact_") != View::npos) return;
    const bool ends = name.find("unlock") != View::npos;
    (ends ? marks_.ends : marks_.begins).add(Pin::advisory_lock);
    return;
  }
  if (!is_harmless_function(name)) marks_.opaque = true;
}

// set_config(name, value, is_local)
void Marker::set_config(Tokens arguments) {
  size_t argument = 0, depth = 0, begin = 0;
  Tokens name, is_local;
  arguments = arguments.first(std::min(arguments.size(), most_arguments));
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Token& token = arguments[i];
    if (token.is('(') || token.is('[')) ++depth;
    const bool closes = token.is(')') || token.is(']');
    if (closes && depth > 0) {
      --depth;
      continue;
    }
    if (!closes && (depth > 0 || !token.is(','))) continue;
    const Tokens whole = arguments.subspan(begin, i - begin);
    if (argument == 0) name = whole;
    if (argument == 2) is_local = whole;
    ++argument;
    begin = i + 1;
    if (closes) break;
  }
  if (is_local.size() == 1 && is_local[0].is("true")) return;
  const bool is_cast = name.size() == 3 && name[1].text == View("::") && name[2].is("text");
  if (name.size() == 1 || is_cast) {
    if (const auto constant = string_of(name[0])) return setting(lower_case(*constant));
    const auto parameter = parameter_of(name[0]);
    if (parameter && marks_.named_by.size() < most_settings) {
      marks_.named_by.push_back(*parameter);
      return;
    }
  }
  marks_.begins.add(Pin::setting);
}

}  // namespace

std::string name_of(Pins pins) {
  constexpr std::array<View, pin_count> names = {
      "advisory lock", "temporary object", "cursor", "prepared statement", "listen",
      "load",          "setting"};
  std::string text;
  for (size_t i = 0; i < pin_count; ++i) {
    if (!pins.has(static_cast<Pin>(i))) continue;
    text.append(text.empty() ? "" : ", ").append(names[i]);
  }
  return text;
}

bool has_long_part(View name) {
  for (size_t end = name.find('.'); end != View::npos; end = name.find('.')) {
    if (end > longest_name) return true;
    name.remove_prefix(end + 1);
  }
  return name.size() > longest_name;
}

std::string lower_case(View text) {
  std::string lowered(text);
  for (char& c : lowered) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return lowered;
}

bool begins_with_listen(View sql) {
  constexpr View word = "listen";
  sql.remove_prefix(std::min(sql.find_first_not_of(blanks), sql.size()));
  return same_word(sql.substr(0, word.size()), word);
}

SessionMarks session_marks(View sql, bool standard_conforming_strings) {
  SessionMarks marks;
  Marker(marks, standard_conforming_strings).text(sql);
  // The session's setting may be on its way: a request ahead of this may change it.
  if (sql.find('\\') == View::npos) return marks;
  SessionMarks both = marks;
  Marker(both, !standard_conforming_strings).text(sql);
  both.only_prepares &= marks.only_prepares;
  both.only_deallocates &= marks.only_deallocates;
  both.first_reading = std::make_shared<const SessionMarks>(std::move(marks));
  return both;
}

}  // namespace headgate
