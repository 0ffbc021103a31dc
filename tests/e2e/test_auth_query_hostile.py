"""The server that auth_query asks is hostile: the client is refused, the server never used again, nobody hurt."""

import struct
import threading

import pytest

from lib.fake_server import LOGIN, READY, FakeServer
from lib.messages import SSL_REQUEST, cancel_request, message, query, special_request, startup
from lib.processes import wait_until
from lib.wire import ServerError, Wire

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only]


def column(name):
    return name + b"\0" + struct.pack("!ihihih", 0, 0, 25, -1, -1, 0)


def row(*values):
    fields = b"".join(struct.pack("!i", -1) if v is None else struct.pack("!i", len(v)) + v for v in values)
    return message("D", struct.pack("!h", len(values)) + fields)


TWO = message("T", struct.pack("!h", 2) + column(b"name") + column(b"secret"))
PARSED, BOUND, DONE = message("1"), message("2"), message("C", b"SELECT 1\0")
START, END = PARSED + BOUND, DONE + READY

ANSWERS = {
    "silence": b"",
    "garbage": b"\x00\xff" * 500,
    "no columns": START + message("n") + END,
    "a description without a number": START + message("T") + END,
    "a description with too many columns": START + message("T", struct.pack("!h", -1)) + END,
    "a row without a number": START + TWO + message("D") + END,
    "a row cut short": START + TWO + message("D", struct.pack("!hi", 2, 100) + b"x") + END,
    "one value": START + TWO + row(b"bob") + END,
    "three values": START + TWO + row(b"bob", b"x", b"y") + END,
    "no name": START + TWO + row(None, b"x") + END,
    "an empty name": START + TWO + row(b"", b"x") + END,
    "a long name": START + TWO + row(b"b" * 200, b"x") + END,
    "a name with a zero": START + TWO + row(b"b\0b", b"x") + END,
    "a secret with a zero": START + TWO + row(b"bob", b"x\0y") + END,
    "a secret that is too long": START + TWO + row(b"bob", b"x" * 65531) + END,
    "a row that is too long": START + TWO + row(b"bob", b"x" * 1_000_000) + END,
    "a row of two gigabytes": START + TWO + b"D" + struct.pack("!i", 0x7FFFFFFF) + b"x" * 100_000,
    "rows before the description": START + row(b"bob") + TWO + END,
    "authentication again": START + message("R", struct.pack("!i", 0)) + END,
    "no rows": START + TWO + END,
    "an error": START + message("E", b"SERROR\0C42601\0Mno\0\0") + READY,
    "an error without fields": START + message("E") + READY,
    "a fatal error": message("E", b"SFATAL\0C57P01\0Mgo away\0\0"),
    "ready twice": START + TWO + row(b"bob", None) + END + READY,
    "in a transaction": START + TWO + row(b"bob", None) + DONE + message("Z", b"T"),
    "an unknown state": START + TWO + row(b"bob", b"x") + DONE + message("Z", b"?"),
    "a copy": START + message("G", b"\0\0\0"),
}


class Oracle(FakeServer):
    """Answers a batch as it is told; `hang_up` behind it."""

    def _talk(self, connection):
        if b"user\0" not in connection.recv(4096):
            connection.sendall(b"N")
            connection.recv(4096)
        connection.sendall(self._login)
        while data := connection.recv(65536):
            if data[:1] == b"P":
                connection.sendall(self._answer)
                if self._hang_up:
                    return
            elif data[:1] == b"Q":
                connection.sendall(message("I") + READY)


@pytest.mark.parametrize("hang_up", [False, True])
@pytest.mark.parametrize("name", list(ANSWERS))
def test_answers_that_are_no_secret(start_headgate, postgres, name, hang_up):
    with Oracle(LOGIN, ANSWERS[name], hang_up) as oracle:
        good = {"host": "127.0.0.1", "port": postgres.port, "dbname": "single"}
        pooler = start_headgate(
            {"app": good, "secrets": {"host": "127.0.0.1", "port": oracle.port}},
            userlist={"asker": "x", "known": "y"}, auth_type="plain", auth_user="asker", auth_dbname="secrets",
            client_login_timeout=1, default_pool_size=1, server_login_retry=0)
        for _ in range(2):
            with Wire(pooler.port) as wire, pytest.raises(ServerError) as caught:
                wire.login("bob", "app", "guess")
            assert caught.value.fields["M"] in (
                "bouncer config error", "no such user", "client_login_timeout", "password authentication failed")
        with Wire(pooler.port) as wire, pytest.raises(ServerError, match="no pg_hba.conf entry"):
            wire.login("known", "app", "y")  # got as far as PostgreSQL, which does not know it


def test_a_secret_from_the_oracle_opens(start_headgate, postgres):
    with Oracle(LOGIN, START + TWO + row(b"bob", b"x") + row(b"app", b"open sesame") + END) as oracle:
        good = {"host": "127.0.0.1", "port": postgres.port, "dbname": "single"}
        pooler = start_headgate(
            {"app": good, "secrets": {"host": "127.0.0.1", "port": oracle.port}},
            userlist={"asker": "x"}, auth_type="plain", auth_user="asker", auth_dbname="secrets")
        with Wire(pooler.port) as wire:  # of several rows the last one counts; the name is the row's
            assert wire.login("anybody", "app", "open sesame").value("SELECT current_user") == "app"


class Forgetful(Oracle):
    """A sound server that takes its time over the first DISCARD ALL, until that is cancelled."""

    def __init__(self):
        super().__init__(LOGIN, START + TWO + row(b"bob", b"x") + END)
        self.discards = 0
        self.cancelled = threading.Event()

    def _talk(self, connection):
        first = connection.recv(4096)
        if first == cancel_request(1234, 5678):
            return self.cancelled.set()
        if first == special_request(SSL_REQUEST):
            connection.sendall(b"N")
            connection.recv(4096)
        connection.sendall(self._login)
        while data := connection.recv(65536):
            if data.startswith(query("DISCARD ALL")):
                connection.sendall(self._discard() + self._answer)
            elif data[:1] == b"P":
                connection.sendall(self._answer)
            elif data[:1] == b"Q":
                connection.sendall(message("I") + READY)

    def _discard(self):
        self.discards += 1
        if self.discards > 1:
            return message("C", b"DISCARD ALL\0") + READY
        assert self.cancelled.wait(10)
        return message("E", b"SERROR\0C57014\0Mcancelled\0\0") + READY


def test_a_session_that_was_not_discarded_is_discarded_for_the_next(start_headgate):
    with Forgetful() as server:
        pooler = start_headgate(
            {"app": {"host": "127.0.0.1", "port": server.port}}, userlist={"asker": "y"}, auth_type="plain",
            auth_user="asker", default_pool_size=1, pool_mode="transaction", session_state="pgbouncer")
        with Wire(pooler.port) as wire:  # who leaves something behind
            wire.login("asker", "app", "y").query("SET search_path = mine")
        with Wire(pooler.port) as wire:  # who sees to it that it stays
            wire.send(startup({"user": "bob", "database": "app"}))
            wait_until(lambda: server.discards == 1, what="the session is about to be discarded")
        for _ in range(2):
            with Wire(pooler.port) as wire:
                wire.login("bob", "app", "x")
        assert server.discards == 2
