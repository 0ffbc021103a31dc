"""Connections to servers that fall silent or end in the middle: through lib/faulty.py.

HEADGATE_FAULTS_SCALE (default 1) multiplies the places at which dialogues are cut.
"""

import os
import random
import struct

import pytest

from lib import VARIABLES
from lib.faulty import Fault, Faulty
from lib.headgate import is_sanitized
from lib.messages import message, query, startup
from lib.processes import wait_until
from lib.wire import Closed, ServerError, Wire, errors, first_value

pytestmark = pytest.mark.headgate_only
SCALE = float(VARIABLES.get("HEADGATE_FAULTS_SCALE", "1"))
SEED = int(VARIABLES.get("HEADGATE_FAULTS_SEED", "17"))
CUTS = int((40 if is_sanitized() else 150) * SCALE)
MEGABYTE = 1 << 20
ROW_BYTES = 64 * MEGABYTE
PID = "SELECT pg_backend_pid()"
SERVED = "served"


@pytest.fixture
def start_behind(start_headgate):
    """A pooler whose database `app` is behind this proxy."""

    def start(proxy, **settings):
        settings = {"pool_mode": "transaction", "default_pool_size": 1, "server_connect_timeout": 1,
                    "server_login_retry": 0.1, "query_wait_timeout": 20, **settings}  # fmt: skip
        return start_headgate({"app": {"host": "127.0.0.1", "port": proxy.port, "dbname": "single"}}, **settings)

    return start


def asking(text):
    return f"SELECT '{text}' AS text"


def answer_to(text):
    """What PostgreSQL answers to asking(text), byte by byte."""
    column = b"text\0" + struct.pack("!ihihih", 0, 0, 25, -1, -1, 0)
    row = struct.pack("!Hi", 1, len(text)) + text.encode()
    parts = [("T", struct.pack("!H", 1) + column), ("D", row), ("C", b"SELECT 1\0"), ("Z", b"I")]
    return b"".join(message(*part) for part in parts)


def check_served(port):
    with Wire(port, timeout=20) as wire:
        assert wire.login().value(asking(SERVED)) == SERVED


def check_at_rest(pooler, postgres, size):
    """All servers are free, and no more are open than allowed."""
    wait_until(lambda: (pooler.pool()["sv_active"], pooler.pool()["cl_waiting"]) == (0, 0), 20, "the pool is at rest")
    assert postgres.count_backends("single") <= size


# --- silence


@pytest.mark.sanitizers
def test_a_server_that_does_not_take_the_connection(start_behind, postgres):
    """A waiting client gets query_wait_timeout; one that can wait longer is served when it does."""
    with Faulty(postgres.port, accepting=False) as proxy:
        pooler = start_behind(proxy, query_wait_timeout=2)
        with Wire(pooler.port) as first:
            first.send(startup({"user": "app", "database": "app"}))
            assert [error["M"] for error in errors(first.read_to_end())] == ["query_wait_timeout"]
        assert "connect timeout" in pooler.log()
        proxy.accept()
        wait_until(lambda: served(pooler), 20, "served")


def served(pooler):
    try:
        check_served(pooler.port)
        return True
    except (ServerError, Closed):
        return False


@pytest.mark.sanitizers
def test_a_server_that_falls_silent_in_its_login(start_behind, postgres):
    """Behind each of several bytes: it is given up, and the client is served by another connection."""
    with Faulty(postgres.port) as proxy:
        pooler = start_behind(proxy, server_connect_timeout=0.3)
        for bytes_heard in (1, 9, 100, 300):
            pooler.admin("RECONNECT")
            proxy.befall_next(answered=Fault(cut_after=bytes_heard, end="black_hole"))
            check_served(pooler.port)
        assert pooler.log().count("connect timeout") >= 4
        check_at_rest(pooler, postgres, 1)


def test_a_server_that_falls_silent_in_a_query(start_behind, postgres):
    """query_timeout tells its client; others go on with other servers; its place comes free."""
    with Faulty(postgres.port) as proxy:
        pooler = start_behind(proxy, default_pool_size=2, query_timeout=1, timeout_action="close")
        with Wire(pooler.port) as unlucky, Wire(pooler.port) as lucky:
            unlucky.login().query("BEGIN")
            lucky.login().query("SELECT 1")
            proxy.black_hole(proxy.lines[:1])
            unlucky.send(query("SELECT 'never heard'"))
            for number in range(200):
                assert lucky.value(f"SELECT {number}") == str(number)
            assert [error["M"] for error in errors(unlucky.read_to_end())] == ["query timeout"]
        proxy.reset(proxy.lines[:1])  # what keepalive does in the end
        check_full_pool(pooler, 2)


def check_full_pool(pooler, size):
    clients = [Wire(pooler.port, timeout=20).login() for _ in range(size)]
    for wire in clients:
        wire.query("BEGIN")
    assert len({wire.value(PID) for wire in clients}) == size
    for wire in clients:
        wire.close()


@pytest.mark.sanitizers
def test_a_connection_that_is_slow_and_stands_still_for_a_while_loses_nothing(start_behind, postgres):
    slow = Fault(delay=0.005)
    with Faulty(postgres.port, asked=slow, answered=slow) as proxy:
        pooler = start_behind(proxy, query_timeout=20)
        with Wire(pooler.port) as wire:
            wire.login()
            proxy.black_hole()
            wire.send(*(query(f"SELECT {number}") for number in range(50)))
            assert wire.silent_for(0.5)
            proxy.heal()
            assert [first_value(wire.read_until()) for _ in range(50)] == [str(number) for number in range(50)]


@pytest.mark.slow
def test_a_server_that_falls_silent_while_idle_is_found_by_its_check(start_behind, postgres):
    """The next client is served by a new connection before the check has failed, which it does in time."""
    with Faulty(postgres.port) as proxy:
        pooler = start_behind(proxy, default_pool_size=2, server_check_delay=0, query_wait_timeout=30)
        with Wire(pooler.port, timeout=40) as wire:
            silent = wire.login().value(PID)
            proxy.black_hole()
            assert wire.value(PID) != silent
            wait_until(lambda: "test query failed" in pooler.log(), 20, "the check has failed")


# --- the end


@pytest.mark.sanitizers
@pytest.mark.parametrize("end", ["close", "reset", "half_close"])
def test_a_server_cut_behind_any_byte_of_its_login(start_behind, postgres, end):
    """The client waits, and is served by the next connection."""
    dice = random.Random(SEED)
    with Faulty(postgres.port) as proxy:
        pooler = start_behind(proxy, server_login_retry=0.001)
        check_served(pooler.port)
        whole = proxy.lines[0].answered.passed - len(answer_to(SERVED))
        for cut in dice.sample(range(1, whole), min(whole - 1, CUTS // 8)):
            print(f"seed {SEED}: cut behind {cut}")
            pooler.admin("RECONNECT")
            proxy.befall_next(answered=Fault(cut_after=cut, end=end))
            check_served(pooler.port)
        check_at_rest(pooler, postgres, 1)


@pytest.mark.parametrize("end", ["close", "reset", "half_close"])
def test_a_server_cut_behind_any_byte_of_its_answer(start_behind, postgres, end):
    """The client gets a true beginning of the answer; an error only where a message may begin."""
    answer = answer_to("whole")
    with Faulty(postgres.port) as proxy:
        pooler = start_behind(proxy)
        with Wire(pooler.port) as wire:
            wire.login()
            login = proxy.lines[0].answered.passed
            wrong = [cut for cut in range(1, len(answer), 3)
                     if not is_honest(answer_cut(pooler, proxy, login + cut, end), answer)]  # fmt: skip
        check_served(pooler.port)
    assert not wrong, f"an answer of {len(answer)} bytes was filled up when cut behind {wrong}"


def answer_cut(pooler, proxy, cut, end):
    """All bytes of the answer to a client whose server is cut behind so many of its own."""
    pooler.admin("RECONNECT")  # this, and the log-in that follows, brings the next line
    proxy.befall_next(answered=Fault(cut_after=cut, end=end))
    with Wire(pooler.port) as wire:
        wire.login().send(query(asking("whole")))
        try:
            return bytes_to_end(wire)
        except TimeoutError:
            lines = [(line.asked.passed, line.answered.passed) for line in proxy.lines]
            pytest.fail(f"no end for the client after a cut behind {cut}; lines {lines}; {pooler.log()[-2000:]}")


def bytes_to_end(wire):
    got = b""
    try:
        while data := wire.raw(MEGABYTE):
            got += data
    except ConnectionError:
        pass
    return got


def is_honest(got, answer):
    """A true beginning; if anything of ours follows it, then behind a whole message."""
    same = len(os.path.commonprefix([got, answer]))
    return same == len(got) or (same in boundaries(answer) and got[same : same + 1] == b"E")


def boundaries(answer):
    at, found = 0, {0}
    while at < len(answer):
        at += 1 + int.from_bytes(answer[at + 1 : at + 5], "big")
        found.add(at)
    return found


def test_a_timeout_in_the_middle_of_a_row_adds_nothing_to_the_row(start_headgate):
    """Its client reads too slowly; it is closed, but the row's bytes are the row's own to the last."""
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, query_timeout=4, timeout_action="close")
    with Wire(pooler.port) as wire:
        wire.login().send(query(f"SELECT repeat('x', {ROW_BYTES})"))
        wait_until(lambda: "query timeout" in pooler.log(), what="the timeout")
        got = bytes_to_end(wire)
    row = got[got.index(b"xxxx") :]
    assert len(row) < ROW_BYTES and set(row) == {ord("x")}, row[-100:]
