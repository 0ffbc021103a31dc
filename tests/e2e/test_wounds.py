"""Wounds that clients have dealt to other poolers, each with a test of its own. After every one of them
the pooler still serves others, and has exactly the server connections it should have."""

import struct
import time

import pytest

from lib import messages
from lib.messages import message, query, startup, sync
from lib.processes import wait_until
from lib.wire import Closed, Wire, errors, tags

pytestmark = pytest.mark.sanitizers
APP = {"user": "app", "database": "app"}
POOL_SIZE = 2
OK = message("R", struct.pack("!i", 0))


@pytest.fixture(scope="module")
def pooler(module_headgates, postgres):
    postgres.execute("CREATE TABLE IF NOT EXISTS wounded (line text)",
                     "GRANT ALL ON wounded TO public", database="app")  # fmt: skip
    return module_headgates(pool_mode="transaction", default_pool_size=POOL_SIZE, client_login_timeout=2)


@pytest.fixture(scope="module")
def scram_pooler(module_headgates, postgres):
    return module_headgates(
        pool_mode="transaction", default_pool_size=POOL_SIZE, auth_type="scram-sha-256", client_login_timeout=2,
        userlist={"app": "app secret", "admin": "admin secret"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def check_unharmed(postgres):
    def check(pooler, password=""):
        assert pooler.running
        with Wire(pooler.port) as wire:
            assert wire.login(password=password).value("SELECT 'unharmed'") == "unharmed"
        secret = "admin secret" if password else None
        with pooler.console(password=secret) as console:
            wait_until(lambda: servers_at_rest(console) and clients(console) == 0, what="everybody is free again")
            known = {row["remote_pid"] for row in console.execute("SHOW SERVERS").fetchall()}
        assert len(known) <= POOL_SIZE
        assert known <= {backend["pid"] for backend in postgres.backends("app")}

    return check


def servers_at_rest(console):
    return all(row["state"] in ("idle", "used") for row in console.execute("SHOW SERVERS").fetchall())


def clients(console):
    return sum(row["database"] == "app" for row in console.execute("SHOW CLIENTS").fetchall())


def is_refused(wire):
    said = errors(wire.read_to_end(timeout=8))
    return not said or said[-1]["S"] == "FATAL"


def try_to_send(wire, *data):
    """What may be refused before its last byte has left."""
    try:
        wire.send(*data)
    except ConnectionError:
        pass


# --- the states that a client can be in ------------------------------------------------------------------


def idle(wire):
    wire.login()


def in_transaction(wire):
    wire.login().query("BEGIN")


def in_failed_transaction(wire):
    wire.login().query("BEGIN")
    wire.send(query("SELECT 1/0"))
    wire.read_until()


def in_batch(wire):
    wire.login().send(messages.parse("SELECT 1"), messages.flush())
    wire.read_until("1")


def in_copy(wire):
    wire.login().send(query("COPY wounded FROM STDIN"))
    wire.read_until("G")


STATES = [idle, in_transaction, in_failed_transaction, in_batch, in_copy]
in_every_state = pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)


def asked_for_password(wire):
    wire.send(startup(APP))
    assert wire.read().number() == 10


def in_scram(wire):
    asked_for_password(wire)
    first = b"n,,n=,r=0123456789"
    wire.send(message("p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first))
    assert wire.read().number() == 11


LOGIN_STATES = [asked_for_password, in_scram]
in_every_login_state = pytest.mark.parametrize("state", LOGIN_STATES, ids=lambda state: state.__name__)

# --- lengths that lie ------------------------------------------------------------------------------------

IMPOSSIBLE = [0, 1, 3, 1 << 31, (1 << 31) + 4, (1 << 32) - 1]
LONGEST = (1 << 31) - 1
FRONTEND_TAGS = "BCDEFHPQSXcdfp"


@pytest.mark.headgate_only  # PgBouncer 1.18 takes some of them
@in_every_state
@pytest.mark.parametrize("length", IMPOSSIBLE)
def test_a_length_that_cannot_be_closes(pooler, check_unharmed, state, length):
    for tag in "QPSd":
        with Wire(pooler.port) as wire:
            state(wire)
            try_to_send(wire, tag.encode() + struct.pack("!I", length) + b"body")
            assert is_refused(wire), tag
    check_unharmed(pooler)


@in_every_state
@pytest.mark.parametrize("tag", list("QPBd"))
def test_the_longest_length_announced_and_never_sent(pooler, check_unharmed, state, tag):
    """max_packet_size allows it, so the client may leave in the middle of two gigabytes."""
    with Wire(pooler.port) as wire:
        state(wire)
        try_to_send(wire, tag.encode() + struct.pack("!I", LONGEST) + b"the beginning")
    check_unharmed(pooler)


@in_every_login_state
@pytest.mark.parametrize("length", [*IMPOSSIBLE, LONGEST, LONGEST - 1])
def test_a_password_message_of_an_impossible_length_closes(scram_pooler, check_unharmed, state, length):
    with Wire(scram_pooler.port) as wire:
        state(wire)
        try_to_send(wire, b"p" + struct.pack("!I", length) + b"body")
        assert is_refused(wire)
    check_unharmed(scram_pooler, "app secret")


@pytest.mark.parametrize("length", [*IMPOSSIBLE, 4, 7, 10_001, LONGEST, LONGEST - 1])
def test_a_startup_packet_of_an_impossible_length_closes(pooler, check_unharmed, length):
    with Wire(pooler.port) as wire:
        try_to_send(wire, struct.pack("!II", length, messages.PROTOCOL_3_0) + startup(APP)[8:])
        assert is_refused(wire)
    check_unharmed(pooler)


# --- messages in the wrong place -------------------------------------------------------------------------

KNOWN = {
    "bind": messages.bind(), "close": messages.close(), "describe": messages.describe("S"), "execute": messages.execute(),
    "function call": messages.function_call(1598, []), "flush": messages.flush(), "parse": messages.parse("SELECT 1"),
    "query": query("SELECT 1"), "sync": sync(), "terminate": messages.terminate(), "copy done": messages.copy_done(),
    "copy data": messages.copy_data(b"line\n"), "copy fail": messages.copy_fail(), "password": messages.password("secret"),
}  # fmt: skip


@in_every_state
@pytest.mark.parametrize("name", list(KNOWN))
def test_every_message_in_every_state_is_answered_or_closes(pooler, check_unharmed, state, name):
    """Whatever comes at the wrong time, the client is closed or stays in step with its server."""
    with Wire(pooler.port) as wire:
        state(wire)
        try_to_send(wire, KNOWN[name], messages.copy_done(), sync(), query("ROLLBACK"), query("SELECT 'in step'"))
        said = []
        try:
            while not (said and said[-1].tag == "D" and said[-1].values() == [b"in step"]):
                said.append(wire.read(timeout=8))
        except Closed:
            assert name == "terminate" or errors(said)[-1]["S"] == "FATAL"
    check_unharmed(pooler)


@in_every_login_state
@pytest.mark.parametrize("name", list(KNOWN))
def test_every_message_instead_of_a_proof_is_refused(scram_pooler, check_unharmed, state, name):
    with Wire(scram_pooler.port) as wire:
        state(wire)
        try_to_send(wire, KNOWN[name], query("SELECT 1"))
        said = wire.read_to_end(timeout=8)
    assert set(tags(said)) <= {"E"}
    check_unharmed(scram_pooler, "app secret")


@in_every_state
def test_every_unknown_type_closes(pooler, check_unharmed, state):
    for tag in sorted(set(range(256)) - set(map(ord, FRONTEND_TAGS))):
        with Wire(pooler.port) as wire:
            state(wire)
            try_to_send(wire, bytes([tag]) + struct.pack("!I", 8) + b"body", sync())
            assert is_refused(wire), bytes([tag])
    check_unharmed(pooler)


@pytest.mark.parametrize("tag", list("psX"))
def test_a_message_before_the_startup_packet_is_refused(scram_pooler, check_unharmed, tag):
    with Wire(scram_pooler.port) as wire:
        try_to_send(wire, message(tag, b"app secret\0"), startup(APP))
        assert set(tags(wire.read_to_end(timeout=8))) <= {"E"}
    check_unharmed(scram_pooler, "app secret")


# --- messages that come in pieces ------------------------------------------------------------------------


MOST_OWED = 4096


def send_in_two(wire, data, at):
    """The second piece is read on its own: the pooler has had time for the first."""
    wire.send(data[:at])
    time.sleep(0.05)
    wire.send(data[at:])
    time.sleep(0.05)


@pytest.mark.parametrize("at", range(1, 5))
def test_a_header_in_two_pieces_while_every_server_is_taken(start_headgate, at):
    """Sync is all header: nothing follows that would remind the pooler of it."""
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    with Wire(pooler.port) as holder, Wire(pooler.port) as waiting:
        waiting.login()
        holder.login().query("BEGIN")
        send_in_two(waiting, sync(), at)
        holder.query("COMMIT")
        assert tags(waiting.read_until(timeout=5)) == "Z"


@pytest.mark.parametrize("at", range(1, 5))
def test_a_header_in_two_pieces_while_too_much_is_owed(pooler, check_unharmed, at):
    """The pooler stops listening at 4,096 answers owed: here, in front of a Sync that came in pieces."""
    with Wire(pooler.port) as wire:
        wire.login().send(messages.extended("SELECT pg_sleep(0.5)"), messages.describe() * (MOST_OWED - 4))
        send_in_two(wire, sync(), at)
        assert tags(wire.read_until(timeout=8))[-1] == "Z"
    check_unharmed(pooler)


# --- names and parameters --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 63, 64, 65_535])
@pytest.mark.parametrize("what", ["user", "database"])
def test_a_name_is_never_cut_to_one_that_exists(start_headgate, postgres, what, size):
    """PostgreSQL itself cuts a name of 64 bytes: the pooler must not take it for the one of 63."""
    name = "n" * 63
    postgres.execute(f"DROP ROLE IF EXISTS {name}", f"CREATE ROLE {name} LOGIN")
    server = {"host": "127.0.0.1", "port": postgres.port, "dbname": "single", "user": "app"}
    pooler = start_headgate({"app": server, name: server}, userlist={name: ""})
    with Wire(pooler.port) as wire:
        try_to_send(wire, startup({**APP, what: "n" * size}))
        said = wire.read_until("ZE", timeout=8)
    # Without a database the user's name is the database's, and `app` exists.
    assert said[-1].tag == ("Z" if size == 63 or (what, size) == ("database", 0) else "E")
    with Wire(pooler.port) as wire:
        assert wire.login().value("SELECT 'unharmed'") == "unharmed"


@pytest.mark.parametrize("size", [0, 1, 63, 64, 9_000])
def test_an_application_name_of_any_size_is_the_client_s_own(pooler, check_unharmed, size):
    with Wire(pooler.port) as long, Wire(pooler.port) as other:
        long.login(application_name="n" * size)
        other.login(application_name="other")
        for _ in range(3):
            assert long.value("SHOW application_name") == "n" * min(size, 63)
            assert other.value("SHOW application_name") == "other"
    check_unharmed(pooler)


def test_an_application_name_of_65535_bytes_is_refused(pooler, check_unharmed):
    with Wire(pooler.port) as wire:
        try_to_send(wire, startup({**APP, "application_name": "n" * 65_535}))
        assert is_refused(wire)
    check_unharmed(pooler)


def startup_of(pairs):
    body = b"".join(name + b"\0" + value + b"\0" for name, value in pairs) + b"\0"
    return struct.pack("!ii", len(body) + 8, messages.PROTOCOL_3_0) + body


MANY = {
    "the same": [(b"extra_float_digits", b"3")] * 400,
    "unknown": [(b"p%d" % number, b"") for number in range(1400)],
    "without values": [(b"p", b"")] * 3000,
    "options": [(b"options", b"-c geqo=off " * 700)],
    "protocol options": [(b"_pq_.%d" % number, b"") for number in range(900)],
}


@pytest.mark.parametrize("name", list(MANY))
def test_thousands_of_startup_parameters(pooler, check_unharmed, name):
    with Wire(pooler.port) as wire:
        try_to_send(wire, startup_of([(b"user", b"app"), (b"database", b"app"), *MANY[name]]))
        said = wire.read_until("ZE", timeout=8)
        assert said[-1].tag == ("E" if name == "unknown" else "Z")
    check_unharmed(pooler)


# --- requests for encryption -----------------------------------------------------------------------------

SSL, GSS = (messages.special_request(code) for code in (messages.SSL_REQUEST, messages.GSS_REQUEST))


@pytest.mark.parametrize("requests", [[SSL, SSL], [GSS, GSS], [SSL, GSS, SSL], [GSS, SSL, GSS]])
def test_encryption_asked_for_twice_is_refused(pooler, check_unharmed, requests):
    with Wire(pooler.port) as wire:
        for request in requests[:-1]:
            wire.send(request)
            assert wire.raw() == b"N"
        wire.send(requests[-1])
        assert is_refused(wire)
    check_unharmed(pooler)


def test_gss_then_ssl_then_a_login(pooler, check_unharmed):
    with Wire(pooler.port) as wire:
        for request in (GSS, SSL):
            wire.send(request)
            assert wire.raw() == b"N"
        assert wire.login().value("SELECT 'logged in'") == "logged in"
    check_unharmed(pooler)
