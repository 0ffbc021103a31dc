"""Configurations of real projects (examples/): they start as they are, but for the places that
name hosts, ports and files of theirs, and behave as they say."""

import os
import re

import pytest

from lib.headgate import Headgate
from lib.messages import query
from lib.processes import wait_until
from lib.scram import md5_secret
from lib.wire import Wire

pytestmark = pytest.mark.sanitizers

EXAMPLES = os.path.join(os.path.dirname(__file__), "examples")
OLD_NAMES = {"idle_timeout": "client_idle_timeout"}
newer = pytest.mark.headgate_only  # PgBouncer knows no comments after values, and no idle_timeout
ALL = [
    "iac-dharma.ini",
    "production-rls.ini",
    pytest.param("sark.ini", marks=newer),
    pytest.param("session-tier.ini", marks=newer),
]


class Example:
    """One file: its settings as it says them, its databases, and its text made fit for here."""

    def __init__(self, name):
        with open(os.path.join(EXAMPLES, name), encoding="utf-8") as file:
            self.text = file.read()
        settings = self.text.partition("[pgbouncer]")[2]
        self.settings = dict(re.findall(r"^(\w+) *= *([^#;\n]*?) *(?:[#;].*)?$", settings, re.M))
        self.databases = re.findall(r"^(\w+) *= *host=", self.text, re.M)
        self.server_databases = sorted(set(re.findall(r"dbname=(\w+)", self.text)))

    def here(self, pooler, server_port):
        """The same text with our server, our port and our files."""
        text = re.sub(r"host=\S+ port=\d+", f"host=127.0.0.1 port={server_port}", self.text)
        ours = {
            "listen_addr": "127.0.0.1",
            "listen_port": pooler.port,
            "auth_file": pooler.path("userlist.txt"),
            "unix_socket_dir": pooler.directory,
            "admin_users": self.settings.get("admin_users", "admin"),
        }
        for name in ours:
            text = re.sub(rf"^{name} *=.*\n", "", text, flags=re.M)
        return text.rstrip() + "\n" + "".join(f"{name} = {value}\n" for name, value in ours.items())


@pytest.fixture(params=ALL)
def example(request):
    return Example(request.param)


@pytest.fixture
def pooler(example, postgres):
    for name in example.server_databases:
        if not postgres.rows("SELECT FROM pg_database WHERE datname = %s", (name,)):
            postgres.execute(f"CREATE DATABASE {name}")
        postgres.end_backends(name)
    secrets = {"app": md5_secret("app", "app secret"), "admin": "admin secret"}
    started = Headgate({}, userlist=secrets)
    started.write_userlist()
    started.write("headgate.ini", example.here(started, postgres.port))
    with started:
        yield started


def log_in(pooler, database):
    return Wire(pooler.port).login("app", database, "app secret")


def show(pooler, what):
    with pooler.console(password="admin secret") as console:
        return console.execute(f"SHOW {what}").fetchall()


def pool(pooler, database):
    return next(row for row in show(pooler, "POOLS") if row["database"] == database)


def test_every_setting_is_in_force_as_written(pooler, example):
    shown = {row["key"]: row["value"] for row in show(pooler, "CONFIG")}
    ours = ("listen_addr", "listen_port", "auth_file", "admin_users")
    for name, value in example.settings.items():
        if name not in ours:
            assert shown[OLD_NAMES.get(name, name)] == value, name


def test_every_database_answers(pooler, example):
    for database in example.databases:
        with log_in(pooler, database) as wire:
            assert wire.value("SELECT current_database()") in example.server_databases


def test_servers_go_back_as_the_pool_mode_says(pooler, example):
    with log_in(pooler, example.databases[0]) as wire:
        wire.query("SELECT 1")
        kept = 1 if example.settings["pool_mode"] == "session" else 0
        assert pool(pooler, example.databases[0])["sv_active"] == kept


def test_min_pool_size_is_kept_ready(pooler, example):
    wanted = int(example.settings.get("min_pool_size", 0))
    with log_in(pooler, example.databases[0]) as wire:
        wire.query("SELECT 1")

        def servers():
            row = pool(pooler, example.databases[0])
            return row["sv_active"] + row["sv_idle"] + row["sv_used"]

        wait_until(lambda: servers() >= max(wanted, 1), 30, f"{wanted} servers")


def test_the_pool_and_then_its_reserve(pooler, example, postgres):
    """As many transactions as the pool has servers run at once; one more waits for the reserve."""
    size, database = int(example.settings["default_pool_size"]), example.databases[0]
    clients = [log_in(pooler, database) for _ in range(size + 1)]
    for wire in clients:
        wire.send(query("BEGIN"))
    count = lambda: postgres.count_backends(example.server_databases[0])  # noqa: E731
    wait_until(lambda: count() == size, 30, "the pool is full")
    wait_until(lambda: count() == size + 1, 10, "the reserve has opened")
    for wire in clients:
        wire.read_until()
        wire.close()


@newer
def test_an_old_name_is_taken_with_a_warning(postgres, start_headgate):
    pooler = start_headgate(idle_timeout=900)
    settings = {row["key"]: row["value"] for row in pooler.admin("SHOW CONFIG")}
    assert settings["client_idle_timeout"] == "900"
    assert re.search("WARNING.*idle_timeout.*client_idle_timeout", pooler.log())
