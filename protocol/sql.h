// What a statement is: cuts the text of a simple query into statements and tells the kind of each,
// by its first words. It knows words, not grammar: what PostgreSQL would refuse gets some kind, and
// a kind is never a promise that the statement is well-formed.
//
//   Statements statements("BEGIN; SELECT 1");
//   while (auto statement = statements.next()) ...
//
// It allocates nothing; what it lends lives as long as the text. For the encodings in which the
// text can be read, see protocol/sql_scanner.h.
#pragma once

#include <optional>

#include "protocol/sql_scanner.h"

namespace headgate {

/// By the verb, WITH looked through to the one behind it. Words in brackets are optional.
enum class StatementKind : uint8_t {
  empty,  // nothing but white space, comments and semicolons
  other,  // nothing below: COMMENT, GRANT, REINDEX, a typing error ...
  // reading and writing
  select,
  insert,
  update,
  delete_rows,  // DELETE
  merge,
  values,
  table,  // TABLE name, which is SELECT * FROM name
  copy,
  truncate,
  lock,
  explain,
  call,
  do_block,  // DO
  // transactions
  begin,   // BEGIN, START TRANSACTION
  commit,  // COMMIT, END
  commit_prepared,
  rollback,  // ROLLBACK, ABORT
  rollback_prepared,
  savepoint,
  release,
  rollback_to,
  prepare_transaction,
  set_transaction,  // SET [LOCAL] TRANSACTION
  set_constraints,
  // the session
  set,  // SET [SESSION], with SET ROLE, TIME ZONE, SESSION AUTHORIZATION, SESSION CHARACTERISTICS
        // ...
  set_local,
  reset,
  show,
  prepare,
  execute,
  deallocate,
  discard,
  listen,
  unlisten,
  notify,
  load,
  // cursors
  declare_cursor,
  fetch,
  move,
  close,
  // the schema
  create,
  alter,
  drop,
  vacuum,
  analyze,
};

struct SqlStatement {
  /// From its first token to its last, without the semicolon.
  View text;
  StatementKind kind = StatementKind::empty;
  /// A select, values or table that writes all the same: a part of its WITH inserts, updates,
  /// deletes or merges, or it is SELECT INTO. (Said in doubt, too, as where columns have such
  /// names.)
  bool writes = false;
  /// It locks the rows it reads: SELECT ... FOR UPDATE, FOR SHARE and their like.
  bool locks_rows = false;
  /// A string, name or comment in it is not closed: the server will refuse the whole query.
  bool broken = false;
};

/// The statements of a simple query, one by one; empty ones are left out. Semicolons inside of
/// parentheses (CREATE RULE) and of a routine's BEGIN ATOMIC ... END part nothing.
class Statements {
 public:
  explicit Statements(View sql, bool standard_conforming_strings = true)
      : scanner_(sql, standard_conforming_strings) {}

  /// The next statement, or nothing at the end of the text.
  std::optional<SqlStatement> next();

 private:
  // How much has been seen of CREATE [OR REPLACE] FUNCTION|PROCEDURE ... BEGIN ATOMIC ... END.
  enum class Routine : uint8_t { unknown, none, create, create_or, header, begin, part, in_part };
  // A word whose meaning the next one shows.
  enum class Hint : uint8_t { none, locking_for, updating, deleting };

  void start_statement();
  bool parts(const Token& token) const;
  Token take();
  Token take_behind_parentheses();
  Token take_behind(View keyword);
  Token take_behind_with();
  void follow_routine(const Token& token);
  void follow_hints(const Token& token);

  StatementKind kind_from(Token token);
  StatementKind kind_of_set();
  StatementKind kind_of_rollback();

  SqlScanner scanner_;
  bool text_ended_ = false;
  // Of the statement at hand:
  View text_;
  Token last_;
  size_t depth_ = 0;  // of parentheses
  bool ended_ = false;
  Routine routine_ = Routine::unknown;
  Hint hint_ = Hint::none;
  bool writes_ = false;
  bool locks_rows_ = false;
  bool broken_ = false;
};

/// The only, or first, statement of a text, as in Parse. Kind `empty` if there is none.
SqlStatement first_statement(View sql, bool standard_conforming_strings = true);

}  // namespace headgate
