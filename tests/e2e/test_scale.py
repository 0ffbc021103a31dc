"""10,000 clients over 20 servers, in little memory, and at rest without work."""

import asyncio
import time

import pytest

from lib.headgate import is_headgate, is_sanitized
from lib.messages import query
from lib.processes import wait_until
from lib.watch import PeakServers
from lib.wire import raise_error
from lib.wire_async import log_in_many

CLIENTS = 10_000
SERVERS = 20
RSS_LIMIT_MB = 30
IDLE_SECONDS = 3


async def transaction(wire, number):
    """One transaction: its messages are answered in order, its rows are this client's own."""
    wire.send(query("BEGIN"))
    raise_error(await wire.read_until())
    wire.send(query(f"SELECT '{number}'"))
    answer = await wire.read_until()
    raise_error(answer)
    assert [part.values() for part in answer if part.tag == "D"] == [[str(number).encode()]]
    wire.send(query("COMMIT"))
    raise_error(await wire.read_until())


async def run_in_turns(wires, rounds, at_once):
    gate = asyncio.Semaphore(at_once)

    async def turn(number, wire):
        async with gate:
            await transaction(wire, number)

    for _ in range(rounds):
        await asyncio.gather(*(turn(number, wire) for number, wire in enumerate(wires)))


def idle_share(pooler):
    """The part of one core that it uses while nobody asks for anything."""
    before, started = pooler.cpu_nanoseconds(), time.monotonic()
    time.sleep(IDLE_SECONDS)  # a window to measure, not a wait
    return (pooler.cpu_nanoseconds() - before) / 1e9 / (time.monotonic() - started)


def test_ten_thousand_clients_take_turns_on_twenty_servers(start_headgate, postgres, count_servers, capsys):
    clients = 1000 if is_sanitized() else CLIENTS
    pooler = start_headgate(
        pool_mode="transaction", default_pool_size=SERVERS, max_client_conn=CLIENTS + 100,
        listen_backlog=4096, log_connections=0, log_disconnections=0,
    )  # fmt: skip

    async def story():
        wires = await log_in_many(pooler.port, clients)
        logged_in_mb = pooler.rss_bytes() / 1e6
        await run_in_turns(wires, rounds=1, at_once=clients)
        busy_mb = pooler.rss_bytes() / 1e6
        wait_until(lambda: pooler.pool()["sv_active"] == 0, what="every server is free")
        share = await asyncio.get_running_loop().run_in_executor(None, idle_share, pooler)
        for wire in wires:
            wire.close()
        return logged_in_mb, busy_mb, share

    with PeakServers(postgres, "single") as peak:
        logged_in_mb, busy_mb, share = asyncio.run(story())
    with capsys.disabled():
        print(f"\n{clients} clients: RSS {logged_in_mb:.1f} MB logged in, {busy_mb:.1f} MB after a transaction"
              f" each; {share:.2%} of a core when idle; at most {peak.highest} servers")  # fmt: skip
    assert peak.highest <= SERVERS
    assert count_servers() <= SERVERS
    wait_until(lambda: pooler.pool()["cl_active"] == 0, 30, "all clients are gone")
    if not is_sanitized():
        assert logged_in_mb < RSS_LIMIT_MB
        assert busy_mb < RSS_LIMIT_MB or not is_headgate()  # PgBouncer keeps a buffer for each that waits
        assert share < 0.02


@pytest.mark.sanitizers
def test_a_thousand_clients_come_and_go(start_headgate, count_servers):
    """Connecting for each transaction: nothing piles up."""
    pooler = start_headgate(pool_mode="transaction", default_pool_size=SERVERS, max_client_conn=2000,
                            log_connections=0, log_disconnections=0)  # fmt: skip

    async def come_and_go():
        for wire in await log_in_many(pooler.port, 250):
            await transaction(wire, 1)
            wire.close()

    asyncio.run(come_and_go())
    before = pooler.rss_bytes()
    for _ in range(3):
        asyncio.run(come_and_go())
    wait_until(lambda: pooler.pool()["cl_active"] == 0, what="all clients are gone")
    assert count_servers() <= SERVERS
    if is_headgate() and not is_sanitized():
        assert pooler.rss_bytes() - before < 3_000_000
