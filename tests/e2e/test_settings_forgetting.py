"""Databases made from `*`, and what becomes of them and of pools that nobody uses."""

import pytest

from lib.headgate import only_headgate
from lib.messages import startup
from lib.processes import wait_until
from lib.scram import md5_secret
from lib.wire import ServerError, Wire

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only]
PID = "SELECT pg_backend_pid()"


@pytest.fixture
def fallback(postgres):
    return {"*": {"host": "127.0.0.1", "port": postgres.port}}


def databases(pooler):
    return {row["name"] for row in pooler.admin("SHOW DATABASES")} - {"pgbouncer"}


def pools(pooler):
    return {row["database"] for row in pooler.admin("SHOW POOLS")} - {"pgbouncer"}


def use(pooler, database="single", user="app"):
    with Wire(pooler.port) as wire:
        return wire.login(user, database).value(PID)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_database_that_nobody_uses_is_forgotten(start_headgate, fallback, workers):
    pooler = start_headgate(
        fallback, pool_mode="transaction", server_idle_timeout=0.5, autodb_idle_timeout=0.5,
        **only_headgate(workers=workers),
    )  # fmt: skip
    for _ in range(3):
        with Wire(pooler.port) as wire:
            wire.login(database="single").query("SELECT 1")
            assert databases(pooler) == pools(pooler) == {"single"}
        wait_until(lambda: not databases(pooler), what="it is hidden")
        wait_until(lambda: not pools(pooler), what="it is forgotten")
    assert pooler.log().count("registered new auto-database: single") == 3
    assert pooler.log().count("dropping database 'single' as it does not exist anymore or inactive") == 3


def test_a_database_in_use_is_not_forgotten(start_headgate, fallback):
    pooler = start_headgate(fallback, pool_mode="session", autodb_idle_timeout=0.2)
    with Wire(pooler.port) as wire, Wire(pooler.port) as other:
        wire.login(database="single")
        other.login(database="app").query("SELECT 1")
        pid = wire.value(PID)
        other.close()
        pooler.admin("KILL app")  # a second database, to see time pass
        pooler.admin("RESUME app")
        wait_until(lambda: pools(pooler) == {"single"}, what="the other one is forgotten")
        assert wire.value(PID) == pid


def test_a_paused_database_is_not_forgotten(start_headgate, fallback):
    pooler = start_headgate(fallback, autodb_idle_timeout=0.2)
    pooler.admin("PAUSE app")
    pooler.admin("DISABLE other")
    pooler.admin("RECONNECT single")
    wait_until(lambda: "dropping database 'single'" in pooler.log(), what="time has passed")
    rows = {row["name"]: row for row in pooler.admin("SHOW DATABASES")}
    assert rows["app"]["paused"] == 1 and rows["other"]["disabled"] == 1 and "single" not in rows


def test_which_commands_make_a_database(start_headgate, fallback):
    pooler = start_headgate(fallback)
    for command in ("RESUME", "ENABLE"):
        with pytest.raises(Exception, match="no such database: single"):
            pooler.admin(f"{command} single")
    assert "registered" not in pooler.log()
    for command in ("PAUSE", "RESUME", "DISABLE", "ENABLE", "RECONNECT", "KILL"):
        pooler.admin(f"{command} single")
    assert pooler.log().count("registered new auto-database: single") == 1


def test_a_name_is_registered_by_those_only_who_may_come_in(start_headgate, fallback):
    pooler = start_headgate(fallback, auth_type="md5", userlist={"app": md5_secret("app", "right")})
    with Wire(pooler.port) as wire, pytest.raises(ServerError, match="password authentication failed"):
        wire.login(database="single", password="wrong")
    assert "registered" not in pooler.log()


def test_names_that_are_only_asked_for_are_bounded(start_headgate):
    """auth_query runs in the database that a stranger has named."""
    pooler = start_headgate(
        {"*": "host=127.0.0.1 port=1"}, auth_type="md5", userlist={"asker": "x"}, auth_user="asker",
        admin_users="asker", server_login_retry=0.1)
    for number in range(6000):
        with Wire(pooler.port) as wire:
            wire.send(startup({"user": "nobody", "database": f"made_up_{number}"}))
    with Wire(pooler.port) as wire:
        wire.login("asker", "pgbouncer", "x")
        assert len(wire.query("SHOW POOLS")) < 4000


def test_a_database_that_the_server_does_not_have(start_headgate, fallback):
    pooler = start_headgate(fallback, server_login_retry=0.1)
    with Wire(pooler.port) as wire, pytest.raises(ServerError, match='3D000: database "nowhere" does not exist'):
        wire.login(database="nowhere")


def test_a_changed_fallback_replaces_the_servers(start_headgate, fallback):
    pooler = start_headgate(fallback, pool_mode="transaction")
    with Wire(pooler.port) as wire:
        pid = wire.login(database="single").value(PID)
        pooler.reload()
        assert wire.value(PID) == pid
        pooler.databases["*"]["pool_size"] = 7
        pooler.reload()
        wait_until(lambda: wire.value(PID) != pid, what="another server")


@pytest.mark.parametrize("entry", ["single", "*"])
def test_a_database_that_a_reload_removes_is_dropped_once(start_headgate, postgres, entry):
    server = {"host": "127.0.0.1", "port": postgres.port}
    pooler = start_headgate({entry: server, "app": server}, server_idle_timeout=0.2, autodb_idle_timeout=0.2,
                            pool_idle_timeout=1)  # fmt: skip
    with Wire(pooler.port) as wire:
        wire.login(database="single").query("SELECT 1")
        del pooler.databases[entry]
        pooler.reload()
        assert wire.read_to_end()
    use(pooler, "app")
    wait_until(lambda: not pools(pooler), what="time has passed")
    assert pooler.log().count("dropping database 'single'") == 1


def test_a_changed_database_is_not_forgotten_by_a_reload(start_headgate, fallback):
    pooler = start_headgate(fallback, pool_mode="transaction")
    pid = use(pooler)
    pooler.reload(server_idle_timeout=500)
    assert use(pooler) == pid
    assert "dropping database" not in pooler.log()


@pytest.mark.parametrize("workers", [1, 3])
def test_a_pool_that_nobody_uses_is_forgotten_but_what_it_counted_is_not(start_headgate, workers):
    pooler = start_headgate(
        pool_mode="transaction", server_idle_timeout=0.5, pool_idle_timeout=0.5, **only_headgate(workers=workers)
    )
    for rounds in range(1, 4):
        use(pooler, "app")
        wait_until(lambda: not pools(pooler), what="the pool is forgotten")
        (stats,) = [row for row in pooler.admin("SHOW STATS") if row["database"] == "app"]
        assert stats["total_query_count"] == rounds
    assert databases(pooler) == {"app"}


def test_a_pool_with_servers_or_clients_is_not_forgotten(start_headgate):
    pooler = start_headgate(
        {"app": "host=127.0.0.1 port=1", "forced": "host=127.0.0.1 port=1 user=app"},
        pool_idle_timeout=0.2, server_login_retry=0.1, **only_headgate(workers=2),
    )  # fmt: skip
    with Wire(pooler.port) as wire:
        wire.send(b"")
        wait_until(lambda: "forced" not in pools(pooler), what="a pool without anybody is forgotten")
