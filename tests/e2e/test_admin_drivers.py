"""Drivers on the console: what they speak by themselves, the extended protocol and binary values included."""

import asyncio
import subprocess

import asyncpg
import psycopg
import psycopg2
import pytest
from psycopg.rows import dict_row

from lib.console_columns import COLUMNS
from lib.postgres import program

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only]  # PgBouncer speaks the simple protocol alone

SHOWS = [name for name in COLUMNS if name not in ("FDS", "SOCKETS", "ACTIVE_SOCKETS")]


@pytest.fixture(scope="module")
def pooler(module_headgates):
    return module_headgates(pool_mode="transaction", stats_period=1)


@pytest.fixture
def traffic(pooler):
    with pooler.connect() as connection:
        connection.execute("SELECT 1")
        yield connection


def without_what_moves(rows):
    """The columns that differ between two moments are left out."""
    moving = {"port", "id", "ptr", "connect_time", "request_time", "wait", "wait_us", "link", "used", "memtotal"}
    return [{name: value for name, value in row.items() if name not in moving} for row in rows]


@pytest.mark.parametrize("show", [name for name in SHOWS if "STATS" not in name and name != "TOTALS"])
def test_psycopg_reads_the_same_by_all_ways(pooler, traffic, show):
    command = f"SHOW {show}"
    with psycopg.connect(**pooler.address("pgbouncer", "admin"), autocommit=True, row_factory=dict_row) as console:
        simple = console.execute(command).fetchall()
        prepared = console.execute(command, prepare=True).fetchall()
        again = console.execute(command, prepare=True).fetchall()
        binary = console.cursor(binary=True).execute(command).fetchall()
    assert without_what_moves(simple) == without_what_moves(prepared) == without_what_moves(binary)
    assert without_what_moves(prepared) == without_what_moves(again)


def test_psycopg_prepares_by_itself_after_a_while(pooler):
    with psycopg.connect(**pooler.address("pgbouncer", "admin"), autocommit=True) as console:
        assert len({tuple(console.execute("SHOW VERSION").fetchone()) for _ in range(20)}) == 1


def test_psycopg_runs_commands_in_a_pipeline(pooler):
    with psycopg.connect(**pooler.address("pgbouncer", "admin"), autocommit=True) as console:
        with console.pipeline():
            cursors = [console.execute(f"SHOW {show}") for show in ("VERSION", "STATE", "CONFIG")]
        assert [len(cursor.fetchall()) > 0 for cursor in cursors] == [True] * 3
        with pytest.raises(psycopg.Error, match="invalid command"), console.pipeline():
            console.execute("SHOW NOTHING")
            console.execute("SHOW VERSION")
        console.execute("RELOAD", prepare=True)
        assert console.execute("SHOW VERSION").fetchone()


def test_parameters_are_refused_with_a_reason(pooler):
    with psycopg.connect(**pooler.address("pgbouncer", "admin"), autocommit=True) as console:
        with pytest.raises(psycopg.Error, match="take no parameters|invalid command"):
            console.execute("PAUSE %s", ["app"])
        assert console.execute("SHOW VERSION").fetchone()


def test_psycopg2_reads_the_console(pooler, traffic):
    console = psycopg2.connect(**pooler.address("pgbouncer", "admin"))
    try:
        console.autocommit = True
        with console.cursor() as cursor:
            for show in SHOWS:
                cursor.execute(f"SHOW {show}")
                assert [column.name for column in cursor.description] == [name for name, _ in COLUMNS[show]]
                cursor.fetchall()
    finally:
        console.close()


def test_asyncpg_reads_the_console(pooler, traffic):
    async def read():
        host = pooler.address("pgbouncer", "admin")
        console = await asyncpg.connect(
            host=host["host"], port=host["port"], user="admin", database="pgbouncer", timeout=10
        )
        try:
            for show in SHOWS:
                rows = await console.fetch(f"SHOW {show}")
                assert all(list(row.keys()) == [name for name, _ in COLUMNS[show]] for row in rows)
            stats = await console.fetch("SHOW STATS")
            assert {row["database"] for row in stats} == {"app", "pgbouncer"}
            assert all(row["total_query_count"] >= 0 for row in stats)  # a Decimal, from binary
            assert (await console.fetchrow("SHOW CONFIG"))["key"]  # one row of many
            assert (await console.fetchval("SHOW VERSION")).startswith("PgBouncer")
            await console.execute("RELOAD")
            with pytest.raises(asyncpg.PostgresError, match="invalid command"):
                await console.fetch("SHOW NOTHING")
            assert await console.fetchval("SHOW VERSION")
        finally:
            await console.close()

    asyncio.run(read())


def test_psql_reads_the_console(pooler, traffic):
    address = pooler.address("pgbouncer", "admin")
    done = subprocess.run(
        [program("psql"), "-X", "-A", "-t", "-h", address["host"], "-p", str(address["port"]), "-U", "admin",
         "-d", "pgbouncer", "-c", "SHOW VERSION", "-c", "SHOW HELP"],
        capture_output=True, text=True, timeout=30, check=True,
    )
    assert done.stdout.startswith("PgBouncer")
    assert "Console usage" in done.stderr
