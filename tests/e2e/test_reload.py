"""A reload changes what it says under traffic, and nobody is hurt who need not be."""

import signal
import threading

import pytest

from lib.fake_server import FakeServer
from lib.headgate import only_headgate
from lib.messages import password, query, startup
from lib.processes import wait_until
from lib.postgres import Postgres, User
from lib.wire import ServerError, Wire, errors

pytestmark = pytest.mark.sanitizers


def test_reloads_under_traffic_disturb_nobody(start_headgate):
    """Relays are under way at every reload; settings change under them."""
    pooler = start_headgate(
        pool_mode="transaction", default_pool_size=3, query_timeout=30, **only_headgate(workers=2)
    )
    stop = threading.Event()
    failures = []

    def work(number):
        try:
            with Wire(pooler.port) as wire:
                wire.login()
                while not stop.is_set():
                    wire.query("BEGIN")
                    assert wire.value(f"SELECT {number}") == str(number)
                    wire.query("COMMIT")
        except Exception as error:  # noqa: BLE001: whatever it is, it is the test's result
            failures.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for worker in workers:
        worker.start()
    for round_number in range(40):
        pooler.reload(query_timeout=20 + round_number % 7, default_pool_size=2 + round_number % 4)
    stop.set()
    for worker in workers:
        worker.join()
    assert not failures


def test_client_idle_timeout_reaches_clients_that_are_there(start_headgate):
    pooler = start_headgate(pool_mode="transaction")
    with Wire(pooler.port) as wire:
        wire.login().query("SELECT 1")
        pooler.reload(client_idle_timeout=1)
        assert errors(wire.read_to_end())[0]["M"] == "client_idle_timeout"


@pytest.mark.headgate_only
def test_databases_made_from_a_fallback_go_with_it(start_headgate, postgres):
    pooler = start_headgate({"*": {"host": "127.0.0.1", "port": postgres.port}}, pool_mode="transaction")
    with Wire(pooler.port) as wire:
        wire.login(database="single").query("SELECT 1")
        pooler.databases = {"app": {"host": "127.0.0.1", "port": postgres.port}}
        pooler.reload()
        assert errors(wire.read_to_end())[0]["M"] == "database removed"


@pytest.mark.headgate_only
def test_a_database_that_goes_during_a_log_in_is_not_there(start_headgate, postgres):
    server = {"host": "127.0.0.1", "port": postgres.port, "dbname": "single"}
    pooler = start_headgate({"app": server, "gone": server}, auth_type="plain",
                             userlist={"app": "secret", "admin": "secret"})  # fmt: skip
    with pooler.console(password="secret") as console, Wire(pooler.port) as wire:
        wire.send(startup({"user": "app", "database": "gone"}))
        assert wire.read().number() == 3
        del pooler.databases["gone"]
        pooler.write_files()
        console.execute("RELOAD")
        console.execute("SHOW POOLS")  # by now all workers know
        wire.send(password("secret"))
        assert errors(wire.read_to_end())[0]["M"] == "no such database: gone"


@pytest.mark.headgate_only
@pytest.mark.parametrize("paused", [True, False])
def test_who_waits_for_a_secret_from_a_database_that_goes_is_told(start_headgate, postgres, paused):
    server = {"host": "127.0.0.1", "port": postgres.port, "dbname": "single"}
    with FakeServer() as silent:  # it does not know the extended protocol
        pooler = start_headgate(
            {"app": server, "secrets": {"host": "127.0.0.1", "port": silent.port}}, auth_type="plain",
            userlist={"app": "secret", "admin": "secret"}, auth_user="app", auth_dbname="secrets")
        told_as_secrets_go(pooler, paused)


def told_as_secrets_go(pooler, paused):
    with pooler.console(password="secret") as console, Wire(pooler.port) as wire:

        def used():
            rows = [row for row in console.execute("SHOW POOLS") if row["database"] == "secrets"]
            return any(row["cl_waiting" if paused else "sv_active"] for row in rows)

        if paused:
            console.execute("PAUSE secrets")
        wire.send(startup({"user": "other", "database": "app"}))
        wait_until(used, what="it waits")
        del pooler.databases["secrets"]
        pooler.write_files()
        console.execute("RELOAD")
        assert errors(wire.read_to_end())[0]["M"] == "bouncer config error"


def test_a_reconnect_learns_what_the_new_server_says(start_headgate):
    with Postgres.primary([User("app")]) as primary:
        pooler = start_headgate(
            {"app": {"host": "127.0.0.1", "port": primary.port, "dbname": "app"}}, pool_mode="transaction"
        )

        def time_zone():
            with Wire(pooler.port) as wire:
                return wire.login().value("SHOW timezone")

        assert time_zone() != "Asia/Tokyo"
        primary.execute("ALTER ROLE app SET timezone = 'Asia/Tokyo'")
        pooler.admin("RECONNECT")
        wait_until(lambda: time_zone() == "Asia/Tokyo", what="the new server's time zone holds")


@pytest.mark.headgate_only
def test_a_cancel_that_comes_too_late_hits_nobody_else(start_headgate):
    """The postmaster stands still with the cancel in its queue, until somebody else has a query running."""
    with Postgres.primary([User("app")]) as primary:
        pooler = start_headgate(
            {"app": {"host": "127.0.0.1", "port": primary.port, "dbname": "app"}},
            pool_mode="transaction", default_pool_size=1, cancel_wait_timeout=1, server_login_retry=0.2,
        )  # fmt: skip
        with Wire(pooler.port) as victim, Wire(pooler.port) as other:
            victim.login()
            other.login()
            victim.send(query("SELECT pg_sleep(2)"))
            wait_until(lambda: any("pg_sleep(2)" in backend["query"] for backend in primary.backends("app")),
                       what="the query runs")  # fmt: skip
            primary.process.send_signal(signal.SIGSTOP)
            try:
                canceller = threading.Thread(target=victim.cancel)
                canceller.start()
                assert not errors(victim.read_until())  # it ends by itself, the cancel still on its way
                other.send(query("SELECT pg_sleep(3)"))
                canceller.join()
            finally:
                primary.process.send_signal(signal.SIGCONT)
            try:
                assert not errors(other.read_until(timeout=30))
            except ServerError as error:
                pytest.fail(f"somebody else was hit: {error}")
