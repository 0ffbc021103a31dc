"""Fixtures: one PostgreSQL for the session, a pooler for each test (or shared by a module)."""

import contextlib
import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from lib import headgate as headgate_module  # noqa: E402
from lib import processes  # noqa: E402
from lib.headgate import Headgate  # noqa: E402
from lib.postgres import Postgres, User  # noqa: E402

pytest_plugins = ["lib.read_routing"]
TEST_SECONDS = 120
USERS = [
    User("app"),
    User("other"),
    User("plain_user", "plain secret", "password"),
    User("md5_user", "md5 secret", "md5"),
    User("scram_user", "scram secret", "scram-sha-256"),
]


def pytest_collection_modifyitems(items):
    """Against Debian's pgbouncer, what only Headgate does is skipped; against Headgate nothing is."""
    if headgate_module.is_headgate():
        return
    for item in items:
        if item.get_closest_marker("headgate_only"):
            item.add_marker(pytest.mark.skip(reason="Headgate only"))


@pytest.fixture(scope="session", autouse=True)
def many_files():
    processes.raise_file_limit()
    processes.clean_up_on_sigterm()


@pytest.fixture(scope="session")
def postgres(many_files):
    with Postgres.primary(USERS, databases=("app", "single"), max_connections=200) as server:
        yield server


def connect_string(server, **extra):
    return {"host": "127.0.0.1", "port": server.port, **extra}


@pytest.fixture(scope="module")
def module_headgates(request, postgres):
    """As start_headgate, for a module; their servers are in PostgreSQL's database `app`."""
    yield from _starter(request, postgres, "app")


@pytest.fixture
def start_headgate(request, postgres):
    """start_headgate(pool_mode=..., databases=..., ...) -> a running Headgate, stopped and
    checked for a clean end after the test; where that is marked `audited`, no client may
    have left anything in a server. Its database `app` is PostgreSQL's `single`, where
    nobody else has connections: see count_servers."""
    postgres.end_backends("single")
    yield from _starter(request, postgres, "single")


@pytest.fixture
def make_headgate(postgres):
    """A pooler with its files written, but not started."""
    with contextlib.ExitStack() as stack:

        def make(**settings):
            pooler = Headgate({"app": connect_string(postgres, dbname="single")}, **settings)
            stack.callback(pooler.remove)
            pooler.write_files()
            return pooler

        yield make


@pytest.fixture
def count_servers(postgres):
    """How many server connections the test's pooler has, as PostgreSQL sees it."""
    return lambda user=None: postgres.count_backends("single", user)


def _starter(request, postgres, dbname):
    started = []
    audited = request.node.get_closest_marker("audited") and headgate_module.is_headgate()
    audit = {"session_audit": "all"} if audited else {}

    def start(databases=None, users=None, before_start=None, arguments=(), **settings):
        databases = databases or {"app": connect_string(postgres, dbname=dbname)}
        pooler = Headgate(databases, users, **{**audit, **settings})
        started.append(pooler)
        if before_start:
            before_start(pooler)
        return pooler.start(arguments)

    try:
        yield start
    finally:
        problems = []
        for pooler in started:
            try:
                pooler.stop()
                leaks = pooler.leaks() if audited and pooler.settings.get("session_state") != "pgbouncer" else []
                assert not leaks, "a client has left something in a server:\n" + "\n".join(leaks[:10])
            except AssertionError as problem:
                problems.append(str(problem))
            finally:
                pooler.remove()
        assert not problems, "\n".join(problems)


@pytest.fixture(autouse=True)
def time_limit():
    """A hang is a failure of one test, not of the run."""

    def too_long(*_):
        raise TimeoutError(f"the test took longer than {TEST_SECONDS} s")

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(TEST_SECONDS)
    yield
    signal.alarm(0)
