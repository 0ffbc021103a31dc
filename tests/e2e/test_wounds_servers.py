"""Wounds that servers have dealt to other poolers, each with a test of its own. After every one of them
the pooler still serves other databases, and keeps no connection to the bad server."""

import socket
import struct
import threading
import time

import pytest

from lib import messages
from lib.fake_server import GOOD_ANSWER, LOGIN, READY, FakeServer
from lib.messages import message, query, startup
from lib.processes import wait_until
from lib.wire import Wire, errors, tags

pytestmark = pytest.mark.sanitizers
OK = message("R", struct.pack("!i", 0))


class Peer:
    """The server's end of one connection."""

    def __init__(self, connection):
        self._socket = connection
        self._reader = messages.MessageReader()
        self.heard = b""

    def send(self, *data):
        self._socket.sendall(b"".join(data))

    def _more(self):
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the pooler has left")
        self.heard += data
        return data

    def read_startup(self):
        while b"user\0" not in (said := self._more()):
            if len(said) == 16:
                raise ConnectionError("a CancelRequest")
            self.send(b"N")  # to an SSLRequest

    def read(self):
        while not (found := self._reader.next()):
            self._reader.feed(self._more())
        return found


class ScriptedServer(FakeServer):
    """Reads the start-up packet of each connection and leaves the rest to the script."""

    def __init__(self, script):
        self._script = script
        self.peers = []
        super().__init__()

    def _talk(self, connection):
        peer = Peer(connection)
        self.peers.append(peer)
        peer.read_startup()
        self._script(peer)

    def take_little(self):
        """From now on its system takes only a little that it has not read."""
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def heard(self):
        return b"".join(peer.heard for peer in self.peers)


def serve(peer):
    """A good server from here on."""
    while (said := peer.read()).tag != "X":
        if b"TimeZone='UTC'" in said.body:
            peer.send(message("S", b"TimeZone\0UTC\0"))
        if said.tag in "QS":
            peer.send(GOOD_ANSWER)


@pytest.fixture
def start_behind(start_headgate, postgres):
    """A pooler with the databases `bad` on that server and `app` on a good one."""

    def start(server, **bad):
        return start_headgate(
            {"app": {"host": "127.0.0.1", "port": postgres.port, "dbname": "single"},
             "bad": {"host": "127.0.0.1", "port": server.port, **bad}},
            pool_mode="transaction", default_pool_size=1, query_wait_timeout=2, server_login_retry=0.2,
        )  # fmt: skip

    return start


def check_others_unharmed(pooler, left_of_bad=0):
    """The good database answers, and no connection to the bad server is left but those wanted."""
    assert pooler.running
    with Wire(pooler.port) as wire:
        assert wire.login().value("SELECT 'unharmed'") == "unharmed"
    with pooler.console() as console:
        wait_until(lambda: servers_of_bad(console) == left_of_bad, what="the bad server's connections are closed")


def servers_of_bad(console):
    """A cancel request on its way is shown as a server, too."""
    rows = console.execute("SHOW SERVERS").fetchall()
    return sum(row["database"] == "bad" and row["state"] != "active_cancel" for row in rows)


def check_login_fails(start_behind, script, **bad):
    with ScriptedServer(script) as server:
        pooler = start_behind(server, **bad)
        with Wire(pooler.port) as wire:
            wire.send(startup({"user": "app", "database": "bad"}))
            said = wire.read_to_end(timeout=8)
        assert errors(said)[-1]["S"] == "FATAL" and "Z" not in tags(said)
        assert len(errors(said)[-1]["C"]) == 5
        check_others_unharmed(pooler)
        return server.heard()


def authentication(kind, data=b""):
    return message("R", struct.pack("!i", kind) + data)


CHALLENGES = {
    "a nonce of 64 KB": b"r=#" + b"n" * 65_536 + b",s=c2FsdA==,i=4096",
    "a nonce of 2 KB": b"r=#" + b"n" * 2048 + b",s=c2FsdA==,i=4096",
    "our nonce alone": b"r=#,s=c2FsdA==,i=4096",
    "another nonce": b"r=another,s=c2FsdA==,i=4096",
    "no salt": b"r=#more,s=,i=4096",
    "a salt of 6 KB": b"r=#more,s=" + b"c2Fs" * 1500 + b",i=4096",
    "a salt that is not base64": b"r=#more,s=c2FsdB==,i=4096",
    "no rounds": b"r=#more,s=c2FsdA==,i=0",
    "fewer rounds than none": b"r=#more,s=c2FsdA==,i=-1",
    "absurdly many rounds": b"r=#more,s=c2FsdA==,i=2147483647",
    "more rounds than a number holds": b"r=#more,s=c2FsdA==,i=99999999999999999999",
    "rounds that are no number": b"r=#more,s=c2FsdA==,i=4096 ",
    "a mandatory extension": b"m=x,r=#more,s=c2FsdA==,i=4096",
    "an error": b"e=other-error",
    "nothing": b"",
}


def challenge(peer, text):
    peer.send(authentication(10, b"SCRAM-SHA-256\0\0"))
    nonce = peer.read().body.rsplit(b"r=", 1)[1]
    peer.send(authentication(11, text.replace(b"#", nonce)))


@pytest.mark.parametrize("name", list(CHALLENGES))
def test_a_scram_challenge_that_cannot_be(start_behind, name):
    def script(peer):
        challenge(peer, CHALLENGES[name])
        peer.read()

    heard = check_login_fails(start_behind, script, password="top secret")
    assert b"c=biws" not in heard and b"top secret" not in heard


FINALS = {
    "none": b"",
    "none, but a good server from there on": LOGIN,
    "a wrong signature": authentication(12, b"v=" + b"A" * 43 + b"=") + LOGIN,
    "an empty signature": authentication(12, b"v=") + LOGIN,
    "no attribute": authentication(12, b"") + LOGIN,
    "another attribute": authentication(12, b"x=y") + LOGIN,
    "an error": authentication(12, b"e=invalid-proof") + LOGIN,
    "a second challenge": authentication(11, b"r=x,s=c2FsdA==,i=1") + LOGIN,
    "cleartext instead": authentication(3),
}


@pytest.mark.parametrize("before_proof", [True, False], ids=["before the proof", "behind the proof"])
@pytest.mark.parametrize("name", list(FINALS))
def test_a_server_that_does_not_prove_itself(start_behind, name, before_proof):
    def script(peer):
        challenge(peer, b"r=#more,s=c2FsdA==,i=16")
        if not before_proof:
            peer.read()
        peer.send(FINALS[name])
        if name != "none":
            peer.read()
            peer.read()

    heard = check_login_fails(start_behind, script, password="top secret")
    assert b"top secret" not in heard


UNKNOWN = [message(tag, b"what") for tag in "\0zB?~"]
OUT_OF_PLACE = [message(tag, bytes(4)) for tag in "123nstV"]
OUT_OF_PLACE += [OK, message("K", bytes(8)), message("v", bytes(8)), READY[:1] + struct.pack("!i", 5) + b"?", message("Z")]


@pytest.mark.parametrize("authenticated", [False, True], ids=["before authentication", "authenticated"])
@pytest.mark.parametrize("said", [*UNKNOWN, *OUT_OF_PLACE[:len("123nstV")], message("T", bytes(2)), message("D", bytes(2))], ids=repr)
def test_a_message_that_no_log_in_has(start_behind, said, authenticated):
    def script(peer):
        peer.send(OK if authenticated else b"", said, b"" if authenticated else OK, READY)
        peer.read()

    check_login_fails(start_behind, script)


@pytest.mark.parametrize("status", [b"", b"?", b"T", b"E", b"\0", b"II"])
def test_a_log_in_ends_idle_or_not_at_all(start_behind, status):
    def script(peer):
        peer.send(OK, message("Z", status))
        serve(peer)

    check_login_fails(start_behind, script)


# --- what a server says when it is asked, or is not ---------------------------------------------------------

STARTS = {
    "a query": (query("SELECT 1"), b""),
    "a transaction": (query("BEGIN"), message("C", b"BEGIN\0") + message("Z", b"T")),
    "a copy": (query("COPY t FROM STDIN"), message("G", b"\0" + struct.pack("!hh", 1, 0))),
    "a batch": (messages.extended("SELECT 1") + messages.flush(), message("1") + message("2")),
}


def answers(state, said):
    """NoData and ParameterDescription answer the Describe of the batch."""
    return state == "a batch" and said[:1] in b"nt"


@pytest.mark.parametrize(
    "state, said", [(state, said) for state in STARTS for said in [*UNKNOWN, *OUT_OF_PLACE] if not answers(state, said)]
)
def test_a_message_that_answers_nothing_ends_the_server(start_behind, state, said):
    asked, answer = STARTS[state]

    def script(peer):
        peer.send(LOGIN)
        peer.read()
        peer.send(answer, said)
        serve(peer)

    with ScriptedServer(script) as server:
        pooler = start_behind(server)
        with Wire(pooler.port) as wire:
            wire.login(database="bad").send(asked)
            assert errors(wire.read_to_end(timeout=8))[-1]["C"]
        check_others_unharmed(pooler)


MAY_COME = {
    "a notice": message("N", b"SNOTICE\0C00000\0Mhello\0\0"),
    "a parameter": message("S", b"TimeZone\0GMT\0"),
    "a notification": message("A", bytes(4) + b"channel\0payload\0"),
}
UNASKED = {
    **{repr(said): said for said in [*UNKNOWN, *OUT_OF_PLACE]},
    **{tag: message(tag, bytes(2)) for tag in "CDGHITWcd"},
    "ready": READY,
    "an error": message("E", b"SERROR\0C57P01\0Mno\0\0"),
    "an error of nothing": message("E"),
    "the end": message("E", b"SFATAL\0VFATAL\0C57P01\0Mterminating\0\0"),
    "a length of 0": b"D" + bytes(4),
    "half a row": message("D", bytes(100))[:50],
}


@pytest.mark.parametrize("name", [*MAY_COME, *UNASKED])
def test_what_an_idle_server_says_reaches_nobody(start_behind, name):
    said = MAY_COME.get(name) or UNASKED[name]
    told = threading.Event()

    def script(peer):
        peer.send(LOGIN)
        while peer.read().tag != "Q":
            pass
        peer.send(GOOD_ANSWER)
        if not told.is_set():
            time.sleep(0.1)  # it is idle by then
            peer.send(said)
            told.set()
        serve(peer)

    with ScriptedServer(script) as server:
        pooler = start_behind(server)
        for _ in range(2):
            with Wire(pooler.port) as wire:
                wire.login(database="bad").send(query("SELECT 1"))
                assert tags(wire.read_until(timeout=8)) == "CZ"
                assert told.wait(8)
            kept = name in MAY_COME or server.connections == 2  # the second one behaves
            check_others_unharmed(pooler, left_of_bad=1 if kept else 0)
        assert server.connections == (1 if name in MAY_COME else 2)


ERRORS = {
    "usual": (b"SERROR\0C22012\0Mdivision by zero\0\0", True),
    "without sqlstate": (b"SERROR\0Mno\0\0", True),
    "without message": (b"SERROR\0C22012\0\0", True),
    "without fields": (b"\0", True),
    "every field twice": (b"SERROR\0SFATAL\0C22012\0C00000\0Mone\0Mtwo\0\0", True),
    "unknown fields": (b"SERROR\0C22012\0Mno\0?what\0\xffever\0\0", True),
    "a sqlstate of no size": (b"SERROR\0C\0Mno\0\0", True),
    "a message of 100 KB": (b"SERROR\0C22012\0M" + b"m" * 100_000 + b"\0\0", True),
    "without terminator": (b"SERROR\0C22012\0Mno\0", False),
    "without end of string": (b"SERROR\0C22012\0Mno", False),
    "bytes behind the terminator": (b"SERROR\0C22012\0Mno\0\0more", False),
    "empty": (b"", False),
}


@pytest.mark.parametrize("name", list(ERRORS))
def test_an_error_of_any_form_is_one_answer(start_behind, name):
    """What can be read goes to the client as it is; what cannot ends the server, and the client is told."""
    body, readable = ERRORS[name]
    with FakeServer(answer=message("E", body) + READY) as server:
        pooler = start_behind(server)
        with Wire(pooler.port) as wire:
            wire.login(database="bad").send(query("SELECT 1"))
            said = wire.read_until("Z", timeout=8) if readable else wire.read_to_end(timeout=8)
        assert [part.body for part in said if part.tag == "E"] == [body] if readable else errors(said)[-1]["S"] == "FATAL"
        check_others_unharmed(pooler, left_of_bad=1 if readable else 0)


@pytest.mark.headgate_only
def test_a_copy_that_fails_while_its_rows_are_on_their_way(start_headgate):
    """The server is ready again, but has yet to read what was sent: no other worker gets it before."""
    failed, reads_on = threading.Event(), threading.Event()

    def script(peer):
        peer.send(LOGIN)
        peer.read()
        peer.send(message("G", bytes(3)))
        assert failed.wait(20)
        peer.send(message("E", b"SERROR\0C22P04\0Mbad row\0\0") + READY)
        assert reads_on.wait(20)
        serve(peer)

    rows = messages.copy_data(b"x" * 995) * 100
    with ScriptedServer(script) as server:
        server.take_little()
        pooler = start_headgate(
            {"bad": {"host": "127.0.0.1", "port": server.port}},
            pool_mode="transaction", default_pool_size=1, workers=2, tcp_socket_buffer=4096, server_check_query="",
        )  # fmt: skip
        with Wire(pooler.port) as copier, Wire(pooler.port) as other:
            copier.login(database="bad").send(query("COPY t FROM STDIN"))
            assert tags(copier.read_until("G")) == "G"
            other.login(database="bad").send(query("SELECT 1"))  # on the other worker
            copier.send(rows)
            with pooler.console() as console:
                wait_until(lambda: received(console) > len(rows), what="the rows have come")
                wait_until(lambda: pooler.pool("bad")["cl_waiting"] == 1, what="the other waits")
                failed.set()
                assert tags(copier.read_until()) == "EZ"
                assert servers_of_bad(console) == 1
            reads_on.set()
            assert tags(other.read_until()) == "CZ"


def received(console):
    return sum(row["total_received"] for row in console.execute("SHOW STATS").fetchall())
