#include "protocol/read_verdict.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace headgate;

namespace {

std::string verdict(View sql) { return to_text(read_verdict(sql)); }

using Names = std::vector<std::string>;

Names unknown(View sql) { return read_verdict(sql).unknown_functions; }

const View plain_reads[] = {
    "SELECT 1",
    "select * from t where a = 1;",
    "SELECT",
    "VALUES (1), (2)",
    "TABLE t",
    "(SELECT 1) UNION ALL (TABLE t)",
    "((select 1))",
    "WITH a AS (SELECT 1), b AS NOT MATERIALIZED (TABLE a) SELECT * FROM a, b",
    "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 9) TABLE t",
    "WITH a AS MATERIALIZED (SELECT 1) (WITH b AS (SELECT 2) TABLE b)",
    "EXPLAIN SELECT 1",
    "EXPLAIN VERBOSE SELECT 1",
    "EXPLAIN (COSTS off, FORMAT json) SELECT lower('A')",
    "EXPLAIN (SELECT 1)",
    "EXPLAIN ((SELECT 1) UNION SELECT 2)",
    "EXPLAIN (VERBOSE) (SELECT 1)",
    "EXPLAIN (VERBOSE) WITH a AS (SELECT 1) TABLE a",
    "SELECT 1; SELECT 2;; TABLE t",
    "/* app */ SELECT -- nextval('a')\n 1 /* ; DELETE FROM t */",
    // functions
    "SELECT count(*), max(a), now(), random(), gen_random_uuid() FROM t",
    "SELECT LOWER(a), pg_catalog.upper(b), \"lower\"(c), \"pg_catalog\" . \"upper\" (d) FROM t",
    "SELECT clock_timestamp(), current_timestamp(3), CURRENT_USER, localtime",
    "SELECT date_trunc('day', at), extract(epoch FROM at), date(at) FROM t",
    "SELECT coalesce(a, b), nullif(a, 0), greatest(1, 2), cast(a AS numeric(10, 2)) FROM t",
    "SELECT a::numeric(10,2), b::varchar(3), c::app.money(3), d::\"my type\"(2) FROM t",
    "SELECT cast(a AS app.money(3)), cast(b AS double precision) FROM t",
    "SELECT substring(a FROM 1 FOR 2), position('a' IN b), trim(BOTH ' ' FROM c), left(a, 1)",
    "SELECT sum(a) FILTER (WHERE b > 0) OVER (PARTITION BY (c) ORDER BY (d)) FROM t",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t",
    "SELECT 1 FROM t WHERE a IN (1, 2) AND b = ANY ($1) AND NOT EXISTS (SELECT 1)",
    "SELECT 1 FROM t WHERE c LIKE ('a')",
    "SELECT ARRAY(SELECT 1), ROW(1, 2), ARRAY[1], (1, 2)",
    "SELECT a, grouping(a) FROM t GROUP BY ROLLUP (a), GROUPING SETS ((a), ())",
    "SELECT * FROM a JOIN (b LEFT JOIN (c) ON (true)) USING (id) CROSS JOIN LATERAL (SELECT 1) x",
    "SELECT * FROM unnest(ARRAY[1]) WITH ORDINALITY AS t (a, b)",
    "SELECT * FROM json_to_record('{}') AS x(a int, b text), generate_series(1, 3) AS g(i)",
    "SELECT * FROM (VALUES (1, 2)) AS v(a, b) LIMIT (1) OFFSET (2)",
    "SELECT * FROM ROWS FROM (generate_series(1, 2), unnest(ARRAY[1])) AS t (a, b)",
    "SELECT rank() OVER w FROM t WINDOW w AS (ORDER BY a)",
    // words that are names, strings that are words
    "SELECT \"into\", t.into, a AS into, \"insert\", \"FOR\", \"nextval\", nextval FROM t",
    "SELECT 'INTO t', 'nextval(''a'')', $$ DELETE FROM t $$, $a$ FOR UPDATE $a$, E'\\'; DROP "
    "TABLE t'",
    "SELECT 'a' 'FOR UPDATE', U&'\\0061', b'01'",
    "SELECT a AS \"for\", \"update\" FROM t",
    "SELECT update, (delete) FROM t",
    "SELECT 'C:\\\\dir', 'a\\b', E'a\\'b' FROM t",
    "SELECT gr\xc3\xb6\xc3\x9f"
    "e, \"\xe6\x97\xa5\" FROM \xf0\x9f\x98\x80",
    "SELECT t.version, pg_class.relname FROM t, pg_catalog.pg_class",
};

}  // namespace

TEST_CASE("read verdict: plain reads, in many spellings") {
  for (const View text : plain_reads) {
    CAPTURE(text);
    CHECK(verdict(text) == "plain read");
    CHECK(read_verdict(text).is_read());
    CHECK(unknown(text).empty());
  }
}

namespace {

struct Refused {
  View sql, reason;
};

const Refused refused[] = {
    {"", "no statement"},
    {" ; -- nothing\n;", "no statement"},
    // what writes
    {"INSERT INTO t VALUES (1)", "writes: INSERT"},
    {"UPDATE t SET a = 1", "writes: UPDATE"},
    {"DELETE FROM t", "writes: DELETE"},
    {"MERGE INTO t USING a ON true WHEN MATCHED THEN DELETE", "writes: MERGE"},
    {"TRUNCATE t", "writes: TRUNCATE"},
    {"CREATE TEMP TABLE t AS SELECT 1", "writes: CREATE"},
    {"WITH a AS (SELECT 1) INSERT INTO t TABLE a", "writes: INSERT"},
    {"WITH a AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM a", "writes: INSERT in WITH"},
    {"WITH a AS (UPDATE t SET a = 1 RETURNING *) TABLE a", "writes: UPDATE in WITH"},
    {"WITH a AS (SELECT 1), b AS MATERIALIZED (DELETE FROM t RETURNING 1) SELECT 1",
     "writes: DELETE in WITH"},
    {"SELECT * FROM (WITH a AS (/**/DELETE/**/FROM t RETURNING 1) TABLE a) x",
     "writes: DELETE in WITH"},
    {"WITH a AS (UPDATE\"t\"SET a = 1 RETURNING 1) SELECT 1", "writes: UPDATE in WITH"},
    {"SELECT * INTO t FROM a", "writes: SELECT INTO"},
    {"SELECT 1 INTO TEMP t", "writes: SELECT INTO"},
    {"select a as b into\n\"t\" from c", "writes: SELECT INTO"},
    {"WITH a AS (SELECT 1) SELECT * INTO UNLOGGED t FROM a", "writes: SELECT INTO"},
    {"SELECT 1 delete INTO t", "writes: DELETE in WITH"},
    {"SELECT 1 AS for INTO t", "writes: SELECT INTO"},
    {"(SELECT 1 INTO t)", "writes: SELECT INTO"},
    {"SELECT delete FROM t", "writes: DELETE in WITH"},  // in doubt: a column called so
    // what locks
    {"SELECT * FROM t FOR UPDATE", "SELECT ... FOR UPDATE or FOR SHARE"},
    {"SELECT * FROM t FOR NO KEY UPDATE OF t NOWAIT", "SELECT ... FOR UPDATE or FOR SHARE"},
    {"SELECT * FROM t FOR/**/SHARE SKIP LOCKED", "SELECT ... FOR UPDATE or FOR SHARE"},
    {"SELECT * FROM (SELECT 1 FROM t FOR KEY SHARE) x", "SELECT ... FOR UPDATE or FOR SHARE"},
    {"WITH a AS (SELECT * FROM t FOR UPDATE) TABLE a", "SELECT ... FOR UPDATE or FOR SHARE"},
    {"SELECT (SELECT a FROM t fOr UpDaTe LIMIT 1)", "SELECT ... FOR UPDATE or FOR SHARE"},
    // functions
    {"SELECT nextval('s')", "calls nextval"},
    {"SELECT \"nextval\"('s')", "calls nextval"},
    {"SELECT NextVal/**/('s')", "calls nextval"},
    {"SELECT pg_catalog.nextval('s')", "calls nextval"},
    {"SELECT PG_CATALOG\n.\n\"nextval\" -- x\n ('s')", "calls nextval"},
    {"SELECT * FROM setval('s', 1)", "calls setval"},
    {"VALUES (currval('s'))", "calls currval"},
    {"SELECT lastval()", "calls lastval"},
    {"EXPLAIN SELECT nextval('s')", "calls nextval"},
    {"SELECT pg_advisory_lock(1)", "calls pg_advisory_lock"},
    {"SELECT lower(a) FROM t WHERE pg_try_advisory_xact_lock(a)",
     "calls pg_try_advisory_xact_lock"},
    {"SELECT lo_get(1)", "calls lo_get"},
    {"SELECT pg_is_in_recovery()", "calls pg_is_in_recovery"},
    {"SELECT pg_current_wal_lsn()", "calls pg_current_wal_lsn"},
    {"SELECT pg_backend_pid()", "calls pg_backend_pid"},
    {"SELECT pg_cancel_backend(1)", "calls pg_cancel_backend"},
    {"SELECT txid_current()", "calls txid_current"},
    {"SELECT pg_current_xact_id()", "calls pg_current_xact_id"},
    {"SELECT pg_notify('a', 'b')", "calls pg_notify"},
    {"SELECT set_config('a.b', 'c', true)", "calls set_config"},
    {"SELECT current_setting('in_hot_standby')", "calls current_setting"},
    {"SELECT pg_sleep(1)", "calls pg_sleep"},
    {"SELECT query_to_xml('DELETE FROM t', true, true, '')", "calls query_to_xml"},
    {"SELECT table_to_xml('pg_locks', true, true, '')", "calls table_to_xml"},
    {"SELECT a FROM t WHERE f(a) AND nextval('s') > 1", "calls nextval"},
    // places
    {"SELECT * FROM pg_stat_activity", "names pg_stat"},
    {"SELECT pg_stat_get_backend_pid(1)", "names pg_stat"},
    {"TABLE pg_catalog.\"pg_locks\"", "names pg_locks"},
    {"SELECT * FROM PG_SETTINGS", "names pg_settings"},
    {"SELECT last_value FROM pg_sequences", "names pg_sequences"},
    {"SELECT * FROM pg_temp.t", "names pg_temp"},
    {"SELECT pg_temp.f()", "names pg_temp"},
    {"SELECT * FROM pg_temp_3.t", "names pg_temp"},
    {"SELECT * FROM U&\"\\0070g_locks\"", "a name that cannot be told"},
    {"SELECT u&\"\\006eextval\"('s')", "a name that cannot be told"},
    {"SELECT shop.app.f()", "a name that cannot be told"},
    // other statements
    {"BEGIN", "transaction: BEGIN"},
    {"START TRANSACTION READ ONLY", "transaction: BEGIN"},
    {"COMMIT", "transaction: COMMIT"},
    {"ROLLBACK TO s", "transaction: ROLLBACK TO"},
    {"SET a = 1", "session state: SET"},
    {"SHOW transaction_read_only", "session state: SHOW"},
    {"RESET ALL", "session state: RESET"},
    {"EXECUTE p", "session state: EXECUTE"},
    {"PREPARE p AS SELECT 1", "session state: PREPARE"},
    {"DECLARE c CURSOR FOR SELECT 1", "session state: DECLARE"},
    {"FETCH c", "session state: FETCH"},
    {"LISTEN a", "session state: LISTEN"},
    {"COPY t TO STDOUT", "not a query: COPY"},
    {"COPY (SELECT 1) TO STDOUT", "not a query: COPY"},
    {"CALL p()", "not a query: CALL"},
    {"DO $$ BEGIN END $$", "not a query: DO"},
    {"LOCK t", "not a query: LOCK"},
    {"REFRESH MATERIALIZED VIEW v", "not a query"},
    {"selec 1", "not a query"},
    {"\"select\" 1", "not a query"},
    {"\xef\xbb\xbfSELECT 1", "not a query"},
    // EXPLAIN
    {"EXPLAIN ANALYZE SELECT 1", "EXPLAIN ANALYZE"},
    {"EXPLAIN ANALYSE VERBOSE SELECT 1", "EXPLAIN ANALYZE"},
    {"EXPLAIN VERBOSE ANALYZE SELECT 1", "EXPLAIN ANALYZE"},
    {"EXPLAIN (ANALYZE) SELECT 1", "EXPLAIN ANALYZE"},
    {"EXPLAIN (COSTS off, \"analyze\" true) SELECT 1", "EXPLAIN ANALYZE"},
    {"EXPLAIN (VERBOSE, ANALYZE off) (SELECT 1)", "EXPLAIN ANALYZE"},
    {"EXPLAIN", "EXPLAIN ANALYZE"},
    {"EXPLAIN (VERBOSE", "EXPLAIN ANALYZE"},
    {"EXPLAIN INSERT INTO t VALUES (1)", "not a query: EXPLAIN of no query"},
    {"EXPLAIN EXECUTE p", "not a query: EXPLAIN of no query"},
    {"EXPLAIN EXPLAIN SELECT 1", "not a query: EXPLAIN of no query"},
    {"EXPLAIN WITH a AS (DELETE FROM t RETURNING 1) TABLE a", "writes: DELETE in WITH"},
    {"EXPLAIN (SELECT 1 FROM t FOR UPDATE)", "SELECT ... FOR UPDATE or FOR SHARE"},
    // several statements
    {"SELECT 1; DELETE FROM t", "statement 2: writes: DELETE"},
    {"DELETE FROM t; SELECT 1", "writes: DELETE"},
    {"SELECT ';'; SELECT 1;; COMMIT; SELECT nextval('s')", "statement 3: transaction: COMMIT"},
    {"BEGIN; SELECT 1; COMMIT", "transaction: BEGIN"},
    // what is not closed, or can be read in two ways
    {"SELECT 'a", "a string, name or comment is not closed"},
    {"SELECT \"a", "a string, name or comment is not closed"},
    {"SELECT $$a", "a string, name or comment is not closed"},
    {"SELECT 1 /* /* */", "a string, name or comment is not closed"},
    {"SELECT 1; SELECT E'a\\'", "statement 2: a string, name or comment is not closed"},
    {"SELECT '\\', nextval('s') --'",
     "a backslash that standard_conforming_strings gives its meaning"},
    {"SELECT 'a\\'; DELETE FROM t --'",
     "a backslash that standard_conforming_strings gives its meaning"},
};

}  // namespace

TEST_CASE("read verdict: everything else is for the primary, and why is told") {
  for (const auto& row : refused) {
    CAPTURE(row.sql);
    CHECK(verdict(row.sql) == row.reason);
    CHECK_FALSE(read_verdict(row.sql).is_read());
  }
}

TEST_CASE("read verdict: functions that are not known are named, as SQL writes them") {
  CHECK(verdict("SELECT my_func(1)") == "calls functions that are not known");
  CHECK_FALSE(read_verdict("SELECT my_func(1)").is_read());
  CHECK(
      unknown("SELECT My_Func(1), MY_FUNC(2), \"my_func\"(3), lower(g(3)) FROM f() AS t (a, b)") ==
      Names{"my_func", "\"my_func\"", "g", "f"});
  CHECK(unknown("SELECT app.f(1), \"App\".\"F x\"(2), \"a.b\"(3), \"a\"\"b\"(4), APP . F()") ==
        Names{"app.f", "\"App\".\"F x\"", "\"a.b\"", "\"a\"\"b\""});
  // A name of PostgreSQL's in another schema is another function.
  CHECK(unknown("SELECT public.lower('A'), public.nextval('s')") ==
        Names{"public.lower", "public.nextval"});
  // Quoted, nothing is a keyword.
  CHECK(unknown("SELECT \"in\"(1), \"coalesce\"(2), t.\"any\"(3), app.values(4)") ==
        Names{"\"in\"", "\"coalesce\"", "t.\"any\"", "app.values"});
  CHECK(unknown("SELECT f(1); SELECT g(1)") == Names{"f", "g"});
  CHECK(unknown("SELECT f(1); COMMIT") == Names{"f"});
  CHECK(verdict("SELECT f(1); COMMIT") == "statement 2: transaction: COMMIT");
  CHECK(unknown("SELECT \xc3\xa4(1)") == Names{"\xc3\xa4"});
}

TEST_CASE("read verdict: a keyword is one where it can be, and else a function like any other") {
  CHECK(unknown("SELECT filter(1), over(2), (by(3)), sets(4), rollup(5), cube(6)") ==
        Names{"filter", "over", "by", "sets", "rollup", "cube"});
  CHECK(unknown("SELECT join(1), ilike(2) FROM t WHERE join(3) AND join(4)") ==
        Names{"join", "ilike"});
  CHECK(unknown("SELECT materialized(1) ORDER BY join(1)") == Names{"materialized", "join"});
  // In doubt: a table that is given names for its columns.
  CHECK(unknown("SELECT * FROM unnest($1) u(id)") == Names{"u"});
}

TEST_CASE("read verdict: it has its limits") {
  std::string sql = "SELECT 1";
  sql.resize(max_judged_text, ' ');
  CHECK(verdict(sql) == "plain read");
  sql.push_back(' ');
  CHECK(verdict(sql) == "too long to be looked at");

  const auto calling = [](size_t count) {
    std::string sql = "SELECT 1";
    for (size_t i = 0; i < count; ++i) sql += ", f" + std::to_string(i) + "(1)";
    return sql;
  };
  CHECK(verdict(calling(max_unknown_functions)) == "calls functions that are not known");
  CHECK(verdict(calling(max_unknown_functions + 1)) ==
        "calls too many functions that are not known");
  CHECK(unknown(calling(10'000 / 2)).size() == max_unknown_functions);

  const std::string letters(100, 'n');
  CHECK(unknown("SELECT " + letters + "(1), \"" + letters + "\"(2)") ==
        Names{letters, "\"" + letters + "\""});
}

TEST_CASE("read verdict: hostile depth and length are read in one go") {
  CHECK(verdict("SELECT " + std::string(30'000, '(') + "1" + std::string(30'000, ')')) ==
        "plain read");
  std::string dots = "SELECT a";
  for (int i = 0; i < 30'000; ++i) dots += ".a";
  CHECK(verdict(dots) == "plain read");
  CHECK(verdict(dots + "(1)") == "a name that cannot be told");
  std::string many;
  while (many.size() < max_judged_text - 20) many += "SELECT 1;";
  CHECK(verdict(many) == "plain read");
}
