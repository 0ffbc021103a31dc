#include "protocol/sql_statements.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "protocol/session_state.h"
#include "protocol/statements.h"

using namespace headgate;

namespace {

using Row = std::vector<std::optional<View>>;
using Names = std::vector<std::string>;

/// One server and its client, as long as these are together.
struct Together {
  ClientSession client;
  ServerSession server;

  void send(View sql) { server.sent(session_marks(sql)); }
  /// It is sent, and the server answers the question behind it.
  void send(View sql, const Row& row) {
    send(sql);
    server.question();
    server.answered(row, client);
  }
  SqlStatements own() const { return client.statements() ? *client.statements() : SqlStatements(); }
};

SqlStatementsPtr have(SqlStatements statements) {
  return std::make_shared<const SqlStatements>(std::move(statements));
}

ServerSqlStatements server_of(const SqlStatementsPtr& statements) {
  ServerSqlStatements server;
  server.adopt(statements);
  return server;
}

size_t count(View text, View part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != View::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("sql statements: the one PREPARE of a name is taken out of its query") {
  CHECK(prepare_of("PREPARE p AS SELECT 1", "p") == "PREPARE p AS SELECT 1");
  CHECK(prepare_of("PREPARE p AS SELECT 1;", "p") == "PREPARE p AS SELECT 1;");
  CHECK(prepare_of("PREPARE p AS SELECT 1; -- that;", "p") == "PREPARE p AS SELECT 1;");
  CHECK(prepare_of("select ';'; prepare P(int) as select $1 /* ; */ + 1 ; select 2", "p") ==
        "prepare P(int) as select $1 /* ; */ + 1");
  CHECK(prepare_of("prepare p as select 1; prepare \"P\" as select 2", "P") ==
        "prepare \"P\" as select 2");
}

TEST_CASE("sql statements: what another session may read otherwise is not taken") {
  CHECK_FALSE(prepare_of("prepare p as select 1", "q"));
  CHECK_FALSE(prepare_of("prepare p as select 1; prepare p as select 2", "p"));
  CHECK_FALSE(prepare_of("prepare p as select 'a\\b'", "p"));
  CHECK_FALSE(prepare_of("prepare p as select 'open", "p"));
  CHECK_FALSE(prepare_of("do $$ begin execute 'prepare p as select 1'; end $$", "p"));
  CHECK_FALSE(prepare_of("", "p"));
}

TEST_CASE("sql statements: a name is quoted") {
  CHECK(deallocate_sql("a \"b\"; c") == "DEALLOCATE \"a \"\"b\"\"; c\"");
}

TEST_CASE("sql statements: a server gets the difference between two clients") {
  const auto one = have({{"a", "1"}, {"b", "2"}, {"c", "3"}});
  const auto other = have({{"b", "2"}, {"c", "4"}, {"d", "5"}});
  ServerSqlStatements server = server_of(one);
  CHECK(server.adopt(one).dropped.empty());
  CHECK(server.adopt(have(*one)).made.empty());  // the same, remembered elsewhere
  const auto difference = server.adopt(other);
  CHECK(difference.dropped == Names{"a", "c"});
  CHECK(difference.made == SqlStatements{{"c", "4"}, {"d", "5"}});
  CHECK(server.adopt(nullptr).dropped == Names{"b", "c", "d"});
  CHECK_FALSE(server.any());
}

TEST_CASE("sql statements: what could not be made is made again where the client comes next") {
  const auto own = have({{"a", "1"}, {"gone", "2"}});
  ServerSqlStatements server = server_of(own);
  server.not_made("gone");
  server.not_made("nobody's");
  CHECK(server.has("a"));
  CHECK_FALSE(server.has("gone"));
  const auto again = server.adopt(own);
  CHECK(again.dropped.empty());
  CHECK(again.made == SqlStatements{{"gone", "2"}});
}

TEST_CASE("sql statements: texts in another encoding are said again") {
  const auto own = have({{"a", "select 'a'"}, {"b", "select '\xe4'"}});
  ServerSqlStatements server = server_of(own);
  server.encoding_changed();
  const auto difference = server.adopt(own);
  CHECK(difference.dropped == Names{"b"});
  CHECK(difference.made.size() == 1);
}

TEST_CASE("sql statements: what was made is the client's when the server says so") {
  Together both;
  both.send("select 1");
  CHECK_FALSE(both.server.must_ask());
  both.send("execute p");
  CHECK_FALSE(both.server.must_ask());
  both.send("prepare p as select 1", Row{"prepare p as select 1"});
  CHECK(both.own() == SqlStatements{{"p", "prepare p as select 1"}});
  CHECK(both.server.statements().has("p"));
  CHECK_FALSE(both.server.pins().any());
  CHECK(both.server.adopt_statements(both.client).made.empty());
  const SqlStatementsPtr before = both.client.statements();
  both.send("prepare p as select 2", Row{"prepare p as select 1"});  // it was refused
  CHECK(both.client.statements() == before);
  both.send("prepare q as select 2", Row{std::nullopt});
  CHECK(both.client.statements() == before);
  both.send("deallocate p", Row{std::nullopt, std::nullopt});
  CHECK(both.own().size() == 1);  // a row of another size says nothing
  both.server.question();
  both.server.answered(Row{std::nullopt}, both.client);
  CHECK_FALSE(both.client.statements());
  CHECK_FALSE(both.server.changed());
}

TEST_CASE("sql statements: all that are known are asked for when all are forgotten") {
  Together both;
  both.send("prepare p as select 1; prepare q as select 1",
            Row{"prepare p as select 1", "prepare q as select 1"});
  both.send("prepare r as select 1");
  both.server.question();
  both.send("deallocate all");  // behind the question
  both.server.answered(Row{"prepare r as select 1"}, both.client);
  CHECK(both.own().size() == 3);
  CHECK(count(both.server.question(), "pg_prepared_statements") == 3);
  both.server.answered(Row{std::nullopt, std::nullopt, std::nullopt}, both.client);
  CHECK(both.own().empty());
}

TEST_CASE("sql statements: DISCARD ALL forgets them") {
  Together both;
  both.send("prepare p as select 1", Row{"prepare p as select 1"});
  both.send("discard all");
  both.server.discarded(&both.client, false);
  CHECK(both.own().empty());
  CHECK_FALSE(both.server.must_ask());
  both.send("prepare p as select 1", Row{"prepare p as select 1"});
  both.server.discarded(&both.client, true);  // and something else was sent behind it
  CHECK(both.server.must_ask());
}

TEST_CASE("sql statements: a stand-in that was left is nobody's, and dropped") {
  Together both;
  both.send("deallocate p", Row{stand_in_text});
  CHECK(both.own().empty());
  CHECK_FALSE(both.server.pins().any());
  CHECK_FALSE(both.server.statements().has("p"));
  CHECK_FALSE(both.server.statements().may_have("p"));
  CHECK(both.server.adopt_statements(both.client).dropped == Names{"p"});
}

TEST_CASE("sql statements: one that cannot be carried keeps its client until it is dropped") {
  Together both;
  both.send("prepare a as select 1", Row{"prepare a as select 1"});
  for (const View text :
       {"", "prepare p as select '\\'", "prepare p as select 1; prepare p as x"}) {
    both.send("prepare p as select 1", Row{text});
    CHECK(both.server.pins() == Pin::prepared);
    CHECK(both.own().size() == 1);
    both.send("deallocate b", Row{std::nullopt, "t"});
    CHECK(both.server.pins() == Pin::prepared);
    both.send("deallocate p");
    const std::string question = both.server.question();
    CHECK(count(question, "ALL(ARRAY[$h$p$h$,$h$a$h$])") == 1);  // those are no reason to stay
    both.server.answered(Row{std::nullopt, "f"}, both.client);
    CHECK_FALSE(both.server.pins().any());
    CHECK(both.own().size() == 1);
  }
}

TEST_CASE("sql statements: one that is dropped before it is known does not keep its client") {
  Together both;
  both.send("prepare p as select '\\'");
  both.server.question();
  both.send("deallocate p");  // behind the question
  both.server.answered(Row{"prepare p as select '\\'"}, both.client);
  CHECK(both.server.pins() == Pin::prepared);
  both.server.question();
  both.server.answered(Row{std::nullopt, "f"}, both.client);
  CHECK_FALSE(both.server.pins().any());
}

TEST_CASE("sql statements: more than a client may carry keep it where it is") {
  Together both;
  std::vector<std::string> texts;
  const auto make = [&](const std::string& name, size_t size) {
    texts.push_back("prepare " + name + " as select '" + std::string(size, 'x') + "'");
    both.send(texts.back(), Row{View(texts.back())});
  };
  for (size_t n = 0; n < ServerSqlStatements::max_statements; ++n) make("p" + std::to_string(n), 1);
  CHECK_FALSE(both.server.pins().any());
  make("one_more", 1);
  CHECK(both.server.pins() == Pin::prepared);
  CHECK(both.own().size() == ServerSqlStatements::max_statements);

  both = Together();
  for (int n = 0; n < 6; ++n) make("q" + std::to_string(n), 10 * 1024);
  CHECK_FALSE(both.server.pins().any());
  make("one_more", 10 * 1024);
  CHECK(both.server.pins() == Pin::prepared);
}

TEST_CASE("sql statements: a question has an end") {
  Together both;
  for (size_t n = 0; n <= ServerSqlStatements::max_unknown; ++n) {
    both.send("deallocate p" + std::to_string(n));
  }
  CHECK(both.server.pins() == Pin::setting);
  const std::string question = both.server.question();
  CHECK(count(question, "THEN statement") == ServerSqlStatements::max_unknown);
  const size_t each = ServerSqlStatements::max_answer / ServerSqlStatements::max_unknown;
  CHECK(question.find(std::to_string(each) + " THEN") != std::string::npos);
}

TEST_CASE("sql statements: an answer that does not come keeps the client where it is") {
  Together both;
  both.send("prepare p as select 1");
  for (int turn = 0; turn < 5; ++turn) {
    REQUIRE(both.server.must_ask());
    both.server.question();
    both.server.question_failed();
  }
  CHECK_FALSE(both.server.must_ask());
  CHECK(both.server.pins() == Pin::prepared);
}

TEST_CASE("sql statements: a client that leaves before it is known what it made is known by that") {
  Together both;
  both.send("prepare p as select 1", Row{"prepare p as select 1"});
  CHECK_FALSE(both.server.client_left());  // the next client's difference drops it
  both.send("prepare q as select 1");
  CHECK(both.server.client_left());
}

TEST_CASE("sql statements: names of Headgate's own are never asked for as the client's") {
  Together both;
  both.send("prepare " + std::string(statement_prefix) + "5 as select 1");
  CHECK_FALSE(both.server.statements().may_have(std::string(statement_prefix) + "5"));
  CHECK(count(both.server.question(), "EXISTS(SELECT FROM pg_catalog.pg_prepared_statements") == 1);
}
