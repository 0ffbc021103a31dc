"""LISTEN where clients share servers: a client's own server listens for it until it has crossed over to the listening
connection, and nothing is lost, told twice, out of order, or older than its LISTEN."""

import contextlib

import pytest

from lib.listening import connect, heard, listening_servers, notification, pinned, wait_idle, wait_unpinned
from lib.messages import query
from lib.processes import wait_until
from lib.wire import tags

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only, pytest.mark.audited]


@pytest.fixture
def pooler(start_headgate):
    return start_headgate(pool_mode="transaction", default_pool_size=3, workers=2)


@pytest.fixture
def small(start_headgate):
    return start_headgate(pool_mode="transaction", default_pool_size=2, workers=2)


def notifications(messages):
    return [notification(message) for message in messages if message.tag == "A"]


def wait_pinned(pooler, reasons):
    wait_until(lambda: pinned(pooler) == reasons, 10, f"pinned by {reasons}")


# --- not older than its LISTEN


def test_what_was_notified_before_the_commit_is_not_heard(pooler):
    with connect(pooler) as first, connect(pooler) as wire, connect(pooler) as other:
        first.query("LISTEN a")
        for turn in range(5):
            wire.query("BEGIN")
            wire.query("LISTEN a")
            other.query("NOTIFY a, 'before'")
            assert heard(first, 1) == [("a", "before")]  # the listening connection has told it
            wire.query("COMMIT")
            other.query(f"NOTIFY a, '{turn}'")
            assert heard(wire, 1) == [("a", str(turn))]
            assert heard(first, 1) == [("a", str(turn))]
            wire.query("UNLISTEN a")
        wait_unpinned(pooler)


def test_who_joins_in_the_middle_hears_all_from_there_on_in_order(pooler):
    """On a channel that is in use, by a client that hears another already: each transaction notifies both."""
    with connect(pooler) as first, connect(pooler) as other:
        first.query("LISTEN a; LISTEN b")
        for turn in range(10):
            with connect(pooler) as wire:
                wire.query("LISTEN b")
                wait_idle(pooler)
                text = [f"BEGIN; NOTIFY a, '{turn}-{n}'; NOTIFY b, '{turn}-{n}'; COMMIT" for n in range(60)]
                other.send(*(query(sql) for sql in text[:20]))
                wire.send(query("LISTEN a"))
                other.send(*(query(sql) for sql in text[20:]))
                for _ in text:
                    other.read_until()
                messages = []
                while ("b", f"{turn}-59") not in notifications(messages) or "Z" not in tags(messages):
                    messages.append(wire.read(10))
                got = notifications(messages)
                both = [(channel, f"{turn}-{n}") for n in range(60) for channel in "ab"]
                joined = next((i for i, one in enumerate(both) if one in got and one[0] == "a"), len(both))
                assert got == [one for i, one in enumerate(both) if one[0] == "b" or i >= joined]
                other.query(f"NOTIFY a, 'end {turn}'")
                assert heard(wire, 1) == [("a", f"end {turn}")]
                heard(first, 121)


# --- pinned only as long as nobody else can listen


def test_who_was_pinned_because_there_was_no_server_is_let_go_when_there_is_one(small, count_servers):
    with connect(small) as wire, connect(small) as busy:
        wire.query("BEGIN")
        busy.query("BEGIN")
        assert tags(wire.query("LISTEN a; NOTIFY a, '0'")) == "CCZ"
        got = notifications(wire.query("COMMIT"))
        wait_pinned(small, ["listen"])
        busy.query("NOTIFY a, '1'")
        busy.query("COMMIT")
        wait_unpinned(small)
        assert len(listening_servers(small)) == 1 and count_servers() == 2
        for number in range(2, 20):
            busy.query(f"NOTIFY a, '{number}'")
        assert got + heard(wire, 20 - len(got)) == [("a", str(number)) for number in range(20)]


def test_a_reload_that_makes_room_lets_the_pinned_go(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    with connect(pooler) as wire:
        wire.query("LISTEN a")
        wait_pinned(pooler, ["listen"])
        pooler.reload(default_pool_size=3)
        wait_until(lambda: not pinned(pooler), 20, "it is let go")
        with connect(pooler) as other:
            other.query("NOTIFY a, 'x'")
            assert heard(wire, 1) == [("a", "x")]


def test_one_of_another_encoding_is_let_go_when_nobody_else_listens(pooler):
    with connect(pooler, client_encoding="LATIN1") as latin, connect(pooler) as other:
        with connect(pooler) as wire:
            wire.query("LISTEN a")
            latin.query("LISTEN a")
            wait_pinned(pooler, ["listen"])
        wait_until(lambda: not pinned(pooler), 20, "it is let go")
        other.query("NOTIFY a, 'é'")
        assert latin.read(10).body[4:] == b"a\0\xe9\0"


def test_names_that_only_the_server_can_read_are_listened_to_as_well(pooler):
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query(r'LISTEN U&"d\0061t\+000061"')
        wire.query("LISTEN seen")
        wait_unpinned(pooler)
        for number in range(10):
            other.query(f"NOTIFY data, '{number}'; NOTIFY seen, '{number}'")
        assert heard(wire, 20) == [(c, str(n)) for n in range(10) for c in ("data", "seen")]


# --- in transactions that hold all servers


def test_listens_in_transactions_that_hold_all_servers_are_answered_by_these(small):
    with connect(small) as one, connect(small) as two, contextlib.ExitStack() as stack:
        for wire in (one, two):
            wire.query("BEGIN")
        for wire, channel in ((one, "a"), (two, "b")):
            assert tags(wire.query(f"LISTEN {channel}")) == "CZ"
        for wire in (one, two):
            assert tags(wire.query("COMMIT")) == "CZ"
        wait_pinned(small, ["listen", "listen"])
        one.query("NOTIFY b, 'x'")
        assert heard(two, 1) == [("b", "x")]
        two.query("NOTIFY a, 'y'")
        assert heard(one, 1) == [("a", "y")]
        # As soon as one of the servers is free it listens for both.
        two.query("UNLISTEN b")
        wait_unpinned(small)
        two.query("LISTEN b")
        wait_unpinned(small)
        others = [stack.enter_context(connect(small)) for _ in range(5)]
        for other in others:
            other.query("NOTIFY a, 'all'; NOTIFY b, 'all'")
        assert heard(one, 5) == [("a", "all")] * 5 and heard(two, 5) == [("b", "all")] * 5
