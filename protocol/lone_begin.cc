#include "protocol/lone_begin.h"

#include "protocol/sql_scanner.h"

namespace headgate {

namespace {

/// Takes the words of one statement, one by one.
class Words {
 public:
  explicit Words(View sql) : scanner_(sql) { advance(); }

  bool take(View keyword) { return take_if(token_.is(keyword)); }
  bool take_symbol(char symbol) { return take_if(token_.is(symbol)); }
  bool at_end() const { return token_.kind == TokenKind::end; }

 private:
  bool take_if(bool there) {
    if (there) advance();
    return there;
  }
  void advance() { token_ = scanner_.next(); }

  SqlScanner scanner_;
  Token token_;
};

LoneStatement take_verb(Words& words) {
  if (words.take("begin")) return LoneStatement::begin;
  if (words.take("commit") || words.take("end")) return LoneStatement::commit;
  if (words.take("rollback") || words.take("abort")) return LoneStatement::rollback;
  const bool starts = words.take("start") && words.take("transaction");
  return starts ? LoneStatement::start_transaction : LoneStatement::other;
}

bool take_isolation(Words& words) {
  if (words.take("serializable")) return true;
  if (words.take("repeatable")) return words.take("read");
  return words.take("read") && (words.take("committed") || words.take("uncommitted"));
}

bool take_mode(Words& words) {
  if (words.take("isolation")) return words.take("level") && take_isolation(words);
  if (words.take("read")) return words.take("only") || words.take("write");
  if (words.take("not")) return words.take("deferrable");
  return words.take("deferrable");
}

/// The modes of a transaction, with commas between them or not. False: that is none.
bool take_modes(Words& words) {
  bool behind_comma = false;
  while (behind_comma || !(words.at_end() || words.take_symbol(';'))) {
    if (!take_mode(words)) return false;
    behind_comma = words.take_symbol(',');
  }
  return true;
}

}  // namespace

LoneStatement lone_statement(View sql) {
  // A vertical tab is white space for some versions of PostgreSQL only.
  const bool plain = is_ascii(sql) && sql.find_first_of(View("\v\0", 2)) == View::npos;
  if (sql.size() > max_lone_statement || !plain) return LoneStatement::other;
  Words words(sql);
  const LoneStatement statement = take_verb(words);
  if (statement == LoneStatement::other) return statement;
  if (statement != LoneStatement::start_transaction && !words.take("work")) {
    words.take("transaction");
  }
  if (opens_transaction(statement) && !take_modes(words)) return LoneStatement::other;
  while (words.take_symbol(';')) {
  }
  return words.at_end() ? statement : LoneStatement::other;
}

Access access_of(View begin) {
  Access access = Access::as_usual;
  SqlScanner scanner(begin);
  for (Token token = scanner.next(); token.kind != TokenKind::end; token = scanner.next()) {
    if (token.is("serializable")) return Access::primary;
    if (token.is("only")) access = Access::read_only;
    if (token.is("write")) access = Access::primary;
  }
  return access;
}

View command_of(LoneStatement statement) {
  switch (statement) {
    case LoneStatement::begin:
      return "BEGIN";
    case LoneStatement::start_transaction:
      return "START TRANSACTION";
    case LoneStatement::commit:
      return "COMMIT";
    case LoneStatement::rollback:
      return "ROLLBACK";
    case LoneStatement::other:
      break;
  }
  return "";
}

}  // namespace headgate
