"""The HTTP door: whether the pooler lives and is ready, and what it makes of those who abuse it."""

import contextlib
import re
import signal
import socket
import threading

import psycopg
import pytest

from lib import processes
from lib.frozen import frozen, threads_of_workers
from lib.processes import wait_until
from lib.web import Web, read_all, start_with_web

pytestmark = [pytest.mark.headgate_only, pytest.mark.sanitizers]

@pytest.fixture
def web(start_headgate):
    return start_with_web(start_headgate, pool_mode="transaction", workers=2)[1]


# --- whether it lives


def test_without_http_port_there_is_no_http(start_headgate):
    pooler = start_headgate()
    assert "http" not in pooler.log()


def test_a_pooler_that_serves_is_alive_and_ready(start_headgate):
    pooler, web = start_with_web(start_headgate)
    assert f"listening on http://127.0.0.1:{web.port}" in pooler.log()
    for path in ("/healthz", "/readyz", "/healthz?verbose=1"):
        status, headers, text = web.ask(path)
        assert (status, text) == (200, "ok\n")
        assert headers["Content-Type"] == "text/plain; charset=utf-8"
        assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("worker", [0, 1])
def test_a_worker_that_is_stuck_is_named_and_comes_back(start_headgate, worker):
    pooler, web = start_with_web(start_headgate, workers=2)
    loops = threads_of_workers(pooler, web, 2)
    assert loops[0] == pooler.pid
    with frozen(loops[worker]):
        for path in ("/healthz", "/readyz"):
            assert web.ask(path)[::2] == (503, f"worker {worker} does not answer\n")
    wait_until(lambda: web.status("/healthz") == 200, what="it answers again")


def test_it_is_not_ready_while_it_is_held_up(start_headgate):
    pooler, web = start_with_web(start_headgate)
    for command, word in (("PAUSE", "paused"), ("SUSPEND", "suspended")):
        with pooler.console() as console:
            console.execute(command)
            assert web.ask("/readyz")[::2] == (503, f"{word}\n")
            assert web.status("/healthz") == 200
            console.execute("RESUME")
        assert web.status("/readyz") == 200


@pytest.mark.parametrize("command, waits_for", [("SHUTDOWN WAIT_FOR_CLIENTS", "clients to leave"),
                                                ("SHUTDOWN WAIT_FOR_SERVERS", "servers to be released")])
def test_while_it_leaves_it_says_so(start_headgate, command, waits_for):
    pooler, web = start_with_web(start_headgate)
    with pooler.connect() as holder:
        holder.execute("BEGIN")
        pooler.admin(command)
        assert web.ask("/readyz")[::2] == (503, f"shutting down: waiting for {waits_for}\n")
        assert web.status("/healthz") == 200
        with contextlib.suppress(psycopg.OperationalError):
            holder.execute("COMMIT")
    pooler.wait_ended()


def test_sigterm_is_told_too(start_headgate):
    pooler, web = start_with_web(start_headgate)
    with pooler.connect():
        pooler.send_signal(signal.SIGTERM)
        wait_until(lambda: web.status("/readyz") == 503, what="it is leaving")
    pooler.wait_ended()


def test_readiness_is_no_matter_of_the_server(start_headgate):
    pooler, web = start_with_web(start_headgate, {"app": f"host=127.0.0.1 port={processes.free_port()}"})
    with pytest.raises(psycopg.OperationalError):
        pooler.connect().close()
    assert web.status("/readyz") == 200


# --- where it listens


def refusal(make_headgate, **settings):
    """How a start ends that cannot open its door."""
    pooler = make_headgate(**settings)
    process = processes.spawn([pooler._reachable_program(), pooler.path("headgate.ini")], pooler.path("log"))
    return process.wait(20), pooler.log()


def test_a_door_that_cannot_be_opened_ends_the_start(make_headgate):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, said = refusal(make_headgate, http_port=port)
    assert status == 1
    assert f"http_addr = 127.0.0.1, http_port = {port}: cannot listen on 127.0.0.1:{port}: Address already in use" in said
    status, said = refusal(make_headgate, http_port=port, http_addr="no.such.host.invalid")
    assert status == 1
    assert f"http_addr = no.such.host.invalid, http_port = {port}: cannot listen on no.such.host.invalid: " in said
    status, said = refusal(make_headgate, http_port=70000)
    assert status == 1
    assert "invalid value \"70000\" for parameter http_port" in said


def test_every_address_can_be_listened_on(start_headgate):
    pooler, web = start_with_web(start_headgate, http_addr="*")
    assert web.status("/healthz") == 200
    if socket.has_ipv6 and f"http://[::]:{web.port}" in pooler.log():
        with socket.create_connection(("::1", web.port), 20) as connection:
            connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert "200 OK" in read_all(connection)


def test_its_descriptors_are_counted_before_they_are_missed(start_headgate):
    def expected(pooler):
        return int(re.search(r"max expected fd use: (\d+)", pooler.log()).group(1))

    with_http, web = start_with_web(start_headgate)
    most = 4 + 16 + 2 + 1  # those that are answered and that wait, listeners, and what wakes them
    assert expected(with_http) - expected(start_headgate()) >= most


# --- what it does not do


def test_unknown_paths_are_told_what_there_is(web):
    status, _, text = web.ask("/nothing")
    assert status == 404
    assert {"/healthz", "/readyz"} <= set(text.split())
    assert web.status("/../../etc/passwd") == 404
    assert web.status("/" + "x" * 9000) == 414


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_pages_can_only_be_read(web, method):
    status, headers, _ = web.ask("/healthz", method, body=b"x" * 1000)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_head_is_told_no_more_than_the_head(web):
    status, headers, text = web.ask("/healthz", "HEAD")
    assert (status, headers["Content-Length"], text) == (200, "3", "")


def test_ranges_do_not_multiply_a_page(web):
    many = "bytes=" + ",".join(["0-2"] * 1000)
    status, _, text = web.ask("/healthz", Range=many)
    assert (status, text) == (200, "ok\n")


# --- who abuses it


def test_garbage_is_answered_or_dropped(web):
    for said in (b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), b"GET\r\n\r\n",
                 b"GET /nothing HTTP/1.1\r\nno colon\r\n\r\n", b"\0" * 5000, b"GET /nothing HTTP/9.9\r\n\r\n"):
        with web.connect() as connection:
            connection.sendall(said)
            connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                assert "200 OK" not in read_all(connection)
    assert web.status("/healthz") == 200


def test_a_request_without_end_is_cut_off(web):
    with web.connect() as connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        for _ in range(100_000):
            connection.sendall(b"X-More: and more\r\n")
        pytest.fail("it was read to the end")
    assert web.status("/healthz") == 200


def test_more_connections_than_it_takes_are_told_to_come_again(web):
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(web.connect()) for _ in range(40)]
        refused = next(connection for connection in silent if said_something(connection))
        answer = read_all(refused)
        assert answer.startswith("HTTP/1.1 503 ") and "Retry-After: 1" in answer
        assert answer.endswith("too many requests at one time\n")
        head, _, body = answer.partition("\r\n\r\n")
        assert f"Content-Length: {len(body)}\r\n" in head
    wait_until(lambda: web.status("/healthz") == 200, what="it answers when they have gone")


def said_something(connection):
    connection.setblocking(False)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        connection.settimeout(20)


def test_clients_do_not_notice_those_who_ask_again_and_again(start_headgate):
    pooler, web = start_with_web(start_headgate, pool_mode="transaction")
    over = threading.Event()
    asked = []

    def ask():
        while not over.is_set():
            asked.append(web.status("/healthz"))

    askers = [threading.Thread(target=ask) for _ in range(8)]
    for asker in askers:
        asker.start()
    with pooler.connect() as connection:
        for number in range(500):
            assert connection.execute("SELECT %s::int", (number,)).fetchone() == (number,)
    over.set()
    for asker in askers:
        asker.join()
    assert set(asked) <= {200, 503} and 200 in asked


def test_it_ends_at_once_with_connections_open(start_headgate):
    pooler, web = start_with_web(start_headgate)
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(web.connect()) for _ in range(8)]
        web.connect().close()
        pooler.send_signal(signal.SIGQUIT)
        pooler.wait_ended(seconds=4)  # sooner than they would be given up
        for connection in silent:
            with contextlib.suppress(ConnectionResetError):
                assert read_all(connection) == ""


def test_settings_of_the_door_need_a_restart(start_headgate):
    pooler, web = start_with_web(start_headgate)
    rows = {row["key"]: row for row in pooler.admin("SHOW CONFIG")}
    assert (rows["http_port"]["value"], rows["http_port"]["changeable"]) == (str(web.port), "no")
    assert (rows["http_addr"]["value"], rows["http_addr"]["changeable"]) == ("127.0.0.1", "no")
    pooler.reload(http_port=0)
    assert web.status("/healthz") == 200
    assert Web(web.port).status("/readyz") == 200
