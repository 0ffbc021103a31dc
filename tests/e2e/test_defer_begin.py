"""defer_begin: a BEGIN takes no server until the first statement of its transaction, and nobody sees a difference."""

import asyncio
import contextlib
import time

import asyncpg
import psycopg
import pytest

from lib.deferring import ask, command, connect, pooler, servers_in_use, start, state_of_clients, table
from lib.messages import (
    bind,
    close,
    copy_data,
    copy_done,
    describe,
    execute,
    extended,
    flush,
    function_call,
    message,
    parse,
    query,
    sync,
)
from lib.processes import wait_until
from lib.wire import Wire, errors, first_value, tags

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only]


# --- no server


@pytest.mark.parametrize("text, told", [
    ("BEGIN", "BEGIN"), ("begin work;", "BEGIN"), ("START TRANSACTION READ ONLY", "START TRANSACTION"),
    ("/* app */ BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE -- now", "BEGIN"),
])  # fmt: skip
def test_begin_takes_no_server_until_the_first_statement(pooler, count_servers, text, told):
    with connect(pooler) as wire, connect(pooler) as other:
        assert command(wire, text) == (told, "T")
        assert servers_in_use(pooler) == 0 and state_of_clients(pooler) == {"idle"}
        assert other.value("SELECT 'undisturbed'") == "undisturbed"
        assert wire.value("SELECT 'mine'") == "mine"
        assert servers_in_use(pooler) == 1
        assert command(wire, "COMMIT") == ("COMMIT", "I")
        assert servers_in_use(pooler) == 0
        assert count_servers() == 1


@pytest.mark.parametrize("mode, on", [("transaction", 0), ("session", 1)])
def test_elsewhere_begin_takes_a_server(start, mode, on):
    pooler = start(pool_mode=mode, defer_begin=on)
    with connect(pooler) as wire:
        assert command(wire, "BEGIN") == ("BEGIN", "T")
        assert servers_in_use(pooler) == 1


def test_in_statement_mode_begin_is_refused(start):
    with connect(start(pool_mode="statement")) as wire:
        wire.send(query("BEGIN"))
        assert [error["C"] for error in errors(wire.read_to_end())] == ["0A000"]


def test_many_more_clients_in_a_transaction_than_servers(start, count_servers):
    pooler = start(default_pool_size=2)
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(connect(pooler)) for _ in range(60)]
        for wire in wires:
            assert command(wire, "BEGIN") == ("BEGIN", "T")
        for number, wire in enumerate(wires):
            wire.send(query(f"SELECT {number}"))
            assert first_value(wire.read_until()) == str(number)
            assert command(wire, "COMMIT") == ("COMMIT", "I")
        assert count_servers() <= 2


@pytest.mark.parametrize("text, told", [
    ("COMMIT", "COMMIT"), ("END WORK", "COMMIT"), ("ROLLBACK", "ROLLBACK"), ("abort transaction;", "ROLLBACK"),
])  # fmt: skip
def test_an_empty_transaction_needs_no_server(pooler, count_servers, text, told):
    with connect(pooler) as wire:
        before = count_servers()
        for _ in range(3):
            assert command(wire, "BEGIN") == ("BEGIN", "T")
            assert command(wire, text) == (told, "I")
        assert count_servers() == before
        assert wire.value("SELECT 'after'") == "after"


@pytest.mark.parametrize("text", [
    "BEGIN; SELECT 1", "BEGIN READ", "BEGIN ISOLATION LEVEL", "BEGIN \xa0", "BEGIN /*", "COMMIT", "BEGIN ATOMIC",
    "BEGIN" + " " * 1024 * 1024,
], ids=lambda text: text[:20])  # fmt: skip
def test_what_is_no_lone_begin_is_answered_by_a_server(start, postgres, text):
    pooler = start()
    with connect(pooler) as wire, Wire(postgres.port) as direct:
        direct.login(database="single")
        assert [m.body for m in ask(wire, text)[2] if m.tag != "E"] == [
            m.body for m in ask(direct, text)[2] if m.tag != "E"]  # fmt: skip


def test_a_text_behind_a_zero_byte_is_refused_by_the_server(pooler):
    with connect(pooler) as wire:
        found, status, answer = ask(wire, message("Q", b"BEGIN\0; SELECT 1\0"))
        assert (found, status) == ("EZ", "I") and errors(answer)[0]["C"] == "08P01"


# --- the first statement


def test_a_second_begin_warns_as_postgres_does(pooler):
    with connect(pooler) as wire:
        command(wire, "BEGIN")
        found, status, answer = ask(wire, "BEGIN READ ONLY")
        assert (found, status) == ("NCZ", "T")
        assert answer[0].fields()["C"] == "25001"
        assert command(wire, "ROLLBACK") == ("ROLLBACK", "I")


def test_its_modes_count(pooler, table):
    with connect(pooler) as wire:
        command(wire, "BEGIN ISOLATION LEVEL REPEATABLE READ")
        assert wire.value("SHOW transaction_isolation") == "repeatable read"
        command(wire, "COMMIT")
        command(wire, "START TRANSACTION READ ONLY")
        found, status, answer = ask(wire, "INSERT INTO deferred VALUES (1)")
        assert (found, status) == ("EZ", "E") and errors(answer)[0]["C"] == "25006"
        assert command(wire, "COMMIT") == ("ROLLBACK", "I")
        assert wire.value("SHOW transaction_read_only") == "off"


def test_what_is_rolled_back_has_not_been(pooler, table):
    with connect(pooler) as wire:
        for end, rows in (("ROLLBACK", 0), ("COMMIT", 1)):
            command(wire, "BEGIN")
            assert command(wire, "INSERT INTO deferred VALUES (1)") == ("INSERT 0 1", "T")
            command(wire, end)
            assert table() == rows


def test_an_error_in_the_first_statement_fails_the_transaction(pooler, table):
    with connect(pooler) as wire:
        command(wire, "BEGIN")
        assert ask(wire, "SELECT 1/0")[:2] == ("EZ", "E")
        found, status, answer = ask(wire, "INSERT INTO deferred VALUES (1)")
        assert (found, status) == ("EZ", "E") and errors(answer)[0]["C"] == "25P02"
        assert command(wire, "COMMIT") == ("ROLLBACK", "I")
        assert table() == 0


FIRST = {
    "extended": (extended("SELECT 1") + sync(), "12TDCZ"),
    "parse alone": (parse("SELECT 1") + sync(), "1Z"),
    "sync alone": (sync(), "Z"),
    "flush and sync": (flush() + sync(), "Z"),
    "close": (close() + sync(), "3Z"),
    "unnamed, there or not": (describe("S") + sync(), "EZ"),
    "portal of nobody": (execute() + sync(), "EZ"),
    "function call": (function_call(1598, []), "VZ"),
    "empty": (query(""), "IZ"),
    "two statements": (query("SELECT 1; SELECT 2"), "TDCTDCZ"),
    "query in a batch": (parse("SELECT 1") + query("SELECT 2"), "1TDCZ"),
    "copy out": (query("COPY (SELECT 1) TO STDOUT"), "HdcCZ"),
    "copy in": (query("COPY deferred FROM STDIN") + copy_data(b"7\n") + copy_done(), "GCZ"),
    "copy in a batch": (extended("COPY deferred FROM STDIN") + copy_data(b"7\n") + copy_done() + sync(), "12nGCZ"),
    "begin in a batch": (extended("BEGIN") + sync(), "12nNCZ"),
    "commit in a batch": (extended("COMMIT") + sync(), "12nCZ"),
    "commit and chain": (query("COMMIT AND CHAIN"), "CZ"),
    "savepoint": (query("SAVEPOINT s"), "CZ"),
    "large": (query("SELECT '" + "x" * 300_000 + "'"), "TDCZ"),
    "cursor": (query("DECLARE c CURSOR FOR SELECT 1; FETCH c"), "CTDCZ"),
    "set": (query("SET LOCAL work_mem = '5MB'"), "CZ"),
    "made in sql": (query("PREPARE q AS SELECT 1"), "CZ"),
}


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("statements", [0, 200])
def test_whatever_comes_first_is_in_the_transaction(start, postgres, table, first, statements):
    said, wanted = FIRST[first]
    with connect(start(max_prepared_statements=statements)) as wire, Wire(postgres.port) as direct:
        direct.login(database="single")
        answers = []
        for each in (wire, direct):
            ask(each, extended("SELECT 0") + sync())
            assert command(each, "BEGIN") == ("BEGIN", "T")
            answers.append(ask(each, said))
        assert answers[0][:2] == answers[1][:2] and answers[0][0] == wanted
        failed, ended = "E" in wanted, first == "commit in a batch"
        assert answers[0][1] == ("E" if failed else "I" if ended else "T")
        assert ask(wire, "ROLLBACK")[1] == "I"
        assert table() == 0
        assert ask(wire, bind(()) + sync())[0] == "EZ"


@pytest.mark.parametrize("said", [
    ["BEGIN", "SELECT 1", "COMMIT"], ["BEGIN", "COMMIT"], ["BEGIN", "SELECT 1/0", "SELECT 2", "COMMIT", "SELECT 3"],
    ["BEGIN", "INSERT INTO deferred VALUES (1)", "ROLLBACK", "BEGIN", "BEGIN", "COMMIT", "COMMIT"],
    ["BEGIN", "COMMIT", "BEGIN", "COMMIT", "BEGIN", "SELECT 1", "END"],
], ids=" ".join)  # fmt: skip
@pytest.mark.parametrize("how", ["at once", "bytewise", "from the second on", "one by one"])
def test_pipelines_are_answered_as_directly(pooler, postgres, table, said, how):
    messages = [query(text) for text in said]
    with connect(pooler) as wire, Wire(postgres.port) as direct:
        direct.login(database="single").send(*messages)
        wanted = [[(m.tag, m.body) for m in direct.read_until()] for _ in said]
        if how == "at once":
            wire.send(*messages)
        elif how == "bytewise":
            for byte in b"".join(messages):
                wire.send(bytes([byte]))
                time.sleep(0.0005)
        elif how == "from the second on":
            wire.send(messages[0])
            time.sleep(0.05)
            wire.send(*messages[1:])
        got = []
        for each in messages:
            if how == "one by one":
                wire.send(each)
            got.append([(m.tag, m.body) for m in wire.read_until()])
        assert got == wanted
        assert table() == 0


def test_a_pipeline_of_batches_behind_begin(pooler, table):
    with connect(pooler) as wire:
        command(wire, "BEGIN")
        count = 50
        wire.send(*[part for n in range(count) for part in (extended(f"SELECT {n}"), sync())], query("COMMIT"))
        assert [first_value(wire.read_until()) for _ in range(count)] == [str(n) for n in range(count)]
        assert tags(wire.read_until()) == "CZ"


def test_now_is_when_the_first_statement_began(pooler):
    with connect(pooler) as wire:
        command(wire, "BEGIN")
        time.sleep(1.2)
        assert wire.value("SELECT clock_timestamp() - now() < interval '1 s'") == "t"


# --- sessions and prepared statements


def test_settings_follow_as_usual(start):
    pooler = start(default_pool_size=2)
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("SET work_mem = '7MB'")
        other.query("BEGIN")
        command(wire, "BEGIN")
        assert wire.value("SHOW work_mem") == "7MB"
        command(wire, "SET work_mem = '8MB'")
        command(wire, "ROLLBACK")
        assert other.value("SHOW work_mem") == "4MB"
        command(wire, "BEGIN")
        command(wire, "SET work_mem = '9MB'")
        command(wire, "COMMIT")
        command(wire, "BEGIN")
        assert wire.value("SHOW work_mem") == "9MB"
        command(wire, "COMMIT")
        assert command(other, "COMMIT") == ("COMMIT", "I")


@pytest.mark.parametrize("state", ["strict", "pgbouncer"])
def test_with_any_session_state(start, state):
    pooler = start(session_state=state)
    with connect(pooler, application_name="one") as wire, connect(pooler, application_name="two") as other:
        for each, name in ((wire, "one"), (other, "two"), (wire, "one")):
            command(each, "BEGIN")
            assert each.value("SHOW application_name") == name
            assert command(each, "COMMIT") == ("COMMIT", "I")


def test_values_that_may_be_refused_come_first(pooler):
    """BEGIN and the request wait until a role is taken."""
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("SET ROLE app")
        for _ in range(3):
            other.query("SELECT 1")
            command(wire, "BEGIN READ ONLY")
            assert wire.value("SELECT current_setting('role') || current_setting('transaction_read_only')") == "appon"
            assert command(wire, "COMMIT") == ("COMMIT", "I")


def test_prepared_statements_in_the_first_statement(start):
    pooler = start(default_pool_size=2)
    with connect(pooler) as wire, connect(pooler) as other:
        ask(wire, parse("SELECT 'named'", "s") + sync())
        other.query("SELECT 1")
        for _ in range(2):
            command(wire, "BEGIN")
            assert first_value(ask(wire, bind((), "s") + execute() + sync())[2]) == "named"
            other.query("BEGIN")
            other.value("SELECT 1")
            command(wire, "COMMIT")
            other.query("COMMIT")
        command(wire, "BEGIN")
        assert ask(wire, "DEALLOCATE s")[:2] == ("CZ", "T")
        assert ask(wire, bind((), "s") + sync())[:2] == ("EZ", "E")
        command(wire, "ROLLBACK")
        ask(wire, parse("SELECT 'taken'", "q") + sync())
        command(wire, "BEGIN")
        assert ask(wire, "PREPARE q AS SELECT 1")[:2] == ("EZ", "E")
        command(wire, "ROLLBACK")


def test_begin_drops_the_unnamed_statement(pooler):
    with connect(pooler) as wire:
        for end in ("COMMIT", None):
            ask(wire, parse("SELECT 1") + sync())
            command(wire, "BEGIN")
            if end:
                command(wire, end)
            found, _, answer = ask(wire, bind(()) + execute() + sync())
            assert found == "EZ" and errors(answer)[0]["C"] == "26000"


# --- notifications


def test_notifications_wait_for_the_end(start):
    pooler = start(default_pool_size=3)
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("LISTEN news")
        wait_until(lambda: state_of_clients(pooler) == {"idle"}, 5, "nobody has a server")
        for end in ("COMMIT", "ROLLBACK"):
            command(wire, "BEGIN")
            other.query("NOTIFY news, 'held'")
            assert wire.silent_for(0.3)
            wire.send(query(end))
            assert tags(wire.read_until()) == "CZ" and wire.read().tag == "A"


def test_listen_first(start):
    pooler = start(default_pool_size=3)
    with connect(pooler) as wire, connect(pooler) as other:
        command(wire, "BEGIN")
        assert command(wire, "LISTEN news") == ("LISTEN", "T")
        command(wire, "COMMIT")
        wait_until(lambda: not [row for row in pooler.admin("SHOW CLIENTS") if row["pinned"]], 5, "nobody is pinned")
        other.query("NOTIFY news")
        assert wire.read().tag == "A"


# --- counts and drivers


def test_the_counts_are_those_without_it(start):
    counts = []
    for on in (0, 1):
        pooler = start(defer_begin=on)
        with connect(pooler) as wire:
            for sql in ("BEGIN", "SELECT 1", "COMMIT", "BEGIN", "ROLLBACK", "BEGIN", "COMMIT", "SELECT 1"):
                wire.query(sql)
            (row,) = [row for row in pooler.admin("SHOW STATS") if row["database"] == "app"]
            counts.append([row[name] for name in (
                "total_xact_count", "total_query_count", "total_received", "total_sent")])  # fmt: skip
    assert counts[0] == counts[1]
    assert counts[0][:2] == [4, 8]


def test_without_simple_queries_there_is_no_begin(start):
    with connect(start(disable_pqexec=1)) as wire:
        wire.send(query("BEGIN"))
        assert [error["M"] for error in errors(wire.read_to_end())] == ["PQexec disallowed"]


def test_psycopg_holds_no_server_while_it_thinks(pooler, table):
    with pooler.connect() as connection:
        connection.execute("BEGIN")
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        assert servers_in_use(pooler) == 0
        connection.execute("INSERT INTO deferred VALUES (%s)", (1,))
        assert servers_in_use(pooler) == 1
        connection.execute("COMMIT")
        assert table() == 1


def test_transactions_of_psycopg(pooler, table):
    """It says BEGIN right in front of the first statement, or as a batch of its own."""
    with pooler.connect(autocommit=False) as connection:
        connection.execute("INSERT INTO deferred VALUES (2)")
        connection.rollback()
        assert table() == 0
        with connection.pipeline():
            connection.execute("INSERT INTO deferred VALUES (3)")
            connection.execute("INSERT INTO deferred VALUES (4)")
            connection.commit()
        with connection.transaction():
            connection.execute("INSERT INTO deferred VALUES (5)")
        assert table() == 3


def test_transactions_of_asyncpg(pooler, table):
    async def use():
        connection = await asyncpg.connect(host="127.0.0.1", port=pooler.port, user="app", database="app")
        async with connection.transaction(isolation="repeatable_read"):
            await asyncio.to_thread(lambda: wait_until(lambda: servers_in_use(pooler) == 0, 5, "no server is used"))
            assert await connection.fetchval("SHOW transaction_isolation") == "repeatable read"
            await connection.execute("INSERT INTO deferred VALUES ($1)", 1)
        async with connection.transaction():
            pass
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with connection.transaction():
                await connection.fetchval("SELECT 1 / $1::int", 0)
        await connection.close()

    asyncio.run(use())
    assert table() == 1
