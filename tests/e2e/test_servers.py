"""The life of a server connection: opened, checked, reset, aged, and opened again."""

import pytest

from lib.headgate import as_pgbouncer, is_headgate, sqlstate
from lib.messages import query, startup
from lib.postgres import Postgres, User
from lib.processes import free_port, wait_until
from lib.watch import PeakServers
from lib.wire import ServerError, Wire

pytestmark = pytest.mark.sanitizers
PID = "SELECT pg_backend_pid()"


@pytest.fixture
def server(postgres):
    return {"host": "127.0.0.1", "port": postgres.port, "dbname": "single"}


def test_server_lifetime_replaces_servers(start_headgate, postgres):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, server_lifetime=1)
    with Wire(pooler.port) as wire, PeakServers(postgres, "single") as peak:
        first = wire.login().value(PID)
        wait_until(lambda: wire.value(PID) != first, what="another server")
    assert peak.highest == 1


def test_a_server_in_use_outlives_its_lifetime(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, server_lifetime=1)
    with Wire(pooler.port) as wire:
        wire.login().query("BEGIN")
        pid = wire.value(PID)
        wire.query("SELECT pg_sleep(2.5)")
        assert wire.value(PID) == pid
        wire.query("COMMIT")
        wait_until(lambda: wire.value(PID) != pid, what="another server")


def test_server_idle_timeout_closes_unused_servers(start_headgate, count_servers):
    pooler = start_headgate(pool_mode="transaction", server_idle_timeout=1)
    with Wire(pooler.port) as wire:
        wire.login().query("SELECT 1")
        assert count_servers() == 1
        wait_until(lambda: count_servers() == 0, what="the idle server is closed")
        assert wire.value("SELECT 'opened again'") == "opened again"


def test_connect_query_runs_on_each_new_server(start_headgate, server):
    query = "SELECT set_config('work_mem', '9MB', false)"
    pooler = start_headgate({"app": {**server, "connect_query": query}}, pool_mode="session")
    for _ in range(2):
        with Wire(pooler.port) as wire:
            assert wire.login().value("SHOW work_mem") == "9MB"
            pooler.admin("RECONNECT")


def test_a_connect_query_that_fails_is_ignored(start_headgate, server):
    pooler = start_headgate({"app": {**server, "connect_query": "SELECT 1 / 0"}}, pool_mode="transaction")
    with Wire(pooler.port) as wire:
        assert wire.login().value("SELECT 'fine'") == "fine"


def test_server_reset_query_cleans_up_after_a_session(start_headgate):
    pooler = start_headgate(pool_mode="session", default_pool_size=1)
    with Wire(pooler.port) as wire:
        pid = wire.login().value(PID)
        wire.query("SET work_mem = '7MB'")
        wire.query("CREATE TEMP TABLE remains (id int)")
    with Wire(pooler.port) as wire:
        assert wire.login().value(PID) == pid
        assert wire.value("SHOW work_mem") != "7MB"
        assert wire.value("SELECT to_regclass('remains')") is None


def test_server_reset_query_always_also_after_transactions(start_headgate):
    pooler = start_headgate(
        pool_mode="transaction", default_pool_size=1, server_reset_query_always=1, **as_pgbouncer()
    )
    with Wire(pooler.port) as wire:
        wire.login().query("CREATE TEMP TABLE remains (id int)")
        assert wire.value("SELECT to_regclass('remains')") is None


@pytest.mark.headgate_only  # PgBouncer lends the server again, clean or not
def test_a_reset_query_that_fails_costs_the_server_only(start_headgate):
    pooler = start_headgate(pool_mode="session", default_pool_size=1, server_reset_query="SELECT 1 / 0")
    pids = set()
    for _ in range(3):
        with Wire(pooler.port) as wire:
            pids.add(wire.login().value(PID))
    assert len(pids) == 3


def test_servers_are_checked_before_use(start_headgate, postgres):
    pooler = start_headgate(
        pool_mode="transaction", default_pool_size=1, server_check_query="SELECT 1", server_check_delay=0
    )
    with Wire(pooler.port) as wire:
        wire.login()
        assert {wire.value("SELECT 'checked'") for _ in range(20)} == {"checked"}


@pytest.fixture
def locked_out(postgres):
    """locked_out() forbids md5_user to log in; undone after the test."""
    yield lambda: postgres.execute("ALTER ROLE md5_user NOLOGIN")
    postgres.execute("ALTER ROLE md5_user LOGIN")


def test_clients_fail_fast_after_a_failed_login(start_headgate, server, locked_out, postgres):
    """The first hears the server's own words, the next are not sent to fail again, until the retry."""
    pooler = start_headgate(
        {"app": {**server, "user": "md5_user", "password": "md5 secret"}},
        pool_mode="transaction", server_login_retry=2,
    )  # fmt: skip
    first, *others = [Wire(pooler.port).login() for _ in range(3)]
    locked_out()
    pooler.admin("RECONNECT")
    wait_until(lambda: postgres.count_backends("single") == 0, what="the old server is closed")
    first.send(query("SELECT 1"))
    wait_until(lambda: "is not permitted to log in" in pooler.log(), what="a login has failed")
    failing = f"^FATAL {sqlstate('28000')}: server login has been failing.*server_login_retry"
    for client in others:
        with pytest.raises(ServerError, match=failing):
            client.query("SELECT 1")
    if is_headgate():  # 1.18 keeps the first one waiting
        assert first.read().fields()["M"] == 'role "md5_user" is not permitted to log in'
    postgres.execute("ALTER ROLE md5_user LOGIN")
    wait_until(lambda: served(pooler), what="served again after the retry")


def served(pooler):
    try:
        with Wire(pooler.port) as wire:
            return wire.login().value("SELECT 'served'") == "served"
    except ServerError as error:
        assert "server login has been failing" in error.fields["M"]


def test_a_client_waits_while_no_server_can_be_reached(start_headgate):
    with Postgres.primary([User("app")]) as primary:
        pooler = start_headgate(
            {"app": {"host": "127.0.0.1", "port": primary.port, "dbname": "app"}},
            pool_mode="transaction", server_login_retry=0.2,
        )  # fmt: skip
        primary.stop()
        with Wire(pooler.port) as wire:
            wire.send(startup({"user": "app", "database": "app"}))
            wait_until(lambda: "connect failed" in pooler.log(), what="a connection attempt has failed")
            primary.start()
            wire.finish_login("app")
            assert wire.value("SELECT 'served after all'") == "served after all"


def test_a_failing_database_does_not_hold_up_another(start_headgate, server):
    pooler = start_headgate({"app": server, "gone": {**server, "port": free_port()}}, pool_mode="transaction")
    with Wire(pooler.port) as unlucky, Wire(pooler.port) as lucky:
        unlucky.send(startup({"user": "app", "database": "gone"}))
        lucky.login()
        for _ in range(3):
            assert lucky.value("SELECT 'served'") == "served"


def test_a_logged_in_client_waits_while_the_server_starts_up(start_headgate):
    """57P03 (the database system is starting up) is no reason to give up."""
    with Postgres.primary([User("app")]) as primary:
        pooler = start_headgate(
            {"app": {"host": "127.0.0.1", "port": primary.port, "dbname": "app"}},
            pool_mode="transaction", server_login_retry=0.1, server_lifetime=3600,
        )  # fmt: skip
        with Wire(pooler.port) as wire:
            first = wire.login().value(PID)
            primary.stop()
            primary.start()
            assert wire.value(PID) != first
