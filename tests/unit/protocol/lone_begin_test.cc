#include "protocol/lone_begin.h"

#include <doctest/doctest.h>
#include <pg_query.h>

#include <random>
#include <string>
#include <vector>

using namespace headgate;

namespace {

LoneStatement is(View sql) { return lone_statement(sql); }

/// What PostgreSQL's own parser takes the text for.
LoneStatement of_postgres(const std::string& sql) {
  const PgQueryParseResult result = pg_query_parse(sql.c_str());
  const std::string tree = result.error != nullptr ? "" : result.parse_tree;
  pg_query_free_parse_result(result);
  const auto says = [&](View what) { return tree.find(what) != std::string::npos; };
  const size_t first = tree.find(R"("stmt":)");
  const bool is_lone =
      first != std::string::npos && tree.find(R"("stmt":)", first + 1) == View::npos;
  if (!is_lone || !says(R"("TransactionStmt")") || says(R"("chain":true)")) {
    return LoneStatement::other;
  }
  if (says(R"("TRANS_STMT_BEGIN")")) return LoneStatement::begin;
  if (says(R"("TRANS_STMT_START")")) return LoneStatement::start_transaction;
  if (says(R"("TRANS_STMT_COMMIT")")) return LoneStatement::commit;
  if (says(R"("TRANS_STMT_ROLLBACK")")) return LoneStatement::rollback;
  return LoneStatement::other;
}

}  // namespace

TEST_CASE("lone begin: what opens a transaction, in many spellings") {
  const View texts[] = {
      "BEGIN",
      "begin",
      "Begin;",
      "BEGIN ; ;",
      " \t\r\n\fBEGIN \n",
      "BEGIN WORK",
      "BEGIN TRANSACTION",
      "BEGIN ISOLATION LEVEL SERIALIZABLE",
      "BEGIN ISOLATION LEVEL REPEATABLE READ",
      "BEGIN ISOLATION LEVEL READ COMMITTED",
      "BEGIN ISOLATION LEVEL READ UNCOMMITTED;",
      "BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE",
      "BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE",
      "BEGIN READ WRITE NOT DEFERRABLE",
      "BEGIN READ ONLY, READ WRITE READ ONLY",
      "BEGIN NOT DEFERRABLE , DEFERRABLE",
      "/* app */ BEGIN -- now",
      "-- app\nBEGIN/* /* nested */ */READ/**/ONLY",
      "BEGIN;-- sqlcommenter",
  };
  for (const View text : texts) {
    CAPTURE(text);
    CHECK(is(text) == LoneStatement::begin);
    CHECK(of_postgres(std::string(text)) == LoneStatement::begin);
  }
  CHECK(is("START TRANSACTION") == LoneStatement::start_transaction);
  CHECK(is("start transaction read only;") == LoneStatement::start_transaction);
}

TEST_CASE("lone begin: what ends a transaction") {
  for (const View text : {"COMMIT", "commit work", "COMMIT TRANSACTION;", "END", "end work -- x"}) {
    CAPTURE(text);
    CHECK(is(text) == LoneStatement::commit);
  }
  for (const View text : {"ROLLBACK", "rollback work", "ABORT", "ABORT TRANSACTION ;"}) {
    CAPTURE(text);
    CHECK(is(text) == LoneStatement::rollback);
  }
}

TEST_CASE("lone begin: what is anything else goes to a server") {
  const View texts[] = {
      "",
      ";",
      ";BEGIN",
      "-- BEGIN",
      "/* BEGIN */",
      "/* BEGIN",
      "BEGIN /* /* */",
      "BEGIN '",
      "BEGIN \"",
      "BEGIN $$",
      "BEGIN; DROP TABLE t",
      "BEGIN; BEGIN",
      "BEGIN; SELECT 1; COMMIT",
      "BEGIN COMMIT",
      "BEGIN ATOMIC",
      "BEGIN WORK TRANSACTION",
      "BEGIN ISOLATION",
      "BEGIN ISOLATION LEVEL",
      "BEGIN ISOLATION LEVEL REPEATABLE",
      "BEGIN ISOLATION LEVEL READ",
      "BEGIN ISOLATION LEVEL READ ONLY",
      "BEGIN ISOLATION LEVEL SNAPSHOT",
      "BEGIN ISOLATION SERIALIZABLE",
      "BEGIN READ",
      "BEGIN WRITE",
      "BEGIN READ ONLY,",
      "BEGIN , READ ONLY",
      "BEGIN READ ONLY,, DEFERRABLE",
      "BEGIN READ ONLY,;",
      "BEGIN NOT",
      "BEGIN NOT READ ONLY",
      "BEGIN 1",
      "BEGIN1",
      "BEGIN$1",
      "BEGIN_",
      "BEGIN()",
      "BEGIN.",
      "BEGIN \\",
      "(BEGIN)",
      "\"BEGIN\"",
      "U&\"BEGIN\"",
      "BEGIN \"READ\" ONLY",
      "EXPLAIN BEGIN",
      "START",
      "START WORK",
      "START TRANSACTION WORK",
      "START TRANSACTION TRANSACTION",
      "COMMIT AND CHAIN",
      "COMMIT AND NO CHAIN",
      "COMMIT PREPARED 'x'",
      "COMMIT READ ONLY",
      "ROLLBACK TO s",
      "ROLLBACK TO SAVEPOINT s",
      "ROLLBACK AND CHAIN",
      "ROLLBACK PREPARED 'x'",
      "END IF",
      "PREPARE TRANSACTION 'x'",
      "SAVEPOINT s",
      "SET TRANSACTION READ ONLY",
      "SELECT 1",
      "BEGIN\v",            // white space since PostgreSQL 16
      "BEGIN -- \xc3\xa4",  // in some encoding
      "\357\273\277BEGIN",  // behind a byte order mark
      "BEGIN\xa0",          // a blank in some encodings
      View("BEGIN\0", 6),
      View("BEGIN\0; DROP TABLE t", 20),
  };
  for (const View text : texts) {
    CAPTURE(text);
    CHECK(is(text) == LoneStatement::other);
  }
}

TEST_CASE("lone begin: nobody reads long texts") {
  std::string text = "BEGIN";
  text.resize(max_lone_statement, ' ');
  CHECK(is(text) == LoneStatement::begin);
  text.push_back(' ');
  CHECK(is(text) == LoneStatement::other);
  text.resize(1024 * 1024, ' ');
  CHECK(is(text) == LoneStatement::other);
}

TEST_CASE("lone begin: whatever is taken for one PostgreSQL takes for the same") {
  const std::vector<std::string> words = {"BEGIN",
                                          "begin",
                                          "START",
                                          "TRANSACTION",
                                          "WORK",
                                          "COMMIT",
                                          "END",
                                          "ROLLBACK",
                                          "ABORT",
                                          "ISOLATION",
                                          "LEVEL",
                                          "READ",
                                          "ONLY",
                                          "WRITE",
                                          "COMMITTED",
                                          "UNCOMMITTED",
                                          "REPEATABLE",
                                          "SERIALIZABLE",
                                          "NOT",
                                          "DEFERRABLE",
                                          "AND",
                                          "CHAIN",
                                          "ISOLATION LEVEL",
                                          "READ ONLY",
                                          ",",
                                          ";",
                                          "--x\n",
                                          "/* y */",
                                          "/*",
                                          "'",
                                          "x",
                                          "1"};
  std::minstd_rand dice(4711);
  int taken = 0, agreed = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string text = words[dice() % 9];
    for (auto more = dice() % 7; more > 0; --more) {
      if (dice() % 10 > 0) text += " ";
      text += words[dice() % words.size()];
    }
    const LoneStatement ours = is(text), theirs = of_postgres(text);
    CAPTURE(text);
    if (ours != LoneStatement::other) {
      ++taken;
      CHECK(ours == theirs);
    }
    if (theirs != LoneStatement::other && text.find("AND") == std::string::npos) {
      ++agreed;
      CHECK(ours == theirs);
    }
  }
  CHECK(taken > 1000);
  CHECK(agreed == taken);
}

TEST_CASE("lone begin: the command that is told") {
  CHECK(command_of(LoneStatement::begin) == "BEGIN");
  CHECK(command_of(LoneStatement::start_transaction) == "START TRANSACTION");
  CHECK(command_of(is("END")) == "COMMIT");
  CHECK(command_of(is("ABORT")) == "ROLLBACK");
}

TEST_CASE("lone begin: what a transaction says of its access") {
  for (const View sql : {"BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION"}) {
    CHECK(access_of(sql) == Access::as_usual);
  }
  for (const View sql : {"BEGIN READ ONLY", "begin work read only;",
                         "START TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY",
                         "BEGIN READ WRITE READ ONLY"}) {
    CHECK(access_of(sql) == Access::read_only);
  }
  for (const View sql :
       {"BEGIN READ WRITE", "BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY",
        "BEGIN READ ONLY, ISOLATION LEVEL SERIALIZABLE", "BEGIN READ ONLY READ WRITE"}) {
    CHECK(access_of(sql) == Access::primary);
  }
}
