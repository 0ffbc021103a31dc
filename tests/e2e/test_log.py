"""The log: where its lines go, and that nobody waits for who reads them."""

import contextlib
import os
import re
import signal
import socket
import subprocess

import pytest

from lib import processes
from lib.processes import wait_until
from lib.wire import Wire

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only]


def test_lines_for_the_journal(make_headgate):
    pooler = make_headgate(verbose=1)
    processes.write_file(pooler.path("log"), "")
    status = os.stat(pooler.path("log"))
    pooler.start(environment={"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
    with Wire(pooler.port) as client:
        client.login()
    wait_until(lambda: "login attempt" in pooler.log(), what="the client is logged")
    lines = pooler.log().splitlines()
    assert all(re.match(r"<[2-7]>", line) for line in lines), lines
    assert any(re.match(r"<6>C-0x\w+: app/app@127\.0\.0\.1:\d+ login attempt: ", line) for line in lines)


def test_lines_for_a_file_though_there_is_a_journal(make_headgate):
    pooler = make_headgate().start(environment={"JOURNAL_STREAM": "1:2"})
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ \[\d+\] LOG ", pooler.log())


def test_a_logfile_is_opened_anew_at_a_reload(make_headgate):
    pooler = make_headgate()
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


def test_set_changes_the_log_at_once(make_headgate):
    pooler = make_headgate().start()
    file = pooler.path("own.log")
    pooler.admin(f"SET logfile = '{file}'")
    with Wire(pooler.port) as client:
        client.login()
    wait_until(lambda: "login attempt" in open(file, encoding="utf-8").read(), what="lines are in it")


def test_a_reader_of_stderr_that_stops_holds_up_nothing(make_headgate):
    """More lines than a pipe holds, and nobody reads them until the end."""
    pooler = make_headgate(logfile=None)
    pooler.settings["logfile"] = pooler.path("own.log")
    pooler.write_files()
    user = processes.service_user()
    pooler.write("log", "")
    pooler.process = subprocess.Popen(
        [pooler._reachable_program(), pooler.path("headgate.ini")], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True, **({"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}),
    )  # fmt: skip
    with pooler.process.stderr as stderr:
        def logged():
            return os.path.exists(pooler.path("own.log")) and open(pooler.path("own.log"), encoding="utf-8").read()

        wait_until(lambda: "process up" in (logged() or ""), what="it is up")
        while len(logged()) < 200_000:  # each of them adds some hundred bytes
            with Wire(pooler.port) as client:
                client.login()
        os.set_blocking(stderr.fileno(), False)
        assert 0 < len(stderr.read()) < 100_000
        with Wire(pooler.port) as client:
            assert client.login().value("SELECT 1") == "1"
        assert re.match(r".* WARNING \d+ lines of the log are lost: they could not be written in time\n",
                        wait_until(stderr.read, what="it is heard again").decode())  # fmt: skip
        pooler.stop()


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


def test_syslog(make_headgate, system_log):
    listening, enter = system_log
    pooler = make_headgate(syslog=1, syslog_ident="our pooler", syslog_facility="local3", user="postgres")
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


def test_a_system_log_that_hangs_holds_up_nothing(make_headgate, system_log):
    _, enter = system_log  # nobody reads it
    pooler = make_headgate(syslog=1, syslog_facility="nonsense", user="postgres")
    with open(pooler.path("log"), "ab") as log:
        processes.own(pooler.path("log"))
        pooler.process = subprocess.Popen([*enter, pooler._reachable_program(), pooler.path("headgate.ini")],
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)  # fmt: skip
    wait_until(lambda: "process up" in pooler.log(), what="it is up")
    assert "WARNING syslog_facility 'nonsense' is not known: daemon is used" in pooler.log()
    with open("/proc/sys/net/unix/max_dgram_qlen", encoding="ascii") as limit:
        more_than_fit = int(limit.read()) + 10
    while pooler.log().count("\n") < more_than_fit:
        with Wire(pooler.port) as client:
            client.login()
    with Wire(pooler.port) as client:
        assert client.login().value("SELECT 1") == "1"
