"""Hosts of a database: lists, names, literals, unix sockets; dead ones do not hold up the others."""

import socket

import pytest

from lib.headgate import only_headgate
from lib.processes import free_port, wait_until
from lib.relay import Relay
from lib.wire import Wire

pytestmark = pytest.mark.sanitizers
PID = "SELECT pg_backend_pid()"
NEVER = 3600


def database(postgres, host, **extra):
    return {"app": {"host": host, "port": postgres.port, "dbname": "single", **extra}}


def served_anew(pooler, times):
    """Each time by a new server."""
    pids = set()
    with Wire(pooler.port) as wire:
        wire.login()
        for _ in range(times):
            pids.add(wire.value(PID))
            pooler.admin("RECONNECT")
    return len(pids) == times


@pytest.mark.headgate_only  # PgBouncer waits for server_login_retry after each failure
@pytest.mark.parametrize("hosts", ["127.0.0.1,127.0.0.2", "127.0.0.2, 127.0.0.1", "127.0.0.2,127.0.0.3,127.0.0.1"])
def test_a_dead_host_of_a_list_holds_nobody_up(start_headgate, postgres, hosts):
    pooler = start_headgate(database(postgres, hosts), pool_mode="transaction", server_login_retry=NEVER)
    assert served_anew(pooler, 6)


@pytest.mark.headgate_only
def test_a_dead_host_is_left_alone_until_the_retry(start_headgate, postgres):
    pooler = start_headgate(
        database(postgres, "127.0.0.2,127.0.0.1"), pool_mode="transaction", server_login_retry=NEVER
    )
    assert served_anew(pooler, 6)
    assert pooler.log().count("server login failed") == 1


@pytest.mark.headgate_only
def test_a_host_that_refuses_the_login_holds_nobody_up(start_headgate, postgres):
    """It can be reached, but has no such database."""
    port = free_port()
    with Relay(("127.0.0.1", port), postgres.port), Relay(("127.0.0.2", port), postgres.port):
        pooler = start_headgate(
            {"app": {"host": "127.0.0.1,127.0.0.2", "port": port, "dbname": "nowhere"}}, server_login_retry=NEVER
        )
        with Wire(pooler.port) as wire, pytest.raises(Exception, match='3D000: database "nowhere" does not exist'):
            wire.login()
        assert pooler.log().count("server login failed") == 2


def test_the_hosts_of_a_list_take_turns(start_headgate, postgres):
    port = free_port()
    with Relay(("127.0.0.1", port), postgres.port) as one, Relay(("127.0.0.2", port), postgres.port) as two:
        pooler = start_headgate(
            {"app": {"host": "127.0.0.1,127.0.0.2", "port": port, "dbname": "single"}}, pool_mode="transaction"
        )
        assert served_anew(pooler, 6)
        assert (one.connections, two.connections) == (3, 3)


@pytest.mark.headgate_only  # newer than 1.18
def test_without_balancing_one_host_is_used_until_it_cannot_be_reached(start_headgate, postgres):
    port = free_port()
    with Relay(("127.0.0.1", port), postgres.port) as one, Relay(("127.0.0.2", port), postgres.port) as two:
        pooler = start_headgate(
            {"app": {"host": "127.0.0.1,127.0.0.2", "port": port, "dbname": "single", "load_balance_hosts": "disable"}},
            pool_mode="transaction", server_login_retry=0.1,
        )  # fmt: skip
        assert served_anew(pooler, 4)
        assert (one.connections, two.connections) == (4, 0)
        one.close()
        with Wire(pooler.port) as wire:
            assert wire.login().value("SELECT 'served'") == "served"
        assert two.connections > 0


def test_a_host_by_name(start_headgate, postgres):
    pooler = start_headgate(database(postgres, "localhost"), pool_mode="transaction")
    assert served_anew(pooler, 3)
    (row,) = pooler.admin("SHOW DNS_HOSTS")
    assert row["hostname"] == "localhost" and "127.0.0.1" in row["addrs"]


@pytest.mark.headgate_only
def test_a_name_that_cannot_be_found_is_the_reason_in_the_log(start_headgate, postgres):
    nowhere = "x" * 64 + ".invalid"  # too long for a name: no resolver has to be asked
    pooler = start_headgate(
        database(postgres, f"{nowhere},127.0.0.1"), pool_mode="transaction", server_login_retry=NEVER
    )
    assert served_anew(pooler, 3)
    assert "server DNS lookup failed" in pooler.log()


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_a_host_by_ipv6_address(start_headgate, postgres):
    port = free_port()
    try:
        relay = Relay(("::1", port), postgres.port)
    except OSError:
        pytest.skip("no IPv6 here")
    with relay:
        pooler = start_headgate({"app": {"host": "::1", "port": port, "dbname": "single"}}, pool_mode="transaction")
        assert served_anew(pooler, 2)
        assert relay.connections == 2
        assert f": app/app@[::1]:{port} new connection to server (from [::1]:" in pooler.log()


@pytest.mark.headgate_only
def test_a_host_that_is_a_directory_or_an_abstract_socket(start_headgate, postgres):
    with Relay(f"\0{postgres.directory}/.s.PGSQL.{postgres.port}", postgres.port) as relay:
        for host in (postgres.directory, "@" + postgres.directory):
            pooler = start_headgate(database(postgres, host), pool_mode="transaction")
            assert served_anew(pooler, 2)
        assert relay.connections == 2


def test_no_host_is_the_directory_of_unix_sockets(start_headgate, postgres):
    pooler = start_headgate(
        {"app": {"port": postgres.port, "dbname": "single"}}, pool_mode="transaction",
        unix_socket_dir=postgres.directory,
    )  # fmt: skip
    assert served_anew(pooler, 2)


@pytest.mark.headgate_only
def test_a_dead_host_under_load(start_headgate, postgres):
    pooler = start_headgate(
        database(postgres, "127.0.0.2,127.0.0.1,127.0.0.3"), pool_mode="transaction", default_pool_size=5,
        server_login_retry=0.2, server_lifetime=1, **only_headgate(workers=2),
    )  # fmt: skip
    clients = [Wire(pooler.port).login() for _ in range(10)]

    def retried():
        for wire in clients:
            assert wire.value("SELECT 'served'") == "served"
        return pooler.log().count("server login failed") > 6

    wait_until(retried, 60, "the dead hosts have been tried again and again")
    for wire in clients:
        wire.close()
