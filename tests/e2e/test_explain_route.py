"""EXPLAIN ROUTE: what it says a replica may run, a replica runs; what PostgreSQL calls volatile, it keeps away."""

import subprocess

import psycopg
import pytest

from lib.messages import bind, describe, execute, parse, sync
from lib.postgres import Postgres, program
from lib.wire import ServerError, Wire, errors

pytestmark = pytest.mark.headgate_only

COLUMNS = ["route", "reason", "functions"]
HARMLESS = {"clock_timestamp", "gen_random_uuid", "random", "timeofday"}  # volatile, and the same anywhere

READS = [
    "SELECT count(*), sum(n), min(word) FROM words WHERE n > 3",
    "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT * FROM t",
    "SELECT upper(word) || '; DELETE FROM words' FROM words ORDER BY n LIMIT 3",
    "TABLE words",
    "SELECT n::numeric(10, 2), row_number() OVER (ORDER BY (n)) FROM words",
    "SELECT relname FROM pg_catalog.pg_class ORDER BY 1",
    "EXPLAIN (COSTS off) SELECT * FROM words WHERE n = 3",
]
NOT_ON_A_STANDBY = [
    "INSERT INTO words VALUES (0, '')",
    "WITH gone AS (DELETE FROM words RETURNING 1) SELECT * FROM gone",
    "SELECT * FROM words FOR UPDATE",
    "SELECT * INTO others FROM words",
    "SELECT nextval('numbers')",
    "SELECT txid_current()",
    "SELECT pg_current_xact_id()",
    "SELECT pg_walfile_name('0/1')",
    "SELECT pg_current_wal_lsn()",
    "SELECT lo_from_bytea(0, '')",
    "SELECT lowrite(1, '')",
]


@pytest.fixture(scope="module")
def pooler(module_headgates):
    return module_headgates()


@pytest.fixture(scope="module")
def pair():
    with Postgres.primary() as primary:
        primary.execute(
            "CREATE TABLE words AS SELECT n, 'word ' || n AS word FROM generate_series(1, 9) AS n",
            "CREATE SEQUENCE numbers",
        )
        with Postgres.replica_of(primary) as replica:
            yield primary, replica


@pytest.fixture
def route(pooler):
    with pooler.console("stats") as console:
        yield lambda sql: console.execute("EXPLAIN ROUTE '" + sql.replace("'", "''") + "'").fetchone()


@pytest.mark.sanitizers
def test_it_answers_in_both_protocols(pooler):
    command = "EXPLAIN ROUTE SELECT my_func(1), 'a;b' ; "
    with Wire(pooler.port) as wire:
        wire.login("stats", "pgbouncer")
        simple = wire.query(command)
        wire.send(parse(command), describe("S"), bind(), execute(), sync())
        extended = wire.read_until()
    assert not errors(extended)
    for answer in (simple, extended):
        (row,) = [message.values() for message in answer if message.tag == "D"]
        assert row == [b"primary", b"calls functions that are not known", b"my_func"]
        assert [message.body for message in answer if message.tag == "C"] == [b"EXPLAIN\0"]


@pytest.mark.sanitizers
def test_psql_reads_it(pooler):
    address = pooler.address("pgbouncer", "admin")
    done = subprocess.run(
        [program("psql"), "-X", "-A", "-t", "-h", address["host"], "-p", str(address["port"]), "-U", "admin",
         "-d", "pgbouncer"],
        input="EXPLAIN ROUTE SELECT 1;\nEXPLAIN ROUTE 'SELECT 1; COMMIT';\n",
        capture_output=True, text=True, timeout=30, check=True,
    )
    assert done.stdout.splitlines() == ["replica|plain read|", "primary|statement 2: transaction: COMMIT|"]


@pytest.mark.sanitizers
def test_it_wants_a_query(pooler):
    with Wire(pooler.port) as wire:
        wire.login("stats", "pgbouncer")
        with pytest.raises(ServerError, match="a query is required"):
            wire.query("EXPLAIN ROUTE")
        with pytest.raises(ServerError, match="invalid command"):
            wire.query("EXPLAIN SELECT 1")


@pytest.mark.parametrize("sql", READS)
def test_a_read_has_the_same_result_on_a_replica(route, pair, sql):
    row = route(sql)
    assert list(row) == COLUMNS
    assert (row["route"], row["reason"], row["functions"]) == ("replica", "plain read", "")
    primary, replica = pair
    assert primary.rows(sql) == replica.rows(sql)


@pytest.mark.parametrize("sql", NOT_ON_A_STANDBY)
def test_what_a_replica_refuses_is_for_the_primary(route, pair, sql):
    assert route(sql)["route"] == "primary"
    with pytest.raises(psycopg.Error):
        pair[1].execute(sql)


def test_no_volatile_function_of_postgres_is_a_read(route, pair):
    names = pair[0].rows(
        "SELECT proname AS name, bool_or(provolatile = 'v') AS volatile FROM pg_proc"
        " WHERE pronamespace = 'pg_catalog'::regnamespace GROUP BY proname"
    )
    reads = {row["name"] for row in names if route(f'SELECT "{row["name"]}"()')["route"] == "replica"}
    assert reads & {row["name"] for row in names if row["volatile"]} == HARMLESS
    assert len(reads) > 500


def test_functions_that_are_reads_run_on_a_replica(route, pair):
    """Those without arguments, of which the server refuses none because it is a replica."""
    names = pair[1].rows(
        "SELECT DISTINCT proname AS name FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace"
        " AND pronargs = 0 AND prokind = 'f' AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)"
    )
    for row in names:
        sql = f'SELECT * FROM "{row["name"]}"()'
        if route(sql)["route"] == "replica":
            pair[1].execute(sql)
