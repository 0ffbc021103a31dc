"""defer_begin: a BEGIN takes no server until the first statement of its transaction, and nobody sees a difference."""

import asyncio
import contextlib
import signal
import threading
import time

import asyncpg
import psycopg
import pytest

from lib.fake_server import FakeServer
from lib.messages import (
    MessageReader,
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
    terminate,
)
from lib.processes import wait_until
from lib.wire import Closed, Wire, errors, first_value, tags

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only]

PID = "SELECT pg_backend_pid()"


@pytest.fixture
def start(start_headgate):
    def begin(**settings):
        return start_headgate(**{"pool_mode": "transaction", "default_pool_size": 1, "defer_begin": 1, **settings})

    return begin


@pytest.fixture
def pooler(start):
    return start()


@pytest.fixture
def table(postgres):
    postgres.execute("CREATE TABLE IF NOT EXISTS deferred (n int)", "TRUNCATE deferred",
                     "GRANT ALL ON deferred TO public", database="single")  # fmt: skip
    return lambda: postgres.value("SELECT count(*) FROM deferred", database="single")


def connect(pooler, **parameters):
    return Wire(pooler.port).login(**parameters)


def ask(wire, *said):
    """The tags of the answer, and the status that it ends with."""
    wire.send(*(query(text) if isinstance(text, str) else text for text in said))
    answer = wire.read_until()
    return tags(answer), answer[-1].text(), answer


def command(wire, sql):
    """The command and the status that a statement without rows is answered with."""
    found, status, answer = ask(wire, sql)
    assert found == "CZ", answer
    return answer[0].text(), status


def servers_in_use(pooler):
    return pooler.pool()["sv_active"]


def state_of_clients(pooler):
    return {row["state"] for row in pooler.admin("SHOW CLIENTS") if row["database"] == "app"}


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


# --- time


@pytest.mark.parametrize("setting, sqlstate", [("idle_transaction_timeout", "25P03"), ("transaction_timeout", "25P04")])
def test_timeouts_of_transactions_apply(start, setting, sqlstate):
    pooler = start(**{setting: 1})
    with connect(pooler) as wire, connect(pooler) as empty:
        command(wire, "BEGIN")
        command(empty, "BEGIN")
        command(empty, "COMMIT")
        (error,) = errors(wire.read_to_end())
        assert (error["S"], error["C"], error["M"]) == ("FATAL", sqlstate, setting.replace("_", " "))
        assert empty.silent_for(0.3)


def test_the_time_before_the_first_statement_counts(start):
    pooler = start(transaction_timeout=2)
    with connect(pooler) as wire:
        command(wire, "BEGIN")
        time.sleep(1.2)
        since = time.monotonic()
        wire.send(query("SELECT pg_sleep(5)"))
        assert [error["C"] for error in errors(wire.read_to_end())] == ["25P04"]
        assert time.monotonic() - since < 1.6


def test_client_idle_timeout_does_not_apply(start):
    pooler = start(client_idle_timeout=1)
    with connect(pooler) as wire:
        command(wire, "BEGIN")
        assert wire.silent_for(2)
        command(wire, "COMMIT")
        assert [error["C"] for error in errors(wire.read_to_end())] == ["57P05"]


# --- cancels


def test_a_cancel_while_nothing_runs_does_nothing(pooler):
    with connect(pooler) as wire:
        command(wire, "BEGIN")
        wire.cancel()
        assert wire.value("SELECT 1") == "1"
        assert command(wire, "COMMIT") == ("COMMIT", "I")


@pytest.mark.parametrize("said", [query("SELECT 1"), extended("SELECT 1") + sync()], ids=["simple", "extended"])
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_cancel_while_it_waits_fails_the_transaction(pooler, count_servers, said, end, table):
    with connect(pooler) as holder, connect(pooler) as wire:
        holder.query("BEGIN")
        holder.value("SELECT 1")
        command(wire, "BEGIN")
        wire.send(said)
        wait_until(lambda: pooler.pool()["cl_waiting"] == 1, 5, "it waits")
        wire.cancel()
        answer = wire.read_until()
        assert tags(answer) == "EZ" and answer[-1].text() == "E" and errors(answer)[0]["C"] == "57014"
        assert command(wire, end) == ("ROLLBACK", "I")
        command(wire, "BEGIN")
        wire.send(said)
        wait_until(lambda: pooler.pool()["cl_waiting"] == 1, 5, "it waits")
        wire.cancel()
        wire.read_until()
        holder.query("COMMIT")
        for first in (query("INSERT INTO deferred VALUES (1)"), extended("INSERT INTO deferred VALUES (1)") + sync()):
            found, status, answer = ask(wire, first)
            assert (found, status) == ("EZ", "E") and errors(answer)[0]["C"] == "25P02"
        assert command(wire, "COMMIT") == ("ROLLBACK", "I")
        assert table() == 0
        assert wire.value("SELECT 'fine'") == "fine"


def test_a_cancel_of_the_first_statement_strikes_that(pooler):
    with connect(pooler) as wire:
        for _ in range(20):
            command(wire, "BEGIN")
            threading.Timer(0.01, wire.cancel).start()
            wire.send(query("SELECT pg_sleep(20)"))
            answer = wire.read_until()
            assert tags(answer) in ("EZ", "TEZ") and answer[-1].text() == "E"
            assert errors(answer)[0]["C"] == "57014"
            assert command(wire, "ROLLBACK") == ("ROLLBACK", "I")


# --- operators and servers


def test_nothing_waits_for_it(pooler):
    with connect(pooler) as wire:
        command(wire, "BEGIN")
        pooler.admin("PAUSE")
        pooler.admin("RESUME")
        pooler.admin("RECONNECT")
        pooler.admin("SUSPEND")
        assert wire.value("SELECT 1") == "1"
        assert command(wire, "COMMIT") == ("COMMIT", "I")


def test_during_a_pause_its_first_statement_waits(pooler):
    with connect(pooler) as wire:
        pooler.admin("PAUSE")
        assert command(wire, "BEGIN") == ("BEGIN", "T")
        wire.send(query("SELECT 'served'"))
        assert wire.silent_for(0.3)
        pooler.admin("RESUME")
        assert first_value(wire.read_until()) == "served"


def test_a_reload_that_switches_it_off_loses_no_transaction(start, table):
    pooler = start()
    with connect(pooler) as wire, connect(pooler) as other:
        command(wire, "BEGIN READ ONLY")
        command(other, "BEGIN")
        pooler.reload(defer_begin=0)
        wait_until(lambda: pooler.admin("SHOW CONFIG") and config(pooler, "defer_begin") == "0", 5, "it is off")
        assert command(other, "COMMIT") == ("COMMIT", "I")
        assert wire.value("SHOW transaction_read_only") == "on"
        command(wire, "COMMIT")
        command(wire, "BEGIN")
        assert servers_in_use(pooler) == 1


def test_a_reload_to_session_mode_loses_no_transaction(start):
    pooler = start()
    with connect(pooler) as wire:
        command(wire, "BEGIN READ ONLY")
        pooler.reload(pool_mode="session")
        wait_until(lambda: config(pooler, "pool_mode") == "session", 5, "it is reloaded")
        assert wire.value("SHOW transaction_read_only") == "on"
        assert command(wire, "COMMIT") == ("COMMIT", "I")


def config(pooler, name):
    return next(row["value"] for row in pooler.admin("SHOW CONFIG") if row["key"] == name)


def test_the_server_may_go_in_between(pooler, postgres):
    with connect(pooler) as wire:
        pid = wire.value(PID)
        for _ in range(5):
            command(wire, "BEGIN READ ONLY")
            postgres.value("SELECT pg_terminate_backend(%s, 10000)", (int(pid),))
            assert wire.value("SHOW transaction_read_only") == "on"
            other = wire.value(PID)
            assert other != pid
            pid = other
            assert command(wire, "COMMIT") == ("COMMIT", "I")


def test_a_client_that_leaves_leaves_nothing(pooler, count_servers):
    for end in (lambda wire: wire.send(terminate()), lambda wire: wire.reset(), lambda wire: wire.close()):
        with connect(pooler) as wire:
            command(wire, "BEGIN")
            end(wire)
    with connect(pooler) as wire:
        wait_until(lambda: pooler.pool()["cl_active"] == 1, 5, "the others are gone")
        assert wire.value("SELECT 1") == "1" and count_servers() == 1


def test_a_client_is_killed_as_usual(pooler):
    with connect(pooler) as wire:
        command(wire, "BEGIN")
        pooler.admin("KILL app")
        assert [error["C"] for error in errors(wire.read_to_end())] == ["57P04"]
        pooler.admin("RESUME app")


def test_shutdown_does_not_wait_for_it(start):
    pooler = start()
    with connect(pooler) as wire:
        command(wire, "BEGIN")
        pooler.send_signal(signal.SIGINT)
        pooler.wait_ended()
        with pytest.raises((Closed, ConnectionError)):
            wire.send(query("SELECT 1"))
            while True:
                wire.read()


class Refuses(FakeServer):
    """Its first BEGIN fails; what follows is skipped up to Sync, as PostgreSQL does it. `torn_at`: an error comes in two
    pieces, the first of this size."""

    def __init__(self, torn_at=None):
        super().__init__()
        self._torn_at = torn_at
        self.heard = []
        self.begun = 0

    def _talk(self, connection):
        if b"user\0" not in connection.recv(4096):
            return  # a cancel
        connection.sendall(self._login)
        reader, status, skipping = MessageReader(), b"I", False
        while data := connection.recv(65536):
            reader.feed(data)
            while said := reader.next():
                if said.tag == "S":
                    skipping = False
                elif skipping:
                    continue
                answer, status, skipping = self._answer_to(said, status)
                if self._torn_at and answer[:1] == b"E":
                    connection.sendall(answer[: self._torn_at])
                    time.sleep(0.1)
                    answer = answer[self._torn_at :]
                connection.sendall(answer)

    def _answer_to(self, said, status):
        if said.tag == "P" and b"BEGIN" in said.body:
            self.begun += 1
            return (refusal("57014"), b"I", True) if self.begun == 1 else (message("1"), b"T", False)
        if said.tag == "E" and b"none" in said.body:
            return refusal("34000"), b"E", True
        if said.tag == "S":
            return message("Z", status), status, False
        if said.tag != "Q":
            answers = {"B": message("2"), "E": message("C", b"BEGIN\0"), "C": message("3")}
            return answers.get(said.tag, b""), status, False
        self.heard.append((said.text(), status))
        if b"ROLLBACK" in said.body:
            return message("C", b"ROLLBACK\0") + message("Z", b"I"), b"I", False
        answer = refusal("25P02") if status == b"E" else message("C", b"SELECT 0\0")
        return answer + message("Z", status), status, False


def refusal(sqlstate):
    return message("E", f"SERROR\0VERROR\0C{sqlstate}\0Mrefused by {sqlstate}\0\0".encode())


@pytest.mark.parametrize("torn_at", [None, 3, 5, 20], ids=lambda size: f"torn at {size}" if size else "whole")
@pytest.mark.parametrize("how", ["simple", "extended", "flushed"])
def test_a_begin_that_fails_fails_the_transaction(start_headgate, how, torn_at):
    """Whatever stands behind it is skipped, and the client does not go on outside of its transaction."""
    with Refuses(torn_at) as server:
        pooler = start_headgate({"app": {"host": "127.0.0.1", "port": server.port, "dbname": "single"}},
                                pool_mode="transaction", default_pool_size=1, server_tls_sslmode="disable", defer_begin=1)  # fmt: skip
        with connect(pooler) as wire:
            command(wire, "BEGIN")
            if how == "flushed":
                wire.send(parse("SELECT 1"), flush())
                assert [error["M"] for error in errors([wire.read()])] == ["refused by 57014"]
                wire.send(bind(()), sync())
                assert wire.read().text() == "E"
                wire.send(query("SELECT 2"))
            else:
                wire.send(query("SELECT 1") if how == "simple" else extended("SELECT 1") + sync(), query("SELECT 2"))
                answer = wire.read_until()
                assert tags(answer) == "EZ" and answer[-1].text() == "E"
                assert errors(answer)[0]["M"] == "refused by 57014"
            answer = wire.read_until()
            assert errors(answer)[0]["C"] == "25P02" and answer[-1].text() == "E"
            assert [status for sql, status in server.heard if "SELECT" in sql] == [b"E"], server.heard
            assert command(wire, "ROLLBACK")[1] == "I"


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
