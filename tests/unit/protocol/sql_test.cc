#include "protocol/sql.h"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

using namespace headgate;
using Kind = StatementKind;

namespace {

std::vector<std::string> parts(View sql, bool standard_conforming_strings = true) {
  std::vector<std::string> texts;
  Statements statements(sql, standard_conforming_strings);
  while (const auto statement = statements.next()) texts.emplace_back(statement->text);
  return texts;
}

StatementKind kind(View sql) { return first_statement(sql).kind; }

struct Row {
  StatementKind kind;
  std::vector<View> texts;
};

using Parts = std::vector<std::string>;

}  // namespace

TEST_CASE("sql: a query is parted at its semicolons, empty statements are left out") {
  CHECK(parts("") == Parts{});
  CHECK(parts(" ; -- nothing\n ;; /* ; */ ") == Parts{});
  CHECK(parts("select 1") == Parts{"select 1"});
  CHECK(parts(" /* a */ select 1 ; ; select 2 -- b\n ;") == Parts{"select 1", "select 2"});
}

TEST_CASE("sql: semicolons in strings, names, comments and parentheses part nothing") {
  CHECK(parts("select ';', \";\", $$;$$ /* ; */; x") == Parts{"select ';', \";\", $$;$$", "x"});
  CHECK(parts("create rule r as on insert to t do (a; b); c") ==
        Parts{"create rule r as on insert to t do (a; b)", "c"});
  CHECK(parts("a); b") == Parts{"a)", "b"});
}

TEST_CASE("sql: without standard_conforming_strings the same text may part otherwise") {
  const View text = R"(select '\'; drop table t; --')";
  CHECK(parts(text) == Parts{R"(select '\')", "drop table t"});
  CHECK(parts(text, false) == Parts{text.data()});
}

TEST_CASE("sql: the body of a routine is a part of its statement") {
  const Parts function{
      "create or replace function f(begin int) returns int begin atomic"
      " select case a when 1 then 2 end as end; insert into t values (1); end",
      "select 2"};
  CHECK(parts(function[0] + "; " + function[1]) == function);
  CHECK(parts("create procedure p() begin atomic end; a") ==
        Parts{"create procedure p() begin atomic end", "a"});
  CHECK(parts("create procedure p() begin atomic ;; end; a").size() == 2);
  CHECK(parts("create function begin() returns int return 1; a").size() == 2);
  CHECK(parts("create procedure p() begin atomic a; b").size() == 1);  // never closed
  CHECK(parts("begin; a; end; create table begin(atomic int); b").size() == 5);
}

TEST_CASE("sql: the kind of a statement") {
  const Row rows[] = {
      {Kind::empty, {"", " ", ";;", "-- x", "/* x */"}},
      {Kind::other,
       {"selec 1", "\"select\" 1", "1", "'a'", "comment on table t is 'x'", "grant r to s", "(",
        "((", "with", "with a", "with a as", "with a as (select 1)", "start", "$$", "(begin)",
        "with a as (select 1) begin", "deallocatex", "se"}},
      {Kind::select,
       {"select 1", "SELECT", "(select 1)", "((select 1) union (values (1)))", "/* x */select"}},
      {Kind::insert, {"insert into t values (1)"}},
      {Kind::update, {"update t set a = 1"}},
      {Kind::delete_rows, {"delete from t"}},
      {Kind::merge, {"merge into t using u on true"}},
      {Kind::values, {"values (1)", "(values (1)) union select 2"}},
      {Kind::table, {"table t"}},
      {Kind::copy, {"copy t from stdin", "copy (select 1) to stdout"}},
      {Kind::truncate, {"truncate t"}},
      {Kind::lock, {"lock t"}},
      {Kind::explain, {"explain select 1", "explain (analyze) delete from t"}},
      {Kind::call, {"call p()"}},
      {Kind::do_block, {"do $$begin end$$"}},
      {Kind::begin,
       {"begin", "BEGIN WORK", "start transaction", "begin isolation level serializable"}},
      {Kind::commit, {"commit", "end", "commit and chain", "commit work"}},
      {Kind::commit_prepared, {"commit prepared 'x'"}},
      {Kind::rollback, {"rollback", "abort", "rollback work", "rollback and no chain"}},
      {Kind::rollback_prepared, {"rollback prepared 'x'"}},
      {Kind::savepoint, {"savepoint s"}},
      {Kind::release, {"release s", "release savepoint s"}},
      {Kind::rollback_to,
       {"rollback to s", "rollback work to savepoint s", "rollback transaction to s"}},
      {Kind::prepare_transaction, {"prepare transaction 'x'"}},
      {Kind::set_transaction,
       {"set transaction read only", "set local transaction read only",
        "set session transaction read only", "set transaction snapshot 'x'"}},
      {Kind::set_constraints, {"set constraints all deferred"}},
      {Kind::set,
       {"set a = 1", "set session a to 1", "set a.b = 1", "set time zone 'UTC'", "set role r",
        "set session authorization x", "set local.a = 1", "set local to 1", "set session = 1",
        "set session characteristics as transaction read only", "set transaction.a to 1",
        "set constraints.a = 1", "set"}},
      {Kind::set_local,
       {"set local a = 1", "SET LOCAL ROLE r", "set local session authorization x",
        "set local a.b to 1"}},
      {Kind::reset, {"reset a", "reset all"}},
      {Kind::show, {"show a", "show transaction isolation level"}},
      {Kind::prepare, {"prepare p as select 1", "prepare transaction as select 1", "prepare"}},
      {Kind::execute, {"execute p(1)"}},
      {Kind::deallocate, {"deallocate p", "deallocate all"}},
      {Kind::discard, {"discard all"}},
      {Kind::listen, {"listen c"}},
      {Kind::unlisten, {"unlisten *"}},
      {Kind::notify, {"notify c, 'x'"}},
      {Kind::load, {"load 'x'"}},
      {Kind::declare_cursor, {"declare c cursor for select 1"}},
      {Kind::fetch, {"fetch 1 from c"}},
      {Kind::move, {"move c"}},
      {Kind::close, {"close c"}},
      {Kind::create, {"create table t()", "create temp table t as select 1"}},
      {Kind::alter, {"alter table t add a int"}},
      {Kind::drop, {"drop table t"}},
      {Kind::vacuum, {"vacuum"}},
      {Kind::analyze, {"analyze t", "analyse"}},
  };
  for (const Row& row : rows) {
    for (const View text : row.texts) {
      CAPTURE(text);
      CHECK(kind(text) == row.kind);
    }
  }
}

TEST_CASE("sql: WITH is looked through to the verb behind it") {
  CHECK(kind("with a as (select 1) select * from a") == Kind::select);
  CHECK(kind("with a as (select 1), b(x) as not materialized (delete from t) insert into t") ==
        Kind::insert);
  CHECK(kind("with recursive a(x) as materialized (select 1) update t set a = 1") == Kind::update);
  CHECK(kind("with a as (select 1) (with b as (select 2) delete from t)") == Kind::delete_rows);
  CHECK(kind("(with a as (select 1) values (1))") == Kind::values);
  CHECK(kind("with a as (select 1) merge into t using u on true") == Kind::merge);
  CHECK(kind("with a as (select 1) table a") == Kind::table);
}

TEST_CASE("sql: names in WITH that are verbs elsewhere mislead nobody") {
  CHECK(kind("with update as (select 1) select 1") == Kind::select);
  CHECK(kind("with recursive as (select 1) select 1") == Kind::select);
  CHECK(kind("with recursive (a) as (select 1) select 1") == Kind::select);
  CHECK(kind("with recursive recursive as (select 1) delete from t") == Kind::delete_rows);
  CHECK(kind("with \"as\" as (select ')') update t set a = 1") == Kind::update);
  CHECK(kind("with recursive a as (select 1) search depth first by delete, x set update"
             " cycle x set insert using merge, b as (select 1) select 1") == Kind::select);
}

TEST_CASE("sql: a reading statement that writes") {
  const auto writes = [](View sql) { return first_statement(sql).writes; };
  CHECK(writes("with a as (insert into t values (1) returning *) select * from a"));
  CHECK(writes("with a as (delete from t returning *) select * from a"));
  CHECK(writes("with a as (update only t set b = 1 returning *) table a"));
  CHECK(writes("with a as (update \"t\" set b = 1 returning *) values (1)"));
  CHECK(writes("with a as (with b as (select 1) delete from t returning 1) select 1"));
  CHECK(writes("select 1 as a into t"));
  CHECK(writes("select * into temp t from u"));
  CHECK_FALSE(writes("select 1"));
  CHECK_FALSE(writes("select 1 as into, t.into from t"));
  CHECK_FALSE(writes("select max(update), (delete), update + 1 from t"));
  CHECK_FALSE(writes("select 'insert into t', \"into\" -- into t"));
  CHECK_FALSE(writes("select * from t for update"));
  CHECK_FALSE(writes("select * from t for update of t"));
  CHECK_FALSE(writes("select 1; insert into t values (1)"));
}

TEST_CASE("sql: a reading statement that locks rows") {
  const auto locks = [](View sql) { return first_statement(sql).locks_rows; };
  CHECK(locks("select * from t for update"));
  CHECK(locks("select * from t FOR NO KEY UPDATE nowait"));
  CHECK(locks("select * from t for share of t"));
  CHECK(locks("select * from (select 1 from t for key share) x"));
  CHECK_FALSE(locks("select * from t"));
  CHECK_FALSE(locks("select substring(a for 2) from update"));
  CHECK_FALSE(locks("select 1 as \"for\" update"));
}

TEST_CASE("sql: only reading statements are said to write or lock") {
  const SqlStatement statement = first_statement("insert into t select * from u for update");
  CHECK_FALSE(statement.writes);
  CHECK_FALSE(statement.locks_rows);
}

TEST_CASE("sql: a statement with something unclosed is broken, and the last one") {
  Statements statements("select 1; select 'open; select 2");
  CHECK_FALSE(statements.next()->broken);
  const auto last = statements.next();
  CHECK(last->broken);
  CHECK(last->kind == Kind::select);
  CHECK(last->text == "select 'open; select 2");
  CHECK_FALSE(statements.next());
  CHECK_FALSE(statements.next());
}

TEST_CASE("sql: hostile depth costs neither stack nor memory") {
  const auto repeated = [](View piece, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += piece;
    return all;
  };
  CHECK(kind(repeated("(", 300000) + "select 1") == Kind::select);
  CHECK(kind(repeated("with a as (select 1) ", 100000) + "select 1") == Kind::select);
  CHECK(kind(repeated("(with a as ", 100000)) == Kind::other);
  CHECK(kind(repeated("/*", 300000)) == Kind::other);
}

TEST_CASE("sql: whatever the words, statements lie in order in the text and come to an end") {
  const char* words[] = {"with ",     "recursive ", "a ",       "as ",          "(",
                         ")",         ";",          ",",        "select ",      "update ",
                         "create ",   "or ",        "replace ", "function ",    "begin ",
                         "atomic ",   "end ",       "'",        "set ",         "local ",
                         "search ",   "cycle ",     "using ",   "not ",         "materialized ",
                         "rollback ", "to ",        "prepare ", "transaction ", "for ",
                         "into ",     "$$",         "--\n"};
  for (unsigned seed = 0; seed < 20000; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    std::string sql;
    for (size_t left = random() % 20; left > 0; --left) sql += words[random() % std::size(words)];
    Statements statements(sql);
    size_t end = 0;
    while (const auto statement = statements.next()) {
      REQUIRE(statement->kind != Kind::empty);
      REQUIRE_FALSE(statement->text.empty());
      const auto start = static_cast<size_t>(statement->text.data() - sql.data());
      REQUIRE(start >= end);
      end = start + statement->text.size();
      REQUIRE(end <= sql.size());
    }
  }
}
