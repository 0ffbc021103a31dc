"""Peers that abuse TLS: nobody gets further than the handshake, nobody else notices."""

import ctypes
import random
import socket
import ssl
import struct
import subprocess
import threading

import pytest

from lib.certificates import Authority, client_context
from lib.headgate import is_sanitized
from lib.messages import SSL_REQUEST, query, special_request, startup
from lib.processes import wait_until
from lib.wire import Closed, Wire

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only]
SEED = 5171


@pytest.fixture(scope="module")
def authority():
    with Authority() as authority:
        yield authority


@pytest.fixture
def pooler(start_headgate, authority):
    own = authority.issue("pooler", "DNS:localhost")
    return start_headgate(client_tls_sslmode="require", client_tls_key_file=own.key,
                          client_tls_cert_file=own.certificate, pool_mode="transaction",
                          client_login_timeout=3, max_client_conn=300)  # fmt: skip


class Memory:
    """A TLS client between memory: the test decides which bytes travel when."""

    def __init__(self, port, context=None):
        self.wire = Wire(port)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = (context or client_context()).wrap_bio(self.incoming, self.outgoing)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()

    def ask(self):
        self.wire.send(special_request(SSL_REQUEST))
        assert self.wire.raw() == b"S"
        return self

    def flight(self):
        """What the handshake wants to send now."""
        try:
            self.session.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    def shake_hands(self, piece=1 << 14):
        while out := self.flight():
            self.send_in_pieces(out, piece)
            try:
                self.session.do_handshake()
                return self
            except ssl.SSLWantReadError:
                self.incoming.write(self.wire.raw(1 << 16))
        return self

    def send_in_pieces(self, data, piece):
        for at in range(0, len(data), piece):
            self.wire.send(data[at : at + piece])

    def records(self, data):
        self.session.write(data)
        return self.outgoing.read()

    def read(self, end):
        """Plain text up to what ends with this."""
        text = b""
        while not text.endswith(end):
            try:
                text += self.session.read(1 << 16)
            except ssl.SSLWantReadError:
                part = self.wire.raw(1 << 16)
                if not part:
                    raise Closed(text)
                self.incoming.write(part)
        return text

    def login(self):
        self.wire.send(self.records(startup({"user": "app", "database": "app"})))
        self.read(b"Z\0\0\0\5I")
        return self


def ends(wire):
    """The other side closes, whatever it may say before."""
    try:
        while wire.raw(1 << 16):
            pass
    except ConnectionError:
        pass


def still_serves(pooler):
    with Wire(pooler.port) as wire:
        assert wire.start_tls(client_context()).login().value("SELECT 1") == "1"


def test_garbage_in_place_of_a_handshake(pooler):
    dice = random.Random(SEED)
    for size in (1, 5, 6, 100, 1000, 20000):
        with Memory(pooler.port).ask().wire as wire:
            wire.send(dice.randbytes(size))
            ends(wire)
    assert "TLS handshake error: " in pooler.log()
    still_serves(pooler)


def test_clear_text_in_place_of_a_handshake(pooler):
    with Memory(pooler.port).ask().wire as wire:
        wire.send(startup({"user": "app", "database": "app"}))
        ends(wire)
    assert "login attempt" not in pooler.log()


def test_damaged_handshakes(pooler):
    """One byte of the first flight is another; the pooler says no or finds it good enough to go on."""
    dice = random.Random(SEED)
    for _ in range(60):
        with Memory(pooler.port).ask() as client:
            hello = bytearray(client.flight())
            hello[dice.randrange(len(hello))] ^= 1 << dice.randrange(8)
            client.wire.send(bytes(hello))
            client.wire.socket.shutdown(socket.SHUT_WR)
            ends(client.wire)
    still_serves(pooler)


def test_half_a_handshake_is_ended_by_the_login_timeout(pooler):
    halves = []
    for size in (0, 1, 3, 5, 50, 200):
        client = Memory(pooler.port).ask()
        client.wire.send(client.flight()[:size])
        halves.append(client)
    for client in halves:
        ends(client.wire)
    assert pooler.log().count("closing because: client_login_timeout") == len(halves)


def test_a_handshake_without_end(pooler):
    """A ClientHello that announces 16 MB, and records that keep it coming."""
    with Memory(pooler.port).ask().wire as wire:
        body = b"\x01\xff\xff\xff" + bytes(16380)
        record = b"\x16\x03\x01" + struct.pack("!H", len(body))
        try:
            wire.send(record + body)
            for _ in range(100):
                wire.send(record + bytes(len(body)))
        except OSError:
            pass
        ends(wire)
    assert "TLS handshake error: " in pooler.log()


@pytest.mark.parametrize("piece", [1, 2, 7])
def test_records_that_come_byte_by_byte(pooler, piece):
    with Memory(pooler.port).ask().shake_hands(piece).login() as client:
        client.send_in_pieces(client.records(query("SELECT 'in pieces'")), piece)
        assert b"in pieces" in client.read(b"Z\0\0\0\5I")


def test_a_query_of_one_byte_in_each_record(pooler):
    with Memory(pooler.port).ask().shake_hands().login() as client:
        client.wire.send(b"".join(client.records(bytes([byte])) for byte in query("SELECT 'small'")))
        assert b"small" in client.read(b"Z\0\0\0\5I")


def test_a_record_that_is_too_large(pooler):
    with Memory(pooler.port).ask().shake_hands().login() as client:
        client.wire.send(b"\x17\x03\x03\xff\xff" + bytes(65535))
        ends(client.wire)
    still_serves(pooler)


def test_a_damaged_record_ends_the_session_and_runs_nothing(pooler):
    with Wire(pooler.port) as watcher:
        watcher.start_tls(client_context()).login().query("CREATE TABLE IF NOT EXISTS damaged (a int)")
        watcher.query("TRUNCATE damaged")
        with Memory(pooler.port).ask().shake_hands().login() as client:
            record = bytearray(client.records(query("INSERT INTO damaged VALUES (1)")))
            record[-1] ^= 1
            client.wire.send(bytes(record))
            ends(client.wire)
        assert watcher.value("SELECT count(*) FROM damaged") == "0"


@pytest.mark.parametrize("close", ["notify", "reset", "cut"])
def test_ends_of_all_kinds_leave_nothing_behind(pooler, close, count_servers):
    """`cut` is an end without close_notify, within a record; none of them is an error in the log."""
    with Memory(pooler.port).ask().shake_hands().login() as client:
        record = client.records(query("SELECT 1"))
        client.wire.send(record[: len(record) // 2] if close == "cut" else b"")
        if close == "notify":
            with pytest.raises(ssl.SSLWantReadError):
                client.session.unwrap()
            client.wire.send(client.outgoing.read())
            ends(client.wire)  # our goodbye is answered, and the connection closed
        elif close == "reset":
            client.wire.reset()
    wait_until(lambda: not [row for row in pooler.admin("SHOW CLIENTS") if row["user"] == "app"], what="it is gone")
    assert "closing because: client unexpected eof" in pooler.log()
    assert "TLS" not in "".join(line for line in pooler.log().splitlines() if " WARNING " in line or " ERROR " in line)


def test_a_half_record_and_a_goodbye_while_a_query_runs(pooler, count_servers):
    with Memory(pooler.port).ask().shake_hands().login() as client:
        client.wire.send(client.records(query("SELECT pg_sleep(60)")))
        wait_until(lambda: pooler.pool()["sv_active"] == 1, what="it runs")
        client.wire.send(client.records(query("SELECT 1"))[:9])
    wait_until(lambda: (pooler.pool()["cl_active"], pooler.pool()["sv_idle"]) == (0, 1), what="the server is clean")


def test_renegotiation_is_refused(start_headgate, authority):
    """openssl's own client asks for it (R); TLS 1.2 has it, and it is off."""
    own = authority.issue("pooler", "DNS:localhost")
    pooler = start_headgate(client_tls_sslmode="require", client_tls_key_file=own.key,
                            client_tls_cert_file=own.certificate)  # fmt: skip
    with subprocess.Popen(
        ["openssl", "s_client", "-starttls", "postgres", "-tls1_2", "-connect", f"127.0.0.1:{pooler.port}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as client:  # fmt: skip
        output, _ = client.communicate(b"R\n", timeout=20)
    assert b"Cipher is" in output
    assert b"no renegotiation" in output


def test_a_flood_of_half_handshakes_keeps_nobody_out(pooler):
    flood = [Memory(pooler.port).ask() for _ in range(200)]
    for client in flood:
        client.wire.send(client.flight()[:100])
    still_serves(pooler)
    for client in flood:
        client.wire.close()


def test_a_storm_of_clients_that_come_and_go(pooler):
    failures = []

    def come_and_go():
        try:
            context = client_context()
            for turn in range(15):
                with Wire(pooler.port) as wire:
                    wire.start_tls(context).login()
                    assert wire.value("SELECT 1") == "1"
                    if turn % 3 == 0:
                        wire.send(query("SELECT repeat('x', 1000000)"))  # and gone
        except Exception as error:  # noqa: BLE001: whatever it is, it is the test's result
            failures.append(error)

    threads = [threading.Thread(target=come_and_go) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    wait_until(lambda: pooler.pool()["cl_active"] == 0, what="all are gone")
    still_serves(pooler)


def openssl_on(descriptor):
    """OpenSSL itself on a socket, for what Python's ssl module does not offer: (the library, the session)."""
    library = ctypes.CDLL("libssl.so.3")
    for name in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
        getattr(library, name).restype = ctypes.c_void_p
    library.SSL_CTX_new.argtypes = library.SSL_new.argtypes = [ctypes.c_void_p]
    session = ctypes.c_void_p(library.SSL_new(library.SSL_CTX_new(library.TLS_client_method())))
    library.SSL_set_fd(session, descriptor)
    assert library.SSL_connect(session) == 1
    return library, session


def test_a_flood_of_new_keys_whose_answers_nobody_reads(start_headgate, authority):
    """Each asks for an answer; when too many of them wait, the connection is closed."""
    own = authority.issue("pooler", "DNS:localhost")
    pooler = start_headgate(client_tls_sslmode="require", client_tls_key_file=own.key,
                            client_tls_cert_file=own.certificate, tcp_socket_buffer=65536)  # fmt: skip
    before = pooler.rss_bytes()
    with Wire(pooler.port, timeout=60) as wire:
        wire.send(special_request(SSL_REQUEST))
        assert wire.raw() == b"S"
        wire.socket.setblocking(True)
        library, session = openssl_on(wire.socket.fileno())
        # In large pieces, so that answers come in such: a system with many small ones in a full buffer drops what
        # it is told of its own bytes, too, and the flood would dry up.
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        for _ in range(400_000):
            library.SSL_key_update(session, 1)
            if library.SSL_do_handshake(session) != 1:
                break
        else:
            raise AssertionError("the pooler answers for ever")
    if not is_sanitized():
        assert pooler.rss_bytes() - before < 8 << 20
    still_serves(pooler)
