"""LISTEN where clients share servers: its limits, and what happens when the listening connection ends."""

import contextlib
import signal

import pytest

from lib.listening import (LISTENING, connect, end_listener, heard, listener_of, listening_servers, notification,
                           pinned, wait_for_listener, wait_idle, wait_unpinned, warning)  # fmt: skip
from lib.messages import query
from lib.processes import wait_until
from lib.wire import errors, tags

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only, pytest.mark.audited]


@pytest.fixture
def pooler(start_headgate):
    return start_headgate(pool_mode="transaction", default_pool_size=3, workers=2)


# --- limits


def test_few_servers_are_enough_for_many(start_headgate, count_servers):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=2, workers=2)
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(connect(pooler)) for _ in range(20)]
        for turn in range(3):
            for number, wire in enumerate(wires):
                wire.send(query(f"LISTEN c{number % 5}"), query("SELECT 1"))
            for wire in wires:
                assert tags(wire.read_until()) == "CZ" and tags(wire.read_until()) == "TDCZ"
            for wire in wires:
                wire.query("UNLISTEN *")
            assert count_servers() <= 2
        wait_unpinned(pooler)


def test_with_one_server_alone_it_pins_as_before(start_headgate, count_servers):
    for settings in ({"default_pool_size": 1}, {"max_db_connections": 1}, {"max_user_connections": 1}):
        pooler = start_headgate(pool_mode="transaction", **settings)
        with connect(pooler) as wire:
            wire.query("LISTEN a")
            wait_until(lambda: pinned(pooler) == ["listen"], 5, "it is pinned")
            answer = wire.query("NOTIFY a, 'x'")  # its own server tells it
            assert [notification(message) for message in answer if message.tag == "A"] == [("a", "x")]
            wire.query("UNLISTEN a")
            wire.query("SELECT 1")
            wait_unpinned(pooler)
            assert not listening_servers(pooler) and count_servers() <= 1
        pooler.remove()


def test_in_transactions_that_hold_all_servers_it_pins(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=2)
    with connect(pooler) as one, connect(pooler) as two:
        one.query("BEGIN")
        two.query("BEGIN")
        one.query("LISTEN a")
        one.query("COMMIT")
        two.query("NOTIFY a, 'x'")
        two.query("COMMIT")
        assert heard(one, 1) == [("a", "x")]


def test_more_channels_than_are_kept_pin(pooler):
    with connect(pooler) as wire, connect(pooler) as other:
        for number in range(101):
            wire.query(f"LISTEN c{number}")
        wait_until(lambda: pinned(pooler) == ["listen"], 5, "it is pinned")
        for number in (0, 99, 100):
            other.query(f"NOTIFY c{number}, 'x'")
        assert sorted(heard(wire, 3)) == [("c0", "x"), ("c100", "x"), ("c99", "x")]
        wire.query("UNLISTEN *")
        wait_unpinned(pooler)


def test_a_client_that_does_not_read_is_closed(pooler):
    with connect(pooler) as wire, connect(pooler) as other, connect(pooler) as reader:
        wire.query("LISTEN flood")
        reader.query("LISTEN flood")
        wire.query("BEGIN")
        text = "x" * 7000
        for turn in range(20):
            other.query(f"SELECT pg_notify('flood', '{text}' || n) FROM generate_series({turn * 10}, {turn * 10 + 9}) n")
        (refusal,) = errors(wire.read_to_end())
        assert refusal["C"] == "54000" and "too many notifications" in refusal["M"]
        assert len(heard(reader, 200)) == 200


def test_a_client_that_reads_nothing_at_all_is_closed(pooler):
    def clients():
        return sum(row["database"] == "app" for row in pooler.admin("SHOW CLIENTS"))

    with connect(pooler) as wire, connect(pooler) as other, connect(pooler) as reader:
        wire.query("LISTEN flood")
        reader.query("LISTEN flood")
        rounds = 0
        while clients() == 3:
            rounds += 1
            assert rounds < 100, "it was told 70 MB"
            other.query(f"SELECT pg_notify('flood', repeat('x', 7000) || {rounds} || '-' || n) FROM generate_series(1, 100) n")
            assert len(heard(reader, 100)) == 100


def test_a_client_of_another_encoding_pins(pooler):
    with connect(pooler) as wire, connect(pooler, client_encoding="LATIN1") as latin, connect(pooler) as other:
        wire.query("LISTEN a")
        latin.query("LISTEN a")
        wait_until(lambda: pinned(pooler) == ["listen"], 5, "it is pinned")
        other.query("NOTIFY a, 'é'")
        assert heard(wire, 1) == [("a", "é")]
        assert latin.read(10).body[4:] == b"a\0\xe9\0"
        # One that changes it later is not told what it could not read, and not left alone with that.
        wire.query("SET client_encoding = 'LATIN1'")
        other.query("NOTIFY a, 'é'")
        message = wire.read(10)
        assert message.tag == "N" and "client_encoding" in message.fields()["M"]
        other.query("NOTIFY a, 'e'")
        assert heard(wire, 1) == [("a", "e")]


# --- the listening connection ends


def test_when_the_listening_connection_ends_clients_are_told(pooler, postgres):
    with connect(pooler) as wire, connect(pooler) as idle, connect(pooler) as other:
        wire.query("LISTEN a")
        idle.query("LISTEN b")
        for turn in range(2):
            before = end_listener(postgres)
            warning(wire)
            warning(idle)
            wait_for_listener(postgres, before)
            other.query(f"NOTIFY a, '{turn}'; NOTIFY b, '{turn}'")
            assert heard(wire, 1) == [("a", str(turn))] and heard(idle, 1) == [("b", str(turn))]


def test_a_listen_while_nobody_listens_waits(pooler, postgres):
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("LISTEN a")
        end_listener(postgres)
        with connect(pooler) as late:
            late.query("LISTEN b")
            other.query("NOTIFY b, 'x'")
            assert heard(late, 1) == [("b", "x")]
        warning(wire)


def test_reconnect_and_pause(pooler, postgres, count_servers):
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("LISTEN a")
        before = listener_of(postgres)
        pooler.admin("RECONNECT")
        warning(wire)
        wait_for_listener(postgres, before)
        other.query("NOTIFY a, '1'")
        assert heard(wire, 1) == [("a", "1")]
        pooler.admin("PAUSE app")
        assert count_servers() == 0
        pooler.admin("RESUME app")
        warning(wire)
        other.query("NOTIFY a, '2'")
        assert heard(wire, 1) == [("a", "2")]
        with pooler.console() as console:
            console.execute("SUSPEND")
            console.execute("RESUME")
        other.query("NOTIFY a, '3'")
        assert heard(wire, 1) == [("a", "3")]


def test_it_is_given_back_when_nobody_listens(pooler, postgres):
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("LISTEN a")
        assert len(listening_servers(pooler)) == 1
        wire.query("UNLISTEN *")
        wait_until(lambda: not listening_servers(pooler), 10, "it is given back")
        assert other.value("SELECT current_setting('application_name')") != LISTENING
        other.query("LISTEN b")
        other.close()
        wait_until(lambda: not listening_servers(pooler), 10, "it is given back once more")
        assert not pinned(pooler)
        for row in postgres.backends("single"):
            assert row["application_name"] != LISTENING


def test_channels_that_nobody_wants_are_not_listened_to(pooler, postgres):
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("LISTEN a")
        other.query("LISTEN b")
        other.query("UNLISTEN b")
        last = "SELECT query FROM pg_stat_activity WHERE application_name = %s"
        wait_until(lambda: 'UNLISTEN "b"' in postgres.value(last, (LISTENING,)), 10, "b is not listened to")
        other.query("LISTEN b; NOTIFY b, 'x'")
        assert heard(other, 1) == [("b", "x")]


def test_kill_and_shutdown(start_headgate, count_servers):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=3, workers=2)
    with connect(pooler) as wire:
        wire.query("LISTEN a")
        pooler.admin("KILL app")
        assert errors(wire.read_to_end())
        wait_until(lambda: count_servers() == 0, 10, "its servers are gone")
        pooler.admin("RESUME app")
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("LISTEN a")
        other.query("NOTIFY a, 'x'")
        assert heard(wire, 1) == [("a", "x")]
        pooler.send_signal(signal.SIGINT)
        pooler.wait_ended()


def test_limits_that_leave_no_room_end_it(start_headgate, count_servers):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=3)
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("LISTEN a")
        pooler.reload(default_pool_size=1)
        assert errors(wire.read_to_end())[0]["M"] == "database configuration changed"
        wait_until(lambda: not listening_servers(pooler), 10, "it is given back")
        other.query("SELECT 1")
        wait_until(lambda: count_servers() == 1, 10, "one server is left")


def test_postgres_restarts(start_headgate, postgres):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=3, workers=2, server_login_retry=1)
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("LISTEN a")
        wait_idle(pooler)
        postgres.stop()
        postgres.start()
        warning(wire, 20)
        other.query("NOTIFY a, 'x'")
        assert heard(wire, 1) == [("a", "x")]
