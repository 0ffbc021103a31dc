#include "protocol/database_command.h"

#include <vector>

#include "protocol/session_marks.h"
#include "protocol/sql_scanner.h"

namespace headgate {

namespace {

/// What stands between quotes, with doubled ones made one.
std::string unquoted(View quoted) {
  std::string plain;
  for (size_t i = 1; i + 1 < quoted.size(); ++i) {
    plain.push_back(quoted[i]);
    if (quoted[i] == quoted[0]) ++i;
  }
  return plain;
}

/// The name that a token is; nothing for U&"..." and what is none. Options take strings, too.
std::optional<std::string> name_in(const Token& token) {
  if (token.kind == TokenKind::word) return lower_case(token.text);
  const bool is_quoted = token.kind == TokenKind::quoted_name || token.kind == TokenKind::string;
  const bool is_plain = token.text.find('\\') == View::npos;
  if (!is_quoted || !is_plain || (token.text[0] != '"' && token.text[0] != '\'')) {
    return std::nullopt;
  }
  return unquoted(token.text);
}

/// The tokens of the one statement in the text; none if there are more, or it is not whole.
std::vector<Token> tokens_of_lone(View sql, bool standard_conforming_strings) {
  std::vector<Token> tokens;
  SqlScanner scanner(sql, standard_conforming_strings);
  bool ended = false;
  for (Token token = scanner.next(); token.kind != TokenKind::end; token = scanner.next()) {
    if (token.kind == TokenKind::broken) return {};
    if (token.is(';')) {
      ended = true;
    } else if (ended) {
      return {};
    } else {
      tokens.push_back(token);
    }
  }
  return tokens;
}

/// The database that CREATE DATABASE copies.
std::optional<std::string> template_of(const std::vector<Token>& tokens) {
  for (size_t i = 3; i < tokens.size(); ++i) {
    if (!tokens[i].is("template")) continue;
    const size_t value = i + (i + 1 < tokens.size() && tokens[i + 1].text == View("=") ? 2 : 1);
    if (value >= tokens.size()) return std::nullopt;
    if (tokens[value].is("default")) break;
    return name_in(tokens[value]);
  }
  return "template1";
}

}  // namespace

bool may_be_database_command(View sql) {
  if (sql.size() > DatabaseCommand::max_text) return false;
  const size_t begin = sql.find_first_not_of(" \t\r\n");
  if (begin == View::npos || begin + 1 == sql.size()) return false;
  const auto starts = [&](const char* two) {
    constexpr char lower = 0x20;  // sets letters to lower case, and leaves / * - as they are
    return (sql[begin] | lower) == two[0] && (sql[begin + 1] | lower) == two[1];
  };
  return starts("dr") || starts("al") || starts("cr") || starts("/*") || starts("--");
}

std::optional<DatabaseCommand> find_database_command(View sql, bool standard_conforming_strings) {
  if (!may_be_database_command(sql)) return std::nullopt;
  const std::vector<Token> tokens = tokens_of_lone(sql, standard_conforming_strings);
  if (tokens.size() < 3 || !tokens[1].is("database")) return std::nullopt;
  std::optional<std::string> name;
  const bool creates = tokens[0].is("create");
  if (creates) {
    name = template_of(tokens);
  } else if (tokens[0].is("drop")) {
    const bool if_exists = tokens.size() > 4 && tokens[2].is("if") && tokens[3].is("exists");
    name = name_in(tokens[if_exists ? 4 : 2]);
  } else if (tokens[0].is("alter") && tokens.size() > 3 &&
             (tokens[3].is("rename") ||
              (tokens[3].is("set") && tokens.size() > 4 && tokens[4].is("tablespace")))) {
    name = name_in(tokens[2]);
  }
  if (!name) return std::nullopt;
  return DatabaseCommand{std::move(*name), creates};
}

}  // namespace headgate
