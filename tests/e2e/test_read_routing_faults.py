"""Reads that go to replicas (read_routing): what a replica refuses runs on the primary, unseen, and hosts come and go."""

import contextlib
import os
import signal
import threading

import psycopg
import pytest

from lib.messages import bind, describe, execute, parse, query, sync
from lib.processes import wait_until
from lib.read_routing import PRIMARY, REPLICAS, WHERE, places, readable, wait_until_read
from lib.wire import Wire, errors, first_value, tags

pytestmark = [pytest.mark.headgate_only, pytest.mark.sanitizers]


# --- the safety net


@pytest.mark.parametrize("read", [
    "SELECT number IS NOT NULL FROM next_number",  # 25006
    "SELECT count(*) >= 0 FROM scratch",  # 0A000: unlogged
])  # fmt: skip
@pytest.mark.parametrize("prepared", [None, False, True])
def test_what_a_replica_refuses_runs_on_the_primary(start_pooler, read, prepared):
    pooler = start_pooler()
    with pooler.connect() as client:
        for _ in range(5):
            assert client.execute(read, prepare=prepared).fetchone() == (True,)
        rows = [row for row in pooler.admin("SHOW ROUTES") if row["statement"] == shape(read)]
        assert sum(row["repeated"] for row in rows) == 1 and rows[0]["reason"].startswith("refused by a replica")
        wait_until_read(client)


def shape(sql):
    return sql.replace("0", "?")


def test_a_batch_that_is_refused_is_repeated_whole(start_pooler):
    """With names that it gives, and one that is answered before the refusal comes."""
    pooler = start_pooler()
    with Wire(pooler.port) as wire:
        wire.login()
        for number in range(3):
            wire.send(parse("SELECT body FROM notes WHERE id = $1", f"note{number}"),
                      bind(["5"], statement=f"note{number}"), execute(),
                      parse(f"SELECT number > 0 AS at_{number} FROM next_number", f"next{number}"),
                      bind(statement=f"next{number}"), describe(), execute(), sync())  # fmt: skip
            answer = wire.read_until()
            assert tags(answer) == "12DC12TDCZ", errors(answer)
        for number in range(3):
            wire.send(bind(["6"], statement=f"note{number}"), execute(), bind(statement=f"next{number}"), execute(),
                      sync())  # fmt: skip
            assert tags(wire.read_until()) == "2DC2DCZ"


def test_a_table_that_is_not_there_yet(cluster, start_pooler):
    pooler = start_pooler(read_consistency="eventual")
    for node in cluster.replicas:
        node.execute("SELECT pg_wal_replay_pause()")
    try:
        cluster.primary.execute("CREATE TABLE late AS SELECT 'late' AS word", "GRANT SELECT ON late TO app",
                                database="app")  # fmt: skip
        with pooler.connect() as client:
            assert client.execute("SELECT word FROM late").fetchone() == ("late",)
    finally:
        cluster.primary.execute("DROP TABLE late", database="app")


def test_a_role_that_is_not_there_yet(cluster, start_pooler):
    """The client's session cannot be had on a replica: it is served on the primary, and hears nothing of it."""
    pooler = start_pooler(read_consistency="eventual")
    for node in cluster.replicas:
        node.execute("SELECT pg_wal_replay_pause()")
    cluster.primary.execute("CREATE ROLE newcomer", "GRANT newcomer TO app", "GRANT SELECT ON notes TO newcomer",
                            database="app")  # fmt: skip
    try:
        with pooler.connect() as client:
            client.execute("SET ROLE newcomer")
            for prepared in (False, True):
                for _ in range(3):
                    sql = "SELECT body FROM notes WHERE id = 3"
                    assert client.execute(sql, prepare=prepared).fetchone() == ("note 3",)
    finally:
        cluster.primary.execute("REVOKE ALL ON notes FROM newcomer", "DROP ROLE newcomer", database="app")


def test_errors_of_the_statement_itself_are_told_once(start_pooler):
    with start_pooler().connect() as client:
        with pytest.raises(psycopg.errors.DivisionByZero):
            client.execute("SELECT 1 / (id - id) FROM notes")
        with pytest.raises(psycopg.errors.UndefinedTable):
            client.execute("SELECT * FROM nowhere")
        wait_until_read(client)


def test_statements_that_were_read_are_read_by_the_same_plan_after_a_change(cluster, start_pooler):
    """"cached plan must not change result type" on a replica is healed there."""
    pooler = start_pooler()
    with pooler.connect() as client:
        cluster.primary.execute("CREATE TABLE grows (a int)", "INSERT INTO grows VALUES (1)",
                                "GRANT SELECT ON grows TO app", database="app")  # fmt: skip
        cluster.wait_replayed()
        for _ in range(6):
            client.execute("SELECT * FROM grows", prepare=True)
        cluster.primary.execute("ALTER TABLE grows ADD b int", database="app")
        cluster.wait_replayed()
        for _ in range(6):
            assert client.execute("SELECT * FROM grows", prepare=True).fetchone() == (1, None)
        cluster.primary.execute("DROP TABLE grows", database="app")


def test_settings_follow_their_clients_to_the_replicas(start_pooler):
    """Row-level security trusts a setting: each client sees its own rows, on whatever server, after whomever."""
    pooler = start_pooler(default_pool_size=2)
    clients = {tenant: pooler.connect() for tenant in range(1, 7)}
    for tenant, client in clients.items():
        client.execute(f"SET app.tenant = '{tenant}'")
    for _ in range(20):
        for tenant, client in clients.items():
            found = client.execute("SELECT DISTINCT tenant, host FROM secrets, whereabouts").fetchall()
            assert [row[0] for row in found] == [tenant]
    asked = {host for client in clients.values() for host in places(client, "SELECT host FROM secrets, whereabouts")}
    assert asked == REPLICAS
    for client in clients.values():
        client.close()


def test_who_cancels_what_a_replica_refuses_hears_of_the_cancel(cluster, start_pooler):
    """The cancel is on its way to the replica, which takes no connections, when that refuses: it follows the read."""
    pooler = start_pooler()
    with Wire(pooler.port) as wire:
        wire.login()
        assert {read(wire) for _ in range(8)} == REPLICAS
        wire.send(query("SELECT number FROM slow_number"))
        wait_until(lambda: any(runs_slowly(node) for node in cluster.replicas), 10, "it runs at a replica")
        canceling = threading.Thread(target=wire.cancel)
        try:
            for node in cluster.replicas:
                os.kill(node.process.pid, signal.SIGSTOP)
            canceling.start()
            assert [error["C"] for error in errors(wire.read_until(timeout=20))] == ["57014"]
        finally:
            for node in cluster.replicas:
                os.kill(node.process.pid, signal.SIGCONT)
        canceling.join(20)
        assert not canceling.is_alive()
        assert first_value(wire.query("SELECT 'goes on'")) == "goes on"


def test_what_a_replica_refuses_when_its_time_is_up_has_timed_out(cluster, start_pooler):
    """The cancel of query_timeout does not get in before the replica has refused."""
    pooler = start_pooler(query_timeout=1)
    with Wire(pooler.port) as wire:
        wire.login()
        assert {read(wire) for _ in range(8)} == REPLICAS
        try:
            wire.send(query("SELECT number FROM slow_number"))
            wait_until(lambda: any(runs_slowly(node) for node in cluster.replicas), 10, "it runs at a replica")
            for node in cluster.replicas:
                os.kill(node.process.pid, signal.SIGSTOP)
            (error,) = errors(wire.read_until(timeout=20))
            assert error["C"] == "57014" and error["D"] == "query_timeout: the query ran longer than 1 s."
        finally:
            for node in cluster.replicas:
                os.kill(node.process.pid, signal.SIGCONT)
        assert first_value(wire.query("SELECT 'goes on'")) == "goes on"


def runs_slowly(node):
    return node.value("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT number FROM slow_number'") > 0


def test_a_listen_behind_a_query_is_answered(start_pooler):
    """It waits for somebody to listen, while the query in front of it has been answered already."""
    with Wire(start_pooler().port) as wire:
        wire.login()
        for n in range(3):
            wire.send(query("SELECT pg_backend_pid()"), query(f"LISTEN channel_{n}"), query(WHERE))
            assert [tags(wire.read_until()) for _ in range(3)] == ["TDCZ", "CZ", "TDCZ"]


# --- hosts that come and go


@pytest.mark.parametrize("how", ["stop", "freeze", "kill"])
def test_a_replica_that_goes_takes_no_reads_with_it(cluster, start_pooler, how):
    pooler = start_pooler(monitor_timeout=0.5)
    first, second = cluster.replicas
    gone, left = cluster.host_of(first), cluster.host_of(second)
    clients = [pooler.connect() for _ in range(6)]
    for client in clients:
        assert places(client) == REPLICAS
    if how == "freeze":
        cluster.freeze(first)
        wait_until(lambda: readable(pooler) == {left}, 10, "it is out of rotation")
    elif how == "stop":
        first.stop()
    else:
        cluster.kill(first)
    for client in clients:
        assert places(client) <= {left, PRIMARY}
    wait_until(lambda: readable(pooler) == {left}, 10, "it is out of rotation")
    for client in clients:
        assert places(client) == {left}
    if how == "freeze":
        cluster.resume(first)
    else:
        first.start()
    wait_until(lambda: readable(pooler) == REPLICAS, 20, "it is back")
    wait_until(lambda: gone in places(clients[0]), 20, "it is read again")
    for client in clients:
        client.close()


def test_without_replicas_the_primary_is_read(cluster, start_pooler):
    pooler = start_pooler()
    with pooler.connect() as client:
        for node in cluster.replicas:
            node.stop()
        assert places(client) == {PRIMARY}
        wait_until(lambda: readable(pooler) == set(), 10, "none is in rotation")
        assert places(client) == {PRIMARY}


def test_clients_that_wait_for_a_replica_are_served_elsewhere_when_it_goes(cluster, start_pooler):
    pooler = start_pooler(default_pool_size=1, workers=1, monitor_timeout=0.5)
    busy = [pooler.connect(autocommit=True) for _ in range(2)]
    for client in busy:
        client.execute("BEGIN READ ONLY")
    assert {places(client, times=1).pop() for client in busy} == REPLICAS
    waits = pooler.connect()
    waits.pgconn.send_query(WHERE.encode())
    wait_until(lambda: pooler.pool()["cl_waiting"] == 1, 10, "it waits")
    for node in cluster.replicas:
        cluster.freeze(node)
    while waits.pgconn.is_busy():
        waits.pgconn.consume_input()
    assert waits.pgconn.get_result().get_value(0, 0) == PRIMARY.encode()
    for client in [*busy, waits]:
        client.close()


def test_a_replica_that_refuses_log_ins_refuses_no_client(cluster, start_pooler):
    """Its pool fails at once while it is known to fail; the primary is there for all of them."""
    pooler = start_pooler(defer_begin=1, server_login_retry=5)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Wire(pooler.port)) for _ in range(4)]
        for client in clients:
            client.login()
            assert {read(client) for _ in range(4)} <= REPLICAS
        for node in cluster.replicas:
            stack.callback(node.allow, "app")
            node.forbid("app")
        pooler.admin("RECONNECT app")
        assert {read(clients[0]) for _ in range(4)} == {PRIMARY}
        for client in clients:
            for sql, answer in (("BEGIN", "CZ"), (WHERE, "TDCZ"), ("COMMIT", "CZ"), (WHERE, "TDCZ")):
                client.send(query(sql))
                assert tags(client.read_until()) == answer
    with pooler.connect() as client:
        wait_until_read(client)


def test_a_replica_whose_machine_fails_is_left_alone(cluster, start_pooler):
    """Its errors are the primary's to mend, and so many of them are a reason to stay away."""
    pooler = start_pooler("explicit")
    sick = "SELECT host FROM sick"
    with pooler.connect() as client:
        client.execute("SET headgate.route TO 'replica'")
        assert places(client, sick) == REPLICAS
        cluster.primary.execute("ALTER TABLE troubled ADD n int", "INSERT INTO troubled VALUES (1)", database="app")
        cluster.wait_replayed()
        try:
            assert places(client, sick, 30) == {PRIMARY, "127.0.0.3"}
            (host,) = [row for row in pooler.admin("SHOW HOSTS") if row["host"] == "127.0.0.2"]
            assert not host["read"] and "failed" in host["error"]
            assert "host 127.0.0.2: 5 errors of its own" in pooler.log()
        finally:
            cluster.primary.execute("TRUNCATE troubled", "ALTER TABLE troubled DROP n", database="app")
            cluster.wait_replayed()
        wait_until(lambda: places(client, sick) == REPLICAS, 30, "it is read again")


def read(client):
    client.send(query(WHERE))
    return first_value(client.read_until())
