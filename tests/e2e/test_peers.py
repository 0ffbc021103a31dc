"""Several poolers behind one address: a cancel request finds the one that it is meant for, also while
they are restarted one after the other."""

import contextlib
import os
import signal
import socket
import struct
import threading

import psycopg
import pytest

from lib import processes
from lib.headgate import Headgate
from lib.messages import query
from lib.processes import wait_until
from lib.wire import Wire, errors, send_cancel
from conftest import connect_string

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only]
SLEEP = "SELECT pg_sleep(60)"
FOUND = "successfully sent cancel request"


def key_bytes(wire):
    return struct.pack("!Ii", wire.key[0] & 0xFFFFFFFF, wire.key[1])


def peer_of(wire):
    return int.from_bytes(key_bytes(wire)[1:3], "little")


def with_hops(key, hops):
    """The same key with another number of hops left."""
    packed = bytearray(struct.pack("!ii", *key))
    packed[7] = packed[7] & ~3 | hops
    return struct.unpack("!ii", bytes(packed))


def write_with_peers(pooler, peers):
    """The pooler's files, with a section [peers]: id -> connection string."""
    pooler.write_files()
    lines = "".join(f"{number} = {text}\n" for number, text in peers.items())
    with open(pooler.path("headgate.ini"), encoding="utf-8") as file:
        ini = file.read()
    pooler.write("headgate.ini", f"[peers]\n{lines}{ini}")


@pytest.fixture
def start_peer(start_headgate):
    def start(number, peers, **settings):
        return start_headgate(
            before_start=lambda pooler: write_with_peers(pooler, peers(pooler) if callable(peers) else peers),
            peer_id=number, pool_mode="transaction", default_pool_size=2, verbose=1, **settings,
        )  # fmt: skip

    return start


@pytest.fixture(params=["unix", "tcp"])
def pair(request, start_peer):
    """Pooler 2, which knows nobody, and pooler 1, which lists 2 and itself."""
    second = start_peer(2, {})
    host = second.directory if request.param == "unix" else "localhost"

    def peers(first):
        return {1: f"host={first.directory} port={first.port}", 2: f"host={host} port={second.port} pool_size=1"}

    return start_peer(1, peers), second


def wait_for_sleepers(postgres, count=1):
    wait_until(
        lambda: sum("pg_sleep(60)" in backend["query"] and backend["state"] == "active"
                    for backend in postgres.backends("single")) == count,
        what="the query runs",
    )  # fmt: skip


def logged(pooler, text, count=1):
    wait_until(lambda: pooler.log().count(text) >= count, what=f"the log says {text!r}")


def test_the_key_names_the_pooler(start_peer, start_headgate):
    with Wire(start_peer(0x1234, {}).port) as wire:
        key = key_bytes(wire.login())
        assert key[1:3] == b"\x34\x12"
        assert key[0] & 0x80 == 0
        assert key[7] & 3 == 3
    with contextlib.ExitStack() as stack:  # what is not fixed is random
        pooler = start_peer(7, {})
        keys = [key_bytes(stack.enter_context(Wire(pooler.port)).login()) for _ in range(64)]
        for place in (0, 3, 4, 5, 6, 7):
            assert len({key[place] for key in keys}) > 8, place
        plain = start_headgate()
        assert len({peer_of(stack.enter_context(Wire(plain.port)).login()) for _ in range(16)}) > 8


def test_a_cancel_that_reaches_the_wrong_pooler_is_passed_on(pair, postgres):
    first, second = pair
    with Wire(second.port) as wire:
        wire.login().send(query(SLEEP))
        assert peer_of(wire) == 2
        wait_for_sleepers(postgres)
        send_cancel(first.port, wire.key)
        assert errors(wire.read_until())[0]["C"] == "57014"
        assert wire.value("SELECT 'in step'") == "in step"
    logged(first, "peer-2@")
    logged(first, FOUND)


def test_its_own_cancels_stay_here_though_it_lists_itself(pair, postgres):
    first, second = pair
    with Wire(first.port) as wire:
        wire.login().send(query(SLEEP))
        wait_for_sleepers(postgres)
        send_cancel(first.port, with_hops(wire.key, 0))  # whatever number of hops is left
        assert errors(wire.read_until())[0]["C"] == "57014"
    assert "peer-1@" not in first.log()
    assert "cancel" not in second.log()


def test_what_cannot_be_passed_on_says_why(pair):
    first, second = pair
    with Wire(second.port) as wire:
        wire.login()
        unknown = struct.unpack("!ii", struct.pack("!I", 0x01000900) + b"abcd")
        send_cancel(first.port, unknown)
        logged(first, "closing because: could not find peer to forward request to")
        send_cancel(first.port, with_hops(wire.key, 0))
        logged(first, "closing because: failed to forward cancel request because its TTL was exhausted")
        send_cancel(first.port, wire.key)
        logged(second, "closing because: cancel request for idle client")
        assert wire.value("SELECT 'undisturbed'") == "undisturbed"


def test_requests_do_not_go_round_for_ever(start_peer):
    """A pooler that takes itself for peer 9."""

    def towards_me(pooler):
        return {9: f"host=127.0.0.1 port={pooler.port} pool_size=3"}

    pooler = start_peer(1, towards_me)
    key = struct.unpack("!ii", struct.pack("!I", 0x01090000) + b"abc" + bytes([3]))
    send_cancel(pooler.port, key)
    logged(pooler, "failed to forward cancel request because its TTL was exhausted")
    assert pooler.log().count("new connection to server") == 3


@contextlib.contextmanager
def silent_peer():
    """Accepts, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def open_cancel(port, key):
    connection = socket.create_connection(("127.0.0.1", port), 10)
    connection.sendall(struct.pack("!iiii", 16, 80877102, *key))
    return connection


PEER_3 = struct.unpack("!ii", struct.pack("!I", 0x01030000) + b"abc\3")


def peer_3(listening, **options):
    text = "".join(f" {name}={value}" for name, value in options.items())
    return {3: f"host=127.0.0.1 port={listening.getsockname()[1]}{text}"}


def test_so_many_connections_to_a_peer_at_once_and_the_others_wait(start_peer):
    with silent_peer() as listening, contextlib.ExitStack() as stack:
        pooler = start_peer(1, peer_3(listening, pool_size=2), cancel_wait_timeout=0)
        requests = [stack.enter_context(open_cancel(pooler.port, PEER_3)) for _ in range(3)]
        passed_on = [stack.enter_context(listening.accept()[0]) for _ in range(2)]
        listening.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listening.accept()
        for connection in passed_on:
            assert connection.recv(100) == struct.pack("!iiii", 16, 80877102, *with_hops(PEER_3, 2))
        passed_on[0].close()  # done: the third has its turn, and its requester is told
        listening.settimeout(10)
        stack.enter_context(listening.accept()[0])
        assert sum(_closed(request) for request in requests) == 1


def _closed(connection):
    connection.settimeout(0.2)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False


def test_a_peer_that_never_answers_is_given_up(start_peer):
    with silent_peer() as listening:
        pooler = start_peer(1, peer_3(listening, pool_size=1), cancel_wait_timeout=0.5)
        with open_cancel(pooler.port, PEER_3) as one, open_cancel(pooler.port, PEER_3) as other:
            for connection in (one, other):
                connection.settimeout(10)
                assert connection.recv(1) == b""
        logged(pooler, "closing because: cancel_wait_timeout", 2)


def test_a_peer_that_is_not_there_fails_the_request(start_peer):
    pooler = start_peer(1, {3: f"host=127.0.0.1 port={processes.free_port()}"})
    send_cancel(pooler.port, PEER_3)
    logged(pooler, "closing because: connect failed", 2)  # that connection, and the one that asked


def test_a_peer_taken_out_of_the_file_is_forgotten(start_peer):
    with silent_peer() as listening:
        pooler = start_peer(1, peer_3(listening, pool_size=1), cancel_wait_timeout=0)
        with open_cancel(pooler.port, PEER_3) as running, open_cancel(pooler.port, PEER_3) as waiting:
            with listening.accept()[0] as connection:
                connection.settimeout(10)
                assert len(connection.recv(100)) == 16
                wait_until(lambda: pooler.admin("SHOW PEER_POOLS")[0]["cl_waiting_cancel_req"] == 1, what="one waits")
                (row,) = pooler.admin("SHOW PEER_POOLS")
                assert (row["peer_id"], row["cl_active_cancel_req"], row["sv_active_cancel"], row["sv_login"]) == (3, 1, 1, 0)
                write_with_peers(pooler, {})
                pooler.admin("RELOAD")
                assert connection.recv(1) == b""
            for request in (running, waiting):
                request.settimeout(10)
                assert request.recv(1) == b""
        logged(pooler, "closing because: peer removed", 3)


def test_a_key_stays_good_when_the_number_changes(start_peer, postgres):
    pooler = start_peer(1, {})
    with Wire(pooler.port) as wire:
        wire.login().send(query(SLEEP))
        wait_for_sleepers(postgres)
        pooler.reload(peer_id=5)
        send_cancel(pooler.port, wire.key)
        assert errors(wire.read_until())[0]["C"] == "57014"


# --- a rolling restart


class Crowd:
    """Clients that come, have a query cancelled, and go; an error of any of them is kept."""

    def __init__(self, port, size):
        self.port, self.size = port, size
        self.over = threading.Event()
        self.cancelled = 0
        self.errors = []
        self.threads = [threading.Thread(target=self._run) for _ in range(size)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(60)

    def _run(self):
        while not self.over.is_set():
            try:
                self._visit()
            except Exception as error:  # whatever it is: nobody may see one
                self.errors.append(repr(error))
                return

    def _visit(self):
        with psycopg.connect(host="127.0.0.1", port=self.port, dbname="app", user="app", autocommit=True,
                             prepare_threshold=None) as connection:  # fmt: skip
            for _ in range(3):
                ended = threading.Event()
                canceller = threading.Thread(target=self._cancel_until, args=(ended, connection))
                canceller.start()
                try:
                    connection.execute("SELECT pg_sleep(60)")
                    self.errors.append("not cancelled")
                except psycopg.errors.QueryCanceled:
                    self.cancelled += 1
                finally:
                    ended.set()
                    canceller.join()
                assert connection.execute("SELECT 1").fetchone() == (1,)  # no cancel comes late

    @staticmethod
    def _cancel_until(ended, connection):
        """Once is enough where the query has begun, which cannot be seen from here."""
        while not ended.wait(0.02):
            connection.cancel()


def test_poolers_are_replaced_one_after_the_other_and_no_client_notices(postgres):
    """Two processes share a port; one is told to end, drains, and a new one takes its place."""
    with contextlib.ExitStack() as stack:
        home = processes.make_directory("rolling")
        stack.callback(processes.remove_directory, home)
        port = processes.free_port()
        peers = {number: f"host={home}/{number} port={port}" for number in (1, 2)}

        def start(number):
            directory = os.path.join(home, str(number))
            if not os.path.exists(directory):
                os.mkdir(directory)
                processes.own(directory)
            pooler = Headgate(
                {"app": connect_string(postgres, dbname="single")}, port_settings=None, so_reuseport=1,
                listen_port=port, unix_socket_dir=directory, peer_id=number, pool_mode="transaction",
                default_pool_size=16, max_client_conn=1000,
                # A connection counts as accepted from its handshake on, not from its first byte.
                tcp_defer_accept=0,
            )  # fmt: skip
            pooler.port = port
            pooler.settings.pop("port_settings")
            stack.callback(pooler.remove)
            write_with_peers(pooler, peers)
            pooler.start()
            wait_until(lambda: "process up" in pooler.log(), what="it is up")
            return pooler

        running = {1: start(1), 2: start(2)}
        with Crowd(port, 8) as crowd:

            def more_cancels():
                goal = crowd.cancelled + 40
                wait_until(lambda: crowd.errors or crowd.cancelled >= goal, 60, "cancels work")
                assert not crowd.errors, crowd.errors

            more_cancels()
            for number in (1, 2):
                running[number].send_signal(signal.SIGTERM)
                running[number].wait_ended(60)
                more_cancels()
                running[number] = start(number)
                more_cancels()
        assert not crowd.errors, crowd.errors
        for number, pooler in running.items():
            log = pooler.log()
            assert f"peer-{3 - number}@" in log
            assert not [line for line in log.splitlines() if "failed cancel" in line or "find peer" in line], log
