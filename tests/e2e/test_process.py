"""The process as service managers and scripts see it."""

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from lib import processes
from lib.activation import activate
from lib.headgate import REPOSITORY
from lib.processes import wait_until
from lib.wire import Wire

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only]
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def run(pooler, *arguments, as_root=False, **options):
    """Run the program to its end; what it says is in stdout."""
    user = processes.service_user()
    if user and not as_root:
        options.update(user=user.pw_uid, group=user.pw_gid, extra_groups=[])
    return subprocess.run(
        [pooler._reachable_program(), *arguments, pooler.path("headgate.ini")], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False, timeout=20, cwd="/", **options,
    )  # fmt: skip


def refusal(pooler, *arguments, **options):
    done = run(pooler, *arguments, **options)
    assert done.returncode == 1, done.stdout
    return done.stdout


# --- news for the service manager


@pytest.fixture(params=["path", "abstract"])
def manager(request):
    """A service manager's end of NOTIFY_SOCKET, and its name."""
    directory = processes.make_directory("manager")
    name = os.path.join(directory, "notify") if request.param == "path" else f"@headgate-{os.getpid()}-{time.time_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name.replace("@", "\0"))
        if request.param == "path":
            os.chmod(name, 0o777)
        listening.settimeout(20)
        yield listening, name
    processes.remove_directory(directory)


def hear(listening, but_not="STATUS="):
    while True:
        news = listening.recv(4096).decode()
        if not (but_not and news.startswith(but_not)):
            return news


def test_the_service_manager_hears_what_happens(make_headgate, manager):
    listening, name = manager
    pooler = make_headgate(stats_period=1)
    pooler.start(environment={"NOTIFY_SOCKET": name})
    assert hear(listening) == "READY=1"
    assert "process up" in pooler.log()  # not before it serves
    assert hear(listening, but_not=None).startswith("STATUS=stats: ")

    before = time.monotonic_ns() // 1000
    pooler.send_signal(signal.SIGHUP)
    reloading = hear(listening)
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", reloading)
    assert before <= int(reloading.rpartition("=")[2]) <= time.monotonic_ns() // 1000
    assert hear(listening) == "READY=1"

    with Wire(pooler.port) as client:
        client.login()
        pooler.send_signal(signal.SIGTERM)
        assert hear(listening) == "STOPPING=1"
    pooler.wait_ended()


def test_a_service_manager_that_does_not_read_holds_up_nothing(make_headgate, manager):
    listening, name = manager
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
        filler.setblocking(False)
        filler.connect(name.replace("@", "\0"))
        with contextlib.suppress(BlockingIOError):
            while True:
                filler.send(b"x")
    pooler = make_headgate().start(environment={"NOTIFY_SOCKET": name})
    with Wire(pooler.port) as client:
        assert client.login().value("SELECT 1") == "1"


# --- sockets of the service manager

def test_passed_sockets_replace_the_listeners(make_headgate):
    with contextlib.ExitStack() as stack:
        pooler = make_headgate()
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = tcp.getsockname()[1]
        path = pooler.path(f".s.PGSQL.{port}")
        local = stack.enter_context(socket.socket(socket.AF_UNIX))
        local.bind(path)
        os.chmod(path, 0o777)
        local.listen()
        activate(pooler, [tcp, local])
        wait_until(lambda: "process up" in pooler.log(), what="it is up")
        for host in ("127.0.0.1", pooler.directory):
            with Wire(port, host) as client:
                assert client.login().value("SELECT 1") == "1"
        log = pooler.log()
        for name in ("listen_addr", "unix_socket_dir"):
            assert f"WARNING sockets passed from service manager, {name} ignored" in log
        assert f"listening on 127.0.0.1:{port}" in log and f"listening on unix:{path}" in log
        with pytest.raises(OSError):
            Wire(pooler.port).close()
        pooler.stop()
        assert os.path.exists(path)  # it is not ours
        waiting = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))  # the manager still listens
        assert waiting


def test_a_drain_leaves_the_service_managers_socket_open(make_headgate):
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        pooler = make_headgate(unix_socket_dir="")
        activate(pooler, [tcp])
        wait_until(lambda: "process up" in pooler.log(), what="it is up")
        with Wire(tcp.getsockname()[1]) as client:
            client.login()
            pooler.send_signal(signal.SIGTERM)
            wait_until(lambda: "got SIGTERM" in pooler.log(), what="it drains")
            with socket.create_connection(tcp.getsockname(), 5):  # for the next process
                assert client.value("SELECT 'to the end'") == "to the end"
        pooler.wait_ended()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")
def test_ipv4_clients_of_a_socket_for_both_are_known_by_their_ipv4_addresses(make_headgate):
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as both:
        pooler = make_headgate()
        pooler.port = both.getsockname()[1]
        activate(pooler, [both])
        wait_until(lambda: "process up" in pooler.log(), what="it is up")
        for host, known_as in (("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")):
            with Wire(pooler.port, host) as client:
                client.login()
                wait_until(lambda: f": app/app@{known_as}:" in pooler.log(), what="its line")
        addresses = {row["addr"] for row in pooler.admin("SHOW CLIENTS")}
        assert addresses == {"127.0.0.1"}  # the console itself


def test_a_passed_socket_that_does_not_listen_is_refused(make_headgate):
    with socket.socket() as connected_to_nobody:
        pooler = make_headgate()
        activate(pooler, [connected_to_nobody])
        wait_until(lambda: not pooler.running, what="it ends")
        assert "FATAL descriptor 3, passed by the service manager, is no listening" in pooler.log()
        pooler.wait_ended(status=1)


def test_sockets_passed_to_another_process_are_none_of_ours(make_headgate):
    pooler = make_headgate().start(environment={"LISTEN_FDS": "1", "LISTEN_PID": "1"})
    with Wire(pooler.port) as client:
        assert client.login().value("SELECT 1") == "1"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_the_unit_files_are_in_order(make_headgate, tmp_path):
    program = make_headgate()._reachable_program()
    for name in ("headgate.service", "headgate.socket"):
        with open(os.path.join(REPOSITORY, "conf", name), encoding="utf-8") as file:
            (tmp_path / name).write_text(file.read().replace("/usr/bin/headgate", program))
    done = subprocess.run(["systemd-analyze", "verify", *map(str, tmp_path.iterdir())], capture_output=True, text=True,
                          check=False, timeout=60)  # fmt: skip
    about_ours = [line for line in (done.stdout + done.stderr).splitlines() if "headgate" in line]
    assert (done.returncode, about_ours) == (0, []), done.stderr


# --- start and end


def test_what_it_says_at_the_start(make_headgate):
    pooler = make_headgate(max_client_conn=123, default_pool_size=7).start()
    wait_until(lambda: "process up" in pooler.log(), what="it is up")
    log = pooler.log()
    assert re.search(r"LOG kernel file descriptor limit: \d+ \(hard: \d+\); max_client_conn: 123, "
                     r"max expected fd use: \d+", log)  # fmt: skip
    assert re.search(r"LOG process up: PgBouncer 1\.\d+\.\d+ \(Headgate [\d.]+\), libuv [\d.]+, .*tls: OpenSSL", log)


def test_what_the_version_says(make_headgate):
    lines = run(make_headgate(), "-V").stdout.splitlines()
    assert lines[0].startswith("headgate ")
    assert [line.partition(" ")[0] for line in lines[1:]] == ["libuv", "adns:", "tls:", "systemd:"]


def pid_in_file(pooler):
    with contextlib.suppress(FileNotFoundError), open(pooler.path("pid"), encoding="ascii") as file:
        return file.read()


def test_a_pidfile_of_a_living_process_is_respected(make_headgate):
    pooler = make_headgate()
    pooler.settings["pidfile"] = pooler.path("pid")
    pooler.write_files()
    message = f"pidfile '{pooler.path('pid')}' exists, another instance running?"
    for content in (f"{os.getpid()}\n", "", "garbage\n"):
        pooler.write("pid", content)
        assert message in refusal(pooler)
        assert pid_in_file(pooler) == content


def test_a_pidfile_of_a_dead_process_is_replaced(make_headgate):
    pooler = make_headgate()
    with subprocess.Popen(["true"]) as dead:
        dead.wait()
    pooler.settings["pidfile"] = pooler.path("pid")
    pooler.write_files()
    pooler.write("pid", f"{dead.pid}\n")
    pooler.start()
    assert "LOG stale pidfile, removing" in pooler.log()
    wait_until(lambda: pid_in_file(pooler) == f"{pooler.pid}\n", what="it is ours")


def test_a_unix_socket_of_a_server_that_starts_is_respected(make_headgate):
    pooler = make_headgate()
    pooler.write(f".s.PGSQL.{pooler.port}.lock", "1\n")
    assert ".lock exists" in refusal(pooler)


def test_a_unix_socket_that_answers_is_respected(make_headgate):
    pooler = make_headgate()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(pooler.path(f".s.PGSQL.{pooler.port}"))
        os.chmod(pooler.path(f".s.PGSQL.{pooler.port}"), 0o777)
        other.listen()
        assert "unix socket is in use, cannot continue" in refusal(pooler)  # and ends, though TCP was open


def test_nowhere_to_listen(make_headgate):
    assert "nowhere to listen on" in refusal(make_headgate(listen_addr="", unix_socket_dir=""))


def test_a_daemon_needs_a_pidfile(make_headgate):
    assert "daemon needs pidfile configured" in refusal(make_headgate(), "-d")


def test_a_daemon_leaves_the_terminal_and_serves(make_headgate):
    pooler = make_headgate()
    pooler.settings.update(pidfile=pooler.path("pid"), logfile=pooler.path("own.log"))
    pooler.write_files()
    started = run(pooler, "-d")
    assert started.returncode == 0
    pid = int(wait_until(lambda: pid_in_file(pooler), what="the pidfile"))
    try:
        assert pid != os.getpid() and os.getsid(pid) not in (pid, os.getsid(0))  # no terminal, nor can it get one
        assert [os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)] == ["/dev/null"] * 3
        with Wire(pooler.port) as client:
            assert client.login().value("SELECT 1") == "1"
            pooler.reload(verbose=1)
            assert client.value("SELECT 2") == "2"
    finally:
        os.kill(pid, signal.SIGQUIT)
    wait_until(lambda: not os.path.exists(pooler.path("pid")), what="it has ended")
    assert "process up" in open(pooler.path("own.log"), encoding="utf-8").read()


@AS_ROOT
@pytest.mark.parametrize("by", ["flag", "setting"])
def test_it_becomes_another_user_before_it_opens_its_files(make_headgate, by):
    pooler = make_headgate()
    pooler.settings.update(logfile=pooler.path("own.log"), **({"user": "postgres"} if by == "setting" else {}))
    pooler.write_files()
    arguments = ["-u", "postgres"] if by == "flag" else []
    with open(pooler.path("log"), "ab") as log:
        pooler.process = subprocess.Popen([pooler._reachable_program(), *arguments, pooler.path("headgate.ini")],
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)  # fmt: skip
    wait_until(lambda: "process up" in pooler.log(), what="it is up")
    user = pwd.getpwnam("postgres")
    with open(f"/proc/{pooler.pid}/status", encoding="ascii") as status:
        fields = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
    assert fields["Uid"].split() == [str(user.pw_uid)] * 4
    assert fields["Gid"].split() == [str(user.pw_gid)] * 4
    assert "0" not in fields["Groups"].split()
    assert "running as root" not in pooler.log()
    assert os.stat(pooler.path("own.log")).st_uid == user.pw_uid
    os.rename(pooler.path("own.log"), pooler.path("own.log.1"))
    pooler.send_signal(signal.SIGHUP)
    wait_until(lambda: os.path.exists(pooler.path("own.log")), what="a new log file")


@AS_ROOT
def test_an_unknown_user_is_an_error(make_headgate):
    said = refusal(make_headgate(), "-u", "nobody-of-that-name", as_root=True)
    assert "could not find user 'nobody-of-that-name'" in said


@AS_ROOT
def test_as_root_it_warns_and_serves(make_headgate):
    pooler = make_headgate()
    with open(pooler.path("log"), "ab") as log:
        pooler.process = subprocess.Popen([pooler._reachable_program(), pooler.path("headgate.ini")],
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)  # fmt: skip
    wait_until(lambda: "process up" in pooler.log(), what="it is up")
    assert "WARNING running as root" in pooler.log()
    with Wire(pooler.port) as client:
        assert client.login().value("SELECT 1") == "1"


# --- sockets


def test_tcp_defer_accept_reaches_open_listeners(make_headgate):
    pooler = make_headgate().start()

    def logging_in():
        return {row["list"]: row["items"] for row in pooler.admin("SHOW LISTS")}["login_clients"]

    def silent_client():
        return socket.create_connection(("127.0.0.1", pooler.port), 5)

    with silent_client():
        assert logging_in() == 0  # the system keeps it from us until it says something
        pooler.reload(tcp_defer_accept=0)
        with silent_client():
            wait_until(lambda: logging_in() == 1, what="it is accepted at once")
    pooler.reload(tcp_defer_accept=1)
    wait_until(lambda: logging_in() == 0, what="both have gone")
    with silent_client():
        assert logging_in() == 0
