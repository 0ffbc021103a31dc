// SQL written to trip a scanner: what PostgreSQL's lexical rules and grammar hold in store for
// whoever cuts text into tokens and statements. Used by sql_oracle_test.cc.
#pragma once

inline constexpr const char* sql_torture[] = {
    "",
    ";",
    " ; ;; -- nothing\n /* at all */ ;",
    "select 1",
    "select 1; select 2;",
    "select ';'; select \";\"; select $$;$$; select $a$;$$;$a$",
    "select 1 /* ; /* ; */ ; */; -- ;\n",
    "select 'it''s', 'a' 'b'",
    // (libpg_query does not continue strings behind -- comments, as PostgreSQL does.)
    "select 'a'\n'b', 'a' \n\n 'b', 'a' /* no */ \n 'b'",
    "select 'a'\r'b', 'a'\t\f\n\t'b' 'c'",
    "select 'a' -- ends the text",
    "select 'a'\n-- ends the text",
    R"(select 'a\', 'b', E'a\'b', e'\\', E'\'''', E'a'
         'b\'c')",
    R"(select E'\101\x41\u0041\U00000041\n\z')",
    R"(select U&'d\0061t\+000061', U&"d\0061t""a", u&'a''b' uescape '!', U&'x' 'y')",
    "select u & 1, u&1, U &'x'",
    "select b'01', B'1'\n'0', x'1F', X'f''', b'', N'text', n 'x'",
    "select b'0\n1''0'",
    "select \"a\"\"b\", \"A b\"",
    "select $$a$b$c$$, $tag$ $$ $tag $ $tag$, $_1$x$_1$, $\xc3\xa9$x$\xc3\xa9$",
    "select $1, $23, $1::int, $1+$2, a$1, a$b$c",
    "select $a, $$ $",
    "select $a$ $b$a$",
    "select a$$b, 1 $$ x $$",
    "select 1.5, .5, 1., 1e5, 1.e-5, .5E+5, 1..10, 1.5.5, a.1",
    "select a[1..2], a[1:2], a[:2], a::int, a:=1, f(a=>1, b:=2)",
    "select 1+-2, 1--2\n, 1-/*c*/-2, 1 @- 2, 1 @-- c\n 2, 1 +- 2, 1 *- 2, 1 ~- 2, - - 1",
    ("select 1*/*c*/2, 1/ *2, @-1, #-1, !!5, 5 !, <>, !=, <=, >=, =>, =, ==, ===, <=>, ->, ->>, "
     "#>>"),
    "select a<-1, a=-1, a=+1, a=@-1, a||-b, a|/-b, a<>-1, a+++b, a---b\n",
    "select /* /* nested */ */ 1 /*/ */ */ + 2 /**/ + 3 /***/ + 4 /* **/ + 5 /*/**/*/",
    "select 1 /*",
    "select 1 /* /* */",
    "select 'open",
    "select \"open",
    "select $$open",
    "select $a$open$b$",
    "select E'open\\'",
    "select E'open\\",
    "select U&'open",
    "select b'open",
    "select 'a'\n'open",
    "select \xc3\xa9t\xc3\xa9, \"\xe6\x97\xa5\", \xf0\x9f\x98\x80 from \xff\x80",
    "select \\ { } ` ? 1",
    "select (;); select 1",
    "select 1); select 2",
    ("create rule r as on insert to t do (insert into a values (1); insert into b values (2)); "
     "select 1"),
    "create function f() returns int language sql begin atomic select 1; select 2; end; select 3",
    ("create or replace procedure p(begin int) begin atomic insert into t values (1);"
     " select case when a then 1 else case b when 1 then 2 end end from t; end; select 3;"),
    "create function f() returns int begin atomic end; select 1",
    "create function f() returns int begin atomic ; end",
    ("create function f() returns int begin atomic select 1 as end; select 2 end; select t.end "
     "from t; end;"
     "select 4"),
    "create function begin() returns int return 1; select 2",
    "create function f() returns int language sql as 'begin atomic'; select 1; end",
    "begin; select 1; end; select 2",
    "begin /* atomic */; create table atomic(begin int); end",
    "with a as (select 1) select * from a",
    ("with recursive a(x, y) as not materialized (values (1, 2)), b as materialized (table a) "
     "select 1"),
    "with recursive as (select 1) select * from recursive",
    "with recursive (a) as (select 1) select * from recursive",
    "with update as (select 1) select * from update",
    "with a as (insert into t values (1) returning *) select * from a",
    "with a as (update only t set a = 1 returning *) select * from a",
    "with a as (delete from t returning *) select * from a",
    "with a as (select 1) insert into t select * from a",
    "with a as (select 1) update t set a = 1",
    "with a as (select 1) delete from t",
    "with a as (select 1) merge into t using a on true when matched then delete",
    "with a as (select 1) (with b as (select 2) select * from b)",
    "with a as (select 1) values (1)",
    "with a as (select 1) table a",
    ("with recursive a as (select 1 x union all select x from a) search depth first by x, y set s,"
     " b as (select 1) select 1"),
    ("with recursive a as (select 1 x union all select x from a)"
     " search breadth first by delete set update cycle x set c to 1 default 0 using insert select "
     "1"),
    ("with recursive a as (select 1 x union all select x from a) cycle x set c using p delete "
     "from t"),
    "((select 1)) union select 2",
    "(values (1)) union (table t)",
    "(with a as (select 1) select 2) union select 3",
    "select 1 as a into t",
    "select 1 as into, t.into from t",
    "select 1 delete into t; select 1 as for into t; select t.for into x from t",
    "select 1 delete for update",
    "select * from t for update",
    "select * from t for no key update of t nowait",
    "select * from t for share skip locked",
    "select * from (select 1 from t for key share) x",
    "select substring('abc' for 2), substring('abc' from 1 for 2)",
    "select max(update), (delete), f(update + 1) from t",
    "select 1; insert into a values (1); update a set b = 1; delete from a; table a; values (1)",
    "merge into a using b on a.x = b.x when not matched then insert values (1)",
    "begin; begin work; start transaction read only; begin isolation level serializable",
    "commit; commit work; commit and chain; end; end transaction; commit prepared 'x'",
    "rollback; rollback work; abort; abort work; rollback and no chain; rollback prepared 'x'",
    ("savepoint s; release s; release savepoint s; rollback to s; rollback work to savepoint s;"
     "rollback transaction to s"),
    "prepare transaction 'x'; prepare transaction as select 1; prepare p (int) as select 1",
    ("set a = 1; set session a to 1; set local a = 1; set a.b = 1; set local.a = 1; set session.a "
     "= 1"),
    ("set transaction isolation level serializable; set local transaction read only;"
     "set session transaction read only; set transaction snapshot 'x'; set transaction.x = 1"),
    ("set session characteristics as transaction read only; set constraints all deferred;"
     "set constraints.x to 1"),
    ("set time zone 'UTC'; set local time zone local; set names 'UTF8'; set role r; set local "
     "role r;"
     "set session authorization default; set local session authorization x; set schema 'x'"),
    ("reset a; reset all; reset role; reset session authorization; show a; show all; show time "
     "zone"),
    "set a to default; set local a to default; set a from current",
    "execute p(1); deallocate p; deallocate prepare all; discard all; discard temp",
    "listen a; unlisten *; notify a; notify a, 'b'; load 'x'",
    "copy t from stdin; copy (select 1) to stdout; truncate t; lock table t; call p(); do $$x$$",
    ("explain select 1; explain (analyze) delete from t; explain analyze verbose insert into t "
     "values (1)"),
    ("declare c cursor for select 1; declare c binary insensitive no scroll cursor with hold for "
     "select 1;"
     "fetch c; fetch all from c; move 1 from c; close c; close all"),
    ("create table t(); create temp table t as select 1; create unlogged table t();"
     "create table t as execute p; create view v as select 1; create index on t(a)"),
    "alter table t add a int; drop table t; vacuum t; vacuum (analyze) t; analyze t; analyse",
    ("comment on table t is 'x'; grant select on t to r; revoke all on t from r; reindex table t;"
     "cluster t; checkpoint; refresh materialized view v; security label on table t is 'x';"
     "import foreign schema s from server x into y; reassign owned by a to b"),
    "SeLeCt 1; BEGIN; Set Local A = 1; ROLLBACK TO s",
};

/// What to put together at random. (Kept by hand: one a line says no more.)
// clang-format off
inline constexpr const char* sql_pieces[] = {
    "'", "''", "\"", "\"\"", "\\", "$$", "$a$", "$", "$1", "--", "/*", "*/", "\n", "\r", " ", "\t",
    ";", "(", ")", "[", "]", ",", ".", "..", ":", "::", ":=", "=>", "+", "-", "*", "/", "<", ">",
    "=", "@", "~", "!", "|", "?", "%", "^", "e'", "E'", "b'", "x'", "u&'", "n'", "U&\"", "1", "0",
    ".5", "e5", "1e-", "\xc3\xa9", "_", "a", "E", "select ", "begin ", "atomic ", "end",
    "create function f() ", "as ", "case ", "with a as (", "insert into ", "delete from ",
    "update ", "for ", "into ", "set local ",
};
// clang-format on
