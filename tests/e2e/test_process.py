"""The process as service managers, loggers and scripts see it."""

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from conftest import connect_string
from lib import processes
from lib.headgate import REPOSITORY, Headgate
from lib.processes import wait_until
from lib.wire import Wire

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only]
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def make(postgres):
    """A pooler with its files written, but not started."""
    with contextlib.ExitStack() as stack:

        def make_pooler(**settings):
            pooler = Headgate({"app": connect_string(postgres, dbname="single")}, **settings)
            stack.callback(pooler.remove)
            pooler.write_files()
            return pooler

        yield make_pooler


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


def test_the_service_manager_hears_what_happens(make, manager):
    listening, name = manager
    pooler = make(stats_period=1)
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


def test_a_service_manager_that_does_not_read_holds_up_nothing(make, manager):
    listening, name = manager
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
        filler.setblocking(False)
        filler.connect(name.replace("@", "\0"))
        with contextlib.suppress(BlockingIOError):
            while True:
                filler.send(b"x")
    pooler = make().start(environment={"NOTIFY_SOCKET": name})
    with Wire(pooler.port) as client:
        assert client.login().value("SELECT 1") == "1"


# --- sockets of the service manager

# Becomes the program with descriptors from 3 on, as a service manager does.
ACTIVATE = """
import os, sys
count, log, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
os.environ.update(LISTEN_FDS=str(count), LISTEN_PID=str(os.getpid()))
os.execv(command[0], command)
"""


def activate(pooler, sockets):
    """Start the pooler with these sockets passed to it."""
    user = processes.service_user()

    def place():  # above all others first, so that none is overwritten
        high = [os.dup2(one.fileno(), 100 + number) for number, one in enumerate(sockets)]
        for number, descriptor in enumerate(high):
            os.dup2(descriptor, 3 + number)
            os.set_inheritable(3 + number, True)
            os.close(descriptor)

    with open(pooler.path("log"), "ab") as log:
        pooler.process = subprocess.Popen(
            [sys.executable, "-c", ACTIVATE, str(len(sockets)), pooler.path("log"), pooler._reachable_program(),
             pooler.path("headgate.ini")],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=place, close_fds=False, start_new_session=True,
            **({"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}),
        )  # fmt: skip


def test_passed_sockets_replace_the_listeners(make):
    with contextlib.ExitStack() as stack:
        pooler = make()
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


def test_a_drain_leaves_the_service_managers_socket_open(make):
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        pooler = make(unix_socket_dir="")
        activate(pooler, [tcp])
        wait_until(lambda: "process up" in pooler.log(), what="it is up")
        with Wire(tcp.getsockname()[1]) as client:
            client.login()
            pooler.send_signal(signal.SIGTERM)
            wait_until(lambda: "got SIGTERM" in pooler.log(), what="it drains")
            with socket.create_connection(tcp.getsockname(), 5):  # for the next process
                assert client.value("SELECT 'to the end'") == "to the end"
        pooler.wait_ended()


def test_a_passed_socket_that_does_not_listen_is_refused(make):
    with socket.socket() as connected_to_nobody:
        pooler = make()
        activate(pooler, [connected_to_nobody])
        pooler.wait_ended(status=1)


def test_sockets_passed_to_another_process_are_none_of_ours(make):
    pooler = make().start(environment={"LISTEN_FDS": "1", "LISTEN_PID": "1"})
    with Wire(pooler.port) as client:
        assert client.login().value("SELECT 1") == "1"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_the_unit_files_are_in_order(make, tmp_path):
    program = make()._reachable_program()
    for name in ("headgate.service", "headgate.socket"):
        with open(os.path.join(REPOSITORY, "conf", name), encoding="utf-8") as file:
            (tmp_path / name).write_text(file.read().replace("/usr/bin/headgate", program))
    done = subprocess.run(["systemd-analyze", "verify", *map(str, tmp_path.iterdir())], capture_output=True, text=True,
                          check=False, timeout=60)  # fmt: skip
    about_ours = [line for line in (done.stdout + done.stderr).splitlines() if "headgate" in line]
    assert (done.returncode, about_ours) == (0, []), done.stderr


# --- the log


def test_lines_for_the_journal(make):
    pooler = make(verbose=1)
    processes.write_file(pooler.path("log"), "")
    status = os.stat(pooler.path("log"))
    pooler.start(environment={"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
    with Wire(pooler.port) as client:
        client.login()
    wait_until(lambda: "login attempt" in pooler.log(), what="the client is logged")
    lines = pooler.log().splitlines()
    assert all(re.match(r"<[2-7]>", line) for line in lines), lines
    assert any(re.match(r"<6>C-0x\w+: app/app@127\.0\.0\.1:\d+ login attempt: ", line) for line in lines)


def test_lines_for_a_file_though_there_is_a_journal(make):
    pooler = make().start(environment={"JOURNAL_STREAM": "1:2"})
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ \[\d+\] LOG ", pooler.log())


def test_a_logfile_is_opened_anew_at_a_reload(make):
    pooler = make()
    pooler.settings["logfile"] = pooler.path("own.log")
    pooler.write_files()
    pooler.start()
    os.rename(pooler.path("own.log"), pooler.path("own.log.1"))
    pooler.send_signal(signal.SIGHUP)
    wait_until(lambda: os.path.exists(pooler.path("own.log")), what="a new file")
    with Wire(pooler.port) as client:
        client.login()
    wait_until(lambda: "login attempt" in open(pooler.path("own.log"), encoding="utf-8").read(), what="lines are in it")
    assert "login attempt" not in open(pooler.path("own.log.1"), encoding="utf-8").read()


# Becomes the program in a mount namespace of its own whose /dev is a directory of ours.
WITH_OWN_DEV = 'mount --make-rprivate / && mount --bind "$0" /dev && exec "$@"'


@pytest.fixture
def system_log(tmp_path):
    """/dev/log of a namespace of its own, and the command that enters it."""
    dev = tmp_path / "dev"
    dev.mkdir()
    enter = ["unshare", "-m", "sh", "-c", WITH_OWN_DEV, str(dev)]
    if os.geteuid() != 0 or subprocess.run([*enter, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("needs a mount namespace")
    os.mknod(dev / "null", 0o20666, os.makedev(1, 3))
    for path in (dev, *dev.parents):
        if path.stat().st_uid == os.geteuid() and path != path.parent:
            os.chmod(path, path.stat().st_mode | 0o755)
    os.chmod(dev / "null", 0o666)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(dev / "log"))
        os.chmod(dev / "log", 0o777)
        listening.settimeout(10)
        yield listening, enter


def hear_line(listening, text):
    while True:
        line = listening.recv(4096).decode()
        if text in line:
            return line


def test_syslog(make, system_log):
    listening, enter = system_log
    pooler = make(syslog=1, syslog_ident="our pooler", syslog_facility="local3", user="postgres")
    with open(pooler.path("log"), "ab") as log:
        processes.own(pooler.path("log"))
        pooler.process = subprocess.Popen([*enter, pooler._reachable_program(), "-q", pooler.path("headgate.ini")],
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)  # fmt: skip
    local3, info, warning = 19 << 3, 6, 4
    line = hear_line(listening, "process up")
    assert re.fullmatch(rf"<{local3 | info}>\w+ +\d+ [\d:]+ our pooler\[\d+\]: process up: .*", line)
    pooler.reload(syslog_ident="another", syslog_facility="daemon")
    with Wire(pooler.port) as client:
        client.login()
    assert re.match(rf"<{3 << 3 | info}>.* another\[\d+\]: C-0x\w+: app/app@.* login attempt: ",
                    hear_line(listening, "login attempt: db=app"))  # fmt: skip
    with contextlib.suppress(Exception):
        Wire(pooler.port).login("nobody", "nowhere")
    assert re.match(rf"<{3 << 3 | warning}>", hear_line(listening, "pooler error"))
    pooler.reload(syslog=0)
    listening.settimeout(0.2)
    with contextlib.suppress(TimeoutError):  # what was on its way
        while listening.recv(4096):
            pass
    with Wire(pooler.port) as client:
        client.login()
    with pytest.raises(TimeoutError):
        listening.recv(4096)
    assert pooler.log() == ""  # -q


# --- start and end


def test_what_it_says_at_the_start(make):
    pooler = make(max_client_conn=123, default_pool_size=7).start()
    wait_until(lambda: "process up" in pooler.log(), what="it is up")
    log = pooler.log()
    assert re.search(r"LOG kernel file descriptor limit: \d+ \(hard: \d+\); max_client_conn: 123, "
                     r"max expected fd use: \d+", log)  # fmt: skip
    assert re.search(r"LOG process up: PgBouncer 1\.\d+\.\d+ \(Headgate [\d.]+\), libuv [\d.]+, .*tls: OpenSSL", log)


def test_what_the_version_says(make):
    lines = run(make(), "-V").stdout.splitlines()
    assert lines[0].startswith("headgate ")
    assert [line.partition(" ")[0] for line in lines[1:]] == ["libuv", "adns:", "tls:", "systemd:"]


def test_a_pidfile_of_a_living_process_is_respected(make):
    pooler = make()
    pooler.settings["pidfile"] = pooler.path("pid")
    pooler.write_files()
    message = f"pidfile '{pooler.path('pid')}' exists, another instance running?"
    for content in (f"{os.getpid()}\n", "", "garbage\n"):
        pooler.write("pid", content)
        assert message in refusal(pooler)
        assert open(pooler.path("pid"), encoding="ascii").read() == content


def test_a_pidfile_of_a_dead_process_is_replaced(make):
    pooler = make()
    with subprocess.Popen(["true"]) as dead:
        dead.wait()
    pooler.settings["pidfile"] = pooler.path("pid")
    pooler.write_files()
    pooler.write("pid", f"{dead.pid}\n")
    pooler.start()
    assert "LOG stale pidfile, removing" in pooler.log()
    wait_until(lambda: open(pooler.path("pid"), encoding="ascii").read() == f"{pooler.pid}\n", what="it is ours")


def test_a_unix_socket_of_a_server_that_starts_is_respected(make):
    pooler = make()
    pooler.write(f".s.PGSQL.{pooler.port}.lock", "1\n")
    assert ".lock exists" in refusal(pooler)


def test_a_unix_socket_that_answers_is_respected(make):
    pooler = make()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(pooler.path(f".s.PGSQL.{pooler.port}"))
        os.chmod(pooler.path(f".s.PGSQL.{pooler.port}"), 0o777)
        other.listen()
        assert "unix socket is in use, cannot continue" in refusal(pooler)  # and ends, though TCP was open


def test_nowhere_to_listen(make):
    assert "nowhere to listen on" in refusal(make(listen_addr="", unix_socket_dir=""))


def test_the_online_restart_flag_starts_normally(make):
    pooler = make().start(arguments=["-R"])
    assert "WARNING online restart" in pooler.log()
    with Wire(pooler.port) as client:
        assert client.login().value("SELECT 1") == "1"


def test_a_daemon_needs_a_pidfile(make):
    assert "daemon needs pidfile configured" in refusal(make(), "-d")


def test_a_daemon_leaves_the_terminal_and_serves(make):
    pooler = make()
    pooler.settings.update(pidfile=pooler.path("pid"), logfile=pooler.path("own.log"))
    pooler.write_files()
    started = run(pooler, "-d")
    assert started.returncode == 0
    pid = int(wait_until(lambda: os.path.exists(pooler.path("pid")) and open(pooler.path("pid"), encoding="ascii").read(),
                         what="the pidfile"))  # fmt: skip
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
def test_it_becomes_another_user_before_it_opens_its_files(make, by):
    pooler = make()
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
def test_an_unknown_user_is_an_error(make):
    assert "could not find user 'nobody-of-that-name'" in refusal(make(), "-u", "nobody-of-that-name", as_root=True)


@AS_ROOT
def test_as_root_it_warns_and_serves(make):
    pooler = make()
    with open(pooler.path("log"), "ab") as log:
        pooler.process = subprocess.Popen([pooler._reachable_program(), pooler.path("headgate.ini")],
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)  # fmt: skip
    wait_until(lambda: "process up" in pooler.log(), what="it is up")
    assert "WARNING running as root" in pooler.log()
    with Wire(pooler.port) as client:
        assert client.login().value("SELECT 1") == "1"


# --- sockets


def test_tcp_defer_accept_reaches_open_listeners(make):
    pooler = make().start()

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
