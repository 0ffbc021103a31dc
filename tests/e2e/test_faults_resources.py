"""What runs out below Headgate (disk, descriptors) stops nobody who is there already, blames no
server, and is over when it is over.
"""

import os
import subprocess
import time
from contextlib import contextmanager

import pytest

from lib import VARIABLES, processes
from lib.messages import query, startup
from lib.processes import wait_until
from lib.wire import Closed, ServerError, Wire, errors

pytestmark = pytest.mark.headgate_only
SCALE = float(VARIABLES.get("HEADGATE_FAULTS_SCALE", "1"))
DISK_BYTES = 64 * 1024
CLIENTS = int(100 * SCALE)


# --- a disk without room


@pytest.fixture
def small_disk():
    """A directory on a file system of 64 KB."""
    path = processes.make_directory("disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=777", "tmpfs", path]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        processes.remove_directory(path)
        pytest.skip(f"a file system can not be mounted here: {mounted.stderr.strip()}")
    yield path
    subprocess.run(["umount", "-l", path], check=True)
    processes.remove_directory(path)


def come_and_go(pooler, count=CLIENTS):
    for number in range(count):
        with Wire(pooler.port) as wire:
            assert wire.login().value(f"SELECT {number}") == str(number)


@pytest.mark.sanitizers
@pytest.mark.parametrize("logfile", ["/dev/full", "the small disk"])
def test_a_log_that_cannot_be_written_stops_nobody(start_headgate, logfile, request):
    if logfile == "the small disk":
        logfile = os.path.join(request.getfixturevalue("small_disk"), "log")
    pooler = start_headgate(pool_mode="transaction", logfile=logfile, verbose=2)
    come_and_go(pooler)
    if logfile != "/dev/full":
        wait_until(lambda: come_and_go(pooler, 20) or os.path.getsize(logfile) >= DISK_BYTES, 60, "the disk is full")
    come_and_go(pooler)
    assert pooler.pool()["cl_active"] == 0


@pytest.mark.sanitizers
def test_the_log_goes_on_when_there_is_room_again(start_headgate, small_disk):
    filler, logfile = os.path.join(small_disk, "filler"), os.path.join(small_disk, "log")
    pooler = start_headgate(pool_mode="transaction", logfile=logfile)
    fill(filler)
    come_and_go(pooler)
    assert os.path.getsize(logfile) <= DISK_BYTES
    os.remove(filler)
    with pytest.raises(ServerError):
        Wire(pooler.port).login(database="a_database_of_no_name")
    wait_until(lambda: "a_database_of_no_name" in read(logfile), what="it logs again")


def fill(path):
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


# --- no descriptor left; not for UBSan, which needs one itself to look at an object


@contextmanager
def descriptors(pooler, free):
    """It may open so many more descriptors and no other."""
    before = descriptor_limit(pooler)
    limit_descriptors(pooler, highest_descriptor(pooler) + 1 + free)
    try:
        yield
    finally:
        limit_descriptors(pooler, before)


def descriptor_limit(pooler):
    return int(processes.run_tool(["prlimit", "--pid", str(pooler.pid), "--nofile", "-o", "SOFT", "--noheadings"]))


def limit_descriptors(pooler, limit):
    """As the user that it runs as: root may lack the right to."""
    processes.run_tool(["prlimit", "--pid", str(pooler.pid), f"--nofile={limit}:"])


def highest_descriptor(pooler):
    return max(int(name) for name in os.listdir(f"/proc/{pooler.pid}/fd"))


def free_descriptors(pooler):
    return descriptor_limit(pooler) - 1 - highest_descriptor(pooler)


def started(pooler):
    """A client that has sent its startup packet and does not wait for the answer."""
    wire = Wire(pooler.port, timeout=20)
    wire.send(startup({"user": "app", "database": "app"}))
    return wire


def test_new_clients_wait_for_descriptors_and_those_at_work_go_on(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=2, log_connections=0)
    with Wire(pooler.port) as at_work:
        at_work.login().query("SELECT 1")
        with descriptors(pooler, free=5):
            crowd = [started(pooler) for _ in range(20)]
            wait_until(lambda: "accept() failed" in pooler.log() or "Too many open files" in pooler.log(),
                       what="it says that descriptors have run out")  # fmt: skip
            for number in range(200):
                assert at_work.value(f"SELECT {number}") == str(number)
            for wire in crowd[:5]:
                wire.finish_login("app")
            for wire in crowd[:5]:
                wire.close()
            for wire in crowd[5:10]:  # those that left made room for these
                wire.finish_login("app")
        for wire in crowd[10:]:
            assert wire.finish_login("app").value("SELECT 'served after all'") == "served after all"
        for wire in crowd:
            wire.close()


def test_a_server_is_not_blamed_for_our_want_of_descriptors(start_headgate):
    """No log-in has failed, so server_login_retry holds nobody up."""
    pooler = start_headgate(pool_mode="transaction", default_pool_size=3, server_login_retry=60, query_wait_timeout=40)
    with Wire(pooler.port) as holder, Wire(pooler.port, timeout=4) as waiting:
        holder.login().query("BEGIN")
        waiting.login()
        with descriptors(pooler, free=0):
            waiting.send(query("SELECT 'served by a second server'"))
            for number in range(200):
                assert holder.value(f"SELECT {number}") == str(number)
            assert waiting.silent_for(0.5)
        answer = waiting.read_until()
        assert not errors(answer)
        assert "server login failed" not in pooler.log()


def test_a_waiting_client_is_served_by_the_server_that_comes_free(start_headgate):
    """Who waits for a server that cannot be opened gets the one that another gives back."""
    pooler = start_headgate(pool_mode="transaction", default_pool_size=3, server_login_retry=60)
    with Wire(pooler.port) as holder, Wire(pooler.port) as waiting:
        holder.login().query("BEGIN")
        waiting.login()
        with descriptors(pooler, free=0):
            waiting.send(query("SELECT 1"))
            assert waiting.silent_for(0.5)
            holder.query("COMMIT")
            assert not errors(waiting.read_until())


def test_the_first_client_of_all_survives_a_want_of_descriptors(start_headgate):
    """It waits for the pool's first server."""
    pooler = start_headgate(pool_mode="transaction", server_login_retry=60, query_wait_timeout=3)
    with descriptors(pooler, free=1):
        wire = started(pooler)
        wait_until(lambda: free_descriptors(pooler) == 0, what="the client has taken the last descriptor")
        time.sleep(0.3)  # in which a server would be opened
    with wire:
        try:
            assert wire.finish_login("app").value("SELECT 'served'") == "served"
        except (ServerError, Closed) as error:
            pytest.fail(f"refused, though descriptors were free again: {error}")


def test_a_query_timeout_without_descriptors_still_ends_the_query(start_headgate, postgres):
    """The cancel cannot be sent, so the client is closed instead, with the reason."""
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, query_timeout=1)
    with Wire(pooler.port, timeout=20) as wire:
        wire.login().query("SELECT 1")
        with descriptors(pooler, free=0):
            wire.send(query("SELECT pg_sleep(60)"))
            assert [error["M"] for error in errors(wire.read_to_end())] == ["query timeout"]
    with Wire(pooler.port) as wire:
        assert wire.login().value("SELECT 'served'") == "served"
    sleeping = [backend for backend in postgres.backends("single") if backend["state"] == "active"]
    assert not sleeping, "its query was cancelled as soon as there was a descriptor"
