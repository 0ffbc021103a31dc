"""Clients and servers that go away without a word.

A vanished client's query is cancelled and its transaction rolled back. Headgate keeps the
server (the same backend pid serves the next client); PgBouncer closes it.
"""

import pytest

from lib import messages
from lib.headgate import is_headgate
from lib.messages import copy_data, extended, flush, query, sync
from lib.processes import wait_until
from lib.wire import Closed, Wire, errors

pytestmark = pytest.mark.sanitizers
PID = "SELECT pg_backend_pid()"


@pytest.fixture(params=["session", "transaction"])
def pooler(request, start_headgate, postgres):
    postgres.execute("CREATE TABLE IF NOT EXISTS left_behind (id int)", "TRUNCATE left_behind",
                     "GRANT ALL ON left_behind TO public", database="single")  # fmt: skip
    return start_headgate(pool_mode=request.param, default_pool_size=1)


@pytest.fixture
def victim(pooler):
    """A client whose server's pid is in `.pid`."""
    wire = Wire(pooler.port).login()
    wire.pid = wire.value(PID)
    yield wire
    wire.close()


def check_next_client(pooler, postgres, victim, same_server=True):
    """The next client is served at once, by the same server where it could be kept."""
    with Wire(pooler.port) as successor:
        pid = successor.login().value(PID)
        assert successor.value("SELECT count(*) FROM left_behind") == "0"
    assert postgres.count_backends("single") <= 1
    if is_headgate() and same_server:
        assert pid == victim.pid


def wait_active(postgres, text):
    wait_until(
        lambda: any(text in b["query"] and b["state"] == "active" for b in postgres.backends("single")),
        what=f"{text} runs",
    )


@pytest.mark.headgate_only  # PgBouncer leaves the query running on a server that it has closed
@pytest.mark.parametrize("way", ["reset", "close"])
def test_a_vanished_client_s_query_is_cancelled(pooler, postgres, victim, way):
    victim.send(query("SELECT pg_sleep(60)"))
    wait_active(postgres, "pg_sleep(60)")
    getattr(victim, way)()
    check_next_client(pooler, postgres, victim)


@pytest.mark.headgate_only
def test_a_vanished_client_s_pipeline_is_cancelled(pooler, postgres, victim):
    """Every batch of it: a cancel ends only the one that runs."""
    victim.send(*(extended("SELECT pg_sleep(60)") + sync() for _ in range(5)))
    wait_active(postgres, "pg_sleep(60)")
    victim.reset()
    check_next_client(pooler, postgres, victim)


def test_a_vanished_client_s_transaction_is_rolled_back(pooler, postgres, victim):
    victim.query("BEGIN")
    victim.query("INSERT INTO left_behind VALUES (1)")
    victim.reset()
    check_next_client(pooler, postgres, victim)


def test_a_vanished_client_s_failed_transaction_is_rolled_back(pooler, postgres, victim):
    victim.query("BEGIN")
    victim.send(query("SELECT 1 / 0"))
    victim.read_until()
    victim.reset()
    check_next_client(pooler, postgres, victim)


def test_an_orderly_goodbye_inside_a_transaction_rolls_back(pooler, postgres, victim):
    victim.query("BEGIN")
    victim.query("INSERT INTO left_behind VALUES (1)")
    victim.send(messages.terminate())
    check_next_client(pooler, postgres, victim)


def test_a_client_that_vanishes_in_a_message_at_rest(pooler, postgres, victim):
    victim.send(query("INSERT INTO left_behind VALUES (1)")[:-5])
    victim.reset()
    check_next_client(pooler, postgres, victim)


def test_a_client_that_vanishes_in_a_message_in_a_transaction(pooler, postgres, victim):
    victim.query("BEGIN")
    victim.query("INSERT INTO left_behind VALUES (1)")
    victim.send(query("COMMIT")[:-3])
    victim.reset()
    check_next_client(pooler, postgres, victim)


def test_a_client_that_vanishes_in_a_large_message(pooler, postgres, victim):
    """A part of the message may already be with the server, which cannot be saved then."""
    whole = extended("SELECT length($1)", ["x" * 20_000_000]) + sync()
    victim.send(whole[:10_000_000])
    victim.reset()
    check_next_client(pooler, postgres, victim, same_server=False)


def test_a_client_that_vanishes_before_its_sync(pooler, postgres, victim):
    victim.send(extended("INSERT INTO left_behind VALUES (1)"), flush())
    victim.read_until("C")
    victim.reset()
    check_next_client(pooler, postgres, victim)


def test_a_client_that_vanishes_in_a_copy_in(pooler, postgres, victim):
    victim.send(query("COPY left_behind FROM STDIN"))
    victim.read_until("G")
    victim.send(*(copy_data(b"%d\n" % number) for number in range(1000)))
    victim.reset()
    check_next_client(pooler, postgres, victim)


def test_a_client_that_vanishes_in_a_copy_message(pooler, postgres, victim):
    victim.send(query("COPY left_behind FROM STDIN"))
    victim.read_until("G")
    victim.send(copy_data(b"7\n" * 100_000)[:50_000])
    victim.reset()
    check_next_client(pooler, postgres, victim, same_server=False)


@pytest.mark.headgate_only
def test_a_client_that_vanishes_in_a_copy_out(pooler, postgres, victim):
    victim.send(query("COPY (SELECT generate_series(1, 100000000)) TO STDOUT"))
    victim.read_until("d")
    victim.reset()
    check_next_client(pooler, postgres, victim)


@pytest.mark.headgate_only
def test_a_client_that_vanishes_in_a_long_result(pooler, postgres, victim):
    victim.send(query("SELECT generate_series(1, 100000000), repeat('x', 1000)"))
    victim.read_until("D")
    victim.reset()
    check_next_client(pooler, postgres, victim)


@pytest.mark.headgate_only
def test_many_vanish_at_once_and_no_server_is_lost(start_headgate, postgres):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=5)
    clients = [Wire(pooler.port).login() for _ in range(40)]
    for wire in clients:
        wire.send(query("SELECT pg_sleep(60)"))
    wait_until(lambda: pooler.pool()["cl_waiting"] == 35, what="35 wait")
    before = {backend["pid"] for backend in postgres.backends("single")}
    for wire in clients:
        wire.reset()
    wait_until(lambda: pooler.pool()["sv_idle"] == 5, what="all servers are free")
    assert {backend["pid"] for backend in postgres.backends("single")} == before
    assert len(before) == 5


def terminate(postgres, pid):
    assert postgres.value("SELECT pg_terminate_backend(%s, 5000)", (int(pid),))


def test_a_server_that_dies_idle_is_never_noticed(start_headgate, postgres):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    with Wire(pooler.port) as wire:
        wire.login()
        for round_number in range(10):
            pid = wire.value(PID)
            terminate(postgres, pid)
            if round_number % 2:  # extended queries too
                wire.send(extended(PID), sync())
                assert not errors(wire.read_until())
            assert wire.value(PID) != pid


def test_a_server_that_dies_in_a_query_is_told_to_its_client_alone(start_headgate, postgres):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=2)
    with Wire(pooler.port) as unlucky, Wire(pooler.port) as lucky:
        unlucky.login().query("BEGIN")
        pid = unlucky.value(PID)
        lucky.login().query("BEGIN")
        unlucky.send(query("SELECT pg_sleep(60)"))
        wait_active(postgres, "pg_sleep(60)")
        terminate(postgres, pid)
        answer = unlucky.read_to_end()
        assert errors(answer)[0]["C"] == "57P01"
        assert lucky.value("SELECT 'undisturbed'") == "undisturbed"


def test_a_server_that_dies_in_an_idle_transaction_is_told_to_its_client(start_headgate, postgres):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    with Wire(pooler.port) as wire:
        wire.login().query("BEGIN")
        terminate(postgres, wire.value(PID))
        answer = wire.read_to_end()
        assert errors(answer)[0]["S"] == "FATAL"
        with pytest.raises((Closed, BrokenPipeError)):
            wire.value("SELECT 1")
    with Wire(pooler.port) as wire:
        assert wire.login().value("SELECT 'served'") == "served"
