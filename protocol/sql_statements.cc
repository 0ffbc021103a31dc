#include "protocol/sql_statements.h"

#include <algorithm>
#include <utility>

#include "protocol/session_marks.h"
#include "protocol/session_sql.h"
#include "protocol/sql.h"

namespace headgate {

namespace {

const SqlStatements& contents(const SqlStatementsPtr& statements) {
  static const SqlStatements none;
  return statements ? *statements : none;
}

/// As another has it already, if that is the same.
SqlStatementsPtr shared(SqlStatements statements, const SqlStatementsPtr& other) {
  if (statements.empty()) return nullptr;
  if (other && *other == statements) return other;
  return std::make_shared<const SqlStatements>(std::move(statements));
}

bool has_room(const SqlStatements& statements, View name, View text) {
  size_t bytes = name.size() + text.size();
  for (const auto& [other, sql] : statements) bytes += other.size() + sql.size();
  return statements.size() < ServerSqlStatements::max_statements &&
         bytes <= ServerSqlStatements::max_bytes;
}

}  // namespace

// A backslash means one thing or another by the settings of its session. The semicolon of a query
// that is nothing else is kept, so that pg_prepared_statements shows the same wherever it is made.
std::optional<std::string> prepare_of(View query, View name) {
  if (query.find('\\') != View::npos) return std::nullopt;
  std::optional<std::string> found;
  bool alone = true;
  Statements statements(query);
  for (size_t others = 0; const auto statement = statements.next(); ++others) {
    alone = others == 0;
    if (statement->kind != StatementKind::prepare) continue;
    const SessionMarks marks = session_marks(statement->text);
    if (marks.statements.empty() || marks.statements.front() != name) continue;
    if (found || statement->broken) return std::nullopt;
    found = std::string(statement->text);
  }
  if (found && alone && query.ends_with(';')) found->push_back(';');
  return found;
}

std::string deallocate_sql(View name) {
  std::string sql = "DEALLOCATE \"";
  for (const char c : name) {
    if (c == '"') sql.push_back(c);
    sql.push_back(c);
  }
  return sql + '"';
}

// --- the server goes to a client

ServerSqlStatements::Difference ServerSqlStatements::adopt(const SqlStatementsPtr& wanted) {
  if (has_ == wanted && unknown_.empty()) return {};
  Difference difference;
  const SqlStatements& has = contents(has_);
  const SqlStatements& wants = contents(wanted);
  const auto same = [&](const SqlStatements& in, const auto& statement) {
    const auto found = in.find(statement.first);
    return found != in.end() && found->second == statement.second &&
           !unknown_.contains(statement.first);
  };
  difference.dropped.assign(unknown_.begin(), unknown_.end());
  for (const auto& statement : has) {
    if (unknown_.contains(statement.first) || same(wants, statement)) continue;
    difference.dropped.push_back(statement.first);
  }
  for (const auto& statement : wants) {
    if (!same(has, statement)) difference.made.insert(statement);
  }
  has_ = wanted;
  unknown_.clear();
  return difference;
}

void ServerSqlStatements::not_made(View name) {
  if (!has_ || !has_->contains(name)) return;
  SqlStatements rest = *has_;
  rest.erase(rest.find(name));
  has_ = shared(std::move(rest), nullptr);
}

// --- what is sent to it

bool ServerSqlStatements::touch(std::string name) {
  if (unknown_.size() >= max_unknown) return false;
  unknown_.insert(std::move(name));
  return true;
}

void ServerSqlStatements::touch_all() {
  unknown_.insert(asked_.begin(), asked_.end());
  for (const auto& [name, text] : contents(has_)) unknown_.insert(name);
}

void ServerSqlStatements::encoding_changed() {
  for (const auto& [name, text] : contents(has_)) {
    if (!is_ascii(text)) unknown_.insert(name);
  }
}

bool ServerSqlStatements::has(View name) const {
  const auto found = contents(has_).find(name);
  return found != contents(has_).end() && found->second != stand_in_text &&
         !unknown_.contains(name) && std::ranges::find(asked_, name) == asked_.end();
}

bool ServerSqlStatements::may_have(View name) const {
  return has(name) || unknown_.contains(name) || std::ranges::find(asked_, name) != asked_.end();
}

bool ServerSqlStatements::may_have_stand_in(View name) const {
  return may_have(name) || contents(has_).contains(name);
}

// --- the transaction is over

std::vector<std::string> ServerSqlStatements::question() {
  asked_.assign(unknown_.begin(), unknown_.end());
  unknown_.clear();
  const size_t most = std::min(max_query, max_answer / std::max<size_t>(asked_.size(), 1));
  std::vector<std::string> columns;
  for (const std::string& name : asked_) {
    columns.push_back(
        "(SELECT CASE WHEN pg_catalog.octet_length(statement) OPERATOR(pg_catalog.<) " +
        std::to_string(most) +
        " THEN statement ELSE '' END FROM pg_catalog.pg_prepared_statements WHERE name "
        "OPERATOR(pg_catalog.=) " +
        quote_dollar(name) + ")");
  }
  return columns;
}

std::string ServerSqlStatements::all_others() const {
  std::string names;
  const auto add = [&](View name) { names += (names.empty() ? "" : ",") + quote_dollar(name); };
  for (const std::string& name : asked_) add(name);
  for (const auto& [name, text] : contents(has_)) add(name);
  return names.empty() ? names : " AND name OPERATOR(pg_catalog.<>) ALL(ARRAY[" + names + "])";
}

// A stand-in is the server's alone: it goes where the two are compared next.
bool ServerSqlStatements::answered(std::span<const std::optional<View>> cells,
                                   SqlStatementsPtr& of_client) {
  SqlStatements here = contents(has_), own = contents(of_client);
  for (const std::string& name : asked_) {
    here.erase(name);
    own.erase(name);
  }
  bool all = true;
  for (size_t i = 0; i < asked_.size(); ++i) {
    const std::string& name = asked_[i];
    if (!cells[i]) continue;
    if (*cells[i] == stand_in_text) {
      here.emplace(name, stand_in_text);
      continue;
    }
    auto text = prepare_of(*cells[i], name);
    if (!text || !has_room(own, name, *text)) {
      all = false;
      continue;
    }
    here.emplace(name, *text);
    own.emplace(name, std::move(*text));
  }
  asked_.clear();
  of_client = shared(std::move(own), of_client);
  has_ = shared(std::move(here), of_client);
  return all;
}

void ServerSqlStatements::question_failed(bool again) {
  if (again) unknown_.insert(asked_.begin(), asked_.end());
  asked_.clear();
}

void ServerSqlStatements::client_left() {
  unknown_.clear();
  asked_.clear();
}

void ServerSqlStatements::clear() {
  has_ = nullptr;
  client_left();
}

}  // namespace headgate
