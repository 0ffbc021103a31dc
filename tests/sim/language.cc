#include "tests/sim/language.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <utility>

namespace headgate::sim {

namespace {

using Kind = Statement::Kind;

constexpr std::pair<Kind, View> words[] = {
    {Kind::begin, "begin"},      {Kind::commit, "commit"},    {Kind::rollback, "rollback"},
    {Kind::run, "run"},          {Kind::fail, "fail"},        {Kind::copy_in, "copyin"},
    {Kind::copy_bad, "copybad"}, {Kind::copy_out, "copyout"}, {Kind::die, "die"},
};

std::optional<Statement> parse_own(View text) {
  char word[16];
  Statement statement;
  const std::string copy(text);
  int end = 0;
  if (std::sscanf(copy.c_str(), "%15s c%d r%d n%d s%d t%d.%n", word, &statement.client,
                  &statement.request, &statement.rows, &statement.size, &statement.milliseconds,
                  &end) != 6 ||
      static_cast<size_t>(end) != copy.size()) {
    return std::nullopt;
  }
  for (const auto& [kind, name] : words) {
    if (name == word) {
      statement.kind = kind;
      return statement;
    }
  }
  return std::nullopt;
}

// SET name='value', as the sessions write it.
std::optional<Statement> parse_set(View text) {
  const size_t equals = text.find('=');
  if (!text.starts_with("SET ") || equals == text.npos || text.size() < equals + 3 ||
      text[equals + 1] != '\'' || text.back() != '\'') {
    return std::nullopt;
  }
  Statement statement{.kind = Kind::set};
  statement.name = text.substr(4, equals - 4);
  statement.value = text.substr(equals + 2, text.size() - equals - 3);
  return statement;
}

constexpr View prepared_word = "prepared p";

std::optional<Statement> parse_prepared(View text) {
  if (!text.starts_with(prepared_word)) return std::nullopt;
  Statement statement{.kind = Kind::prepared};
  const char* begin = text.data() + prepared_word.size();
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(begin, end, statement.shape);
  if (error != std::errc() || View(stop, static_cast<size_t>(end - stop)) != ".")
    return std::nullopt;
  return statement;
}

std::optional<Statement> parse_statement(View text) {
  if (text == "ROLLBACK") return Statement{.kind = Kind::rollback};
  if (text == "DISCARD ALL") return Statement{.kind = Kind::discard};
  if (text == "select 1") return Statement{.kind = Kind::check};
  // In front of DISCARD ALL; no server here has a timeout.
  if (text == "SET statement_timeout=0") return Statement{.kind = Kind::check};
  if (auto set = parse_set(text)) return set;
  if (auto prepared = parse_prepared(text)) return prepared;
  return parse_own(text);
}

}  // namespace

std::string signature(const Statement& statement) {
  return fmt::format("c{} r{}", statement.client, statement.request);
}

std::string to_text(const Statement& statement) {
  for (const auto& [kind, name] : words) {
    if (kind != statement.kind) continue;
    return fmt::format("{} {} n{} s{} t{}.", name, signature(statement), statement.rows,
                       statement.size, statement.milliseconds);
  }
  return "";
}

std::optional<std::vector<Statement>> parse_query(View text) {
  std::vector<Statement> statements;
  while (!text.empty()) {
    const size_t end = std::min(text.find(';'), text.size());
    auto statement = parse_statement(text.substr(0, end));
    if (!statement) return std::nullopt;
    statements.push_back(std::move(*statement));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (statements.empty()) statements.push_back({});
  return statements;
}

std::string prepared_text(int shape) { return fmt::format("{}{}.", prepared_word, shape); }

std::string prepared_parameter(int shape, const Statement& statement) {
  return fmt::format("{}: {}", shape, to_text(statement));
}

std::optional<Statement> run_prepared(int shape, View parameter) {
  const std::string meant = fmt::format("{}: ", shape);
  if (!parameter.starts_with(meant)) return std::nullopt;
  return parse_own(parameter.substr(meant.size()));
}

Bytes row_content(const Statement& statement, int row) {
  Bytes content = fmt::format("{} row {} ", signature(statement), row);
  auto next = static_cast<uint32_t>(statement.request * 31 + row);
  while (content.size() < static_cast<size_t>(statement.size)) {
    next = next * 1664525 + 1013904223;
    content.push_back(static_cast<char>('a' + (next >> 24) % 26));
  }
  return content;
}

void append_message(Bytes& out, char tag, View body) {
  char header[5] = {tag};
  store_u32(header + 1, static_cast<uint32_t>(body.size() + 4));
  out.append(header, sizeof header);
  out.append(body);
}

}  // namespace headgate::sim
