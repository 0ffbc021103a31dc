"""Whoever waits for too long is told who holds the servers and what to do about it, in DETAIL and HINT beside
PgBouncer's text; SHOW WAITS and SHOW HOLDERS tell the same while it lasts."""

import contextlib
import re
import socket
import subprocess

import pytest

from lib.cluster import Cluster
from lib.headgate import Headgate
from lib.messages import query, startup
from lib.postgres import program
from lib.processes import wait_until
from lib.wire import ServerError, Wire, errors

pytestmark = pytest.mark.headgate_only

SLEEP = "SELECT pg_sleep(60)"
PID = "SELECT pg_backend_pid()"


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def start(request, start_headgate):
    """A pooler with two servers, in which nobody waits for longer than a second."""

    def started(**settings):
        defaults = {"pool_mode": "transaction", "default_pool_size": 2, "query_wait_timeout": 1}
        return start_headgate(**{**defaults, "workers": request.param, **settings})

    return started


@contextlib.contextmanager
def logged_in(pooler, count, user="app", **parameters):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Wire(pooler.port)).login(user, **parameters) for _ in range(count)]


def refused(wire, sql="SELECT 1"):
    """The fields of the error that the waiting client ends with."""
    wire.send(query(sql))
    *_, fields = errors(wire.read_to_end())
    return fields


def waits_too_long(wire):
    fields = refused(wire)
    assert (fields["S"], fields["C"], fields["M"]) == ("FATAL", "53300", "query_wait_timeout")
    assert set(fields) == set("SCMDH")
    return fields


def holders(pooler):
    return pooler.admin("SHOW HOLDERS")


# --- who holds the servers


def test_idle_in_transaction(start):
    pooler = start()
    with logged_in(pooler, 3, application_name="worker") as (first, second, waiting):
        pid = first.query("BEGIN") and first.value(PID)
        second.query("BEGIN")
        fields = waits_too_long(waiting)
        port = first.socket.getsockname()[1]
    assert re.fullmatch(
        r"All 2 of 2 servers of pool app/app are in use: 2 idle in transaction; the longest for \d+\.\d s by "
        rf"application worker \(127\.0\.0\.1:{port}\), pid {pid}; 1 client waits, this one for 1\.\d s\.",
        fields["D"]), fields["D"]  # fmt: skip
    assert "transactions that the application leaves open" in fields["H"]


def test_running_and_idle_in_transaction(start):
    pooler = start()
    with logged_in(pooler, 4) as (running, idle, waiting, other):
        running.send(query(SLEEP))
        wait_until(lambda: [row["state"] for row in holders(pooler)] == ["running"], what="it runs")
        idle.query("BEGIN")
        other.send(query("SELECT 1"))
        wait_until(lambda: pooler.pool()["cl_waiting"] == 1, what="one waits")
        fields = waits_too_long(waiting)
    assert "1 idle in transaction, 1 running" in fields["D"]
    assert re.search("; [12] clients? waits?, this one", fields["D"])


def test_all_running(start):
    pooler = start()
    with logged_in(pooler, 3) as (first, second, waiting):
        for wire in (first, second):
            wire.send(query(SLEEP))
        wait_until(lambda: [row["state"] for row in holders(pooler)] == ["running"] * 2, what="both run")
        fields = waits_too_long(waiting)
    assert "All 2 of 2 servers of pool app/app are in use: 2 running;" in fields["D"]
    assert "slow statements" in fields["H"] and "pool_size" in fields["H"]


def test_pinned(start):
    pooler = start()
    with logged_in(pooler, 3) as (first, second, waiting):
        for number, wire in enumerate((first, second)):
            wire.query(f"SELECT pg_advisory_lock({number})")
        fields = waits_too_long(waiting)
    assert "2 kept between transactions (advisory lock)" in fields["D"]
    assert "(advisory lock)" in fields["H"] and "docs/sessions.md" in fields["H"]


def test_session_mode(start):
    pooler = start(pool_mode="session")
    with logged_in(pooler, 3) as (first, second, waiting):
        for wire in (first, second):
            wire.query("SELECT 1")
        fields = waits_too_long(waiting)
    assert "2 idle in their clients' sessions" in fields["D"]
    assert "pool_mode = transaction" in fields["H"]


# --- limits beyond the pool


def test_max_db_connections(start, postgres):
    where = {"host": "127.0.0.1", "port": postgres.port, "dbname": "single", "max_db_connections": 2}
    pooler = start(databases={"app": where}, default_pool_size=5,
                   before_start=lambda pooler: pooler.userlist.update(other=""))  # fmt: skip
    with logged_in(pooler, 1) as (own,), logged_in(pooler, 1, "other", application_name="secret") as (other,):
        own.query("BEGIN")
        other.query("BEGIN")
        with logged_in(pooler, 1) as (waiting,):
            fields = waits_too_long(waiting)
    assert ("All 2 of 2 servers of database app are in use (max_db_connections), 1 of them in pool app/app: "
            "1 idle in transaction;") in fields["D"]  # fmt: skip
    assert fields["H"].startswith("The limit is max_db_connections")
    assert "secret" not in fields["D"] and "other" not in fields["D"]


def test_clients_of_others_are_not_named(start, postgres):
    """Clients of several users can share a pool: where the database has a user."""
    where = {"host": "127.0.0.1", "port": postgres.port, "dbname": "single", "user": "app"}
    pooler = start(databases={"app": where}, default_pool_size=1)
    with logged_in(pooler, 1, "stats", application_name="secret") as (other,), logged_in(pooler, 1) as (waiting,):
        other.query("BEGIN")
        fields = waits_too_long(waiting)
        assert "by another user's client, pid" in fields["D"]
        assert "secret" not in fields["D"] and "stats" not in fields["D"]
        assert str(other.socket.getsockname()[1]) not in fields["D"]


@pytest.mark.parametrize("limit, where", [
    ("max_client_conn", "client connections that max_client_conn allows"),
    ("max_db_client_connections", "allows to database app"),
    ("max_user_client_connections", "allows to user app"),
])  # fmt: skip
def test_limits_of_clients(start, limit, where):
    pooler = start(**{limit: 2})
    with logged_in(pooler, 2), Wire(pooler.port) as late:
        late.send(startup({"user": "app", "database": "app"}))
        *_, fields = errors(late.read_to_end())
    assert fields["C"] == "53300" and limit in fields["M"]
    assert fields["D"].startswith("All 2 ") and where in fields["D"]
    assert "SHOW CLIENTS" in fields["H"]


# --- no server can be had


def test_paused(start):
    pooler = start()
    with logged_in(pooler, 1) as (waiting,):
        pooler.admin("PAUSE app")
        fields = waits_too_long(waiting)
    assert fields["D"].startswith("Pool app/app is paused; 1 client waits, this one for")
    assert "RESUME" in fields["H"]


def test_killed(start):
    pooler = start()
    with logged_in(pooler, 1) as (client,):
        pooler.admin("KILL app")
        *_, fields = errors(client.read_to_end())
    assert fields["M"] == "database removed" and "KILL" in fields["D"]


def test_a_shutdown_blames_nobody(start):
    pooler = start(default_pool_size=1, query_wait_timeout=60)
    with logged_in(pooler, 2) as (holder, waiting):
        holder.query("BEGIN")
        waiting.send(query("SELECT 1"))
        wait_until(lambda: pooler.pool()["cl_waiting"] == 1, what="one waits")
        pooler.admin("SHUTDOWN WAIT_FOR_SERVERS")
        *_, fields = errors(waiting.read_to_end())
        assert fields["M"] == "server shutting down" and "D" not in fields and "H" not in fields
        holder.query("ROLLBACK")
    pooler.wait_ended()


def test_log_ins_that_are_refused(start, postgres):
    where = {"host": "127.0.0.1", "port": postgres.port, "dbname": "single", "user": "nobody"}
    pooler = start(databases={"app": where}, query_wait_timeout=5, server_login_retry=30)
    with Wire(pooler.port) as first, Wire(pooler.port) as next_one, Wire(pooler.port) as third:
        with pytest.raises(ServerError) as refusal:
            first.login()
        fields = refusal.value.fields
        assert fields["M"].startswith('no pg_hba.conf entry for host "127.0.0.1", user "nobody"')
        assert 'No server of pool app/nobody can be opened: no pg_hba.conf entry for host' in fields["D"]
        assert "server login failed" in fields["H"]
        for wire in (next_one, third):
            with pytest.raises(ServerError) as refusal:
                wire.login()
            fields = refusal.value.fields
            assert fields["M"].startswith("server login has been failing, cached error: ")
            assert re.match(r"Pool app/nobody has no server; the next attempt is due in [\d.]+ s", fields["D"])


def test_servers_that_open_slowly(start):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        pooler = start(databases={"app": {"host": "127.0.0.1", "port": mute.getsockname()[1]}})
        with Wire(pooler.port) as waiting:
            waiting.send(startup({"user": "app", "database": "app"}))
            *_, fields = errors(waiting.read_to_end())
    assert fields["M"] == "query_wait_timeout"
    assert re.match(r"A server of pool app/app is being opened, for \d\.\d s now: 1 being opened", fields["D"])


def test_the_log_in_waits_for_a_first_server(start):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        where = {"host": "127.0.0.1", "port": mute.getsockname()[1]}
        pooler = start(databases={"app": where}, query_wait_timeout=0, client_login_timeout=2)
        with Wire(pooler.port) as waiting:
            waiting.send(startup({"user": "app", "database": "app"}))
            wait_until(lambda: [row["state"] for row in pooler.admin("SHOW WAITS")] == ["welcome"], what="it waits")
            *_, fields = errors(waiting.read_to_end())
    assert fields["M"] == "client_login_timeout (server down)"
    assert "is being opened" in fields["D"]


# --- what else has a limit


def test_a_notice_explains_as_well(start):
    pooler = start(query_wait_notify=1, query_wait_timeout=30)
    with logged_in(pooler, 3) as (first, second, waiting):
        first.query("BEGIN")
        second.query("BEGIN")
        waiting.send(query("SELECT 1"))
        notice = waiting.read().fields()
        assert notice["M"] == "No server connection available in postgres backend, client being queued"
        assert "2 idle in transaction; the longest for" in notice["D"] and "H" in notice
        first.query("ROLLBACK")
        assert [message.tag for message in waiting.read_until()][-1] == "Z"


@pytest.mark.parametrize("setting, sql, said", [
    ("idle_transaction_timeout", "BEGIN", "The transaction was idle for"),
    ("transaction_timeout", "BEGIN", "The transaction was open for"),
    ("client_idle_timeout", "SELECT 1", "The client was idle for"),
])  # fmt: skip
def test_a_client_that_is_too_slow_itself(start, setting, sql, said):
    pooler = start(**{setting: 1})
    with logged_in(pooler, 1) as (client,):
        client.query(sql)
        *_, fields = errors(client.read_to_end())
    assert fields["D"].startswith(said) and setting in fields["D"]
    assert fields["H"]


@pytest.mark.parametrize("said, awaited", [(b"\0\0\0\x30", "start-up packet"), (None, "prove who it is")])
def test_a_log_in_that_goes_nowhere(start, said, awaited):
    pooler = start(client_login_timeout=1, auth_type="md5")
    with Wire(pooler.port) as client:
        client.send(startup({"user": "app", "database": "app"}) if said is None else said)
        *_, fields = errors(client.read_to_end())
    assert fields["M"] == "client_login_timeout" and "client_login_timeout is 1.0 s" in fields["D"]
    assert awaited in fields["H"]


def test_the_log_explains_once_for_all(start):
    pooler = start(default_pool_size=1)
    with logged_in(pooler, 1, application_name="worker") as (holder,), logged_in(pooler, 30) as waiting:
        holder.query("BEGIN")
        for wire in waiting:
            wire.send(query("SELECT 1"))
        for wire in waiting:
            *_, fields = errors(wire.read_to_end())
            assert "All 1 of 1 server of pool app/app is in use: 1 idle in transaction" in fields["D"]
            assert "by application worker (127.0.0.1:" in fields["D"]
        log = pooler.log()
    assert log.count("closing because: query_wait_timeout (age=") == 30
    lines = [line for line in log.splitlines() if " why: " in line]
    # One in several seconds; so many clients may take that long on a busy machine.
    assert 1 <= len(lines) < 5
    assert "application worker" in lines[0]


# --- the console


def test_show_waits(start):
    pooler = start(default_pool_size=1, query_wait_timeout=60)
    assert pooler.admin("SHOW WAITS") == []
    with logged_in(pooler, 1) as (holder,), logged_in(pooler, 3, application_name="late") as waiting:
        holder.query("BEGIN")
        for number, wire in enumerate(waiting, start=1):
            wire.send(query("SELECT 1"))
            wait_until(lambda: len(pooler.admin("SHOW WAITS")) == number, what="it waits")  # noqa: B023
        rows = pooler.admin("SHOW WAITS", user="stats")
        assert [row["place"] for row in rows] == [1, 2, 3]
        assert [row["port"] for row in rows] == [wire.socket.getsockname()[1] for wire in waiting]
        assert {(row["database"], row["user"], row["addr"], row["state"], row["application_name"]) for row in rows} == {
            ("app", "app", "127.0.0.1", "server", "late")}  # fmt: skip
        assert {(row["pool_size"], row["in_use"], row["limit"], row["host"]) for row in rows} == {
            (1, 1, "pool_size", None)}  # fmt: skip
        assert {row["reason"] for row in rows} == {
            "All 1 of 1 server of pool app/app is in use: 1 idle in transaction"}  # fmt: skip
        holder.query("ROLLBACK")
        wait_until(lambda: pooler.admin("SHOW WAITS") == [], what="nobody waits")
        holder.query("BEGIN")
        with Wire(pooler.port) as console:
            console.login("admin", "pgbouncer").send(query("PAUSE app"))
            waiting[0].send(query("SELECT 1"))
            wait_until(lambda: [row["state"] for row in pooler.admin("SHOW WAITS")] == ["paused"], what="it is told")


def test_show_holders(start):
    pooler = start(default_pool_size=5)
    assert holders(pooler) == []
    with logged_in(pooler, 3, application_name="keeper") as (pinned, idle, running):
        pinned.query("SELECT pg_advisory_lock(7)")
        idle.query("BEGIN")
        running.send(query(SLEEP))
        wait_until(lambda: [row["state"] for row in holders(pooler)] == ["idle", "idle in transaction", "running"],
                   what="all are told, longest first")  # fmt: skip
        rows = pooler.admin("SHOW HOLDERS", user="stats")
        assert [row["reason"] for row in rows] == ["pinned: advisory lock", "its transaction", "its statement"]
        assert [row["transaction"] is None for row in rows] == [True, False, False]
        assert [row["port"] for row in rows] == [wire.socket.getsockname()[1] for wire in (pinned, idle, running)]
        assert rows[1]["server_pid"] == int(idle.value(PID))
        assert {row["application_name"] for row in rows} == {"keeper"}
        pooler.admin(f"KILL_CLIENT {rows[0]['id']}")
        wait_until(lambda: [row["state"] for row in holders(pooler)] == ["idle in transaction", "running"],
                   what="that one has gone")  # fmt: skip


def test_in_psql(start):
    pooler = start(default_pool_size=1, query_wait_timeout=60)
    with logged_in(pooler, 1) as (holder,), logged_in(pooler, 1) as (waiting,):
        holder.query("BEGIN")
        waiting.send(query("SELECT 1"))
        wait_until(lambda: pooler.pool()["cl_waiting"] == 1, what="one waits")
        shown = subprocess.run(
            [program("psql"), "-X", "-h", "127.0.0.1", "-p", str(pooler.port), "-U", "admin", "-d", "pgbouncer",
             "-c", "SHOW WAITS", "-c", "SHOW HOLDERS"],
            capture_output=True, text=True, check=True, timeout=30)  # fmt: skip
    assert "All 1 of 1 server of pool app/app is in use" in shown.stdout
    assert "its transaction" in shown.stdout
    assert shown.stdout.count("(1 row)") == 2 and not shown.stderr


# --- replicas


def test_the_pool_of_a_replica_is_named(many_files):
    with Cluster(replicas=1) as cluster:
        where = cluster.databases(read_routing="auto", target_session_attrs="primary")["app"]
        with Headgate({"app": where}, pool_mode="transaction", default_pool_size=1, monitor_user="monitor",
                      monitor_interval=0.1, query_wait_timeout=2, workers=2) as pooler:  # fmt: skip
            wait_until(lambda: any(row["read"] for row in pooler.admin("SHOW HOSTS")), 20, "the replica is found")
            replica = cluster.host_of(cluster.replicas[0])
            with logged_in(pooler, 2) as (holder, waiting):
                holder.query("BEGIN READ ONLY")
                assert holder.value("SELECT pg_is_in_recovery()") == "t"
                waiting.send(query("BEGIN READ ONLY"))
                wait_until(lambda: [row["host"] for row in pooler.admin("SHOW WAITS")] == [replica], what="it waits")
                *_, fields = errors(waiting.read_to_end())
            assert fields["M"] == "query_wait_timeout"
            assert (f"All 1 of 1 server of pool app/app at replica {replica} is in use: 1 idle in transaction;"
                    in fields["D"])  # fmt: skip
