"""headgate -R: what can go wrong with it, and what it does with files, sockets and the service manager."""

import contextlib
import os
import signal
import socket
import struct
import subprocess

import pytest

from lib import messages, processes
from lib.activation import activate
from lib.online_restart import ended_well, private_socket, run_to_its_end, start
from lib.processes import wait_until
from lib.web import start_with_web
from lib.wire import Wire

pytestmark = [pytest.mark.headgate_only, pytest.mark.sanitizers]


@pytest.fixture
def pooler(start_headgate):
    return start(start_headgate)


@pytest.fixture
def beside(request):
    """beside(process): it is ended after the test."""
    others = []
    yield others.append
    for process in others:
        processes.stop(process, signal.SIGQUIT)


# --- what can go wrong


@pytest.mark.parametrize(
    "settings",
    [{"pool_mode": "nonsense"}, {"http_port": "taken"}, {"listen_addr": "", "pidfile": "/nowhere/pid"}],
    ids=["configuration", "http", "pidfile"],
)
def test_a_new_process_that_fails_changes_nothing(start_headgate, settings):
    pooler = start(start_headgate, pidfile=None)
    files = sorted(os.listdir(pooler.directory))
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    before = dict(pooler.settings)
    settings = {name: port if value == "taken" else value for name, value in settings.items()}
    with Wire(pooler.port) as wire:
        wire.login()
        pooler.settings.update(settings)
        pooler.write_files()
        old, new = pooler.start_successor()
        assert run_to_its_end(new) == 1
        pooler.process = old
        pooler.settings = before
        pooler.write_files()
        assert wire.value("SELECT 'unharmed'") == "unharmed"
        for host in ("127.0.0.1", pooler.directory):
            with Wire(pooler.port, host) as late:
                assert late.login().value("SELECT 'welcome'") == "welcome"
        assert sorted(os.listdir(pooler.directory)) == files
        pooler.restart_online()
        assert wire.value("SELECT 'moved'") == "moved"
    taken.close()


def test_a_stranger_on_the_private_socket_changes_nothing(pooler):
    path = private_socket(pooler)
    assert os.stat(path).st_mode & 0o777 == 0o600

    def say(*parts):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(path)
            raw.settimeout(20)
            for part in parts:
                raw.sendall(part)
            said = b""
            with contextlib.suppress(ConnectionResetError):
                while part := raw.recv(4096):
                    said += part
            return said

    hello = struct.pack("!ciii", b"H", 12, 1, os.getpid())
    assert say(b"GET / HTTP/1.1\r\n\r\n") == b""
    assert say(struct.pack("!ci", b"T", 4)) == b""  # without a Hello
    assert say(struct.pack("!ciii", b"H", 12, 999, 1))[:1] == b"H"  # another version
    assert say(hello, struct.pack("!ci", b"X", 4))[:1] == b"H"
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(path)
        raw.sendall(hello)
    with Wire(pooler.port) as wire:
        wire.login()
        pooler.restart_online()
        assert wire.value("SELECT 'unharmed'") == "unharmed"


CONNECT = """
import contextlib, socket, sys
with socket.socket(socket.AF_UNIX) as raw, contextlib.suppress(ConnectionError):
    raw.connect("\\0" + sys.argv[1])
    raw.sendall(bytes.fromhex(sys.argv[2]))
    sys.exit(len(raw.recv(100)))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_processes_of_other_users_are_not_heard(start_headgate):
    name = f"headgate-test-{os.getpid()}"
    pooler = start(start_headgate, unix_socket_dir="@" + name)
    hello = struct.pack("!ciii", b"H", 12, 1, os.getpid()).hex()
    stranger = subprocess.run(["/usr/bin/python3", "-c", CONNECT, f"{name}/.s.HEADGATE.{pooler.port}", hello],
                              user=65534, check=False, timeout=20, cwd="/")  # fmt: skip
    assert stranger.returncode == 0
    assert "a process of another user wants to take over: refused" in pooler.log()
    with Wire(pooler.port) as wire:
        wire.login()
        pooler.restart_online()
        assert wire.value("SELECT 'unharmed'") == "unharmed"


def test_without_an_old_process_it_starts_normally(make_headgate):
    pooler = make_headgate(pool_mode="transaction")
    pooler.start(["-R"])
    assert "old process not found, try to continue normally" in pooler.log()
    with Wire(pooler.port) as wire:
        assert wire.login().value("SELECT 'up'") == "up"


def test_a_process_that_is_paused_is_not_taken_over(pooler):
    pooler.admin("PAUSE")
    old, new = pooler.start_successor()
    assert run_to_its_end(new) == 1
    pooler.process = old
    pooler.admin("RESUME")
    pooler.restart_online()


def test_a_new_process_that_is_killed_leaves_the_rest_in_peace(pooler, beside):
    with Wire(pooler.port) as busy:
        busy.login().query("BEGIN")
        busy.query("SELECT 1")
        old, new = pooler.start_successor()
        beside(old)
        wait_until(lambda: "takes over" in pooler.log_of(old), what="it takes over")
        new.kill()
        new.wait()
        pooler.process = old
        assert busy.value("SELECT 'unharmed'") == "unharmed"
        busy.query("COMMIT")
        wait_until(lambda: "is lost" in pooler.log_of(old), what="it is noticed")
        assert busy.value("SELECT 'stays'") == "stays"
        busy.send(messages.terminate())
        assert ended_well(old)


# --- the process


def test_pidfile_sockets_and_http_go_along(start_headgate):
    pooler, web = start_with_web(start_headgate, pool_mode="transaction")
    pooler.stop()
    pooler.settings["pidfile"] = pooler.path("pid")
    pooler.write_files()
    pooler.start()
    for _ in range(2):
        pooler.restart_online()
        with open(pooler.path("pid"), encoding="ascii") as file:
            assert int(file.read()) == pooler.pid
        assert web.status("/readyz") == 200
        assert os.path.exists(pooler.path(f".s.PGSQL.{pooler.port}"))
    pooler.send_signal(signal.SIGINT)
    pooler.wait_ended()
    assert sorted(os.listdir(pooler.directory)) == ["headgate.ini", "log", "userlist.txt"]


def test_sockets_of_the_service_manager_go_along(make_headgate):
    pooler = make_headgate(pool_mode="transaction")
    with socket.create_server(("127.0.0.1", 0)) as passed:
        pooler.settings["listen_addr"] = ""
        pooler.write_files()
        pooler.port = passed.getsockname()[1]
        activate(pooler, [passed])
        with Wire(pooler.port) as wire:
            wire.login()
            pooler.restart_online()
            assert wire.value("SELECT 'moved'") == "moved"
            with Wire(pooler.port) as late:
                assert late.login().value("SELECT 'welcome'") == "welcome"


def test_a_daemon_takes_over_from_a_daemon(make_headgate):
    pooler = make_headgate(pool_mode="transaction")
    pooler.settings.update(pidfile=pooler.path("pid"), logfile=pooler.path("log"))
    pooler.write_files()

    def process():
        try:
            with open(pooler.path("pid"), encoding="ascii") as file:
                return int(file.read())
        except (FileNotFoundError, ValueError):
            return 0

    def run(*arguments):
        starter = processes.spawn([pooler._reachable_program(), *arguments, pooler.path("headgate.ini")],
                                  pooler.path("terminal"))  # fmt: skip
        assert run_to_its_end(starter) == 0

    def is_gone(pid):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(") ")[2].startswith("Z")  # nobody waits for it here

    run("-d")
    wait_until(lambda: process() > 0, what="the daemon is up")
    first = second = process()
    try:
        wait_until(lambda: "process up" in pooler.log(), what="it serves")
        with Wire(pooler.port) as wire:
            wire.login()
            run("-d", "-R")
            wait_until(lambda: process() != first, what="another is up")
            second = process()
            assert wire.value("SELECT 'moved'") == "moved"
            wait_until(lambda: is_gone(first), what="the first has ended")
            assert process() == second
    finally:
        for pid in {first, second}:
            if not is_gone(pid):
                os.kill(pid, signal.SIGQUIT)
                wait_until(lambda pid=pid: is_gone(pid), what="it has ended")


def test_addresses_may_change(pooler):
    with Wire(pooler.port) as wire:
        wire.login()
        port = pooler.port
        pooler.settings["listen_addr"] = "127.0.0.1, ::1"
        pooler.write_files()
        pooler.restart_online()
        with Wire(port, "::1") as other:
            assert other.login().value("SELECT 'ip6'") == "ip6"
        pooler.settings["listen_addr"] = ""
        pooler.write_files()
        pooler.restart_online()
        with pytest.raises(OSError):
            Wire(port, "127.0.0.1")
        with Wire(port, pooler.directory) as other:
            assert other.login().value("SELECT 'unix'") == "unix"
        assert wire.value("SELECT 'through it all'") == "through it all"


def test_the_service_manager_learns_the_new_process(make_headgate):
    pooler = make_headgate(pool_mode="transaction")
    path = pooler.path("notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        processes.own(path)
        manager.settimeout(20)
        pooler.start(environment={"NOTIFY_SOCKET": path})
        assert manager.recv(4096).startswith(b"READY=1")
        _, new = pooler.start_successor()
        news = b""
        while f"MAINPID={new.pid}".encode() not in news:
            news = manager.recv(4096)
        assert news  # from the old process, which is the one that is listened to
