"""Hand-made inputs of the fuzz targets that read SQL, or write it."""

SQL = {
    "empty": "", "blanks": " \t\n\v\f\r", "semicolons": ";;;", "one": "SELECT 1", "two": "BEGIN; SELECT 1",
    "comment": "-- SELECT 1\nSELECT 2", "comment_at_end": "SELECT 1 -- x", "nested_comment": "/* /* */ */ SELECT",
    "open_comment": "/* /* */", "open_string": "SELECT 'a", "string": "'it''s'", "escape_string": r"E'a\'b'",
    "backslash": r"'a\'; b", "continued_string": "'a'\n 'b'", "continued_by_comment": "'a' -- c\n'b'",
    "unicode": "U&'\\0041' U&\"x\"", "bits": "B'01' X'1F' x'", "national": "N'a'", "dollar": "$$a;b$$",
    "dollar_tag": "$tag$ $$ ; $tag$", "dollar_open": "$a$ $b$", "dollar_alone": "$ $1 $1a a$b$c",
    "quoted_name": '"a""b;c"', "open_name": '"a', "numbers": "1 1.5 .5 1e5 1e 0x1F 1_000 1..2 1.", "operators": "a:=b=>c::d<>e!=-1",
    "operator_comment": "a+--b\n c*/**/d @-1 ~-1 +-1", "utf8": "SELECT 'é' AS naïve", "high_bytes": b"\xff\xfe\x80;\xc3",
    "zero": b"SELECT\0 1;\0", "with": "WITH a AS (INSERT INTO t VALUES (1)) SELECT 1; WITH a AS (SELECT 1) DELETE FROM t",
    "with_recursive": "WITH RECURSIVE a(x) AS NOT MATERIALIZED (SELECT 1) SEARCH DEPTH FIRST BY x SET y SELECT 1",
    "rule": "CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2); SELECT 3",
    "atomic": "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END; SELECT 2",
    "or_replace": "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC END; COMMIT", "parentheses": "((SELECT 1)); )(;",
    "transactions": "START TRANSACTION; SAVEPOINT a; ROLLBACK TO SAVEPOINT a; RELEASE a; COMMIT PREPARED 'x'; ROLLBACK PREPARED 'x'; ABORT; END",
    "prepare": "PREPARE a AS SELECT 1; EXECUTE a; DEALLOCATE ALL; PREPARE TRANSACTION 'x'; DISCARD ALL",
    "set": "SET a = b; SET LOCAL a = b; SET SESSION a TO 'b'; SET TRANSACTION READ ONLY; SET LOCAL TRANSACTION READ WRITE; SET CONSTRAINTS ALL DEFERRED; RESET ALL; SHOW a",
    "listen": "LISTEN a; NOTIFY a; UNLISTEN *; LOAD 'x'; DO $$ $$; CALL p(); LOCK t; TRUNCATE t; VACUUM; ANALYZE",
    "locking": "SELECT 1 FOR UPDATE; SELECT 1 FOR NO KEY UPDATE; SELECT 1 FOR KEY SHARE OF t SKIP LOCKED",
    "into": "SELECT 1 INTO t; INSERT INTO t VALUES (1)", "cursors": "DECLARE c CURSOR FOR SELECT 1; FETCH c; MOVE c; CLOSE c",
    "copy": "COPY t FROM STDIN; COPY t TO STDOUT; EXPLAIN SELECT 1; VALUES (1); TABLE t; MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE",
    "schema": "CREATE TABLE t(); ALTER TABLE t ADD a int; DROP TABLE t; GRANT a TO b; COMMENT ON TABLE t IS ''",
    "ends_in_case": "CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE x WHEN 1 THEN 2; END; END", "deep": "(" * 200 + ";" + ")" * 200,
}  # fmt: skip


def sql():
    for name, statement in SQL.items():
        data = statement.encode() if isinstance(statement, str) else statement
        yield name, b"\1" + data
        if b"'" in data or b"\\" in data:
            yield f"{name}_not_standard", b"\0" + data


SESSION_TEXTS = {
    "set": "set app.tenant = 'x'; SET SESSION \"a\".b TO DEFAULT; set role r; set time zone 'UTC'; set local a.b = 1",
    "reset": "reset all; set a.b = 1; reset session authorization; discard all; discard temp",
    "set_config": "select set_config('a.b'::text, 'c', false), set_config($1, (select 2), x[3]), set_config(a => 'b', c)",
    "do": "do $$ begin if a then set a.b = 1; end if; execute 'listen x'; perform set_config('c.d', '', false); end $$",
    "pins": "listen a; load 'x'; prepare p as select pg_advisory_lock(1); declare c cursor with hold for select 1; drop x",
    "temporary": "explain analyze create temp table t as select 1; select 1 into temp t; create table pg_temp_3.t ()",
    "backslash": "select '\\'; set a.b = 1; --'",
}


def once_and_repeated(texts, once):
    for name, sql_text in texts.items():
        yield name, once + sql_text.encode()
        yield f"{name}_repeated", b"\xff" + sql_text.encode()[:64]


def session_marks():
    yield from once_and_repeated(SESSION_TEXTS, b"\1")


READ_TEXTS = {
    "read": "SELECT lower(a), 'b' FROM t WHERE c IN (1, 2); TABLE t; VALUES (1)",
    "cte": "with a (b) as (delete from t returning 1), c as materialized (select 1) select * from a for update",
    "into": "select 1 delete into t; select a as for into u; select b.into",
    "functions": "select f(1), app.\"G h\"(2), nextval('s'), u&\"x\"(3), filter(4), sum(5) filter (where true) over (), a.b.c(6)",
    "names": "table pg_locks; select * from pg_temp.t, \"pg_stat_activity\"",
    "explain": "explain (costs off, \"analyze\") select 1; explain verbose (select 2); explain ((select 3))",
    "backslash": "select '\\', nextval('s') --'",
    "open": "select f('a",
    "signs": "+-",
    "types": "select a::numeric(3), cast(b as app.t(4)) from x as y (c int)",
}


def read_verdict():
    yield from once_and_repeated(READ_TEXTS, b"\0")


def session_state():
    """Each step is a byte: what is done, and to which name or client."""
    yield "quoting", b"$h$ $hh$ \"a.b\" $"
    yield "set_and_lend", bytes([0x02, 3]) + b"\x09\x0b\x11\x21\x01"
    yield "reset", bytes([0x12, 3, 0x09, 0x0B, 0x15, 0x09, 0x0B, 0x11])
    yield "roles", bytes([0x42, 3, 0x52, 4, 0x02, 1, 0x09, 0x0B, 0x11, 0x12, 2, 0x09, 0x0B, 0x01])
    yield "discard", bytes([0x02, 3, 0x09, 0x0B, 0x17, 0x09, 0x0B, 0x07, 0x11])
    yield "leave", bytes([0x02, 3, 0x0E, 0x11, 0x08, 0x01, 0x06, 0x0F])
