"""A cancel reaches the query that it is meant for, and no other."""

import asyncio
import random
import threading

import psycopg
import pytest

from lib.messages import extended, query, sync
from lib.processes import wait_until
from lib.wire import Wire, errors, first_value, send_cancel
from lib.wire_async import AsyncWire
from lib.wire_async import send_cancel as send_cancel_async

pytestmark = pytest.mark.sanitizers
SLEEP = "SELECT pg_sleep(60)"
SEED = 20240


@pytest.fixture(params=["session", "transaction"])
def pooler(request, start_headgate):
    return start_headgate(pool_mode=request.param, default_pool_size=1)


def wait_for_sleeper(postgres, count=1):
    wait_until(
        lambda: sum("pg_sleep(60)" in backend["query"] and backend["state"] == "active"
                    for backend in postgres.backends("single")) == count,
        what="the query runs",
    )  # fmt: skip


def test_a_running_query_is_cancelled_and_the_connection_survives(pooler, postgres):
    with Wire(pooler.port) as wire:
        pid = wire.login().value("SELECT pg_backend_pid()")
        wire.send(query(SLEEP))
        wait_for_sleeper(postgres)
        wire.cancel()
        assert errors(wire.read_until())[0]["C"] == "57014"
        assert wire.value("SELECT pg_backend_pid()") == pid


def test_a_cancel_through_the_unix_socket(pooler, postgres):
    with Wire(pooler.port) as wire:
        wire.login().send(query(SLEEP))
        wait_for_sleeper(postgres)
        send_cancel(pooler.port, wire.key, pooler.directory)
        assert errors(wire.read_until())[0]["C"] == "57014"


def test_a_cancel_ends_a_pipelined_query_and_its_batch(pooler, postgres):
    with Wire(pooler.port) as wire:
        wire.login().send(extended(SLEEP), extended("SELECT 'same batch'"), sync(), extended("SELECT 'next'"), sync())
        wait_for_sleeper(postgres)
        wire.cancel()
        failed = wire.read_until()
        assert errors(failed)[0]["C"] == "57014"
        assert first_value(failed) is None
        assert first_value(wire.read_until()) == "next"


def test_psycopg_cancels(pooler, postgres):
    with pooler.connect() as connection:

        def cancel():
            wait_for_sleeper(postgres)
            connection.cancel()

        canceller = threading.Thread(target=cancel)
        canceller.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute(SLEEP)
        canceller.join()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_cancel_for_an_idle_client_hits_nobody(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    with Wire(pooler.port) as idle, Wire(pooler.port) as busy:
        idle.login().query("SELECT 1")
        busy.login().send(query("SELECT pg_sleep(1), 'done'"))
        for _ in range(20):
            assert send_cancel(pooler.port, idle.key) == []
        answer = busy.read_until()
        assert not errors(answer)
        assert idle.value("SELECT 2") == "2"


def test_a_cancel_with_a_wrong_key_hits_nobody(pooler, postgres):
    with Wire(pooler.port) as wire:
        wire.login().send(query("SELECT pg_sleep(0.5)"))
        process, secret = wire.key
        for wrong in ((process, secret ^ 4), (process ^ 1, secret), (0, 0)):  # the last two bits are no part of it
            assert send_cancel(pooler.port, wrong) == []
        assert not errors(wire.read_until())


@pytest.mark.headgate_only  # PgBouncer closes the client
def test_a_client_that_waits_for_a_server_can_be_cancelled(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    with Wire(pooler.port) as holder, Wire(pooler.port) as waiting:
        holder.login().query("BEGIN")
        waiting.login().send(query("SELECT 'never run'"))
        wait_until(lambda: pooler.pool()["cl_waiting"] == 1, what="the client waits")
        waiting.cancel()
        (fields,) = errors(waiting.read_until())
        assert (fields["S"], fields["C"]) == ("ERROR", "57014")
        holder.query("COMMIT")
        assert waiting.value("SELECT 'survived'") == "survived"


@pytest.mark.headgate_only
def test_a_waiting_client_s_large_request_is_cancelled_and_the_next_is_heard(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    with Wire(pooler.port) as holder, Wire(pooler.port) as waiting:
        holder.login().query("BEGIN")
        waiting.login().send(query(f"SELECT '{'x' * 300_000}'"))
        wait_until(lambda: pooler.pool()["cl_waiting"] == 1, what="the client waits")
        waiting.cancel()
        assert [error["C"] for error in errors(waiting.read_until())] == ["57014"]
        holder.query("COMMIT")
        assert waiting.value("SELECT 'survived'") == "survived"


@pytest.mark.headgate_only
def test_a_waiting_client_s_whole_batch_is_cancelled(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    with Wire(pooler.port) as holder, Wire(pooler.port) as waiting:
        holder.login().query("BEGIN")
        waiting.login().send(extended("SELECT 'one'"), extended("SELECT 'two'"), sync())
        wait_until(lambda: pooler.pool()["cl_waiting"] == 1, what="the client waits")
        waiting.cancel()
        answer = waiting.read_until()
        assert [error["C"] for error in errors(answer)] == ["57014"]
        holder.query("COMMIT")
        assert waiting.value("SELECT 'in step'") == "in step"


@pytest.mark.headgate_only
def test_a_sync_that_waits_is_answered_and_the_query_behind_it_is_cancelled(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    with Wire(pooler.port) as holder, Wire(pooler.port) as waiting:
        holder.login().query("BEGIN")
        waiting.login().send(sync(), query("SELECT 'never run'"))
        wait_until(lambda: pooler.pool()["cl_waiting"] == 1, what="the client waits")
        waiting.cancel()
        assert errors(waiting.read_until()) == []
        assert [error["C"] for error in errors(waiting.read_until())] == ["57014"]
        holder.query("COMMIT")
        assert waiting.value("SELECT 'in step'") == "in step"


def test_a_storm_of_cancels_hits_only_what_was_cancelled(start_headgate):
    """Cancels race with the end of the query that they mean. Whoever has not asked for one is
    never cancelled, nor is a query that was sent after the cancel had been taken care of."""
    pooler = start_headgate(pool_mode="transaction", default_pool_size=2, max_client_conn=200)
    dice = random.Random(SEED)

    async def cancelled_client(done):
        wire = await (await AsyncWire.open(pooler.port)).login()
        hits = 0
        while not done.is_set():
            wire.send(query("SELECT pg_sleep(0.002)"))
            await asyncio.sleep(dice.uniform(0, 0.004))
            cancel = asyncio.create_task(send_cancel_async(pooler.port, wire.key))
            answer = await wire.read_until()
            await cancel
            codes = [error["C"] for error in errors(answer)]
            assert codes in ([], ["57014"])
            hits += len(codes)
            assert not errors(await wire.query("SELECT 'not cancelled'"))
        return hits

    async def innocent_client(done):
        wire = await (await AsyncWire.open(pooler.port)).login()
        answers = 0
        while not done.is_set():
            await wire.query("SELECT pg_sleep(0.001)")
            answers += 1
        return answers

    async def storm():
        done = asyncio.Event()
        asyncio.get_running_loop().call_later(4, done.set)
        hits = asyncio.gather(*(cancelled_client(done) for _ in range(4)))
        answers = asyncio.gather(*(innocent_client(done) for _ in range(8)))
        return sum(await hits), sum(await answers)

    hits, answers = asyncio.run(storm())
    assert hits > 0
    assert answers > 100
