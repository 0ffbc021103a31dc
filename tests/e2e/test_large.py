"""Messages of any size pass, in bounded memory."""

import os
import time

import pytest

from lib import messages
from lib.headgate import is_sanitized
from lib.messages import sync
from lib.wire import Wire, first_value, tags

MEGABYTE = 1 << 20
ROW_BYTES = 64 * MEGABYTE
READY = b"Z\0\0\0\5I"


@pytest.fixture(scope="module")
def pooler(module_headgates):
    return module_headgates(pool_mode="transaction", default_pool_size=2)


@pytest.fixture
def wire(pooler):
    with Wire(pooler.port, timeout=60) as connection:
        yield connection.login()


def read_answer_watching(wire, pooler, pause_at=None):
    """Read a whole answer; its bytes, and the highest RSS of the pooler meanwhile."""
    got, highest, tail = 0, 0, b""
    while tail != READY:
        if pause_at is not None and got >= pause_at:
            highest = max(highest, highest_rss_until_quiet(pooler))
            pause_at = None
        data = wire.raw(MEGABYTE)
        assert data, "closed in the middle of the row"
        got += len(data)
        tail = (tail + data)[-len(READY) :]
        highest = max(highest, pooler.rss_bytes())
    return got, highest


def highest_rss_until_quiet(pooler):
    """While its client does not read, the pooler soon has nothing to do: watch it until then."""
    highest, before, deadline = 0, -1, time.monotonic() + 10
    while time.monotonic() < deadline:
        used = pooler.cpu_nanoseconds()
        if used - before < 1_000_000:
            break
        before = used
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            highest = max(highest, pooler.rss_bytes())
    return highest


@pytest.mark.parametrize("reader", ["fast", "slow"])
def test_a_row_of_64_mb_passes_in_bounded_memory(wire, pooler, reader):
    before = pooler.rss_bytes()
    wire.send(messages.query(f"SELECT repeat('x', {ROW_BYTES})"))
    got, highest = read_answer_watching(wire, pooler, pause_at=MEGABYTE if reader == "slow" else None)
    assert got > ROW_BYTES
    if not is_sanitized():
        assert highest - before < 4 * MEGABYTE
    assert wire.value("SELECT 'in step'") == "in step"


@pytest.mark.sanitizers
def test_a_query_of_20_mb(wire):
    text = "z" * (20 * MEGABYTE)
    assert wire.value(f"SELECT length('{text}')") == str(len(text))


@pytest.mark.sanitizers
def test_a_parse_of_20_mb(wire):
    text = "z" * (20 * MEGABYTE)
    wire.send(messages.extended(f"SELECT length('{text}')"), sync())
    assert first_value(wire.read_until()) == str(len(text))


@pytest.mark.sanitizers
def test_a_parameter_of_20_mb_comes_back_unchanged(wire):
    value = os.urandom(5 * MEGABYTE).hex() * 2
    wire.send(messages.extended("SELECT $1", [value]), sync())
    answer = wire.read_until()
    assert tags(answer) == "12TDCZ"
    assert first_value(answer) == value


@pytest.mark.headgate_only
def test_a_parameter_of_64_mb_is_not_kept_in_memory(wire, pooler):
    before = highest = pooler.rss_bytes()
    stream = messages.extended("SELECT length($1)", [b"p" * ROW_BYTES]) + sync()
    for start in range(0, len(stream), MEGABYTE):
        wire.send(stream[start : start + MEGABYTE])
        highest = max(highest, pooler.rss_bytes())
    assert first_value(wire.read_until()) == str(ROW_BYTES)
    if not is_sanitized():
        assert highest - before < 4 * MEGABYTE


@pytest.mark.sanitizers
def test_many_clients_that_do_not_read_hold_nobody_up(pooler):
    """Both servers answer clients that read nothing; once they are gone the next client is served."""
    lazy = [Wire(pooler.port).login() for _ in range(2)]
    for wire in lazy:
        wire.send(messages.query(f"SELECT repeat('x', {ROW_BYTES})"))
    for wire in lazy:
        wire.read_until("T")
        wire.reset()
    with Wire(pooler.port) as next_one:
        assert next_one.login().value("SELECT 'served'") == "served"
