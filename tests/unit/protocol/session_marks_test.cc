#include "protocol/session_marks.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/unit/protocol/session_marks_rig.h"

using namespace headgate;

// --- SET

TEST_CASE("session marks: a setting that is set is named in lower case") {
  for (const View sql :
       {"set app.tenant = 'x'", "SET App.Tenant TO 'x'", "set session app.tenant = x",
        "SET SESSION \"app\".tenant TO 1", "set \"App\".\"TENANT\" = on", "set app . tenant = x",
        "/* a */ set -- b\n app.tenant /* c */ = x;", "set app.tenant from current",
        "set app.tenant = 'a', 'b'", "set app.tenant=-1"}) {
    CAPTURE(sql);
    CHECK(settings(sql) == Names{"app.tenant"});
    CHECK(settings_reset(sql).empty());
    CHECK(may_have_marks(sql));
  }
  CHECK(settings("set work_mem = '1MB'") == Names{"work_mem"});
  CHECK(settings("set a.b.c = 1") == Names{"a.b.c"});
  CHECK(settings("set \"a \"\" b\" = 1") == Names{"a \" b"});
}

TEST_CASE("session marks: words of SET that are names of settings all the same") {
  CHECK(settings("set session = 1") == Names{"session"});
  CHECK(settings("set session.x = 1") == Names{"session.x"});
  CHECK(settings("set session to 1") == Names{"session"});
  CHECK(settings("set local.x = 1") == Names{"local.x"});
  CHECK(settings("set time.zone = 1") == Names{"time.zone"});
  CHECK(settings("set names = 1") == Names{"names"});
  CHECK(settings("set role = 'x'") == Names{"role"});
  CHECK(settings("set role to x") == Names{"role"});
  CHECK(settings("set session role = x") == Names{"role"});
}

TEST_CASE("session marks: the special forms of SET are settings too") {
  const std::pair<View, Names> rows[] = {
      {"set role reader", {"role"}},
      {"set session role 'reader'", {"role"}},
      {"set role none", {"role"}},
      {"set session authorization joe", {"role", "session_authorization"}},
      {"set session session authorization joe", {"role", "session_authorization"}},
      {"set session authorization default", {"role", "session_authorization"}},
      {"set session_authorization = joe", {"role", "session_authorization"}},
      {"set time zone 'UTC'", {"timezone"}},
      {"set session time zone local", {"timezone"}},
      {"set time zone interval '1' hour to minute", {"timezone"}},
      {"set names 'LATIN1'", {"client_encoding"}},
      {"set names", {"client_encoding"}},
      {"set schema 'x'", {"search_path"}},
      {"set xml option document", {"xmloption"}},
      {"set session characteristics as transaction read only",
       {"default_transaction_isolation", "default_transaction_read_only",
        "default_transaction_deferrable"}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.first);
    CHECK(settings(row.first) == row.second);
    CHECK(may_have_marks(row.first));
  }
}

TEST_CASE("session marks: what ends with its transaction leaves nothing") {
  for (const View sql :
       {"set local app.tenant = x", "SET LOCAL role x", "set local time zone 'UTC'",
        "set local session authorization joe", "set transaction read only",
        "set session transaction read only", "set local transaction isolation level serializable",
        "set transaction snapshot '1'", "set constraints all deferred",
        "set transaction_isolation = 'serializable'", "set transaction_read_only to on",
        "set session transaction_deferrable = on", "reset transaction isolation level",
        "reset transaction_read_only", "set seed to 0.5", "set seed = 0.5"}) {
    CAPTURE(sql);
    CHECK_FALSE(has_marks(sql));
  }
}

TEST_CASE("session marks: a name that cannot be known, or that the server would cut, pins") {
  const std::string longest(63, 'n'), longer(64, 'n');
  CHECK(begins("set U&\"\\0061pp\".x = 1") == Pin::setting);
  CHECK(begins("set app.U&\"x\" = 1") == Pin::setting);
  CHECK(begins("reset U&\"x\"") == Pin::setting);
  CHECK(settings("set app." + longest + " = 1") == Names{"app." + longest});
  CHECK(begins("set app." + longer + " = 1") == Pin::setting);
  CHECK(begins("set " + longer + ".x = 1") == Pin::setting);
  CHECK(begins("reset app." + longer) == Pin::setting);
  CHECK(settings("select set_config('app." + longer + "', '', false)") == Names{"app." + longer});
}

TEST_CASE("session marks: what is not SQL does no harm") {
  for (const View sql : {"set",
                         "reset",
                         "discard",
                         "set session",
                         "set local",
                         "set =",
                         "set 1",
                         "set 'x'",
                         "set x.",
                         "set .",
                         "reset .",
                         "set_config(",
                         "select set_config",
                         "select set_config(",
                         "select set_config()",
                         "select set_config(,,)",
                         "do",
                         "do '",
                         "prepare",
                         "load",
                         "listen",
                         "declare",
                         "create",
                         "'",
                         "\"",
                         "$$",
                         "select \"set_config(",
                         "set app.\"",
                         "\xff\xfe",
                         ";;;",
                         "/*",
                         "--"}) {
    CAPTURE(sql);
    session_marks(sql);
    session_marks(sql, false);
    may_have_marks(sql);
  }
}

// --- RESET and DISCARD

TEST_CASE("session marks: a setting that is reset may be at its default") {
  for (const View sql : {"reset app.x", "set app.x to default", "set session app.x = DEFAULT",
                         "set app.x = 1; reset app.x"}) {
    CAPTURE(sql);
    CHECK(settings(sql) == Names{"app.x"});
    CHECK(settings_reset(sql) == Names{"app.x"});
  }
  CHECK(settings_reset("set app.x = \"default\"").empty());
  CHECK(settings_reset("reset role") == Names{"role"});
  CHECK(settings_reset("reset time zone") == Names{"timezone"});
  CHECK(settings_reset("set time zone default") == Names{"timezone"});
  CHECK(settings_reset("reset session authorization") == Names{"role", "session_authorization"});
  CHECK(settings_reset("reset schema") == Names{"search_path"});
}

TEST_CASE("session marks: what is set behind a RESET is not at its default") {
  CHECK(settings_reset("reset app.x; set app.x = 1").empty());
  CHECK(settings_reset("reset all; set app.x = 1").empty());
  CHECK(session_marks("reset all; set app.x = 1").every_setting);
  CHECK(settings_reset("set app.x = 1; set role a; reset all; set app.y = 2") == Names{"app.x"});
  CHECK(settings_reset("reset app.x; set app.x = 1; reset app.x") == Names{"app.x"});
}

TEST_CASE("session marks: RESET ALL and DISCARD") {
  CHECK(session_marks("reset all").every_setting);
  CHECK_FALSE(session_marks("reset \"all\"").every_setting);
  CHECK(settings("reset \"all\"") == Names{"all"});
  CHECK(session_marks("discard all").discards);
  CHECK_FALSE(session_marks("discard plans").discards);
  CHECK_FALSE(session_marks("discard plans").any());
  CHECK(ends("discard temp") == Pin::temporary);
  CHECK(ends("DISCARD TEMPORARY") == Pin::temporary);
}

// --- set_config

TEST_CASE("session marks: set_config names its setting, however its arguments are written") {
  for (const View sql : {
           "select set_config('app.x', 'y', false)",
           "SELECT SET_CONFIG('APP.X', 'y', FALSE)",
           "select pg_catalog.set_config('app.x', 'y', false)",
           "select pg_catalog . \"set_config\" ('app.x', 'y', false)",
           "select set_config('app.x'::text, 'y', false)",
           "select set_config('app.x'::TEXT, 'y', $1)",
           "select set_config($$app.x$$, 'y', false)",
           "select set_config($q$app.x$q$, 'y', false)",
           "select set_config(/* a */ 'app.x' /* b */, 'y', f(1, (2), array[3, 4]))",
           "select 1 from t where set_config('app.x', (select max(a) from t), b) = c",
           "select * from set_config('app.x', 'y', 'false')",
           "insert into t values (set_config('app.x', 'y', 'f'))",
           "with a as (select set_config('app.x', 'y', false)) select 1",
           "values (set_config('app.x', 'y', null))",
           "copy (select set_config('app.x', 'y', false)) to stdout",
           "explain analyze select set_config('app.x', 'y', false)",
           "declare c cursor for select set_config('app.x', 'y', false)",
           "create table t as select set_config('app.x', 'y', false)",
           "create table t as select set_config('app.x', 'y', false) as \"function\"",
           "create table function_t as select set_config('app.x', 'y', false) as procedure",
           "begin; select set_config('app.x', 'y', false)",
           "call p(set_config('app.x', 'y', false))",
           "select f(set_config('app.x', 'y', is_local => true))",
           "select set_config('app.x', 'y', \"true\")",
           "select set_config('app.x', 'y', not true)",
       }) {
    CAPTURE(sql);
    CHECK(settings(sql) == Names{"app.x"});
    CHECK_FALSE(begins(sql).any());
    CHECK(may_have_marks(sql));
  }
  CHECK(settings("select set_config('it''s', '', false)") == Names{"it's"});
  CHECK(settings("select set_config('a.b', '', false), set_config('c.d', '', false)") ==
        Names{"a.b", "c.d"});
  CHECK(settings("select set_config('a.b', set_config('c.d', '', false), false)") ==
        Names{"a.b", "c.d"});
  CHECK(settings("select set_config('session_authorization', 'joe', false)") ==
        Names{"role", "session_authorization"});
}

TEST_CASE("session marks: set_config for its transaction leaves nothing") {
  CHECK_FALSE(has_marks("select set_config('app.x', 'y', true)"));
  CHECK_FALSE(has_marks("select set_config('app.x', 'y', TRUE)"));
  CHECK_FALSE(has_marks("select set_config($1, $2, true)"));
  CHECK_FALSE(has_marks("select set_config('transaction_read_only', 'on', false)"));
}

TEST_CASE("session marks: a setting named by a parameter is told by its number") {
  CHECK(session_marks("select set_config($1, $2, $3)").named_by == std::vector<uint16_t>{1});
  CHECK(session_marks("select set_config($2::text, $1, false)").named_by ==
        std::vector<uint16_t>{2});
  CHECK(session_marks("select set_config($7, '', false), set_config($65535, '', false)").named_by ==
        std::vector<uint16_t>{7, 65535});
  for (const View sql : {"select set_config($0, '', false)", "select set_config($65536, '', false)",
                         "select set_config($9999999999, '', false)"}) {
    CAPTURE(sql);
    CHECK(begins(sql) == Pin::setting);
  }
}

TEST_CASE("session marks: a setting whose name is computed pins") {
  for (const View sql :
       {"select set_config('app.' || 'x', 'y', false)", "select set_config(a, b, c) from t",
        "select set_config(setting_name => 'app.x', new_value => 'y', is_local => false)",
        "select set_config(is_local => false, new_value => 'y', setting_name => 'app.x')",
        "select set_config(new_value => 'y', setting_name => 'app.x', is_local => true)",
        "select set_config(('app.x'), 'y', false)", "select set_config(E'app.\\x78', 'y', false)",
        "select set_config(U&'app.x', 'y', false)", "select set_config(N'app.x', 'y', false)",
        "select set_config('app'\n'.x', 'y', false)",
        "select set_config(cast('app.x' as text), 'y', false)",
        "select set_config('app.x'::varchar::text, 'y', false)",
        "select set_config(text 'app.x', 'y', false)",
        "select set_config(lower('A.X'), 'y', false)", "select set_config(null, 'y', false)",
        "select set_config('a\\b', 'y', false)"}) {
    CAPTURE(sql);
    CHECK(begins(sql) == Pin::setting);
    CHECK(may_have_marks(sql));
  }
}

TEST_CASE("session marks: the strings of a DO block are read as its code") {
  for (const View sql :
       {"do $$ begin perform set_config('app.x', 'y', false); end $$",
        "DO LANGUAGE plpgsql $a$ begin perform set_config($b$app.x$b$, 'y', false); end $a$",
        "do 'begin perform set_config(''app.x'', ''y'', false); end'",
        "do $$ begin set app.x = 'y'; end $$", "do $$ begin reset app.x; end $$",
        "do $$ declare a int; begin if a = 1 then set app.x = 'y'; end if; end $$",
        "do $$ begin if a = 1 then null; else set app.x = 'y'; end if; end $$",
        "do $$ begin loop set session app.x = 'y'; exit; end loop; end $$",
        "do $$ <<l>> begin <<m>> begin set app.x = 1; end; end $$",
        "do $$ begin execute 'set app.x = 1'; end $$",
        "do $$ begin execute format('set app.x = %L', current_user); end $$",
        "do $$ begin execute $q$do 'begin set app.x = 1; end'$q$; end $$",
        "do $$ begin execute 'select set_config(''app.x'', ''y'', false)'; end $$"}) {
    CAPTURE(sql);
    CHECK(settings(sql) == Names{"app.x"});
    CHECK(opaque(sql));
    CHECK(may_have_marks(sql));
  }
  CHECK(begins("do $$ begin create temp table t (); end $$") == Pin::temporary);
  CHECK(begins("do $$ begin execute 'listen x'; end $$") == Pin::listen);
  CHECK(begins("do $$ begin perform pg_advisory_lock(1); end $$") == Pin::advisory_lock);
  CHECK(begins("do E'begin perform set_config(\\'app.x\\', \\'y\\', false); end'") == Pin::setting);
  CHECK(begins("do $$ begin execute 'select set_config($1, $2, false)' using 'a.b', 'c'; end $$") ==
        Pin::setting);
  CHECK_FALSE(has_marks("do $$ begin update t set a = 1; raise notice 'set'; end $$"));
}

TEST_CASE("session marks: what a routine's body says is said later") {
  for (const View sql :
       {"create function f() returns text return set_config('app.x', 'y', false)",
        "create or replace function f() returns text language sql as "
        "'select set_config(''app.x'', ''y'', false)'",
        "create procedure p() begin atomic select set_config('app.x', 'y', false); end",
        "create function f() returns int set app.x = 1 language sql as 'select 1'"}) {
    CAPTURE(sql);
    CHECK_FALSE(has_marks(sql));
  }
}

// --- texts

TEST_CASE("session marks: every statement of a text counts") {
  const SessionMarks marks = session_marks(
      "select 1; set app.x = '1;2'; listen a; select pg_advisory_lock(1); reset app.y; "
      "/* ; set app.no = 1 */ select 'set app.no = 1; '; set app.x = 3 -- ; set app.no = 1");
  CHECK(marks.settings == Names{"app.x", "app.y"});
  CHECK(marks.settings_reset == Names{"app.y"});
  Pins both = Pin::listen;
  both.add(Pin::advisory_lock);
  CHECK(marks.begins == both);
}

TEST_CASE("session marks: a text with a backslash is read both ways") {
  const View hidden[] = {R"(select '\'; set app.x = 1; --')",
                         R"(select '\', set_config('app.x', 'y', false) --')",
                         R"(select '\'', set_config('app.x', 'y', false) --')"};
  for (const View sql : hidden) {
    CAPTURE(sql);
    CHECK(settings(sql, true) == Names{"app.x"});
    CHECK(settings(sql, false) == Names{"app.x"});
  }
}

TEST_CASE("session marks: a function that is not known to be harmless is opaque") {
  CHECK(opaque("select f(1)"));
  CHECK(opaque("select U&\"set\\005fconfig\"('app.x', 'y', false)"));
  CHECK(opaque("call p()"));
  CHECK_FALSE(
      opaque("select count(*), coalesce(a, b) from t where a in (1) and exists (select 1)"));
  CHECK(is_harmless_function("now"));
  CHECK_FALSE(is_harmless_function("set_config"));
  CHECK_FALSE(is_harmless_function(""));
}

TEST_CASE("session marks: a routine statement has none") {
  for (const View sql : {"",
                         ";",
                         "select 1",
                         "select * from t where a = $1 for update",
                         "insert into t values (1)",
                         "update t set a = 1",
                         "delete from t",
                         "begin",
                         "start transaction isolation level serializable",
                         "commit and chain",
                         "rollback to s",
                         "savepoint s",
                         "copy t from stdin",
                         "fetch all from c",
                         "truncate t",
                         "show all",
                         "notify c",
                         "vacuum t",
                         "table t",
                         "lock t",
                         "explain select 1",
                         "prepare transaction 'x'",
                         "commit prepared 'x'",
                         "alter table t add a int"}) {
    CAPTURE(sql);
    CHECK_FALSE(has_marks(sql));
  }
}

TEST_CASE("session marks: a text that sets more than is remembered pins") {
  std::string sql;
  for (int n = 0; n < 201; ++n) sql += "set app.s" + std::to_string(n) + " = 1;";
  CHECK(settings(sql).size() == 200);
  CHECK(begins(sql) == Pin::setting);
  std::string parameters = "select 1";
  for (int n = 0; n < 201; ++n) parameters += ", set_config($1, $2, false)";
  CHECK(session_marks(parameters).named_by.size() == 200);
  CHECK(begins(parameters) == Pin::setting);
  std::string many = "select set_config('app.x', 'y'";
  for (int n = 0; n < 400; ++n) many += "||'y'";
  CHECK(settings(many + ", true)") == Names{"app.x"});
}

TEST_CASE("session marks: a long text takes time in proportion to its length") {
  const View parts[] = {"begin set ",
                        "set_config(",
                        "(((",
                        "do $$ ",
                        "a.b.",
                        "set a.b=",
                        "create ",
                        "select set_config('a',",
                        "'",
                        "do 'begin ",
                        "; set a.b = 1",
                        "[",
                        "then set a.b = 1",
                        "1,",
                        "set_config($1,$2,false),"};
  for (const View part : parts) {
    CAPTURE(part);
    std::string sql = "do $x$";
    while (sql.size() < 500 * 1024) sql += part;
    sql += "$x$";
    session_marks(sql);  // in milliseconds; where time were squared it would be minutes
    session_marks(View(sql).substr(6));
  }
}
