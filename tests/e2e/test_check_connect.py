"""--check --connect: whether each database can be logged in to, and whether its server takes what the pools want."""

import os
import socket
import subprocess

import pytest

from lib.headgate import PROGRAM, ini_text
from lib.postgres import Postgres, User
from lib.processes import free_port

pytestmark = [pytest.mark.headgate_only, pytest.mark.sanitizers]

APP = User("app", "s3cret", "scram-sha-256")


@pytest.fixture(scope="module")
def server():
    with Postgres.primary([APP], ["shop", "other"], max_connections=50, superuser_reserved_connections=5) as instance:
        yield instance


def check(directory, databases, userlist=None, **settings):
    (directory / "users").write_text("".join(f'"{name}" "{secret}"\n' for name, secret in (userlist or {}).items()))
    settings = {"auth_file": "users", "admin_users": "app", "server_connect_timeout": 5, **settings}
    (directory / "x.ini").write_text(ini_text(databases, settings))
    done = subprocess.run(
        [PROGRAM, "--check", "--connect", "x.ini"], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False, timeout=30, env={**os.environ},
    )  # fmt: skip
    lines = done.stdout.splitlines()
    return done.returncode, lines[lines.index("x.ini is valid") + 5 :]


def at(server, **keys):
    return {"host": "127.0.0.1", "port": server.port, **keys}


def test_every_database_is_tried(server, tmp_path):
    databases = {
        "shop": at(server, user=APP.name, password=APP.password),
        "other": at(server, auth_user=APP.name),
        "unknown": at(server, user=APP.name, password=APP.password, dbname="nowhere"),
        "wrong": at(server, user=APP.name, password="hunter2", dbname="shop"),
    }
    status, lines = check(tmp_path, databases, {APP.name: APP.password})
    assert status == 1
    where = f"at 127.0.0.1:{server.port} as app"
    assert f"database shop {where}: logged in" in lines
    assert f"database other {where}: logged in" in lines
    (unknown,) = [line for line in lines if line.startswith(f"error: database unknown {where}: ")]
    assert 'database "nowhere" does not exist' in unknown
    (wrong,) = [line for line in lines if line.startswith(f"error: database wrong {where}: ")]
    assert "password authentication failed" in wrong
    assert not any("hunter2" in line or APP.password in line for line in lines)


def test_all_is_well(server, tmp_path):
    status, lines = check(tmp_path, {"shop": at(server)}, {APP.name: APP.password})
    assert (status, lines) == (0, [f"database shop at 127.0.0.1:{server.port} as app: logged in"])


def test_the_pools_are_compared_with_the_server(server, tmp_path):
    databases = {name: at(server, dbname="shop", pool_size=23) for name in ("one", "two")}
    status, lines = check(tmp_path, databases, {APP.name: APP.password})
    assert status == 0
    assert lines[-1] == (
        f"warning: 127.0.0.1:{server.port} takes 45 connections (max_connections less superuser_reserved_connections), "
        "the pools of a single user may open 46"
    )
    databases["two"]["pool_size"] = 22
    assert not check(tmp_path, databases, {APP.name: APP.password})[1][-1].startswith("warning")


def test_nobody_there(server, tmp_path):
    port = free_port()
    status, lines = check(
        tmp_path, {"gone": {"host": "127.0.0.1", "port": port}, "shop": at(server)}, {APP.name: APP.password}
    )
    assert status == 1
    assert f"error: database gone at 127.0.0.1:{port} as app: Connection refused" in lines
    assert f"database shop at 127.0.0.1:{server.port} as app: logged in" in lines


def test_each_host_of_a_list_is_tried(server, tmp_path):
    status, lines = check(
        tmp_path, {"shop": at(server, host="127.0.0.1,127.0.0.99,no.such.host.invalid")}, {APP.name: APP.password}
    )
    assert status == 1
    assert sum(line.startswith("error: ") for line in lines) == 2
    assert any(line.startswith("error: ") and "DNS lookup failed" in line for line in lines)


def test_many_databases_are_tried_a_few_at_a_time(server, tmp_path):
    databases = {f"d{number}": at(server, dbname="shop", pool_size=1) for number in range(100)}
    status, lines = check(tmp_path, databases, {APP.name: APP.password})
    assert status == 0, lines  # the server takes 45
    assert sum(line.endswith(": logged in") for line in lines) == 100


def test_a_server_that_says_nothing_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        databases = {"mute": {"host": "127.0.0.1", "port": port}}
        status, lines = check(tmp_path, databases, {APP.name: APP.password}, server_connect_timeout="200ms")
    assert status == 1
    assert lines == [f"error: database mute at 127.0.0.1:{port} as app: no answer"]


def test_who_cannot_be_tried_is_told(server, tmp_path):
    status, lines = check(tmp_path, {"shop": at(server)}, {"a": "b", "c": "d"})
    assert (status, lines) == (0, ["database shop: not tried, no user of it is known here"])


def test_it_goes_with_the_check_alone():
    done = subprocess.run([PROGRAM, "--connect", "x.ini"], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert "option '--connect' needs '--check'" in done.stderr
