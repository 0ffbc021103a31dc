"""Roles of hosts are found (target_session_attrs): servers go where their database wants them, a standby that is
stopped, silent or behind is out of rotation and back by itself, and a failover is a pause."""

import struct
import time

import psycopg
import pytest

from lib import accounting
from lib.cluster import Cluster
from lib.fake_server import GOOD_ANSWER, LOGIN, READY, FakeServer
from lib.headgate import is_sanitized
from lib.messages import message, query
from lib.names import Names
from lib.processes import wait_until
from lib.wire import Wire, first_value

pytestmark = [pytest.mark.headgate_only, pytest.mark.sanitizers]

WHERE = "SELECT host(inet_server_addr())"


@pytest.fixture
def fresh_cluster(many_files):
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def start_pooler(start_monitoring):
    def start(databases, wait=True, **settings):
        pooler = start_monitoring(databases, **settings)
        if wait:
            wait_until(lambda: all(row["role"] != "unknown" for row in pooler.admin("SHOW HOSTS")), 20, "roles")
        return pooler

    return start


def hosts(pooler, database="app_ro"):
    return {row["host"]: row for row in pooler.admin("SHOW HOSTS") if row["database"] == database}


def in_use(pooler, database="app_ro"):
    return {host for host, row in hosts(pooler, database).items() if row["in_use"]}


def served_by(pooler, database, queries=20):
    """Where queries of several clients at once are run."""
    clients = [pooler.connect(database) for _ in range(5)]
    try:
        for client in clients:
            client.autocommit = False
        found = {client.execute(WHERE).fetchone()[0] for client in clients}  # each holds a server of its own
        for client in clients:
            client.rollback()
        return found
    finally:
        for client in clients:
            client.close()


def test_servers_are_where_their_database_wants_them(cluster, start_pooler):
    pooler = start_pooler(cluster.databases())
    assert served_by(pooler, "app") == {"127.0.0.1"}
    assert served_by(pooler, "app_ro") == {"127.0.0.2", "127.0.0.3"}
    assert served_by(pooler, "app_any") == {"127.0.0.2", "127.0.0.3"}
    roles = {host: row["role"] for host, row in hosts(pooler).items()}
    assert roles == {"127.0.0.1": "primary", "127.0.0.2": "standby", "127.0.0.3": "standby"}
    assert in_use(pooler, "app") == {"127.0.0.1"} and in_use(pooler) == {"127.0.0.2", "127.0.0.3"}
    row = hosts(pooler)["127.0.0.2"]
    assert row["port"] == cluster.primary.port and "/" in row["lsn"] and row["error"] is None
    assert row["lag_us"] is not None and row["latency_us"] > 0 and row["silent_us"] >= 0


def test_the_order_of_the_list_says_nothing(cluster, start_pooler):
    databases = cluster.databases(host="127.0.0.3,127.0.0.2,127.0.0.1")
    assert served_by(start_pooler(databases), "app") == {"127.0.0.1"}


def test_one_connection_asks_each_host_for_all_databases(cluster, start_pooler):
    pooler = start_pooler(cluster.databases())
    names = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'headgate: monitor'"
    assert [node.value(names) for node in cluster.nodes] == [1, 1, 1]
    pooler.reload(log_connections=0)
    assert [node.value(names) for node in cluster.nodes] == [1, 1, 1]
    pooler.databases = {"app": {"host": "127.0.0.1", "port": cluster.primary.port}}
    pooler.write_files()
    pooler.admin("RELOAD")
    wait_until(lambda: [node.value(names) for node in cluster.nodes] == [0, 0, 0], 10, "nobody asks")
    assert pooler.admin("SHOW HOSTS") == []


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_a_standby_that_is_gone_is_out_of_rotation_and_comes_back(cluster, start_pooler, how):
    pooler = start_pooler(cluster.databases())
    assert served_by(pooler, "app_ro") == {"127.0.0.2", "127.0.0.3"}
    victim = cluster.nodes[1]
    victim.stop() if how == "stopped" else cluster.freeze(victim)
    wait_until(lambda: in_use(pooler) == {"127.0.0.3"}, 5, "out of rotation")
    wait_until(lambda: hosts(pooler)["127.0.0.2"]["error"], 5, "an error")
    for _ in range(3):
        assert served_by(pooler, "app_ro") == {"127.0.0.3"}
    victim.start() if how == "stopped" else cluster.resume(victim)
    wait_until(lambda: in_use(pooler) == {"127.0.0.2", "127.0.0.3"}, 10, "back in rotation")
    assert hosts(pooler)["127.0.0.2"]["error"] is None


def test_a_standby_that_is_behind_is_not_read(cluster, start_pooler):
    pooler = start_pooler(cluster.databases(), max_replica_lag=0.5)
    behind = cluster.nodes[2]
    behind.execute("SELECT pg_wal_replay_pause()")
    write = "SELECT pg_logical_emit_message(false, 'test', 'something'), pg_switch_wal()"

    def left_rotation():
        cluster.primary.execute(write)
        return in_use(pooler) == {"127.0.0.2"}

    wait_until(left_rotation, 10, "out of rotation")
    assert hosts(pooler)["127.0.0.3"]["lag_us"] > 500_000
    assert served_by(pooler, "app_ro") == {"127.0.0.2"}
    behind.execute("SELECT pg_wal_replay_resume()")
    wait_until(lambda: in_use(pooler) == {"127.0.0.2", "127.0.0.3"}, 10, "back in rotation")


def test_without_standbys_the_primary_is_read_where_it_may(cluster, start_pooler):
    pooler = start_pooler(cluster.databases(), query_wait_timeout=2)
    for node in cluster.replicas:
        node.stop()
    wait_until(lambda: not in_use(pooler), 5, "no standby")
    assert served_by(pooler, "app_any") == {"127.0.0.1"}
    with pytest.raises(psycopg.OperationalError, match="query_wait_timeout"):
        served_by(pooler, "app_ro")
    for node in cluster.replicas:
        node.start()
    wait_until(lambda: len(in_use(pooler, "app_any")) == 2, 10, "standbys")
    wait_until(lambda: served_by(pooler, "app_any") == {"127.0.0.2", "127.0.0.3"}, 10, "they are read again")


def test_who_asks_must_be_named(cluster, start_pooler):
    pooler = start_pooler(cluster.databases())
    with pytest.raises(psycopg.Error):
        pooler.reload(monitor_user=None)
    assert "database app: target_session_attrs needs a user who asks its hosts for their roles" in pooler.log()
    assert served_by(pooler, "app") == {"127.0.0.1"}


def test_who_may_not_ask_is_told_of(cluster, start_pooler):
    pooler = start_pooler(cluster.databases(), wait=False, monitor_user="nobody", query_wait_timeout=1)
    wait_until(lambda: hosts(pooler)["127.0.0.1"]["error"], 5, "an error")
    assert "nobody" in hosts(pooler)["127.0.0.1"]["error"]
    assert "host 127.0.0.1: cannot be asked for its role" in pooler.log()
    with pytest.raises(psycopg.OperationalError):
        pooler.connect("app")


def row(*values):
    fields = [struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value for value in values]
    return message("D", struct.pack("!h", len(fields)) + b"".join(fields)) + message("C", b"SELECT 1\0") + READY


UNREADABLE = "an answer that cannot be read"
BAD_HOSTS = {
    "no row": (GOOD_ANSWER, UNREADABLE),
    "too few values": (row(b"f"), UNREADABLE),
    "no role": (row(None, b"0/1", b"00000001"), UNREADABLE),
    "an error": (message("E", b"SERROR\0C42501\0Mnot for you\0\0") + READY, "not for you"),
    "an error that cannot be read": (message("E", b"S") + READY, "an error that cannot be read"),
    "a large row": (message("D", b"\0\1\0\1\0\0" + bytes(65536)), "protocol violation by the server"),
    "a length that lies": (b"D\x7f\xff\xff\xff", "protocol violation by the server"),
    "a log-in that fails": (None, "go away"),
    "silence": (b"", "no answer"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_HOSTS)
def test_a_host_that_cannot_be_understood_has_no_role(start_pooler, name):
    answer, why = BAD_HOSTS[name]
    login = message("E", b"SFATAL\0C53300\0Mgo away\0\0") if answer is None else LOGIN
    with FakeServer(login, answer or b"") as server:
        where = {"host": "127.0.0.1", "port": server.port, "target_session_attrs": "primary"}
        pooler = start_pooler({"app": where}, wait=False, query_wait_timeout=1, monitor_timeout=0.3)
        wait_until(lambda: hosts(pooler, "app")["127.0.0.1"]["error"] == why, 5, why)
        assert hosts(pooler, "app")["127.0.0.1"]["role"] == "unknown"
        with pytest.raises(psycopg.OperationalError):
            pooler.connect()
        assert pooler.running


@pytest.mark.parametrize("position", [b"0/1", b"FFFFFFFF/FFFFFFFF", b"nonsense", b"1/2/3", b"/", None])
def test_a_position_is_what_it_is(start_pooler, position):
    with FakeServer(LOGIN, row(b"f", position, b"00000001")) as server:
        where = {"host": "127.0.0.1", "port": server.port, "target_session_attrs": "primary"}
        pooler = start_pooler({"app": where})
        found = hosts(pooler, "app")["127.0.0.1"]
        assert found["role"] == "primary" and found["in_use"]
        assert found["lsn"] == (position.decode() if position and position[:1] in b"0F" else "0/0")


def test_a_primary_that_restarts_is_waited_for(cluster, start_pooler):
    pooler = start_pooler(cluster.databases())
    with pooler.connect() as client:
        assert client.execute(WHERE).fetchone() == ("127.0.0.1",)
        cluster.primary.stop()
        wait_until(lambda: not in_use(pooler, "app"), 5, "no primary")
        cluster.primary.start()
        assert client.execute(WHERE).fetchone() == ("127.0.0.1",)


def test_a_failover_is_a_pause(fresh_cluster, start_pooler):
    cluster = fresh_cluster
    accounting.prepare(cluster.primary, "app")
    cluster.primary.execute("ALTER SYSTEM SET synchronous_standby_names = 'ANY 2 (*)'", "SELECT pg_reload_conf()")
    pooler = start_pooler(cluster.databases(), log_connections=0, log_disconnections=0)
    old = cluster.primary
    idle = [pooler.connect() for _ in range(10)]
    with accounting.writing(pooler.port, 40, answer_seconds=40) as ledger:
        time.sleep(1)
        cluster.kill(old)
        time.sleep(1)
        before = len(ledger.acknowledged)
        cluster.nodes[1].execute("ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()")
        cluster.promote(cluster.nodes[1])
        wait_until(lambda: len(ledger.acknowledged) > before + 200, 30, "writes at the new primary")
        old.start()  # it knows nothing of its successor
        wait_until(lambda: hosts(pooler, "app")["127.0.0.1"]["role"] == "primary", 10, "the old one is back")
        time.sleep(1)
        assert in_use(pooler, "app") == {"127.0.0.2"}
    balance = accounting.balance(ledger, cluster.primary, "app")
    print(f"\n{balance}")
    assert not balance.problems(), balance
    # What the old one has alone it had when it died: nobody was told that it is committed.
    alone = accounting.balance(ledger, old, "app").found.keys() - balance.found.keys()
    assert alone <= {one for ids in ledger.unknown for one in ids}
    for client in idle:
        assert client.execute(WHERE).fetchone() == ("127.0.0.2",)
        client.close()
    cluster.primary.stop()
    wait_until(lambda: not in_use(pooler, "app"), 10, "no primary")
    pooler.admin("RECONNECT app")  # what was known of timelines is forgotten
    wait_until(lambda: in_use(pooler, "app") == {"127.0.0.1"}, 10, "the old one is the primary again")


def test_who_is_busy_with_a_frozen_primary_hears_that_it_has_a_successor(fresh_cluster, start_pooler):
    cluster = fresh_cluster
    pooler = start_pooler(cluster.databases())
    old = cluster.primary
    with pooler.connect() as client, pooler.connect() as idle:
        idle.execute("SELECT 1")
        client.execute("BEGIN; SELECT 1")
        cluster.freeze(old)
        cluster.promote(cluster.nodes[1])
        with pytest.raises(psycopg.OperationalError, match="the primary is another host now"):
            client.execute("SELECT 1")
        assert idle.execute(WHERE).fetchone() == ("127.0.0.2",)
    cluster.resume(old)


def test_a_frozen_primary_keeps_no_place_in_the_pool(fresh_cluster, start_pooler):
    cluster = fresh_cluster
    pooler = start_pooler(cluster.databases(), default_pool_size=1, query_wait_timeout=4)
    with Wire(pooler.port) as busy, Wire(pooler.port) as other:
        busy.login().send(query("SELECT pg_sleep(60)"))
        other.login()
        wait_until(lambda: pooler.pool()["sv_active"] == 1, 5, "it is busy")
        cluster.freeze(cluster.primary)
        cluster.promote(cluster.nodes[1])
        assert busy.read().fields()["M"] == "the primary is another host now"
        assert other.value("SELECT host(inet_server_addr())") == "127.0.0.2"
    cluster.resume(cluster.nodes[0])


def test_a_standby_that_was_promoted_is_no_standby(fresh_cluster, start_pooler):
    cluster = fresh_cluster
    pooler = start_pooler(cluster.databases())
    assert served_by(pooler, "app_ro") == {"127.0.0.2", "127.0.0.3"}
    cluster.primary.stop()
    cluster.promote(cluster.nodes[1])
    wait_until(lambda: in_use(pooler, "app") == {"127.0.0.2"}, 10, "a primary")
    assert served_by(pooler, "app_ro") == {"127.0.0.3"}


def test_what_is_written_where_a_standby_was_promoted_is_read_again(fresh_cluster, start_pooler):
    """It was declared to read, and came there before Headgate knew."""
    cluster, declared = fresh_cluster, "/* headgate:route=replica */ "
    heir, other = cluster.replicas
    cluster.primary.execute("CREATE TABLE written (id int)", "GRANT ALL ON written TO app", database="app")
    cluster.wait_replayed()
    where = {"host": cluster.hosts, "port": cluster.primary.port, "read_routing": "explicit"}
    pooler = start_pooler({"app": where}, monitor_interval=5)
    wait_until(lambda: sum(row["read"] for row in hosts(pooler, "app").values()) == 2, 20, "standbys that are read")
    with pooler.connect() as client:
        wait_until(lambda: client.execute(declared + WHERE).fetchone() == ("127.0.0.3",), 20, "it is the other's turn")
        other.execute("SELECT pg_wal_replay_pause()")
        cluster.kill(cluster.primary)
        cluster.promote(heir)
        client.execute(declared + "INSERT INTO written VALUES (1)")
        assert client.execute(declared + "SELECT count(*) FROM written").fetchone() == (1,)


@pytest.mark.skipif(is_sanitized(), reason="a sanitizer has to be loaded before the wrapper")
@pytest.mark.parametrize("how", ["killed", "left alone"])
def test_a_name_that_moves_is_followed(fresh_cluster, start_pooler, how):
    """As with a managed cluster, whose only host is a name that leads to the primary."""
    cluster, files = fresh_cluster, []

    def names(pooler):
        files.append(Names(pooler.path("hosts")))
        files[0].write("127.0.0.1")
        return files[0]

    databases = {"app": {"host": "pg.example", "port": cluster.primary.port, "target_session_attrs": "primary"}}
    pooler = start_pooler(databases, names=names, dns_max_ttl=1, dns_nxdomain_ttl=1)
    with pooler.connect() as client:
        assert client.execute(WHERE).fetchone() == ("127.0.0.1",)
        if how == "killed":
            cluster.kill(cluster.primary)
        cluster.promote(cluster.nodes[1])
        files[0].write("127.0.0.2")
        wait_until(lambda: client.execute(WHERE).fetchone() == ("127.0.0.2",), 20, "the new primary", every=0.2)


def test_who_waits_is_told_why(cluster, start_pooler):
    pooler = start_pooler(cluster.databases(), query_wait_notify=0.5)
    with Wire(pooler.port) as wire:
        wire.login()
        cluster.primary.stop()
        wait_until(lambda: not in_use(pooler, "app"), 5, "no primary")
        wire.send(query("SELECT 1"))
        notice = wire.read()
        assert (notice.tag, notice.fields()["M"]) == (
            "N", 'No host of database "app" is known to be primary, client being queued')
        cluster.primary.start()
        assert first_value(wire.read_until(timeout=20)) == "1"
    log = pooler.log()
    assert f"hosts {cluster.hosts}: primary: none; standbys to read from: 127.0.0.2, 127.0.0.3" in log
