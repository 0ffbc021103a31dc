#include "protocol/sql.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace headgate {

namespace {

using enum StatementKind;

struct Verb {
  View word;
  StatementKind kind;
};

// Sorted. Verbs of several kinds have the plainest here.
constexpr Verb verbs[] = {
    {"abort", rollback},
    {"alter", alter},
    {"analyse", analyze},
    {"analyze", analyze},
    {"begin", begin},
    {"call", call},
    {"close", close},
    {"commit", commit},
    {"copy", copy},
    {"create", create},
    {"deallocate", deallocate},
    {"declare", declare_cursor},
    {"delete", delete_rows},
    {"discard", discard},
    {"do", do_block},
    {"drop", drop},
    {"end", commit},
    {"execute", execute},
    {"explain", explain},
    {"fetch", fetch},
    {"insert", insert},
    {"listen", listen},
    {"load", load},
    {"lock", lock},
    {"merge", merge},
    {"move", move},
    {"notify", notify},
    {"prepare", prepare},
    {"release", release},
    {"reset", reset},
    {"rollback", rollback},
    {"savepoint", savepoint},
    {"select", select},
    {"set", set},
    {"show", show},
    {"start", begin},
    {"table", table},
    {"truncate", truncate},
    {"unlisten", unlisten},
    {"update", update},
    {"vacuum", vacuum},
    {"values", values},
};
static_assert(std::is_sorted(std::begin(verbs), std::end(verbs),
                             [](const Verb& a, const Verb& b) { return a.word < b.word; }));

// Three-way comparison of a word, in any case, with one in lower case.
int compare(View word, View lower_case) {
  const size_t common = std::min(word.size(), lower_case.size());
  for (size_t i = 0; i < common; ++i) {
    const char c = word[i] >= 'A' && word[i] <= 'Z' ? static_cast<char>(word[i] | 0x20) : word[i];
    if (c != lower_case[i]) return c < lower_case[i] ? -1 : 1;
  }
  return word.size() < lower_case.size() ? -1 : word.size() > lower_case.size();
}

StatementKind kind_of_verb(const Token& token) {
  if (token.kind != TokenKind::word) return other;
  const auto* verb =
      std::lower_bound(std::begin(verbs), std::end(verbs), token.text,
                       [](const Verb& verb, View word) { return compare(word, verb.word) > 0; });
  return verb != std::end(verbs) && same_word(token.text, verb->word) ? verb->kind : other;
}

bool is_reading(StatementKind kind) { return kind == select || kind == values || kind == table; }

bool is_writing(StatementKind kind) {
  return kind == insert || kind == update || kind == delete_rows || kind == merge;
}

// What follows the name of a setting; a word before it is that name, whatever else it can mean.
bool follows_setting(const Token& token) {
  return token.is('.') || token.is("to") || (token.kind == TokenKind::op && token.text == "=");
}

}  // namespace

std::optional<SqlStatement> Statements::next() {
  while (!text_ended_) {
    start_statement();
    const Token first = take();
    if (ended_) continue;
    SqlStatement statement;
    statement.kind = kind_from(first);
    while (!ended_) take();
    statement.text = text_;
    statement.writes = writes_ && is_reading(statement.kind);
    statement.locks_rows = locks_rows_ && is_reading(statement.kind);
    statement.broken = broken_;
    return statement;
  }
  return std::nullopt;
}

void Statements::start_statement() {
  text_ = {};
  last_ = {};
  depth_ = 0;
  ended_ = false;
  routine_ = Routine::unknown;
  hint_ = Hint::none;
  writes_ = locks_rows_ = broken_ = false;
}

bool Statements::parts(const Token& token) const {
  return token.is(';') && depth_ == 0 && routine_ != Routine::part && routine_ != Routine::in_part;
}

// The next token of the statement; `end` where it ends.
Token Statements::take() {
  if (ended_) return {};
  const Token token = scanner_.next();
  text_ended_ = token.kind == TokenKind::end;
  ended_ = text_ended_ || parts(token);
  if (ended_) return {};
  const char* from = text_.empty() ? token.text.data() : text_.data();
  text_ = View(from, static_cast<size_t>(token.text.data() + token.text.size() - from));
  broken_ = broken_ || token.kind == TokenKind::broken;
  follow_routine(token);
  follow_hints(token);
  if (token.is('(')) ++depth_;
  if (token.is(')') && depth_ > 0) --depth_;
  last_ = token;
  return token;
}

// A body ends with an END in the place of a statement; every other END closes a CASE, or is a name.
void Statements::follow_routine(const Token& token) {
  switch (routine_) {
    case Routine::none:
      break;
    case Routine::unknown:
      routine_ = token.is("create") ? Routine::create : Routine::none;
      break;
    case Routine::create:
      routine_ = token.is("function") || token.is("procedure") ? Routine::header
                 : token.is("or")                              ? Routine::create_or
                                                               : Routine::none;
      break;
    case Routine::create_or:
      routine_ = token.is("replace") ? Routine::create : Routine::none;
      break;
    case Routine::header:
      if (depth_ == 0 && token.is("begin")) routine_ = Routine::begin;
      break;
    case Routine::begin:
      routine_ = token.is("atomic") ? Routine::part : Routine::header;
      break;
    case Routine::part:
      if (!token.is(';')) routine_ = token.is("end") ? Routine::none : Routine::in_part;
      break;
    case Routine::in_part:
      if (depth_ == 0 && token.is(';')) routine_ = Routine::part;
      break;
  }
}

// What makes a reading statement write or lock. In doubt it does: a column may be called "update",
// and then what is behind it decides.
void Statements::follow_hints(const Token& token) {
  const Hint hint = std::exchange(hint_, Hint::none);
  if (token.kind != TokenKind::word && token.kind != TokenKind::quoted_name) return;
  switch (hint) {
    case Hint::none:
      break;
    case Hint::locking_for:
      if (token.is("update") || token.is("share")) {
        locks_rows_ = true;
        return;
      }
      if (token.is("no") || token.is("key")) {
        hint_ = hint;
        return;
      }
      break;  // FOR was a name, and this may be INTO
    case Hint::updating:
      writes_ = true;
      return;
    case Hint::deleting:
      writes_ = writes_ || token.is("from");
      break;
  }
  if (token.is("for")) {
    hint_ = Hint::locking_for;
  } else if (token.is("into")) {  // of SELECT, or INSERT and MERGE in parentheses
    writes_ = writes_ || !(last_.is("as") || last_.is('.'));
  } else if (token.is("update")) {
    if (!last_.is("do")) hint_ = Hint::updating;  // DO UPDATE is a part of INSERT
  } else if (token.is("delete")) {
    hint_ = Hint::deleting;
  }
}

StatementKind Statements::kind_from(Token token) {
  bool plain = true;  // neither in parentheses nor behind WITH, where only rows can be dealt with
  for (; token.is('(') || token.is("with"); plain = false) {
    token = token.is('(') ? take() : take_behind_with();
  }
  const StatementKind kind = kind_of_verb(token);
  if (!plain && !is_reading(kind) && !is_writing(kind)) return other;
  switch (kind) {
    case begin:
      return token.is("begin") || take().is("transaction") ? begin : other;
    case commit:
      return take().is("prepared") ? commit_prepared : commit;
    case rollback:
      return kind_of_rollback();
    case prepare:
      return take().is("transaction") && take().kind == TokenKind::string ? prepare_transaction
                                                                          : prepare;
    case set:
      return kind_of_set();
    default:
      return kind;
  }
}

StatementKind Statements::kind_of_rollback() {
  Token token = take();
  if (token.is("prepared")) return rollback_prepared;
  if (token.is("work") || token.is("transaction")) token = take();
  return token.is("to") ? rollback_to : rollback;
}

StatementKind Statements::kind_of_set() {
  Token token = take();
  Token behind = take();
  StatementKind kind = set;
  if ((token.is("local") || token.is("session")) && !follows_setting(behind)) {
    if (token.is("local")) kind = set_local;
    token = behind;
    behind = take();
  }
  if (follows_setting(behind)) return kind;
  if (token.is("transaction")) return set_transaction;
  if (token.is("constraints")) return set_constraints;
  return kind;
}

// WITH [RECURSIVE] name [(columns)] AS [[NOT] MATERIALIZED] (query) [SEARCH ...] [CYCLE ...], ...
// Returns the token behind all that, or the one that does not fit in.
Token Statements::take_behind_with() {
  const Token name = take();
  Token token = take();
  if (name.is("recursive") && !token.is("as") && !token.is('(')) token = take();
  while (true) {
    if (token.is('(')) token = take_behind_parentheses();
    if (!token.is("as")) return token;
    token = take();
    if (token.is("not")) token = take();
    if (token.is("materialized")) token = take();
    if (!token.is('(')) return token;
    token = take_behind_parentheses();
    if (token.is("search")) token = take_behind("set");
    if (token.is("cycle")) token = take_behind("using");
    if (!token.is(',')) return token;
    take();  // the next one's name
    token = take();
  }
}

// The opening one has been taken.
Token Statements::take_behind_parentheses() {
  const size_t outside = depth_ - 1;
  while (!ended_ && depth_ > outside) take();
  return take();
}

// Behind the keyword and the name that follows it.
Token Statements::take_behind(View keyword) {
  while (!ended_ && !take().is(keyword)) {
  }
  take();
  return take();
}

SqlStatement first_statement(View sql, bool standard_conforming_strings) {
  return Statements(sql, standard_conforming_strings).next().value_or(SqlStatement{});
}

}  // namespace headgate
