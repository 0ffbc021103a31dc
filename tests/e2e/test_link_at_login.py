"""link_at_login: in session mode a client has its server from its log-in on, and is told the number of that
server's process, as on a direct connection. What it cancels is still found by a secret of Headgate's own."""

import threading

import psycopg
import pytest

from lib.messages import query
from lib.processes import wait_until
from lib.wire import ServerError, Wire, errors, send_cancel

pytestmark = [pytest.mark.headgate_only, pytest.mark.sanitizers]
PID = "SELECT pg_backend_pid()"
WORKERS = [1, 3]


@pytest.fixture
def start(start_headgate):
    return lambda **settings: start_headgate(**{"link_at_login": 1, "pool_mode": "session", **settings})


@pytest.mark.parametrize("workers", WORKERS)
def test_the_process_is_the_server_s(start, postgres, workers):
    pooler = start(workers=workers)
    with pooler.connect() as one, pooler.connect() as other:
        told = [connection.info.backend_pid for connection in (one, other)]
        assert sorted(told) == sorted(backend["pid"] for backend in postgres.backends("single"))
        for connection in (one, other):
            assert connection.execute(PID).fetchone() == (connection.info.backend_pid,)


def test_it_is_the_one_that_is_seen_from_elsewhere(start, postgres):
    """What monitoring and pg_terminate_backend() need it for."""
    pooler = start()
    with pooler.connect() as connection:
        postgres.rows("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
        with pytest.raises(psycopg.OperationalError, match="terminating connection"):
            connection.execute("SELECT 1")


def test_a_server_that_was_used_before_is_named_as_well(start):
    pooler = start(default_pool_size=1)
    keys = []
    for _ in range(3):
        with Wire(pooler.port) as wire:
            assert wire.login().value(PID) == str(wire.key[0])
            keys.append(wire.key)
    assert len({process for process, _ in keys}) == 1, "they had the same server"
    assert len({secret for _, secret in keys}) == 3, "and each its own secret"


@pytest.mark.parametrize("workers", WORKERS)
def test_a_log_in_waits_for_a_server_of_its_own(start, workers):
    pooler = start(default_pool_size=1, workers=workers)
    with Wire(pooler.port) as first, Wire(pooler.port) as second:
        first.login()
        thread = threading.Thread(target=second.login)
        thread.start()
        wait_until(lambda: pooler.pool()["cl_waiting"] == 1, what="the second one waits")
        first.close()
        thread.join(10)
        assert second.value(PID) == str(second.key[0]) == str(first.key[0])


def test_the_wait_has_an_end(start):
    pooler = start(default_pool_size=1, query_wait_timeout=1)
    with Wire(pooler.port) as first, Wire(pooler.port) as second:
        first.login()
        with pytest.raises(ServerError, match="query_wait_timeout"):
            second.login()


def test_who_leaves_without_a_word_gives_its_server_back(start):
    pooler = start(default_pool_size=1)
    for _ in range(3):
        wire = Wire(pooler.port)
        wire.login()
        wire.reset()
    with Wire(pooler.port) as wire:
        assert wire.login().value("SELECT 'served'") == "served"


def test_parameters_of_the_start_are_there_before_the_first_query(start, postgres):
    pooler = start()
    with Wire(pooler.port) as wire:
        wire.login(application_name="early", work_mem="3MB")
        wait_until(lambda: [backend["application_name"] for backend in postgres.backends("single")] == ["early"])
        assert wire.value("SHOW work_mem") == "3MB"
        wire.query("RESET ALL")
        assert wire.value("SHOW work_mem") == "3MB"


def test_a_parameter_that_the_server_refuses_ends_the_client(start):
    pooler = start()
    with Wire(pooler.port) as wire:
        wire.login(work_mem="much")
        (error,) = errors(wire.read_to_end())
        assert (error["S"], error["C"]) == ("FATAL", "22023")


@pytest.mark.parametrize("workers", WORKERS)
def test_cancel(start, workers):
    pooler = start(workers=workers)
    with Wire(pooler.port) as wire, Wire(pooler.port) as other:
        other.login().send(query("SELECT pg_sleep(1), 'undisturbed'"))
        wire.login().send(query("SELECT pg_sleep(60)"))
        wait_until(lambda: pooler.pool()["cl_active"] == 2)
        wire.cancel()
        assert [error["C"] for error in errors(wire.read_until())] == ["57014"]
        assert not errors(other.read_until())


def test_the_server_s_own_secret_is_not_told(start, postgres):
    """Nor does another secret of the same process cancel anything."""
    pooler = start()
    with Wire(pooler.port) as wire:
        process, secret = wire.login().key
        wire.send(query("SELECT pg_sleep(0.5), 'not cancelled'"))
        send_cancel(postgres.port, (process, secret))
        for guess in (0, 1, -1, secret ^ 1):
            send_cancel(pooler.port, (process, guess))
        assert not errors(wire.read_until())


def test_a_pooler_with_peers_keeps_its_keys(start):
    """The number of the peer stands where that of the process would."""
    pooler = start(peer_id=7)
    with Wire(pooler.port) as wire:
        process, _ = wire.login().key
        assert process >> 8 & 0xFFFF == 7 << 8
        wire.send(query("SELECT pg_sleep(60)"))
        wait_until(lambda: pooler.pool()["cl_active"] == 1)
        wire.cancel()
        assert [error["C"] for error in errors(wire.read_until())] == ["57014"]


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_other_modes_are_as_they_were(start, postgres, mode):
    pooler = start(pool_mode=mode, default_pool_size=1)
    with Wire(pooler.port) as one, Wire(pooler.port) as other:
        assert one.login().value(PID) == other.login().value(PID)
        assert one.key[0] != other.key[0]


def test_a_reload_switches_it_for_those_who_come_later(start):
    pooler = start(link_at_login=0, default_pool_size=2)
    with Wire(pooler.port) as before, Wire(pooler.port) as after:
        before.login()
        assert pooler.pool()["sv_active"] == 0
        pooler.reload(link_at_login=1)
        after.login()
        assert pooler.pool()["sv_active"] == 1
        assert after.value(PID) == str(after.key[0])
        assert before.value("SELECT 1") == "1"


def test_a_server_that_dies_is_not_replaced_unseen(start, postgres):
    """Its client would have the number of another's process."""
    pooler = start()
    with Wire(pooler.port) as wire:
        wire.login()
        postgres.rows("SELECT pg_terminate_backend(%s)", (wire.key[0],))
        assert [error["C"] for error in errors(wire.read_to_end())] == ["57P01"]
