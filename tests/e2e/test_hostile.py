"""Bad input from clients: a clear error or a closed connection, never a crash, a hang, or a
server connection that does not come back."""

import contextlib
import random
import struct

import pytest

from lib import messages
from lib.messages import extended, message, query, startup, sync
from lib.processes import wait_until
from lib.wire import Closed, Wire, errors

pytestmark = pytest.mark.sanitizers
SEED = 4711
APP = {"user": "app", "database": "app"}


@pytest.fixture(scope="module", params=["trust", "scram-sha-256"])
def pooler(request, module_headgates, postgres):
    return module_headgates(
        pool_mode="transaction", default_pool_size=2, auth_type=request.param, client_login_timeout=2,
        userlist={"app": "app secret", "admin": "admin secret"}, max_packet_size=50_000_000,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def unharmed(pooler):
    """After every test: it runs, serves the next client, and has lost no server."""
    pid = pooler.pid
    yield
    with Wire(pooler.port) as wire:
        assert log_in(wire).value("SELECT 'unharmed'") == "unharmed"
    wait_until(lambda: servers(pooler, "sv_active") == 0, what="all servers are free again")
    assert servers(pooler, "sv_active", "sv_idle", "sv_used", "sv_tested", "sv_login") <= 2
    assert (pooler.running, pooler.pid) == (True, pid)


def log_in(wire):
    return wire.login(password="app secret")


def servers(pooler, *states):
    with pooler.console(password="admin secret") as console:
        pools = [row for row in console.execute("SHOW POOLS").fetchall() if row["database"] == "app"]
    return sum(row[state] for row in pools for state in states)


def say(wire, data):
    """Send what may be refused before its last byte has left."""
    with contextlib.suppress(ConnectionError):
        wire.send(data)


def rest_of(wire):
    """What is still said before the connection is closed, which must be soon."""
    return wire.read_to_end(timeout=8)


def is_refused(wire):
    said = errors(rest_of(wire))
    return not said or said[-1]["S"] == "FATAL"


def packet(size, code, body=b""):
    return struct.pack("!iI", size, code) + body


BEFORE_LOGIN = {
    "http": b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "zeros": bytes(64),
    "ones": b"\xff" * 64,
    "tls hello": bytes.fromhex("16030100f0010000ec0303") + bytes(200),
    "length 0": packet(0, 196608),
    "length 7": packet(7, 196608),
    "length negative": packet(-5, 196608),
    "length huge": packet(0x7FFFFFFF, 196608, b"user\0app\0"),
    "length a bit too long": packet(2000, 196608, b"user\0app\0\0"),
    "protocol 2": packet(296, 131072, bytes(288)),
    "protocol 4": packet(17, 262144, b"user\0app\0\0"[:9]),
    "no terminator": packet(8 + 9, 196608, b"user\0app\0"),
    "bytes after the terminator": packet(8 + 14, 196608, b"user\0app\0\0more"),
    "name without value": packet(8 + 6, 196608, b"user\0\0"),
    "value without end": packet(8 + 8, 196608, b"user\0app"),
    "ten thousand parameters": startup({**APP, **{f"p{n}": "x" for n in range(10_000)}}),
    "a name of a megabyte": startup({"user": "u" * 1_000_000, "database": "app"}),
    "query first": query("SELECT 1"),
    "password first": messages.password("secret"),
    "cancel too short": packet(12, messages.CANCEL_REQUEST, b"1234"),
    "cancel too long": packet(2000, messages.CANCEL_REQUEST, bytes(1992)),
    "ssl request with a body": packet(12, messages.SSL_REQUEST, b"1234"),
    "bytes behind an ssl request": messages.special_request(messages.SSL_REQUEST) + startup(APP),
    "bytes behind a gss request": messages.special_request(messages.GSS_REQUEST) + startup(APP),
}


LETS_IN_1_18 = ("no terminator", "bytes after the terminator")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.headgate_only if name in LETS_IN_1_18 else ()) for name in BEFORE_LOGIN],
)
def test_before_login(pooler, name):
    with Wire(pooler.port) as wire:
        say(wire, BEFORE_LOGIN[name])
        if "behind" in name or name == "ssl request with a body":
            wire.raw()  # the answer to the request, or the end
        assert is_refused(wire)


def test_random_bytes_before_login(pooler):
    dice = random.Random(SEED)
    for _ in range(100):
        with Wire(pooler.port) as wire:
            wire.send(dice.randbytes(dice.randint(1, 300)))
            wire.socket.shutdown(1)
            rest_of(wire)


def test_a_startup_packet_cut_at_every_place(pooler):
    whole = startup(APP)
    for place in range(1, len(whole)):
        with Wire(pooler.port) as wire:
            wire.send(whole[:place])
            wire.socket.shutdown(1)
            assert is_refused(wire)


INSTEAD_OF_A_PASSWORD = {
    "query": query("SELECT 1"),
    "startup again": startup(APP),
    "empty password": message("p"),
    "password without end": message("p", b"app secret"),
    "huge password": message("p", b"x" * 1_000_000 + b"\0"),
    "scram rubbish": message("p", b"SCRAM-SHA-256\0" + struct.pack("!i", 8) + b"n,,x=y,z"),
    "scram of another kind": message("p", b"SCRAM-MD5\0" + struct.pack("!i", 4) + b"n,,n"),
    "scram length too long": message("p", b"SCRAM-SHA-256\0" + struct.pack("!i", 1 << 30) + b"n,,"),
    "scram with channel binding": message("p", b"SCRAM-SHA-256\0" + struct.pack("!i", 20) + b"p=tls,,n=,r=01234567"),
}


@pytest.mark.parametrize("name", list(INSTEAD_OF_A_PASSWORD))
def test_instead_of_a_password(pooler, name):
    with Wire(pooler.port) as wire:
        wire.send(startup(APP))
        if pooler.settings["auth_type"] == "trust":
            wire.read_until("Z")
            if name == "query":
                return
        else:
            assert wire.read().number() == 10
        say(wire, INSTEAD_OF_A_PASSWORD[name])
        assert is_refused(wire)


CLOSES = {
    "unknown type": message("z", b"what"),
    "type zero": bytes(5) + b"x" * 20,
    "length below four": b"Q" + struct.pack("!i", 3) + b"SELECT 1\0",
    "length negative": b"Q" + struct.pack("!i", -1) + b"SELECT 1\0",
    "over max_packet_size": b"Q" + struct.pack("!i", 0x7FFFFFFF) + b"SELECT 1",
    "password again": messages.password("secret"),
    "startup again": startup(APP),
    "a server's message": message("Z", b"I"),
    "another of a server's": message("T", bytes(2)),
}


@pytest.mark.parametrize("state", ["idle", "in a transaction"])
@pytest.mark.parametrize("name", list(CLOSES))
def test_after_login_what_cannot_be_understood_closes(pooler, name, state):
    with Wire(pooler.port) as wire:
        log_in(wire)
        if state != "idle":
            wire.query("BEGIN")
        say(wire, CLOSES[name])
        assert is_refused(wire)


BAD_BODIES = {
    "query without end": message("Q", b"SELECT 1"),
    "query with an end in the middle": message("Q", b"SELECT 1\0SELECT 2\0"),
    "query of nothing": message("Q"),
    "parse of nothing": message("P"),
    "parse with too many types": message("P", b"\0SELECT 1\0" + struct.pack("!H", 60_000)),
    "bind of nothing": message("B"),
    "bind with a length too long": message("B", b"\0\0" + struct.pack("!HHi", 0, 1, 1 << 30)),
    "bind with a negative length": message("B", b"\0\0" + struct.pack("!HHi", 0, 1, -7)),
    "describe of an unknown kind": message("D", b"?\0"),
    "describe without a name": message("D", b"S"),
    "close of nothing": message("C"),
    "execute of nothing": message("E"),
    "function call of nothing": message("F"),
    "sync with a body": message("S", b"body"),
    "copy fail without end": message("f", b"reason"),
}


@pytest.mark.parametrize("name", list(BAD_BODIES))
def test_after_login_a_bad_body_is_an_error(pooler, name):
    """The connection is closed with an error, or stays in step: the next query gets its answer."""
    with Wire(pooler.port) as wire:
        log_in(wire).send(BAD_BODIES[name], sync(), query("SELECT 'in step'"))
        said = []
        try:
            while not (said and said[-1].tag == "D" and said[-1].values() == [b"in step"]):
                said.append(wire.read(timeout=8))
        except Closed:
            assert errors(said)[-1]["S"] == "FATAL"


def test_copy_messages_without_a_copy_are_ignored(pooler):
    with Wire(pooler.port) as wire:
        log_in(wire)
        wire.send(messages.copy_data(b"data"), messages.copy_done(), messages.copy_fail(), query("SELECT 'in step'"))
        texts = [part.values()[0] for part in wire.read_until() if part.tag == "D"]
        assert texts == [b"in step"]


def test_mutated_messages_after_login(pooler):
    """Whole conversations with some bytes changed, added or missing."""
    dice = random.Random(SEED)
    whole = query("SELECT 1") + extended("SELECT $1", ["text"]) + sync() + query("BEGIN") + query("COMMIT")
    for _ in range(150):
        stream = bytearray(whole)
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(stream))
            kind = dice.randrange(3)
            if kind == 0:
                stream[at] = dice.randrange(256)
            elif kind == 1:
                del stream[at : at + dice.randint(1, 9)]
            else:
                stream[at:at] = dice.randbytes(dice.randint(1, 9))
        with Wire(pooler.port) as wire:
            log_in(wire).send(bytes(stream))
            wire.socket.shutdown(1)
            rest_of(wire)


def test_many_half_open_clients_do_not_keep_others_out(pooler):
    half_open = [Wire(pooler.port) for _ in range(50)]
    for wire in half_open:
        wire.send(startup(APP)[:5])
    with Wire(pooler.port) as wire:
        assert log_in(wire).value("SELECT 1") == "1"
    for wire in half_open:
        assert is_refused(wire)
