#include "protocol/read_verdict.h"

#include <algorithm>
#include <iterator>

#include "protocol/catalog_functions.h"
#include "protocol/session_marks.h"
#include "protocol/sql.h"
#include "protocol/sql_names.h"

namespace headgate {

namespace {

using enum StatementKind;

struct Command {
  StatementKind kind;
  NoRead reason;
  View word;
};

constexpr Command commands[] = {
    {insert, NoRead::writes, "INSERT"},
    {update, NoRead::writes, "UPDATE"},
    {delete_rows, NoRead::writes, "DELETE"},
    {merge, NoRead::writes, "MERGE"},
    {truncate, NoRead::writes, "TRUNCATE"},
    {create, NoRead::writes, "CREATE"},
    {alter, NoRead::writes, "ALTER"},
    {drop, NoRead::writes, "DROP"},
    {vacuum, NoRead::writes, "VACUUM"},
    {analyze, NoRead::writes, "ANALYZE"},
    {begin, NoRead::transaction, "BEGIN"},
    {commit, NoRead::transaction, "COMMIT"},
    {commit_prepared, NoRead::transaction, "COMMIT PREPARED"},
    {rollback, NoRead::transaction, "ROLLBACK"},
    {rollback_prepared, NoRead::transaction, "ROLLBACK PREPARED"},
    {savepoint, NoRead::transaction, "SAVEPOINT"},
    {release, NoRead::transaction, "RELEASE"},
    {rollback_to, NoRead::transaction, "ROLLBACK TO"},
    {prepare_transaction, NoRead::transaction, "PREPARE TRANSACTION"},
    {set_transaction, NoRead::transaction, "SET TRANSACTION"},
    {set_constraints, NoRead::transaction, "SET CONSTRAINTS"},
    {set, NoRead::session, "SET"},
    {set_local, NoRead::session, "SET LOCAL"},
    {reset, NoRead::session, "RESET"},
    {show, NoRead::session, "SHOW"},
    {prepare, NoRead::session, "PREPARE"},
    {execute, NoRead::session, "EXECUTE"},
    {deallocate, NoRead::session, "DEALLOCATE"},
    {discard, NoRead::session, "DISCARD"},
    {listen, NoRead::session, "LISTEN"},
    {unlisten, NoRead::session, "UNLISTEN"},
    {load, NoRead::session, "LOAD"},
    {declare_cursor, NoRead::session, "DECLARE"},
    {fetch, NoRead::session, "FETCH"},
    {move, NoRead::session, "MOVE"},
    {close, NoRead::session, "CLOSE"},
    {notify, NoRead::command, "NOTIFY"},
    {copy, NoRead::command, "COPY"},
    {lock, NoRead::command, "LOCK"},
    {call, NoRead::command, "CALL"},
    {do_block, NoRead::command, "DO"},
};

// What makes a query write, by the word that is in it.
struct WritingWord {
  View word, detail;
};
constexpr WritingWord writing_words[] = {{"insert", "INSERT in WITH"},
                                         {"update", "UPDATE in WITH"},
                                         {"delete", "DELETE in WITH"},
                                         {"merge", "MERGE in WITH"},
                                         {"into", "SELECT INTO"}};

View writing_detail(View query) {
  SqlScanner scanner(query);
  for (Token token = scanner.next(); token.kind != TokenKind::end; token = scanner.next()) {
    for (const WritingWord& each : writing_words) {
      if (token.is(each.word)) return each.detail;
    }
  }
  return {};
}

/// Whether strings end at the same places with standard_conforming_strings off. The session's
/// setting may be on its way, and a verdict is kept for all sessions.
bool is_read_one_way(View sql) {
  if (sql.find('\\') == View::npos) return true;
  SqlScanner standard(sql, true), other(sql, false);
  while (true) {
    const Token token = standard.next();
    if (other.next().text.size() != token.text.size()) return false;
    if (token.kind == TokenKind::end) return true;
  }
}

/// As SQL writes it, the letters of a word in lower case.
std::string written(const Token& token) {
  return token.kind == TokenKind::word ? lower_case(token.text) : std::string(token.text);
}

bool is_name(const Token& token) {
  return token.kind == TokenKind::word || token.kind == TokenKind::quoted_name;
}

bool is_query(StatementKind kind) { return kind == select || kind == values || kind == table; }

bool begins_query(const Token& token) {
  return token.is('(') || token.is("with") || token.is("select") || token.is("values") ||
         token.is("table");
}

// EXPLAIN [ANALYZE] [VERBOSE] query, or EXPLAIN (option [value], ...) query, where the query may
// begin with a parenthesis, too. Returns the query; empty if it would be run.
View explained(View text) {
  SqlScanner scanner(text);
  scanner.next();  // EXPLAIN
  Token token = scanner.next();
  SqlScanner behind = scanner;
  bool in_options = token.is('(') && !begins_query(behind.next());
  while (in_options || token.is("analyze") || token.is("analyse") || token.is("verbose")) {
    const bool may_analyze = token.kind == TokenKind::quoted_name || token.is("analyze") ||
                             token.is("analyse") || token.kind == TokenKind::end;
    if (may_analyze) return {};
    in_options = in_options && !token.is(')');
    token = scanner.next();
  }
  return text.substr(static_cast<size_t>(token.text.data() - text.data()));
}

class Judge {
 public:
  Judge(ReadVerdict& verdict, const UserFunctions* functions)
      : verdict_(verdict), functions_(functions) {}

  void statement(const SqlStatement& statement);
  /// Whether no later statement can change the verdict.
  bool decided() const { return verdict_.reason > NoRead::unknown_function; }

 private:
  void against(NoRead reason, View detail = {});
  void query(const SqlStatement& statement);
  void explain(View text);
  void name(const SqlName& name);
  void call(const SqlName& name, View function);
  std::optional<bool> own_reads(const SqlName& name, View function) const;

  ReadVerdict& verdict_;
  const UserFunctions* functions_;
};

void Judge::against(NoRead reason, View detail) {
  verdict_.reason = reason;
  verdict_.detail = detail;
}

void Judge::statement(const SqlStatement& statement) {
  if (statement.broken) return against(NoRead::broken);
  if (is_query(statement.kind)) return query(statement);
  if (statement.kind == StatementKind::explain) return explain(statement.text);
  const auto command = std::ranges::find(commands, statement.kind, &Command::kind);
  if (command == std::end(commands)) return against(NoRead::command);
  against(command->reason, command->word);
}

void Judge::query(const SqlStatement& statement) {
  if (statement.writes) return against(NoRead::writes, writing_detail(statement.text));
  if (statement.locks_rows) return against(NoRead::locks_rows);
  SqlNames names(statement.text);
  while (const auto next = names.next()) {
    name(*next);
    if (decided()) return;
  }
}

void Judge::explain(View text) {
  const View inner = explained(text);
  if (inner.empty()) return against(NoRead::explains_run);
  const SqlStatement statement = first_statement(inner);
  if (!is_query(statement.kind)) return against(NoRead::command, "EXPLAIN of no query");
  query(statement);
}

void Judge::name(const SqlName& name) {
  const bool is_quoted = name.token.kind == TokenKind::quoted_name;
  if (is_quoted && name.token.text[0] != '"') return against(NoRead::hidden_name);
  const CatalogName catalog_name(name.token);
  const View found = primary_name(catalog_name.text());
  if (!found.empty()) return against(NoRead::names, found);
  if (name.is_call) call(name, catalog_name.text());
}

// Where a schema cannot be told, it may be any.
std::optional<bool> Judge::own_reads(const SqlName& name, View function) const {
  if (!functions_) return std::nullopt;
  const bool has_schema = is_name(name.schema);
  const CatalogName schema(has_schema ? name.schema : Token());
  return functions_->reads(has_schema ? std::optional(schema.text()) : std::nullopt, function);
}

void Judge::call(const SqlName& name, View function) {
  const bool has_schema = name.schema.kind != TokenKind::end;
  const auto own = own_reads(name, function);
  const bool own_writes = own && !*own;  // one that stands in front of PostgreSQL's, perhaps
  if (!own_writes && (!has_schema || CatalogName(name.schema).text() == "pg_catalog")) {
    if (is_reading_function(function)) return;
    const View found = primary_function(function);
    if (!found.empty()) return against(NoRead::calls, found);
  }
  if (has_schema && !is_name(name.schema)) return against(NoRead::hidden_name);
  if (own.value_or(false)) return;
  std::string written_name = written(name.token);
  if (has_schema) written_name.insert(0, written(name.schema) + ".");
  std::vector<std::string>& unknown = verdict_.unknown_functions;
  if (own_writes) {
    unknown.push_back(std::move(written_name));
    return against(NoRead::calls_own);
  }
  if (std::ranges::find(unknown, written_name) != unknown.end()) return;
  if (unknown.size() == max_unknown_functions) return against(NoRead::many_functions);
  unknown.push_back(std::move(written_name));
  verdict_.reason = NoRead::unknown_function;
}

View words_for(NoRead reason) {
  switch (reason) {
    case NoRead::nothing:
      return "plain read";
    case NoRead::unknown_function:
      return "calls functions that are not known";
    case NoRead::empty:
      return "no statement";
    case NoRead::too_long:
      return "too long to be looked at";
    case NoRead::broken:
      return "a string, name or comment is not closed";
    case NoRead::backslash:
      return "a backslash that standard_conforming_strings gives its meaning";
    case NoRead::hidden_name:
      return "a name that cannot be told";
    case NoRead::writes:
      return "writes";
    case NoRead::locks_rows:
      return "SELECT ... FOR UPDATE or FOR SHARE";
    case NoRead::transaction:
      return "transaction";
    case NoRead::session:
      return "session state";
    case NoRead::command:
      return "not a query";
    case NoRead::explains_run:
      return "EXPLAIN ANALYZE";
    case NoRead::calls_own:
    case NoRead::calls:
      return "calls";
    case NoRead::names:
      return "names";
    case NoRead::many_functions:
      return "calls too many functions that are not known";
  }
  return {};
}

}  // namespace

ReadVerdict read_verdict(View sql, const UserFunctions* functions) {
  ReadVerdict verdict;
  if (sql.size() > max_judged_text || !is_read_one_way(sql)) {
    verdict.reason = sql.size() > max_judged_text ? NoRead::too_long : NoRead::backslash;
    return verdict;
  }
  Judge judge(verdict, functions);
  Statements statements(sql);
  size_t number = 0;
  while (const auto statement = statements.next()) {
    ++number;
    judge.statement(*statement);
    if (!judge.decided()) continue;
    verdict.statement = number;
    return verdict;
  }
  if (number == 0) verdict.reason = NoRead::empty;
  return verdict;
}

bool has_several_statements(View sql) {
  const size_t end = sql.find(';');
  return end != View::npos && sql.find_first_not_of("; \t\r\n", end) != View::npos;
}

bool only_session(View sql, const ReadVerdict& verdict) {
  if (verdict.reason != NoRead::session || has_several_statements(sql)) return false;
  return verdict.detail == "SET" || verdict.detail == "RESET" || verdict.detail == "SHOW";
}

std::string to_text(const ReadVerdict& verdict) {
  std::string text;
  if (verdict.statement > 1) text = "statement " + std::to_string(verdict.statement) + ": ";
  text += words_for(verdict.reason);
  if (verdict.reason == NoRead::calls_own) return text + " " + verdict.unknown_functions.back();
  if (verdict.detail.empty()) return text;
  const bool is_name = verdict.reason == NoRead::calls || verdict.reason == NoRead::names;
  return text.append(is_name ? " " : ": ").append(verdict.detail);
}

}  // namespace headgate
