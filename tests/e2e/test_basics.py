"""Ordinary drivers do ordinary things through the pooler, in each pool mode."""

import asyncio
import os
import subprocess

import asyncpg
import psycopg
import psycopg2
import pytest

from lib.postgres import program
from lib.wire import ServerError, Wire

pytestmark = pytest.mark.sanitizers


@pytest.fixture(scope="module", params=["session", "transaction", "statement"])
def pooler(request, module_headgates):
    return module_headgates(pool_mode=request.param)


@pytest.fixture(scope="module", params=["session", "transaction"])
def transactional(request, module_headgates):
    return module_headgates(pool_mode=request.param)


def psql(pooler, *arguments):
    return subprocess.run(
        [program("psql"), "-X", "-h", "127.0.0.1", "-p", str(pooler.port), "-U", "app", *arguments, "app"],
        capture_output=True, text=True, check=False, timeout=30, env={**os.environ, "PGPASSWORD": "none"},
    )


def test_psql_runs_a_query(pooler):
    done = psql(pooler, "-At", "-c", "SELECT 1 + 1", "-c", "SELECT 'two'")
    assert (done.returncode, done.stdout) == (0, "2\ntwo\n"), done.stderr


def test_psql_connects_through_the_unix_socket(pooler):
    with Wire(pooler.port, pooler.directory) as wire:
        assert wire.login().value("SELECT 'by path'") == "by path"


def test_psycopg_simple_and_extended_queries(pooler):
    with pooler.connect() as connection:
        assert connection.execute("SELECT 40 + 2").fetchone() == (42,)
        assert connection.execute("SELECT %s::int + %s::int", (40, 2)).fetchone() == (42,)
        rows = connection.execute("SELECT g, repeat('x', g) FROM generate_series(1, 1000) g").fetchall()
        assert rows == [(n, "x" * n) for n in range(1, 1001)]


def test_psycopg2_queries(pooler):
    connection = psycopg2.connect(**pooler.address())
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s, %s", (7, "it's"))
        assert cursor.fetchone() == (7, "it's")
    connection.close()


def test_asyncpg_queries(pooler):
    async def run():
        address = pooler.address()
        connection = await asyncpg.connect(
            host=address["host"], port=address["port"], user="app", database="app", statement_cache_size=0
        )
        try:
            assert await connection.execute("SELECT 1") == "SELECT 1"
            if pooler.settings["pool_mode"] != "statement":
                async with connection.transaction():
                    assert await connection.fetchval("SELECT $1::int * 2", 21) == 42
        finally:
            await connection.close()

    asyncio.run(run())


def test_a_failed_statement_leaves_the_connection_usable(pooler):
    with pooler.connect() as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1 / 0")
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM nowhere WHERE id = %s", (1,))
        assert connection.execute("SELECT 'still here'").fetchone() == ("still here",)


def test_a_transaction_commits_and_rolls_back(transactional, postgres):
    with transactional.connect(autocommit=False) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS basics (id int)")
        connection.execute("TRUNCATE basics")
        connection.commit()
        connection.execute("INSERT INTO basics VALUES (1)")
        connection.commit()
        connection.execute("INSERT INTO basics VALUES (2)")
        connection.rollback()
    assert postgres.rows("SELECT id FROM basics", database="app") == [{"id": 1}]


def test_an_error_inside_a_transaction_fails_it_until_rollback(transactional):
    with transactional.connect(autocommit=False) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1 / 0")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")
        connection.rollback()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_savepoints_work_inside_a_transaction(transactional):
    with transactional.connect(autocommit=False) as connection:
        connection.execute("SELECT 1")
        with pytest.raises(psycopg.errors.DivisionByZero), connection.transaction():
            connection.execute("SELECT 1 / 0")
        assert connection.execute("SELECT 'after'").fetchone() == ("after",)


def test_a_transaction_stays_on_one_server(transactional):
    with transactional.connect(autocommit=False) as one, transactional.connect() as two:
        pids = {one.execute("SELECT pg_backend_pid()").fetchone()[0] for _ in range(5)}
        others = {two.execute("SELECT pg_backend_pid()").fetchone()[0] for _ in range(5)}
        assert len(pids) == 1
        assert not pids & others
        one.commit()


def test_transaction_mode_shares_one_server(start_headgate, count_servers):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    clients = [pooler.connect() for _ in range(5)]
    pids = {client.execute("SELECT pg_backend_pid()").fetchone()[0] for client in clients for _ in range(3)}
    assert len(pids) == 1
    assert count_servers() == 1
    for client in clients:
        client.close()


def test_session_mode_keeps_the_server_and_its_state_for_the_client(module_headgates):
    pooler = module_headgates(pool_mode="session")
    with pooler.connect() as connection:
        connection.execute("SET work_mem = '7MB'")
        connection.execute("CREATE TEMP TABLE mine (id int)")
        assert connection.execute("SHOW work_mem").fetchone() == ("7MB",)
        assert connection.execute("SELECT count(*) FROM mine").fetchone() == (0,)


def test_statement_mode_refuses_a_transaction(module_headgates):
    pooler = module_headgates(pool_mode="statement")
    with Wire(pooler.port) as wire:
        wire.login()
        with pytest.raises(ServerError, match="transaction blocks not allowed in statement pooling mode"):
            wire.query("BEGIN")
        assert wire.read_to_end() == []
    with pooler.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_notice_reaches_its_client(pooler):
    notices = []
    with pooler.connect() as connection:
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        connection.execute("DO $$ BEGIN RAISE NOTICE 'hear this'; END $$")
    assert notices == ["hear this"]


def test_listen_hears_a_notify_in_session_mode(module_headgates):
    pooler = module_headgates(pool_mode="session")
    with Wire(pooler.port) as listener, Wire(pooler.port) as speaker:
        listener.login().query("LISTEN news")
        speaker.login().query("NOTIFY news, 'extra'")
        notification = listener.read()
        assert notification.tag == "A"
        assert notification.body[4:] == b"news\0extra\0"


def test_login_tells_the_servers_parameters_and_a_cancel_key(pooler):
    with Wire(pooler.port) as wire:
        wire.login()
        assert wire.parameters["server_version"].startswith("15.")
        assert wire.parameters["client_encoding"] == "UTF8"
        assert wire.parameters["integer_datetimes"] == "on"
        assert wire.key is not None


def test_the_client_s_application_name_is_the_server_s(pooler, postgres):
    with pooler.connect(application_name="the shop") as connection:
        shown = connection.execute(
            "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        ).fetchone()
    assert shown == ("the shop",)


def test_the_client_s_start_up_parameters_are_applied(transactional):
    with Wire(transactional.port) as one, Wire(transactional.port) as two:
        one.login(client_encoding="LATIN1", TimeZone="Asia/Tokyo")
        two.login()
        for _ in range(3):
            assert one.value("SHOW client_encoding") == "LATIN1"
            assert one.value("SHOW timezone") == "Asia/Tokyo"
            assert two.value("SHOW client_encoding") == "UTF8"
            assert two.value("SHOW timezone") != "Asia/Tokyo"
