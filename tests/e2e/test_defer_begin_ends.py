"""defer_begin: timeouts, cancels, operators and servers that fail find a transaction that has no server yet."""

import signal
import threading
import time

import pytest

from lib.deferring import ask, command, connect, pooler, servers_in_use, start, table
from lib.fake_server import FakeServer
from lib.messages import MessageReader, bind, extended, flush, message, parse, query, sync, terminate
from lib.processes import wait_until
from lib.wire import Closed, errors, first_value, tags

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only]

PID = "SELECT pg_backend_pid()"


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
