"""headgate -R under load, again and again: every answer is checked, and no client sees an error.
HEADGATE_CLIENTS sets how many clients are at work meanwhile, HEADGATE_RESTARTS how often; 100 and 3 without."""

import asyncio
import os
import random
import signal
import subprocess
import threading
import time

import pytest

from lib import VARIABLES, messages, processes
from lib.headgate import is_sanitized
from lib.messages import query
from lib.postgres import program
from lib.processes import wait_until
from lib.watch import PeakServers
from lib.wire import errors, first_value, raise_error
from lib.wire_async import AsyncWire, send_cancel

pytestmark = [pytest.mark.headgate_only, pytest.mark.sanitizers]

CLIENTS = int(VARIABLES.get("HEADGATE_CLIENTS", "100"))
RESTARTS = int(VARIABLES.get("HEADGATE_RESTARTS", "3"))


def start(start_headgate, **settings):
    quiet = {"log_connections": 0, "log_disconnections": 0}
    return start_headgate(pool_mode="transaction", **quiet, **settings)


def descriptors(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def work_mem(number):
    """One for each client; an odd number of kB is shown as it is."""
    return f"{2 * number + 65}kB"


class Load:
    """Clients that talk without a pause and check every answer; what goes wrong is kept."""

    def __init__(self, pooler, clients):
        self.pooler = pooler
        self.clients = clients
        self.answers = 0
        self.slowest = 0.0
        self.errors = []
        self.newcomers = 0
        self.over = threading.Event()

    async def run(self):
        await asyncio.gather(self.visit(), *(self.one(number) for number in range(self.clients)))

    async def one(self, number):
        dice = random.Random()
        wire = None
        try:
            wire = await AsyncWire.open(self.pooler.port, 60)
            await wire.login(application_name=f"client {number}")
            await wire.query(f"SET work_mem = '{work_mem(number)}'")
            wire.send(messages.parse(f"SELECT '{number} ' || $1::text", "mine"), messages.sync())
            raise_error(await wire.read_until())
            while not self.over.is_set():
                await asyncio.sleep(dice.random() * 0.2)
                began = time.monotonic()
                await self.talk(wire, number, dice)
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.answers += 1
            wire.close()
        except Vanishes:
            wire.reset()
        except Exception as error:  # whatever it is, it is what this test looks for
            self.errors.append(f"client {number}: {type(error).__name__} {error}")

    async def talk(self, wire, number, dice):
        kind = dice.randrange(4)
        if kind == 0:
            value = str(dice.randrange(10**6))
            wire.send(messages.bind([value], "mine"), messages.execute(), messages.sync())
            await self.expect(wire, f"{number} {value}")
        elif kind == 1:
            wire.send(query("SELECT current_setting('application_name') || current_setting('work_mem')"))
            await self.expect(wire, f"client {number}{work_mem(number)}")
        elif kind == 2:
            await wire.query("BEGIN")
            wire.send(query(f"SELECT {number} FROM pg_sleep({dice.random() * 0.02})"))
            await self.expect(wire, str(number))
            await wire.query("COMMIT")
        else:
            wire.send(query("SELECT 'a'"), query("SELECT 'b'"))
            await self.expect(wire, "a")
            await self.expect(wire, "b")

    @staticmethod
    async def expect(wire, value):
        answer = await wire.read_until()
        raise_error(answer)
        assert first_value(answer) == value

    async def visit(self):
        """Clients that come, ask one thing and go, in each moment of a restart, too."""
        while not self.over.is_set():
            try:
                wire = await AsyncWire.open(self.pooler.port, 60)
                await wire.login()
                await wire.query("SELECT 1")
                wire.send(messages.terminate())
                wire.close()
                self.newcomers += 1
            except Exception as error:  # as above
                self.errors.append(f"newcomer: {type(error).__name__} {error}")


class Unruly(Load):
    """Clients that vanish in the middle of anything, and cancel what they have asked for."""

    async def talk(self, wire, number, dice):
        kind = dice.randrange(8)
        if kind == 0:
            wire.send(query("SELECT pg_sleep(0.05)"))
            raise Vanishes
        if kind == 1:
            wire.send(query("SELECT 'in two parts'")[: dice.randrange(1, 20)])
            await asyncio.sleep(dice.random() * 0.2)
            raise Vanishes
        if kind == 2:
            await wire.query("BEGIN")
            raise Vanishes
        if kind == 3:
            wire.send(query("SELECT pg_sleep(5)"))
            await asyncio.sleep(dice.random() * 0.05)
            while not wire.has_answer():  # it has no effect on what is not there yet
                await send_cancel(self.pooler.port, wire.key)
                await asyncio.sleep(0.02)
            answer = await wire.read_until()
            assert errors(answer)[0]["C"] == "57014"
        else:
            await super().talk(wire, number, dice)

    async def one(self, number):
        """One after the other in the same place."""
        while not self.over.is_set() and not self.errors:
            await super().one(number)


class Vanishes(Exception):
    """Without a word to the other side."""


def restart_often(pooler, times):
    """What each process looked like when it served alone: (descriptors, resident bytes, seconds of the handover)."""
    seen = []
    for _ in range(times):
        began = time.monotonic()
        pooler.restart_online(60)
        took = time.monotonic() - began
        time.sleep(1)  # of load on the new process, not a wait for anything
        seen.append((descriptors(pooler.process), pooler.rss_bytes(), took))
    return seen


@pytest.mark.parametrize("workers", [1, 2])
def test_again_and_again_under_load_without_an_error(start_headgate, postgres, capsys, workers):
    clients = 20 if is_sanitized() else CLIENTS
    pooler = start(
        start_headgate, default_pool_size=20, workers=workers, max_client_conn=clients + 100, listen_backlog=4096,
    )  # fmt: skip
    load = Load(pooler, clients)

    # Processes are started by this thread: they die with the one that did.
    working = threading.Thread(target=lambda: asyncio.run(load.run()))
    with PeakServers(postgres, "single") as peak:
        working.start()
        try:
            wait_until(lambda: load.answers >= 2 * clients or load.errors, 60, "all are at work")
            seen = restart_often(pooler, RESTARTS)
        finally:
            load.over.set()
            working.join()
    with capsys.disabled():
        print(f"\n{clients} clients, {workers} workers, {RESTARTS} restarts: {load.answers} answers, {load.newcomers} newcomers, "
              f"{len(load.errors)} errors, slowest answer {load.slowest:.2f} s, at most {peak.highest} servers")  # fmt: skip
        for descriptor_count, resident, took in seen:
            print(f"  {descriptor_count} descriptors, {resident / 1e6:.1f} MB, {took:.2f} s")
    assert not load.errors, load.errors[:10]
    assert peak.highest <= 20
    counts = [descriptor_count for descriptor_count, _, _ in seen]
    assert max(counts) - min(counts) <= 30  # servers and newcomers come and go
    if not is_sanitized():
        assert seen[-1][1] < 1.5 * seen[0][1]


def test_clients_that_vanish_and_cancel_leave_nothing_behind(start_headgate, capsys):
    clients = 20 if is_sanitized() else min(CLIENTS, 100)
    pooler = start(start_headgate, default_pool_size=20, workers=2, max_client_conn=clients + 100, client_login_timeout=10)
    load = Unruly(pooler, clients)
    working = threading.Thread(target=lambda: asyncio.run(load.run()))
    working.start()
    try:
        wait_until(lambda: load.answers >= clients or load.errors, 60, "all are at work")
        restart_often(pooler, RESTARTS)
    finally:
        load.over.set()
        working.join()
    with capsys.disabled():
        print(f"\n{clients} unruly clients, {RESTARTS} restarts: {load.answers} answers, {load.newcomers} newcomers")
    assert not load.errors, load.errors[:10]

    def used():
        return {row["list"]: row["items"] for row in pooler.admin("SHOW LISTS")}["used_clients"]

    wait_until(lambda: used() == 1, 20, "nobody is left but the console")
    wait_until(lambda: pooler.pool()["sv_active"] + pooler.pool()["sv_active_cancel"] == 0, 20, "servers are free")
    database = next(row for row in pooler.admin("SHOW DATABASES") if row["name"] == "app")
    assert database["current_client_connections"] == 0


def transactions(pooler):
    return sum(row["total_xact_count"] for row in pooler.admin("SHOW STATS") if row["database"] == "app")


@pytest.mark.parametrize("protocol", ["simple", "extended", "prepared"])
def test_pgbench_at_full_speed_sees_no_error(start_headgate, protocol):
    """Clients that are hardly ever at rest, in every protocol."""
    # pgbench itself waits for each PREPARE, with all clients of a thread: none may have to wait for a server then.
    size = 40 if protocol == "prepared" else 10
    pooler = start(start_headgate, default_pool_size=size, workers=2)
    script = pooler.path("script.sql")
    processes.write_file(script, "\\set n random(1, 1000)\nBEGIN;\nSELECT :n;\nSELECT :n + 1;\nEND;\nSELECT :n;\n")
    running = subprocess.Popen(
        [program("pgbench"), "-n", "-h", "127.0.0.1", "-p", str(pooler.port), "-U", "app", "-c", "40", "-j", "2",
         "-M", protocol, "-T", "30", "-f", script, "app"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        wait_until(lambda: transactions(pooler) > 2000, 30, "all are at work")
        for _ in range(RESTARTS):
            pooler.restart_online(60)
        assert running.poll() is None
        running.send_signal(signal.SIGINT)
    finally:
        output, _ = running.communicate(timeout=60)
    assert "ERROR" not in output and "FATAL" not in output and "server closed" not in output, output
    assert "aborted" not in output, output
