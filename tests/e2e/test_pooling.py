"""Limits hold at every instant, waiting is fair, servers are reused as configured."""

import select
import time

import pytest

from lib.headgate import only_headgate, sqlstate
from lib.messages import query
from lib.processes import wait_until
from lib.watch import PeakServers
from lib.wire import ServerError, Wire, first_value

pytestmark = pytest.mark.sanitizers


@pytest.fixture
def server(postgres):
    return {"host": "127.0.0.1", "port": postgres.port, "dbname": "single"}


@pytest.fixture
def client():
    """client(pooler, user=..., database=...) -> a logged-in Wire, closed after the test."""
    opened = []

    def open_one(pooler, user="app", database="app"):
        opened.append(Wire(pooler.port))
        return opened[-1].login(user, database)

    yield open_one
    for wire in opened:
        wire.close()


def wait_for_waiting(pooler, count, **pool):
    wait_until(lambda: (pooler.pool(**pool) or {}).get("cl_waiting") == count, what=f"{count} clients wait")


def served_one_by_one(clients):
    """Each client when its answer has come."""
    clients = list(clients)
    while clients:
        ready, _, _ = select.select([wire.socket for wire in clients], [], [], 10)
        assert ready, f"{len(clients)} clients are never served"
        for wire in [wire for wire in clients if wire.socket in ready]:
            wire.read_until()
            clients.remove(wire)
            yield wire


def test_default_pool_size_is_never_exceeded(start_headgate, postgres, client, count_servers):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=3)
    with PeakServers(postgres, "single") as peak:
        clients = [client(pooler) for _ in range(12)]
        for wire in clients:
            wire.send(query("BEGIN"))
        wait_for_waiting(pooler, 9)
        assert count_servers() == 3
        for wire in served_one_by_one(clients):
            wire.query("COMMIT")
    assert peak.highest == 3


def test_the_pool_fills_up_while_clients_wait(start_headgate, client, count_servers):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=25)
    clients = [client(pooler) for _ in range(30)]
    for wire in clients:
        wire.send(query("BEGIN"))
    wait_until(lambda: pooler.pool()["sv_active"] == 25, what="25 clients have a server")
    wait_for_waiting(pooler, 5)
    assert count_servers() == 25


@pytest.mark.parametrize("workers, apart_seconds", [(1, 0), (3, 0.03)])
def test_the_client_that_has_waited_longest_is_served_first(
    start_headgate, postgres, client, workers, apart_seconds
):
    """Exactly on one worker; over several, those that came a few ms apart may change places."""
    postgres.execute("DROP SEQUENCE IF EXISTS turn", "CREATE SEQUENCE turn",
                     "GRANT ALL ON turn TO public", database="single")  # fmt: skip
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, **only_headgate(workers=workers))
    holder = client(pooler)
    holder.query("BEGIN")
    queue = [client(pooler) for _ in range(9)]
    for place, wire in enumerate(queue, 1):
        wire.send(query("SELECT nextval('turn')"))
        wait_for_waiting(pooler, place)
        time.sleep(apart_seconds)
    holder.query("COMMIT")
    turns = [first_value(wire.read_until()) for wire in queue]
    assert turns == [str(place) for place in range(1, 10)]


def test_waiting_ends_with_query_wait_timeout(start_headgate, client):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, query_wait_timeout=1)
    holder, waiting = client(pooler), client(pooler)
    holder.query("BEGIN")
    waiting.send(query("SELECT 1"))
    fields = waiting.read().fields()
    assert (fields["S"], fields["C"], fields["M"]) == ("FATAL", sqlstate("53300"), "query_wait_timeout")
    assert waiting.read_to_end() == []
    assert holder.value("SELECT 'undisturbed'") == "undisturbed"


def test_the_reserve_opens_after_its_timeout_and_not_before(start_headgate, postgres, client, count_servers):
    pooler = start_headgate(
        pool_mode="transaction", default_pool_size=1, reserve_pool_size=2, reserve_pool_timeout=1
    )
    with PeakServers(postgres, "single") as peak:
        clients = [client(pooler) for _ in range(4)]
        clients[0].query("BEGIN")
        for wire in clients[1:]:
            wire.send(query("BEGIN"))
        wait_for_waiting(pooler, 3)
        assert count_servers() == 1
        wait_for_waiting(pooler, 1)
        assert count_servers() == 3
    assert peak.highest == 3


def test_max_db_connections_counts_all_users(start_headgate, postgres, client, server):
    pooler = start_headgate(
        {"app": server}, userlist={"other": ""}, pool_mode="transaction",
        default_pool_size=5, max_db_connections=2,
    )  # fmt: skip
    with PeakServers(postgres, "single") as peak:
        mine = [client(pooler) for _ in range(3)]
        others = [client(pooler, "other") for _ in range(3)]
        for _ in range(5):
            for wire in mine + others:  # an idle server of the other user makes room
                wire.send(query("SELECT pg_sleep(0.01)"))
            for wire in mine + others:
                wire.read_until()
    assert peak.highest == 2


def test_max_user_connections_counts_all_databases(start_headgate, postgres, client, server):
    pooler = start_headgate(
        {"app": server, "again": server}, pool_mode="transaction",
        default_pool_size=5, max_user_connections=2,
    )  # fmt: skip
    with PeakServers(postgres, "single", "app") as peak:
        clients = [client(pooler, database=name) for name in ("app", "again") * 3]
        for _ in range(5):
            for wire in clients:
                wire.send(query("SELECT pg_sleep(0.01)"))
            for wire in clients:
                wire.read_until()
    assert peak.highest == 2


def test_a_database_s_own_pool_size(start_headgate, postgres, client, server, count_servers):
    pooler = start_headgate(
        {"app": {**server, "pool_size": 2}}, pool_mode="transaction", default_pool_size=5
    )
    clients = [client(pooler) for _ in range(4)]
    for wire in clients:
        wire.send(query("BEGIN"))
    wait_for_waiting(pooler, 2)
    assert count_servers() == 2


def test_max_client_conn_refuses_one_too_many(start_headgate, client):
    pooler = start_headgate(pool_mode="transaction", max_client_conn=3)
    clients = [client(pooler) for _ in range(3)]
    with pytest.raises(ServerError, match=r"no more connections allowed \(max_client_conn\)"):
        client(pooler)
    clients[0].close()
    wait_until(lambda: pooler.pool()["cl_active"] == 2, what="the client's place is free")
    assert client(pooler).value("SELECT 1") == "1"


@pytest.mark.headgate_only  # newer than 1.18
@pytest.mark.parametrize("setting", ["max_db_client_connections", "max_user_client_connections"])
def test_the_limits_of_clients_of_a_database_and_of_a_user(start_headgate, client, setting):
    pooler = start_headgate(pool_mode="transaction", **{setting: 2})
    first, _ = client(pooler), client(pooler)
    with pytest.raises(ServerError, match=rf"client connections exceeded \({setting}\)"):
        client(pooler)
    first.close()
    wait_until(lambda: pooler.pool()["cl_active"] == 1, what="the client's place is free")
    assert client(pooler).value("SELECT 1") == "1"


def test_min_pool_size_keeps_servers_ready(start_headgate, server, client, count_servers):
    pooler = start_headgate({"app": {**server, "user": "app"}}, min_pool_size=3, default_pool_size=5)
    wait_until(lambda: count_servers() == 3, what="three servers")
    client(pooler).query("SELECT 1")
    assert count_servers() == 3


def test_the_pool_mode_of_a_database_and_of_a_user(start_headgate, server, client):
    pooler = start_headgate(
        {"app": server, "sessions": {**server, "pool_mode": "session"}},
        {"other": {"pool_mode": "session"}}, userlist={"other": ""}, pool_mode="transaction",
    )  # fmt: skip
    for user, database, active in (("app", "app", 0), ("app", "sessions", 1), ("other", "app", 1)):
        client(pooler, user, database).query("SELECT 1")
        assert pooler.pool(database, user)["sv_active"] == active


def test_an_unlisted_database_is_found_by_the_asterisk(start_headgate, server, client):
    del server["dbname"]
    pooler = start_headgate({"*": server})
    assert client(pooler, database="single").value("SELECT current_database()") == "single"


def test_the_server_used_last_is_used_next(start_headgate, client):
    assert len(pids_in_turn(start_headgate, client, server_round_robin=0)) == 1


def test_round_robin_uses_every_server(start_headgate, client):
    assert len(pids_in_turn(start_headgate, client, server_round_robin=1)) == 3


def pids_in_turn(start_headgate, client, **settings):
    """Open three servers, then ask one after the other; the pids that answered."""
    pooler = start_headgate(pool_mode="transaction", default_pool_size=3, **only_headgate(workers=1), **settings)
    clients = [client(pooler) for _ in range(3)]
    for wire in clients:
        wire.query("BEGIN")
    for wire in clients:
        wire.query("COMMIT")
    return {clients[0].value("SELECT pg_backend_pid()") for _ in range(9)}
