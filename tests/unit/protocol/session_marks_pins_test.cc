// What the words of a text say of what cannot go from server to server, or only in a way of its
// own: locks, temporary things, cursors, libraries, channels and statements.
#include <doctest/doctest.h>

#include <string>

#include "protocol/session_marks.h"
#include "tests/unit/protocol/session_marks_rig.h"

using namespace headgate;

TEST_CASE("session marks: session locks pin until they are unlocked") {
  for (const View sql :
       {"select pg_advisory_lock(1)", "select pg_catalog.pg_try_advisory_lock(1, 2)",
        "select PG_ADVISORY_LOCK_SHARED(1)",
        "select pg_try_advisory_lock_shared(1) from t limit 1"}) {
    CAPTURE(sql);
    CHECK(begins(sql) == Pin::advisory_lock);
    CHECK(may_have_marks(sql));
  }
  for (const View sql : {"select pg_advisory_unlock(1)", "select pg_advisory_unlock_shared(1, 2)",
                         "select pg_advisory_unlock_all()"}) {
    CAPTURE(sql);
    CHECK_FALSE(begins(sql).any());
    CHECK(ends(sql) == Pin::advisory_lock);
  }
  CHECK_FALSE(has_marks("select pg_advisory_xact_lock(1), pg_try_advisory_xact_lock_shared(2)"));
}

TEST_CASE("session marks: what is temporary pins until something is dropped") {
  for (const View sql :
       {"create temp table t (a int)", "create local temporary table t ()",
        "create table pg_temp.t ()", "create table \"pg_temp\".t ()", "create table pg_temp_3.t ()",
        "create temp view v as select 1", "create temporary sequence s",
        "create function pg_temp.f() returns int return 1", "create type pg_temp.e as enum ()",
        "select 1 into temp t", "select * into temporary table t from u",
        "with a as (select 1) select * into temp t from a", "create temp table t as execute p",
        "explain analyze create temp table t as select 1",
        "explain (analyze) create table pg_temp.t as select 1"}) {
    CAPTURE(sql);
    CHECK(begins(sql) == Pin::temporary);
    CHECK(may_have_marks(sql));
  }
  CHECK(ends("drop table t") == Pin::temporary);
  CHECK_FALSE(has_marks("select temp from weather"));
  CHECK_FALSE(has_marks("create table t (a int)"));
}

TEST_CASE("session marks: cursors, channels and libraries pin") {
  CHECK(begins("declare c cursor with hold for select 1") == Pin::cursor);
  CHECK_FALSE(has_marks("declare c cursor for select 1"));
  CHECK(ends("close c") == Pin::cursor);
  CHECK(ends("close all") == Pin::cursor);
  CHECK(begins("listen c") == Pin::listen);
  CHECK(begins("LISTEN \"c\"") == Pin::listen);
  CHECK(ends("unlisten *") == Pin::listen);
  CHECK(session_marks("load 'auto_explain'").loads);
  CHECK_FALSE(has_marks("notify c, 'x'"));
  CHECK_FALSE(has_marks("prepare transaction 'x'"));
}

// --- channels

TEST_CASE("session marks: channels are told by the names that the server knows them by") {
  const auto listens = [](View sql) { return session_marks(sql).listens; };
  CHECK(listens("LISTEN News;") == Names{"news"});
  CHECK(listens("listen \"New\"\"s\"") == Names{"New\"s"});
  CHECK(listens("listen/**/a; LISTEN b -- c\n; listen a") == Names{"a", "b"});
  CHECK(listens("listen U&\"a\"").empty());
  CHECK(listens("listen").empty());
  CHECK(listens("do $$ begin execute 'listen x'; end $$") == Names{"x"});
  CHECK(listens("listen " + std::string(70, 'A')) == Names{std::string(63, 'a')});
  CHECK(listens("listen \"" + std::string(62, 'a') + "\u00e9\"") == Names{std::string(62, 'a')});
  const SessionMarks marks = session_marks("unlisten A; unlisten b");
  CHECK(marks.unlistens == Names{"a", "b"});
  CHECK_FALSE(marks.unlistens_all);
  CHECK(session_marks("unlisten *").unlistens_all);
  CHECK(session_marks("unlisten *").unlistens.empty());
}

TEST_CASE("session marks: a text that begins with LISTEN is known at a glance") {
  CHECK(begins_with_listen("LISTEN a"));
  CHECK(begins_with_listen(" \n\tlisten\"a\""));
  for (const View sql : {"", "lis", "select 1; listen a", "/* */ listen a"}) {
    CHECK_FALSE(begins_with_listen(sql));
  }
}

// --- statements of PREPARE

TEST_CASE("session marks: statements of PREPARE and DEALLOCATE are told by PostgreSQL's names") {
  const auto statements = [](View sql) { return session_marks(sql).statements; };
  CHECK(statements("prepare p as select 1") == Names{"p"});
  CHECK(statements("PREPARE Big (text) AS SELECT f($1)") == Names{"big"});
  CHECK(statements("prepare \"Big \"\"one\"\"\" as select 1") == Names{"Big \"one\""});
  CHECK(statements("deallocate p") == Names{"p"});
  CHECK(statements("deallocate prepare P; prepare q as select 1; deallocate q") == Names{"p", "q"});
  CHECK(statements("deallocate prepare") == Names{"prepare"});
  CHECK(statements("deallocate \"all\"") == Names{"all"});
  CHECK(statements("prepare " + std::string(80, 'n') + " as select 1") ==
        Names{std::string(63, 'n')});
  CHECK(statements("do $$ begin execute 'deallocate p'; execute 'prepare q as select 1'; end $$") ==
        Names{"p", "q"});
  CHECK_FALSE(begins("prepare p as select 1").any());
  CHECK(ends("deallocate p") == Pin::prepared);  // if it pins
  CHECK(statements("execute p").empty());
}

TEST_CASE("session marks: a statement whose name only the server knows pins, or may be any") {
  for (const View sql : {"prepare U&\"p\" as select 1", "prepare \"p\xc3\xa4\" as select 1"}) {
    CHECK(begins(sql) == Pin::prepared);
    CHECK(session_marks(sql).statements.empty());
  }
  for (const View sql : {"deallocate all", "deallocate prepare all", "deallocate U&\"p\"",
                         "deallocate p\xc3\xa4", "discard all"}) {
    CHECK(session_marks(sql).forgets_statements);
    CHECK(session_marks(sql).statements.empty());
  }
  CHECK_FALSE(session_marks("deallocate \"all\"").forgets_statements);
  std::string many;
  for (int n = 0; n <= 200; ++n) many += "prepare p" + std::to_string(n) + " as select 1;";
  CHECK(begins(many) == Pin::setting);
}

TEST_CASE("session marks: a text that is one PREPARE or DEALLOCATE is known as that") {
  CHECK(session_marks("prepare p as select 1").only_prepares);
  CHECK(session_marks("/* x */ DEALLOCATE p ;").only_deallocates);
  CHECK(session_marks("SAVEPOINT a;DEALLOCATE \"p\";RELEASE a").only_deallocates);
  CHECK_FALSE(session_marks("savepoint a; prepare p as select 1; release a").only_prepares);
  CHECK_FALSE(session_marks("prepare p as select 1").only_deallocates);
  for (const View sql : {"deallocate p; select 1", "select 1; deallocate p", "deallocate all",
                         "do 'begin execute $x$deallocate p$x$; end'", "deallocate",
                         "deallocate p; select '\\'; select '", "savepoint a; execute p; release a",
                         "savepoint a; deallocate p; execute p; release a"}) {
    CHECK_FALSE(session_marks(sql).only_deallocates);
    CHECK_FALSE(session_marks(sql).only_prepares);
  }
}

TEST_CASE("session marks: a prepared statement that sets something may set it at each EXECUTE") {
  CHECK(begins("prepare p as select set_config('app.x', $1, false)") == Pin::setting);
  CHECK(begins("prepare p as select pg_advisory_lock(1)") == Pin::setting);
  CHECK(settings("prepare p as select set_config('app.x', $1, false)").empty());
  CHECK(opaque("execute p(1)"));
  CHECK_FALSE(has_marks("execute p(1)"));
}
