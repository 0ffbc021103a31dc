#include "tests/sim/language.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <utility>

#include "tests/sim/language_hosts.h"
#include "tests/sim/language_settings.h"

namespace headgate::sim {

namespace {

using Kind = Statement::Kind;

constexpr std::pair<Kind, View> words[] = {
    {Kind::begin, "begin"},
    {Kind::commit, "commit"},
    {Kind::rollback, "rollback"},
    {Kind::run, "run"},
    {Kind::fail, "fail"},
    {Kind::copy_in, "copyin"},
    {Kind::copy_bad, "copybad"},
    {Kind::copy_out, "copyout"},
    {Kind::die, "die"},
    {Kind::look, "look"},
    {Kind::assign, "assign"},
    {Kind::assign_local, "local"},
    {Kind::reset, "reset"},
    {Kind::reset_all, "resetall"},
    {Kind::discard, "discard"},
    {Kind::make, "make"},
    {Kind::unmake, "unmake"},
    {Kind::lock, "lock"},
    {Kind::unlock, "unlock"},
    {Kind::secret, "secret"},
    {Kind::prepare, "prepare"},
    {Kind::run_made, "runmade"},
    {Kind::deallocate, "deallocate"},
    {Kind::read, "read"},
    {Kind::write, "write"},
    {Kind::sly, "sly"},
    {Kind::call, "call"},
    {Kind::begin_reading, "beginreading"},
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

std::string own_text(const Statement& statement) {
  for (const auto& [kind, name] : words) {
    if (kind != statement.kind) continue;
    return fmt::format("{} {} n{} s{} t{}.", name, signature(statement), statement.rows,
                       statement.size, statement.milliseconds);
  }
  return "";
}

constexpr View prepared_word = "prepared p";

std::optional<Statement> parse_prepared(View text) {
  const size_t at = text.find(prepared_word);
  if (at == text.npos) return std::nullopt;
  Statement statement{.kind = Kind::prepared};
  const char* begin = text.data() + at + prepared_word.size();
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(begin, end, statement.shape);
  if (parsed.ec != std::errc() || prepared_text(statement.shape) != text) return std::nullopt;
  return statement;
}

// Of the statements that make things: the one that is said so.
std::optional<Statement> find_thing(Statement statement, View sql) {
  for (const Thing& thing : things) {
    statement.name = thing.kind;
    if (session_sql(statement) == sql) return statement;
  }
  return std::nullopt;
}

// What servers and the scanner read stands in front, and who says it in a comment behind.
std::optional<Statement> parse_signed(View text) {
  const size_t comment = text.rfind(" /*");
  if (comment == text.npos || !text.ends_with("*/")) return std::nullopt;
  auto statement = parse_own(text.substr(comment + 3, text.size() - comment - 5));
  if (!statement) return std::nullopt;
  if (statement->kind == Kind::make || statement->kind == Kind::unmake ||
      statement->kind == Kind::secret) {
    return find_thing(*statement, text.substr(0, comment));
  }
  if (auto own = parse_data(*statement, text.substr(0, comment))) return own;
  const auto said = parse_session_sql(text.substr(0, comment));
  if (!said || said->kind != statement->kind) return std::nullopt;
  statement->name = said->name;
  statement->value = said->value;
  statement->spelling = said->spelling;
  return statement;
}

std::optional<Statement> parse_statement(View text) {
  if (text == "ROLLBACK") return Statement{.kind = Kind::rollback};
  if (text == "select 1") return Statement{.kind = Kind::check};
  if (auto own = parse_listening(text)) return own;
  if (auto own = parse_audit(text)) return own;
  if (auto own = parse_monitor(text)) return own;
  if (auto prepared = parse_prepared(text)) return prepared;
  if (auto statement = parse_signed(text)) return statement;
  if (auto question = parse_question(text)) return question;
  if (auto own = parse_session_sql(text); own && is_of_headgate(own->kind)) return own;
  return parse_own(text);
}

constexpr View set_config_text = "SELECT set_config('app.x', $1, false)",
               set_named_text = "select pg_catalog.set_config($1, $2, false)",
               set_fixed_text = "SET app.y = 'by p8'";

}  // namespace

bool answers_rows(const Statement& statement) {
  return statement.rows > 0 && statement.kind != Kind::copy_in &&
         statement.kind != Kind::copy_bad && statement.kind != Kind::copy_out;
}

std::string signature(const Statement& statement) {
  return fmt::format("c{} r{}", statement.client, statement.request);
}

std::string to_text(const Statement& statement) {
  const std::string sql = session_sql(statement) + data_sql(statement);
  const std::string own = own_text(statement);
  return sql.empty() ? own : fmt::format("{} /*{}*/", sql, own);
}

std::optional<std::vector<Statement>> parse_query(View text) {
  std::vector<Statement> statements;
  while (!text.empty()) {
    const size_t end = end_of_statement(text);
    auto statement = parse_statement(text.substr(0, end));
    if (!statement) return std::nullopt;
    statements.push_back(std::move(*statement));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (statements.empty()) statements.push_back({});
  return statements;
}

// --- prepared statements

std::string prepared_text(int shape) {
  const View does[] = {set_config_text, set_named_text, set_fixed_text};
  std::string own = fmt::format("{}{}.", prepared_word, shape);
  if (shape > sly_shape || shape <= last_plain_shape) return own;
  if (shape > last_shape) return fmt::format("{} /*{}*/", prepared_data_sql(shape), own);
  return fmt::format("{} /*{}*/", does[shape - last_plain_shape - 1], own);
}

void adapt_to_shape(Statement& statement, int shape) {
  if (shape <= last_plain_shape) return;
  if (shape > last_shape) {
    statement.kind = shape == read_shape    ? Kind::read
                     : shape == write_shape ? Kind::write
                                            : Kind::sly;
    if (shape == write_shape) statement.rows = 0;
    return;
  }
  statement.kind = Kind::assign;
  statement.name = shape == last_plain_shape + 1 ? "app.x" : "app.y";
  statement.rows = shape < last_shape ? 1 : 0;
  statement.milliseconds = statement.size = 0;
  const auto parameters = prepared_parameters(shape, statement);
  statement.value = shape < last_shape ? parameters.back() : "by p8";
}

// What is set is the parameter itself.
std::vector<std::string> prepared_parameters(int shape, const Statement& statement) {
  std::string parameter = fmt::format("{}: {}", shape, own_text(statement));
  if (shape == last_plain_shape + 2) return {"App.Y", std::move(parameter)};
  return {std::move(parameter)};
}

std::optional<Statement> run_prepared(int shape, const std::vector<std::string>& parameters) {
  const std::string meant = fmt::format("{}: ", shape);
  if (parameters.empty() || !parameters.back().starts_with(meant)) return std::nullopt;
  auto statement = parse_own(View(parameters.back()).substr(meant.size()));
  if (statement && statement->kind != Kind::fail) adapt_to_shape(*statement, shape);
  return statement;
}

// --- what is answered

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
