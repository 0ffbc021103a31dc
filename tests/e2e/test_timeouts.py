"""Every timeout does what it says, to nobody else, and tells the client which one it was."""

import socket

import pytest

from lib.headgate import is_headgate, sqlstate
from lib.messages import PROTOCOL_3_0, query, startup
from lib.processes import wait_until
from lib.wire import Wire, errors

pytestmark = pytest.mark.sanitizers
SLEEP = "SELECT pg_sleep(30)"
PID = "SELECT pg_backend_pid()"


SQLSTATES = {
    "query timeout": "57014",
    "query_timeout": "57014",
    "query_wait_timeout": "53300",
    "client_idle_timeout": "57P05",
    "idle transaction timeout": "25P03",
    "transaction timeout": "25P04",
    "client_login_timeout": "57014",
}


def fatal_end(wire):
    """The fields of the FATAL error that the connection ends with."""
    *_, fields = errors(wire.read_to_end())
    assert (fields["S"], fields["C"]) == ("FATAL", sqlstate(SQLSTATES[fields["M"]]))
    return fields


def names_setting(fields, setting):
    return any(setting in text.replace(" ", "_") for text in fields.values())


@pytest.mark.headgate_only
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_query_timeout_cancels_the_query_and_keeps_the_connection(start_headgate, mode):
    pooler = start_headgate(pool_mode=mode, default_pool_size=1, query_timeout=1)
    with Wire(pooler.port) as wire:
        pid = wire.login().value(PID)
        wire.send(query(SLEEP))
        (fields,) = errors(wire.read_until())
        assert (fields["S"], fields["C"]) == ("ERROR", "57014")
        assert "query_timeout" in fields["D"]
        assert wire.value(PID) == pid


def test_query_timeout_can_close_the_connection(start_headgate):
    action = {"timeout_action": "close"} if is_headgate() else {}
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, query_timeout=1, **action)
    with Wire(pooler.port) as wire, Wire(pooler.port) as other:
        wire.login().send(query(SLEEP))
        assert fatal_end(wire)["M"] == "query timeout"
        assert other.login().value("SELECT 'undisturbed'") == "undisturbed"


@pytest.mark.headgate_only  # PgBouncer counts from the last request, running or not
def test_query_timeout_does_not_hit_an_idle_transaction(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, query_timeout=1)
    with Wire(pooler.port) as wire:
        wire.login().query("BEGIN")
        assert wire.silent_for(2.5)
        assert wire.value("SELECT 'still open'") == "still open"


def test_query_timeout_of_a_client_that_waits(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, query_timeout=1)
    with Wire(pooler.port) as holder, Wire(pooler.port) as waiting:
        holder.login().query("BEGIN")
        waiting.login().send(query("SELECT 'never run'"))
        assert names_setting(waiting.read().fields(), "query_timeout")


@pytest.mark.headgate_only  # newer than 1.18
def test_a_user_s_own_query_timeout(start_headgate):
    pooler = start_headgate(users={"app": {"query_timeout": 1}}, pool_mode="transaction")
    with Wire(pooler.port) as wire:
        wire.login().send(query(SLEEP))
        assert errors(wire.read_until())[0]["C"] == "57014"


@pytest.mark.headgate_only  # newer than 1.18
def test_query_wait_notify_tells_a_waiting_client_once(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, query_wait_notify=1)
    with Wire(pooler.port) as holder, Wire(pooler.port) as waiting:
        holder.login().query("BEGIN")
        waiting.login().send(query("SELECT 'served'"))
        notice = waiting.read()
        assert notice.tag == "N"
        assert notice.fields()["M"] == "No server connection available in postgres backend, client being queued"
        assert waiting.silent_for(1.5)
        holder.query("COMMIT")
        assert [message.tag for message in waiting.read_until()] == ["T", "D", "C", "Z"]


def test_client_idle_timeout_closes_idle_clients_only(start_headgate):
    pooler = start_headgate(pool_mode="transaction", client_idle_timeout=2)
    with Wire(pooler.port) as idle, Wire(pooler.port) as busy, Wire(pooler.port) as in_transaction:
        in_transaction.login().query("BEGIN")
        idle.login()
        busy.login().send(query("SELECT pg_sleep(4)"))
        assert fatal_end(idle)["M"] == "client_idle_timeout"
        assert not errors(busy.read_until())
        assert in_transaction.value("SELECT 'linked'") == "linked"


def test_idle_transaction_timeout_rolls_back(start_headgate, postgres):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, idle_transaction_timeout=1)
    postgres.execute("CREATE TABLE IF NOT EXISTS idle_rows (id int)", "TRUNCATE idle_rows",
                     "GRANT ALL ON idle_rows TO public", database="single")  # fmt: skip
    with Wire(pooler.port) as idle, Wire(pooler.port) as other:
        idle.login().query("BEGIN")
        idle.query("INSERT INTO idle_rows VALUES (1)")
        assert fatal_end(idle)["M"] == "idle transaction timeout"
        assert other.login().value("SELECT count(*) FROM idle_rows") == "0"


def test_idle_transaction_timeout_spares_a_busy_transaction(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, idle_transaction_timeout=1)
    with Wire(pooler.port) as wire:
        wire.login().query("BEGIN")
        wire.query("SELECT pg_sleep(2.5)")
        wire.query("COMMIT")
        assert wire.silent_for(1.5)
        assert wire.value("SELECT 'fine'") == "fine"


@pytest.mark.headgate_only  # newer than 1.18
def test_transaction_timeout_of_an_idle_transaction(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, transaction_timeout=1)
    with Wire(pooler.port) as wire, Wire(pooler.port) as other:
        wire.login().query("BEGIN")
        assert fatal_end(wire)["M"] == "transaction timeout"
        assert other.login().value("SELECT 'served'") == "served"


@pytest.mark.headgate_only  # newer than 1.18
def test_transaction_timeout_of_a_busy_transaction(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, transaction_timeout=1)
    with Wire(pooler.port) as wire, Wire(pooler.port) as other:
        wire.login().query("BEGIN")
        wire.send(query(SLEEP))
        assert names_setting(wire.read_until("E")[-1].fields(), "transaction_timeout")
        wire.close()
        assert other.login().value("SELECT 'served'") == "served"


@pytest.mark.parametrize("part", [b"", startup({"user": "app"})[:7]], ids=["silent", "half a packet"])
def test_client_login_timeout(start_headgate, part):
    pooler = start_headgate(client_login_timeout=1, tcp_defer_accept=0)
    with Wire(pooler.port) as wire:
        wire.send(part)
        assert fatal_end(wire)["M"] == "client_login_timeout"


def test_client_login_timeout_before_the_password(start_headgate):
    pooler = start_headgate(client_login_timeout=1, auth_type="md5", userlist={"app": "secret"})
    with Wire(pooler.port) as wire:
        wire.send(startup({"user": "app", "database": "app"}, PROTOCOL_3_0))
        assert wire.read().tag == "R"
        assert fatal_end(wire)["M"] == "client_login_timeout"


def test_server_connect_timeout(start_headgate):
    """A server that takes the connection and then says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        pooler = start_headgate(
            {"app": {"host": "127.0.0.1", "port": mute.getsockname()[1], "dbname": "app"}},
            server_connect_timeout=1, query_wait_timeout=2, server_login_retry=60,
        )  # fmt: skip
        with Wire(pooler.port) as wire:
            wire.send(startup({"user": "app", "database": "app"}))
            wait_until(lambda: "connect timeout" in pooler.log(), what="the attempt is given up")
            assert fatal_end(wire)["S"] == "FATAL"


def test_timeouts_leave_normal_traffic_alone(start_headgate):
    pooler = start_headgate(
        pool_mode="transaction", default_pool_size=1, query_timeout=1, query_wait_timeout=1,
        idle_transaction_timeout=1, client_idle_timeout=1,
    )  # fmt: skip
    with Wire(pooler.port) as one, Wire(pooler.port) as two:
        one.login(), two.login()
        for _ in range(15):
            for wire in (one, two):
                wire.query("BEGIN")
                wire.query("SELECT pg_sleep(0.05)")
                wire.query("COMMIT")
