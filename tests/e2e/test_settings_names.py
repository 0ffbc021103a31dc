"""Hosts by name: the addresses that a resolver gives and takes back while Headgate runs.

The resolver is the system's, with a hosts file of the test's own (libnss-wrapper).
"""

import os

import pytest

from lib.headgate import Headgate, is_sanitized
from lib.messages import startup
from lib.names import Names
from lib.processes import free_port, wait_until
from lib.relay import Relay
from lib.wire import Wire

PID = "SELECT pg_backend_pid()"
NEVER = 3600

pytestmark = [
    pytest.mark.headgate_only,
    pytest.mark.skipif(is_sanitized(), reason="a sanitizer has to be loaded before the wrapper"),
]


@pytest.fixture
def start(postgres):
    """start(port, addresses..., settings) -> a pooler whose server is pg.example, and its hosts file."""
    poolers = []

    def start_one(port, *addresses, **settings):
        database = {"host": "pg.example", "port": port, "dbname": "single"}
        pooler = Headgate({"app": database}, pool_mode="transaction", **settings)
        poolers.append(pooler)
        hosts = Names(pooler.path("hosts"))
        hosts.write(*addresses)
        pooler.start(environment=hosts.environment)
        return pooler, hosts

    yield start_one
    for pooler in poolers:
        pooler.remove()


def server_addresses(pooler):
    return {row["addr"] for row in pooler.admin("SHOW SERVERS")}


def test_a_dead_address_is_followed_by_the_next_at_once(start, postgres):
    pooler, _ = start(postgres.port, "127.0.0.2", "127.0.0.1", "127.0.0.3", server_login_retry=NEVER)
    pids = set()
    with Wire(pooler.port) as wire:
        wire.login()
        for _ in range(6):
            pids.add(wire.value(PID))
            pooler.admin("RECONNECT")
    assert len(pids) == 6
    assert "server login failed" not in pooler.log()


def test_the_addresses_of_a_host_take_turns(start, postgres):
    port = free_port()
    with Relay(("127.0.0.1", port), postgres.port) as one, Relay(("127.0.0.2", port), postgres.port) as two:
        pooler, _ = start(port, "127.0.0.1", "127.0.0.2", dns_max_ttl=NEVER)
        with Wire(pooler.port) as wire:
            wire.login()
            for _ in range(6):
                wire.value(PID)
                pooler.admin("RECONNECT")
        assert {one.connections, two.connections} == {3}


def test_servers_at_an_address_that_vanishes_are_replaced(start, postgres):
    port = free_port()
    with Relay(("127.0.0.1", port), postgres.port), Relay(("127.0.0.2", port), postgres.port):
        pooler, hosts = start(port, "127.0.0.1", dns_max_ttl=0.1)
        with Wire(pooler.port) as idle, Wire(pooler.port) as busy:
            idle.login().value(PID)
            assert server_addresses(pooler) == {"127.0.0.1"}
            pid = busy.login().value(PID)
            busy.query("BEGIN")
            hosts.write("127.0.0.2")
            wait_until(lambda: "127.0.0.1 is no longer an address of pg.example" in pooler.log(), what="it is noticed")
            assert busy.value(PID) == pid  # what is under way is finished
            busy.query("COMMIT")
            wait_until(lambda: busy.value(PID) != pid, what="another server")
            wait_until(lambda: server_addresses(pooler) == {"127.0.0.2"}, what="only new servers")


def test_servers_at_addresses_that_stay_are_left_alone(start, postgres):
    port = free_port()
    with Relay(("127.0.0.1", port), postgres.port):
        pooler, hosts = start(port, "127.0.0.1", dns_max_ttl=0.1)
        with Wire(pooler.port) as wire:
            pid = wire.login().value(PID)
            hosts.write("127.0.0.1", "127.0.0.2")
            hosts.write("127.0.0.1", "127.0.0.3")
            wait_until(lambda: "127.0.0.2 is no longer" in pooler.log() or seen(pooler, hosts), what="looked up again")
            assert wire.value(PID) == pid


def seen(pooler, hosts):
    """One more address is written until one of them has been seen to vanish."""
    hosts.write("127.0.0.1", f"127.0.1.{hosts.age // 10 % 200}")
    return "is no longer an address" in pooler.log()


def test_a_name_that_cannot_be_found_is_looked_up_again(start, postgres):
    pooler, hosts = start(postgres.port, server_login_retry=0.1, dns_nxdomain_ttl=0.1)
    with Wire(pooler.port) as wire:
        wire.send(startup({"user": "app", "database": "app"}))
        wait_until(lambda: "server DNS lookup failed" in pooler.log(), what="the look-up fails")
        hosts.write("127.0.0.1")
        wire.finish_login("app")
        assert wire.value("SELECT 'served after all'") == "served after all"


def test_a_failed_look_up_is_remembered_for_dns_nxdomain_ttl(start, postgres):
    """pg.example exists soon, but nobody asks again: the client is still waiting when another reason ends it."""
    pooler, hosts = start(
        postgres.port, server_login_retry=0.1, dns_nxdomain_ttl=NEVER, query_wait_timeout=3
    )
    with Wire(pooler.port) as wire:
        wire.send(startup({"user": "app", "database": "app"}))
        wait_until(lambda: "server DNS lookup failed" in pooler.log(), what="the look-up fails")
        hosts.write("127.0.0.1")
        assert wire.read().fields()["M"] == "query_wait_timeout"


def test_look_ups_under_way_are_counted(start, postgres):
    def look_ups():
        return {row["list"]: row["items"] for row in pooler.admin("SHOW LISTS")}["dns_queries"]

    pooler, hosts = start(postgres.port, server_login_retry=0.1, dns_nxdomain_ttl=0.1)
    assert look_ups() == 0
    hosts.hold()
    with Wire(pooler.port) as wire:
        wire.send(startup({"user": "app", "database": "app"}))
        wait_until(lambda: look_ups() == 1, what="it is looked up")
        hosts.let_go("127.0.0.1")
        wire.finish_login("app")
        assert look_ups() == 0
