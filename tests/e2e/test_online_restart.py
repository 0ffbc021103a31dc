"""headgate -R: a new process takes over the sockets and the clients of the one that runs, and nobody notices."""

import os
import signal

import pytest

from lib import messages
from lib.certificates import Authority, client_context
from lib.messages import query
from lib.online_restart import clients_of, ended_well, start
from lib.processes import wait_until
from lib.watch import PeakServers
from lib.wire import Wire, errors, first_value, raise_error

pytestmark = [pytest.mark.headgate_only, pytest.mark.sanitizers]


@pytest.fixture
def pooler(start_headgate):
    return start(start_headgate)


# --- what comes over


def test_an_idle_client_notices_nothing(pooler):
    with Wire(pooler.port) as wire:
        wire.login().query("SELECT 1")
        pooler.restart_online()
        assert wire.value("SELECT 'still here'") == "still here"
        (row,) = clients_of(pooler)
        assert (row["database"], row["user"], row["state"]) == ("app", "app", "idle")
        assert row["port"] == wire.socket.getsockname()[1]


def test_new_clients_come_to_the_new_process(pooler):
    old, new = pooler.start_successor()
    assert ended_well(old)
    for host in ("127.0.0.1", pooler.directory):
        with Wire(pooler.port, host) as wire:
            assert wire.login().value("SELECT 'welcome'") == "welcome"
    assert "process up" in pooler.log_of(new)


def test_settings_of_the_session_come_along(pooler):
    with Wire(pooler.port) as wire:
        wire.login(application_name="shop", search_path="first, second", options="-c work_mem=5MB")
        wire.query("SET TimeZone = 'Asia/Tokyo'")
        wire.query("SET statement_timeout = '77s'")
        wire.query("SET my.own = 'thing'")
        pooler.restart_online()
        for name, value in {
            "application_name": "shop", "search_path": "first, second", "work_mem": "5MB", "TimeZone": "Asia/Tokyo",
            "statement_timeout": "77s", "my.own": "thing",
        }.items():  # fmt: skip
            assert wire.value(f"SELECT current_setting('{name}')") == value
        wire.query("SET work_mem = '6MB'")
        wire.query("RESET ALL")
        pooler.restart_online()
        assert wire.value("SHOW work_mem") == "5MB"  # what RESET returns to
        assert wire.value("SHOW statement_timeout") == "0"


def test_sessions_of_several_clients_are_their_own(pooler):
    wires = [Wire(pooler.port).login() for _ in range(12)]
    for number, wire in enumerate(wires):
        wire.query(f"SET application_name = 'client {number}'")
        wire.query(f"SET work_mem = '{number + 1}MB'")
    pooler.restart_online()
    for number, wire in enumerate(wires):
        assert wire.value("SHOW application_name") == f"client {number}"
        assert wire.value("SHOW work_mem") == f"{number + 1}MB"
        wire.close()


def prepare(wire, sql, name=""):
    wire.send(messages.parse(sql, name), messages.sync())
    raise_error(wire.read_until())


def run_prepared(wire, name, *values):
    wire.send(messages.bind(values, name), messages.execute(), messages.sync())
    answer = wire.read_until()
    raise_error(answer)
    return first_value(answer)


def test_prepared_statements_are_known_by_their_names(pooler):
    with Wire(pooler.port) as wire:
        wire.login()
        prepare(wire, "SELECT 'first ' || $1::text", "one")
        prepare(wire, "SELECT 'first ' || $1::text", "twin")
        prepare(wire, "SELECT 'second'", "two")
        wire.query("PREPARE in_sql AS SELECT 'in sql'")
        prepare(wire, "SELECT 'unnamed ' || $1::text")
        pooler.restart_online()
        assert run_prepared(wire, "", "x") == "unnamed x"
        assert run_prepared(wire, "one", "a") == "first a"
        assert run_prepared(wire, "twin", "b") == "first b"
        assert run_prepared(wire, "two") == "second"
        assert wire.value("EXECUTE in_sql") == "in sql"
        wire.send(messages.parse("SELECT 1", "one"), messages.sync())
        assert errors(wire.read_until())[0]["C"] == "42P05"  # the name is taken
        wire.send(messages.close("S", "one"), messages.sync())
        raise_error(wire.read_until())
        prepare(wire, "SELECT 'anew'", "one")
        assert run_prepared(wire, "one") == "anew"


def test_a_cancel_key_stays_good(pooler):
    with Wire(pooler.port) as wire:
        wire.login().query("SELECT 1")
        pooler.restart_online()
        wire.send(query("SELECT pg_sleep(600)"))
        wait_until(lambda: pooler.pool()["cl_active"] == 1, what="it runs")
        wire.cancel()
        assert errors(wire.read_until())[0]["C"] == "57014"
        assert wire.value("SELECT 'goes on'") == "goes on"


def test_a_password_that_was_typed_opens_servers_again(start_headgate, postgres):
    where = {"host": "127.0.0.1", "port": postgres.port, "dbname": "single"}
    pooler = start(
        start_headgate, databases={"app": where}, auth_type="scram-sha-256", pidfile=None, server_idle_timeout=1,
        before_start=lambda pooler: pooler.userlist.update(scram_user=postgres.value(
            "SELECT rolpassword FROM pg_authid WHERE rolname = 'scram_user'")),
    )  # fmt: skip
    with Wire(pooler.port) as wire:
        wire.login("scram_user", password="scram secret").query("SELECT 1")
        pooler.restart_online()
        assert wire.value("SELECT current_user") == "scram_user"


def test_a_client_of_a_database_that_is_gone_is_told(start_headgate, postgres):
    where = {"host": "127.0.0.1", "port": postgres.port, "dbname": "single"}
    pooler = start(start_headgate, databases={"app": where, "shop": where})
    with Wire(pooler.port) as wire, Wire(pooler.port) as other:
        wire.login(database="shop").query("SELECT 1")
        other.login().query("SELECT 1")
        del pooler.databases["shop"]
        pooler.write_files()
        pooler.restart_online()
        (fields,) = errors(wire.read_to_end())
        assert (fields["S"], fields["C"]) == ("FATAL", "3D000") and "shop" in fields["M"]
        assert other.value("SELECT 'unharmed'") == "unharmed"


@pytest.mark.parametrize("before,after", [(1, 3), (3, 1), (2, 2)])
def test_the_number_of_workers_may_change(start_headgate, before, after):
    pooler = start(start_headgate, workers=before)
    wires = [Wire(pooler.port).login() for _ in range(9)]
    pooler.settings["workers"] = after
    pooler.write_files()
    pooler.restart_online()
    assert [wire.value("SELECT 'here'") for wire in wires] == ["here"] * 9
    assert len(clients_of(pooler)) == 9
    for wire in wires:
        wire.close()


def test_what_was_sent_meanwhile_is_answered_once(pooler):
    """Requests stand in the socket while their client goes over."""
    with Wire(pooler.port) as wire:
        wire.login().query("SELECT 1")
        os.kill(pooler.pid, signal.SIGSTOP)
        wire.send(*(query(f"SELECT {number}") for number in range(5)))
        old, _ = pooler.start_successor()
        os.kill(old.pid, signal.SIGCONT)
        assert ended_well(old)
        for number in range(5):
            assert first_value(wire.read_until()) == str(number)


# --- who stays, and for how long


def test_a_long_transaction_ends_well_in_the_old_process(pooler):
    with Wire(pooler.port) as busy, Wire(pooler.port) as idle:
        busy.login().query("BEGIN")
        backend = busy.value("SELECT pg_backend_pid()")
        idle.login()
        old, new = pooler.start_successor()
        wait_until(lambda: "process up" in pooler.log_of(new), what="the new process is up")
        assert idle.value("SELECT 'new'") == "new"
        assert old.poll() is None
        assert busy.value("SELECT pg_backend_pid()") == backend
        busy.query("COMMIT")
        assert busy.value("SELECT 'moved'") == "moved"
        assert ended_well(old)
        assert len(clients_of(pooler)) == 2


def test_a_cancel_reaches_who_is_still_there(pooler):
    with Wire(pooler.port) as busy:
        busy.login().send(query("SELECT pg_sleep(600)"))
        wait_until(lambda: pooler.pool()["cl_active"] == 1, what="it runs")
        old, new = pooler.start_successor()
        wait_until(lambda: "process up" in pooler.log_of(new), what="the new process is up")
        busy.cancel()
        assert errors(busy.read_until())[0]["C"] == "57014"
        assert busy.value("SELECT 'moved'") == "moved"
        assert ended_well(old)


def test_a_cancel_goes_through_two_processes(pooler):
    with Wire(pooler.port) as busy:
        busy.login().send(query("SELECT pg_sleep(600)"))
        wait_until(lambda: pooler.pool()["cl_active"] == 1, what="it runs")
        first, second = pooler.start_successor()
        wait_until(lambda: "process up" in pooler.log_of(second), what="the second process is up")
        _, third = pooler.start_successor()
        wait_until(lambda: "process up" in pooler.log_of(third), what="the third process is up")
        busy.cancel()
        assert errors(busy.read_until())[0]["C"] == "57014"
        assert busy.value("SELECT 'moved twice'") == "moved twice"
        assert ended_well(first) and ended_well(second)
        assert busy.value("SELECT 'and is here'") == "and is here"


def test_an_answered_begin_stays_until_it_is_over(start_headgate):
    pooler = start(start_headgate, defer_begin=1)
    with Wire(pooler.port) as wire:
        wire.login().query("BEGIN")
        old, new = pooler.start_successor()
        wait_until(lambda: "process up" in pooler.log_of(new), what="the new process is up")
        assert old.poll() is None
        assert wire.value("SELECT 'in it'") == "in it"
        wire.query("COMMIT")
        assert ended_well(old)
        assert wire.value("SELECT 'behind it'") == "behind it"


@pytest.fixture(scope="module")
def certificate():
    with Authority() as authority:
        yield authority.issue("pooler", "DNS:localhost", "IP:127.0.0.1")


def start_tls(start_headgate, certificate, **settings):
    return start(
        start_headgate, client_tls_sslmode="allow", client_tls_key_file=certificate.key,
        client_tls_cert_file=certificate.certificate, **settings,
    )  # fmt: skip


def test_tls_clients_are_drained(start_headgate, certificate):
    pooler = start_tls(start_headgate, certificate, drain_timeout=4)
    with Wire(pooler.port) as secure, Wire(pooler.port) as plain:
        secure.start_tls(client_context()).login().query("BEGIN")
        secure.query("SELECT 1")
        plain.login()
        old, _ = pooler.start_successor()
        wait_until(lambda: "takes over" in pooler.log_of(old), what="it takes over")
        assert secure.value("SELECT 'goes on'") == "goes on"
        secure.query("COMMIT")
        (fields,) = errors(secure.read_to_end(20))
        assert fields["C"] == "57P01"
        assert plain.value("SELECT 'unharmed'") == "unharmed"
        assert ended_well(old)


def test_tls_clients_may_stay_as_long_as_they_like(start_headgate, certificate):
    pooler = start_tls(start_headgate, certificate)
    with Wire(pooler.port) as secure:
        secure.start_tls(client_context()).login().query("SELECT 1")
        old, new = pooler.start_successor()
        wait_until(lambda: "process up" in pooler.log_of(new), what="the new process is up")
        for _ in range(20):
            assert secure.value("SELECT 'stays'") == "stays"
        assert old.poll() is None
        secure.close()
        assert ended_well(old)


def test_a_session_with_its_server_stays_where_that_is(start_headgate):
    pooler = start(start_headgate, pool_mode="session")
    with Wire(pooler.port) as wire:
        wire.login().query("CREATE TEMP TABLE mine AS SELECT 'kept' AS value")
        old, new = pooler.start_successor()
        wait_until(lambda: "process up" in pooler.log_of(new), what="the new process is up")
        assert wire.value("SELECT value FROM mine") == "kept"
        assert old.poll() is None
        wire.send(messages.terminate())
        assert ended_well(old)


def test_a_client_that_listens_loses_nothing(pooler):
    with Wire(pooler.port) as listener, Wire(pooler.port) as other:
        listener.login().query("LISTEN news")
        other.login()
        old, new = pooler.start_successor()
        wait_until(lambda: "process up" in pooler.log_of(new), what="the new process is up")
        other.query("NOTIFY news, 'from the new process'")
        assert listener.read(20).tag == "A"
        assert old.poll() is None
        listener.query("UNLISTEN *")
        assert ended_well(old)
        assert listener.value("SELECT 'moved'") == "moved"


@pytest.mark.parametrize("user", [None, "app"])
def test_servers_of_both_stay_within_the_pool(start_headgate, postgres, user):
    """Some clients hold servers in the old process while the others work in the new one."""
    where = {"host": "127.0.0.1", "port": postgres.port, "dbname": "single", **({"user": user} if user else {})}
    pooler = start(start_headgate, databases={"app": where}, default_pool_size=6, min_pool_size=5)
    holders = [Wire(pooler.port).login() for _ in range(3)]
    others = [Wire(pooler.port).login() for _ in range(12)]
    for wire in holders:
        wire.query("BEGIN")
        wire.query("SELECT 1")
    with PeakServers(postgres, "single") as peak:
        old, new = pooler.start_successor()
        wait_until(lambda: "process up" in pooler.log_of(new), what="the new process is up")
        for _ in range(3):
            for wire in others:
                wire.send(query("SELECT pg_sleep(0.02)"))
            for wire in others:
                raise_error(wire.read_until())
        for wire in holders:
            wire.query("COMMIT")
        assert ended_well(old)
        for wire in holders + others:
            wire.query("SELECT 1")
    assert peak.highest <= 6
    wait_until(lambda: pooler.pool()["cl_waiting"] == 0, what="nobody waits")
    for wire in holders + others:
        wire.close()
