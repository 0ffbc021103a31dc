"""Clients that vanish ten thousand at a time, log in thousands at a time, end in the middle of a
word, or crawl. Those who have nothing to do with it are served all the while.

HEADGATE_FAULTS_SCALE (default 1) multiplies the clients and the places at which dialogues are cut.
"""

import asyncio
import random
import resource
import threading
import time

import pytest

from lib import VARIABLES
from lib.faulty import Fault, Faulty
from lib.headgate import is_sanitized
from lib.messages import copy_data, copy_done, copy_fail, extended, query, startup, sync, terminate
from lib.processes import wait_until
from lib.scram import scram_secret
from lib.wire import ServerError, Wire, errors, first_value
from lib.wire_async import AsyncWire, log_in_many

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only]
SCALE = float(VARIABLES.get("HEADGATE_FAULTS_SCALE", "1"))
SEED = int(VARIABLES.get("HEADGATE_FAULTS_SEED", "99"))
SERVERS = 20
CUTS = int((40 if is_sanitized() else 150) * SCALE)
LEFT_MB = 8  # that a crowd may leave behind once the allocator has given back what it let go
GIVE_BACK_SECONDS = 40  # jemalloc takes ten and a bit
MEGABYTE = 1 << 20
ROW_BYTES = 64 * MEGABYTE
PID = "SELECT pg_backend_pid()"


def at_rest(pooler):
    return is_at_rest(pooler.pool())


def is_at_rest(row):
    """A server whose client has gone, and whose query is being cancelled, is no longer counted as active."""
    busy = ("cl_active", "cl_waiting", "sv_active", "sv_active_cancel", "sv_being_canceled", "sv_tested", "sv_login")
    return all(row[name] == 0 for name in busy)


def check_served(pooler):
    with Wire(pooler.port, timeout=20) as wire:
        assert wire.login().value("SELECT 'served'") == "served"


class Bystander:
    """A client that was there before, and goes on asking in a thread of its own."""

    def __init__(self, port, password=""):
        self._wire = Wire(port, timeout=30).login(password=password)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._problem = None
        self.answers = 0
        self.slowest = 0.0

    def _ask(self):
        try:
            while not self._done.wait(0.005):
                began = time.monotonic()
                assert self._wire.value(f"SELECT {self.answers}") == str(self.answers)
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.answers += 1
        except Exception as problem:
            self._problem = problem

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()
        self._wire.close()
        assert self._problem is None, f"a bystander was disturbed: {self._problem!r}"


# --- all vanish


def possible_clients(wanted):
    """As many as descriptors allow, each with an end here and one in the pooler."""
    return min(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500)


@pytest.mark.parametrize("doing", ["nothing", "queries and transactions"])
def test_ten_thousand_clients_vanish_at_once_and_again(start_headgate, postgres, count_servers, capsys, doing):
    clients = possible_clients(500 if is_sanitized() else int(10_000 * SCALE))
    pooler = start_headgate(
        pool_mode="transaction", default_pool_size=SERVERS, max_client_conn=clients + 100, listen_backlog=4096,
        log_connections=0, log_disconnections=0, log_pooler_errors=0,
    )  # fmt: skip
    check_served(pooler)
    figures = [pooler.rss_bytes() / 1e6]
    for _ in range(2):
        figures.append(asyncio.run(come_and_vanish(pooler, clients, doing)))
        wait_until(lambda: at_rest(pooler), 40, "the pool is at rest")
        assert count_servers() <= SERVERS
        assert all(backend["state"] == "idle" for backend in postgres.backends("single"))
        check_served(pooler)
        if not is_sanitized():
            most = figures[0] + LEFT_MB * max(SCALE, 1)
            wait_until(lambda: pooler.rss_bytes() / 1e6 < most, GIVE_BACK_SECONDS, f"less than {most:.1f} MB is held")
        figures.append(pooler.rss_bytes() / 1e6)
    with capsys.disabled():
        print(f"\n{clients} clients vanish from {doing}: RSS {figures[0]:.1f} MB before, {figures[1]:.1f} MB with them,"
              f" {figures[2]:.1f} MB left; again: {figures[3]:.1f} MB, {figures[4]:.1f} MB left")  # fmt: skip


async def come_and_vanish(pooler, clients, doing):
    """The RSS in MB just before they go."""
    wires = await log_in_many(pooler.port, clients)
    if doing != "nothing":
        await keep_busy(wires)
        wait_until(lambda: pooler.pool()["cl_waiting"] == clients - SERVERS, 30, "all the others wait")
    highest = pooler.rss_bytes() / 1e6
    for wire in wires:
        wire.reset()
    return highest


async def keep_busy(wires):
    """Half of the servers are in an idle transaction, half in a query, for which the others wait."""
    for wire in wires[: SERVERS // 2]:
        await wire.query("BEGIN")
    for wire in wires[SERVERS // 2 :]:
        wire.send(query("SELECT pg_sleep(60)"))


# --- all log in


@pytest.mark.parametrize("workers", [1, 2])
def test_thousands_log_in_at_once_and_those_who_are_there_are_served(start_headgate, capsys, workers):
    """Everybody with the right password is let in and served, everybody with a wrong one refused."""
    clients = possible_clients(150 if is_sanitized() else int(2000 * SCALE))
    dice = random.Random(SEED)
    pooler = start_headgate(
        pool_mode="transaction", auth_type="scram-sha-256", userlist={"app": scram_secret("right")}, workers=workers,
        max_client_conn=clients + 10, listen_backlog=4096, log_connections=0, log_disconnections=0, log_pooler_errors=0,
        default_pool_size=SERVERS, client_login_timeout=100, stats_users="app",
    )  # fmt: skip

    async def log_in(password):
        wire = await AsyncWire.open(pooler.port, 90)
        try:
            await wire.login(password=password)
            await wire.query("SELECT 1")
            return None
        except ServerError as error:
            return error.fields
        finally:
            wire.close()

    async def storm(passwords):
        return await asyncio.gather(*(log_in(password) for password in passwords))

    passwords = [dice.choice(["right"] * 9 + ["wrong"]) for _ in range(clients)]
    with Bystander(pooler.port, "right") as bystander:
        began = time.monotonic()
        outcomes = asyncio.run(storm(passwords))
        seconds = time.monotonic() - began
        answers = bystander.answers
    with capsys.disabled():
        print(f"\n{clients} SCRAM log-ins with {workers} workers: {seconds:.1f} s; meanwhile {answers} answers to a"
              f" bystander, the slowest {bystander.slowest * 1000:.0f} ms")  # fmt: skip
    for password, error in zip(passwords, outcomes):
        assert (error is None) == (password == "right"), f"seed {SEED}: {password}: {error}"
        assert error is None or "authentication failed" in error["M"]
    assert answers > 10
    with pooler.console("app", password="right") as console:
        wait_until(lambda: is_at_rest(console.execute("SHOW POOLS").fetchone()), 20, "all have gone")


# --- the middle of a word


@pytest.fixture
def rows_table(postgres):
    postgres.execute("CREATE TABLE IF NOT EXISTS cut_rows (id int)", "TRUNCATE cut_rows",
                     "GRANT ALL ON cut_rows TO public", database="single")  # fmt: skip


def dialogue(number):
    """A client's whole life; its row is committed by the message at which the second part ends."""
    before = [
        startup({"user": "app", "database": "app"}),
        query("BEGIN"),
        extended("SELECT $1", ["pipelined"]) + sync(),
        query(f"INSERT INTO cut_rows VALUES ({number})"),
        query("COMMIT"),
    ]
    after = [
        query("COPY cut_rows FROM STDIN"),
        copy_data(b"-1\n" * 20) + copy_fail("no"),
        extended("SELECT 1 / $1::int", ["0"]) + sync(),
        terminate(),
    ]
    return b"".join(before), b"".join(before + after)


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_client_cut_behind_any_byte_of_its_dialogue(start_headgate, postgres, rows_table, end):
    """No row without a whole COMMIT, none twice, and the next client is served by a clean server."""
    dice = random.Random(SEED)
    pooler = start_headgate(pool_mode="transaction", default_pool_size=2, log_connections=0, log_disconnections=0)
    whole = len(dialogue(1)[1])
    cuts = sorted(dice.sample(range(1, whole), min(CUTS, whole - 1)))
    with Faulty(pooler.port) as proxy:
        for cut in cuts:
            print(f"seed {SEED}: cut behind {cut}")
            proxy.befall_next(asked=Fault(cut_after=cut, end=end))
            with Wire(proxy.port) as wire:
                wire.send(dialogue(cut)[1])
                read_what_comes(wire)
    check_served(pooler)
    wait_until(lambda: at_rest(pooler), 20, "the pool is at rest")
    found = [row["id"] for row in postgres.rows("SELECT id FROM cut_rows", database="single")]
    assert len(found) == len(set(found)), f"seed {SEED}"
    assert all(number > 0 for number in found), f"seed {SEED}: a COPY that failed left its rows"
    assert all(cut >= len(dialogue(cut)[0]) for cut in found), f"seed {SEED}"


def read_what_comes(wire):
    try:
        wire.read_to_end()
    except (TimeoutError, OSError) as error:
        assert not isinstance(error, TimeoutError), "neither an answer nor an end"


def test_a_half_closed_client_is_one_that_has_vanished(start_headgate, postgres):
    """It may still read, but asks for nothing more: its query is cancelled, its server kept."""
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    with Faulty(pooler.port) as proxy, Wire(pooler.port) as other:
        asked = len(startup({"user": "app", "database": "app"}) + query("SELECT pg_sleep(60)"))
        proxy.befall_next(asked=Fault(cut_after=asked, end="half_close"))
        pid = other.login().value(PID)
        with Wire(proxy.port) as wire:
            wire.login().send(query("SELECT pg_sleep(60)"))
            assert wire.read_to_end() == []
        assert other.value(PID) == pid


# --- crawling


def test_slow_readers_of_64_mb_cost_little_memory_and_nobody_else(start_headgate, count_servers, capsys):
    """One reads a single row of 64 MB, another many rows, a third does not read at all."""
    pooler = start_headgate(pool_mode="transaction", default_pool_size=4)
    with Faulty(pooler.port, answered=Fault(bytes_per_second=40 * MEGABYTE)) as proxy, Bystander(pooler.port) as other:
        slow = [Wire(proxy.port, timeout=30).login() for _ in range(3)]
        before = highest = pooler.rss_bytes()
        slow[0].send(query(f"SELECT repeat('x', {ROW_BYTES})"))
        slow[1].send(query(f"SELECT repeat('y', 1000) FROM generate_series(1, {ROW_BYTES // 1000})"))
        slow[2].send(query(f"SELECT repeat('z', {ROW_BYTES})"))
        got = [0, 0]
        while min(got) < ROW_BYTES:
            for number in (0, 1):
                if got[number] < ROW_BYTES:
                    got[number] += len(slow[number].raw(MEGABYTE))
            highest = max(highest, pooler.rss_bytes())
        answers_meanwhile = other.answers
        for wire in slow:
            wire.reset()
        check_served(pooler)
    wait_until(lambda: at_rest(pooler), 20, "the pool is at rest")
    assert count_servers() <= 4
    with capsys.disabled():
        print(f"\nslow readers: {(highest - before) / 1e6:.1f} MB more, {answers_meanwhile} answers to a bystander")
    assert answers_meanwhile > 50
    if not is_sanitized():
        assert highest - before < 6 * MEGABYTE


@pytest.mark.parametrize("way", ["a large parameter", "a large COPY"])
def test_slow_writers_cost_little_memory_and_nobody_else(start_headgate, rows_table, way):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=2)
    size = 2 * MEGABYTE
    with Faulty(pooler.port, asked=Fault(bytes_per_second=MEGABYTE)) as proxy, Bystander(pooler.port) as other:
        with Wire(proxy.port, timeout=30) as slow:
            slow.login()
            before, asked_before = pooler.rss_bytes(), other.answers
            if way == "a large parameter":
                slow.send(extended("SELECT length($1)", [b"p" * size]), sync())
            else:
                rows = b"1234567\n" * (size // 80)
                slow.send(query("COPY cut_rows FROM STDIN"), *(copy_data(rows) for _ in range(10)), copy_done())
            answer = slow.read_until("C")
            assert not errors(answer)
            if way == "a large parameter":
                assert first_value(answer) == str(size)
            else:
                assert answer[-1].text() == f"COPY {size // 80 * 10}"
            grown = pooler.rss_bytes() - before
            assert other.answers - asked_before > 50
    if not is_sanitized():
        assert grown < 4 * MEGABYTE
