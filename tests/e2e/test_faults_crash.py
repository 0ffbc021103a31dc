"""PostgreSQL crashes, restarts and freezes under load: every commit is accounted for, every client
gets its answer or its error in time, and the pool comes back to its full size by itself.

HEADGATE_FAULTS_SCALE (default 1) multiplies the clients and the number of faults.
"""

import os
import random
import signal
import time
from contextlib import contextmanager

import psycopg
import pytest

from lib import VARIABLES
from lib import accounting, processes
from lib.headgate import Headgate, is_sanitized
from lib.messages import query
from lib.postgres import Postgres, User
from lib.processes import wait_until
from lib.wire import ServerError, Wire, errors

pytestmark = pytest.mark.headgate_only  # PgBouncer counts query_timeout otherwise, and knows no timeout_action
SCALE = float(VARIABLES.get("HEADGATE_FAULTS_SCALE", "1"))
SEED = int(VARIABLES.get("HEADGATE_FAULTS_SEED", "4711"))
SERVERS = 8
WAIT_SECONDS = 8  # query_wait_timeout
ANSWER_SECONDS = 30  # beyond every timeout of the pooler together
SLEEP = "SELECT pg_sleep(60)"
PID = "SELECT pg_backend_pid()"


@pytest.fixture(scope="module")
def crashable(many_files):
    """A PostgreSQL of this file's own, whose commits survive a crash of its processes."""
    with Postgres.primary([User("app")], max_connections=60, synchronous_commit="on") as server:
        accounting.prepare(server, "app")
        yield server


@pytest.fixture
def start_pooler(crashable):
    """As start_headgate, before the server of this file."""
    started = []

    def start(**settings):
        settings = {"pool_mode": "transaction", "default_pool_size": SERVERS, "max_client_conn": 2000,
                    "server_login_retry": 0.2, "server_connect_timeout": 3, "query_wait_timeout": WAIT_SECONDS,
                    "log_connections": 0, "log_disconnections": 0, **settings}  # fmt: skip
        databases = {"app": {"host": "127.0.0.1", "port": crashable.port, "dbname": "app"}}
        started.append(Headgate(databases, **settings))
        return started[-1].start()

    yield start
    for pooler in started:
        pooler.remove()


def check_full_pool(pooler, size):
    """So many clients hold a server each at the same time; then nobody is left waiting or linked."""
    clients = [Wire(pooler.port, timeout=20).login() for _ in range(size)]
    try:
        for wire in clients:
            wire.query("BEGIN")
        assert len({wire.value(PID) for wire in clients}) == size
        assert pooler.pool()["sv_active"] == size
    finally:
        for wire in clients:
            wire.close()
    wait_until(lambda: (pooler.pool()["sv_active"], pooler.pool()["cl_waiting"]) == (0, 0), 20, "the pool is at rest")


# --- ways to go down, and up again


def fast_restart(postgres):
    postgres.stop()
    postgres.start()


def immediate_restart(postgres):
    processes.stop(postgres.process, signal.SIGQUIT)
    postgres.start()


def kill_postmaster(postgres):
    """Its children end when they notice; only then does the next one start."""
    family = processes.children(postgres.process.pid)
    postgres.process.kill()
    postgres.process.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in family), 20, "the orphans end")
    postgres.start()


def kill_backend(postgres):
    """All other backends are ended with 57P02 by the postmaster, which recovers and goes on."""
    victim = random.Random(SEED).choice(postgres.backends("app"))["pid"]
    print(f"seed {SEED}: backend {victim} is killed")
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: not is_alive(victim), 20, "the backend is gone")
    wait_until(lambda: accepts(postgres), 30, "PostgreSQL has recovered")


def accepts(postgres):
    try:
        postgres.connect().close()
        return True
    except psycopg.OperationalError:
        return False


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


WAYS = {
    "a fast restart": fast_restart,
    "an immediate restart": immediate_restart,
    "a killed postmaster": kill_postmaster,
    "a killed backend": kill_backend,
}


@pytest.mark.sanitizers
@pytest.mark.parametrize("way", WAYS)
def test_every_commit_is_accounted_for_after(way, start_pooler, crashable, capsys):
    """Writers in four styles write on while PostgreSQL goes down and comes back, twice."""
    crashable.execute(f"TRUNCATE {accounting.TABLE}", database="app")
    pooler = start_pooler()
    writers = 24 if is_sanitized() else int(60 * SCALE)
    with accounting.writing(pooler.port, writers, ANSWER_SECONDS) as ledger:
        for _ in range(max(1, int(2 * SCALE))):
            wait_for_more_commits(ledger)
            WAYS[way](crashable)
        wait_for_more_commits(ledger)
    wait_until(lambda: pooler.pool()["sv_active"] == 0, 20, "every transaction is over")
    balance = accounting.balance(ledger, crashable, "app")
    with capsys.disabled():
        print(f"\n{way}, {writers} writers: {balance}")
    assert not balance.problems()
    assert len(ledger.unknown) + len(ledger.refused) > 0, "nobody was writing when it went down"
    assert set(error[:5] for error in ledger.errors) <= {"57P01", "57P02", "57P03", "08006", "53300"}
    check_full_pool(pooler, SERVERS)


def wait_for_more_commits(ledger, count=200 if is_sanitized() else 1000):
    wanted = len(ledger.acknowledged) + count
    wait_until(lambda: len(ledger.acknowledged) >= wanted, 30, "more commits")


# --- one backend dies


@pytest.mark.sanitizers
@pytest.mark.parametrize("where", ["in a query", "in an idle transaction", "idle"])
def test_a_backend_killed(where, start_pooler, crashable):
    """It says no last word. Its client gets one FATAL error if it was linked, and none if it was not."""
    pooler = start_pooler(default_pool_size=1)
    with Wire(pooler.port) as wire:
        wire.login()
        if where != "idle":
            wire.query("BEGIN")
        pid = int(wire.value(PID))
        if where == "in a query":
            wire.send(query(SLEEP))
            wait_until(lambda: is_active(crashable, pid), what="the query runs")
        os.kill(pid, signal.SIGKILL)
        # Until PostgreSQL knows, a query might reach it, or another backend that is about to be ended.
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), what="PostgreSQL knows that it is gone")
        if where == "idle":
            assert wire.value("SELECT 'served by another'", timeout=20) == "served by another"
        else:
            (fields,) = errors(wire.read_to_end())
            assert (fields["S"], fields["C"]) == ("FATAL", "08006")
    check_full_pool(pooler, 1)


def is_active(postgres, pid):
    return any(backend["pid"] == pid and backend["state"] == "active" for backend in postgres.backends("app"))


# --- processes that stand still


@contextmanager
def frozen(*pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_a_frozen_backend_costs_its_client_alone(start_pooler, crashable):
    """query_timeout (and the 5 s in which the server may answer the cancel) end the wait of its
    client; others go on with the other server; once the backend moves, the pool is full again."""
    pooler = start_pooler(default_pool_size=2, query_timeout=1)
    with Wire(pooler.port, timeout=20) as unlucky, Wire(pooler.port) as other:
        unlucky.login().query("BEGIN")
        pid = int(unlucky.value(PID))
        other.login()
        with frozen(pid):
            unlucky.send(query("SELECT 'never'"))
            for number in range(2000):
                assert other.value(f"SELECT {number}") == str(number)
            answer = unlucky.read_to_end()
            assert [(error["S"], error["M"]) for error in errors(answer)] == [("FATAL", "query timeout")]
            assert other.value("SELECT 'still served'") == "still served"
    check_full_pool(pooler, 2)


@pytest.mark.slow
def test_a_backend_frozen_for_good_is_given_up_and_replaced(start_pooler):
    """10 s to clean up and 5 s to say goodbye later, its place in the pool is free again."""
    pooler = start_pooler(default_pool_size=1, query_timeout=1, timeout_action="close", query_wait_timeout=30)
    with Wire(pooler.port) as unlucky, Wire(pooler.port, timeout=40) as waiting:
        unlucky.login().query("BEGIN")
        pid = int(unlucky.value(PID))
        with frozen(pid):
            unlucky.send(query("SELECT 'never'"))
            assert [error["M"] for error in errors(unlucky.read_to_end())] == ["query timeout"]
            waiting.login()
            pooler.admin("SET query_timeout = 0")  # it waits longer than a query may
            assert int(waiting.value(PID)) != pid
            check_full_pool(pooler, 1)


def test_a_check_that_hangs_holds_nobody_up_while_another_server_is_idle(start_pooler):
    """The pool has three places: one server is frozen, another is idle, the third not yet open."""
    pooler = start_pooler(default_pool_size=3, server_check_delay=0, query_wait_timeout=4, workers=1)
    with Wire(pooler.port) as one, Wire(pooler.port) as other, Wire(pooler.port) as waiting:
        for wire in (one, other):
            wire.login().query("BEGIN")
        one.query("COMMIT")
        warmest = int(other.value(PID))
        other.query("COMMIT")
        waiting.login()
        with frozen(warmest):
            assert int(waiting.value(PID)) != warmest


@pytest.mark.sanitizers
def test_a_frozen_postmaster_stops_nobody_who_has_a_server(start_pooler, crashable):
    """Who needs a new server waits, no longer than query_wait_timeout."""
    pooler = start_pooler(default_pool_size=2, query_wait_timeout=2, server_connect_timeout=1)
    with Wire(pooler.port) as holder, Wire(pooler.port) as waiting:
        holder.login().query("BEGIN")
        waiting.login()
        with frozen(crashable.process.pid):
            waiting.send(query("SELECT 'needs a second server'"))
            for number in range(50):
                assert holder.value(f"SELECT {number}") == str(number)
            assert [error["M"] for error in errors(waiting.read_to_end())] == ["query_wait_timeout"]
        holder.query("COMMIT")
    wait_until(lambda: is_served(pooler), 20, "served again")
    check_full_pool(pooler, 2)


def test_everything_frozen_under_load_and_nothing_is_lost(start_pooler, crashable, capsys):
    """Postmaster and backends stand still for a while; writers wait or get an error, and go on."""
    crashable.execute(f"TRUNCATE {accounting.TABLE}", database="app")
    pooler = start_pooler(query_timeout=1, query_wait_timeout=2, server_connect_timeout=1, cancel_wait_timeout=1)
    with accounting.writing(pooler.port, int(40 * SCALE), ANSWER_SECONDS) as ledger:
        wait_for_more_commits(ledger)
        backends = [backend["pid"] for backend in crashable.backends("app")]
        with frozen(crashable.process.pid, *backends):
            time.sleep(4)  # longer than query_timeout and query_wait_timeout
        wait_for_more_commits(ledger)
    wait_until(lambda: pooler.pool()["sv_active"] == 0, 20, "every transaction is over")
    balance = accounting.balance(ledger, crashable, "app")
    with capsys.disabled():
        print(f"\neverything frozen for 4 s: {balance}")
    assert not balance.problems()
    check_full_pool(pooler, SERVERS)


def is_served(pooler):
    try:
        with Wire(pooler.port) as wire:
            return wire.login().value("SELECT 'served'") == "served"
    except ServerError:
        return False
