"""A primary of before comes back and does not know of its successor. Headgate has to, whichever of its databases has
seen the successor, and whenever it began to look."""

import psycopg
import pytest

from lib.cluster import Cluster
from lib.headgate import Headgate
from lib.messages import query, startup
from lib.postgres import User
from lib.processes import wait_until
from lib.wire import Wire

pytestmark = pytest.mark.headgate_only

OLD, NEW = "127.0.0.1", "127.0.0.2"
FENCED = "a primary on an earlier timeline: not written to"
SETTINGS = {"pool_mode": "transaction", "monitor_user": "monitor", "monitor_interval": 0.1, "query_wait_timeout": 30,
            "monitor_timeout": 30}  # fmt: skip


class Parted(Cluster):
    """Its first host is a primary of before: the second was promoted, and both are there."""

    def __init__(self):
        super().__init__(replicas=1, users=(User("app"), User("monitor"), User("other")))

    @property
    def old(self):
        return self.nodes[0]

    @property
    def new(self):
        return self.nodes[1]

    def part(self):
        self.promote(self.new)
        wait_until(lambda: not self.new.value("SELECT pg_is_in_recovery()"), 20, "it is promoted")

    def prepare(self):
        self.old.execute("CREATE TABLE written (by_start int)", "GRANT ALL ON written TO app", database="app")
        self.wait_replayed()

    def written(self, node):
        return [row["by_start"] for row in node.rows("SELECT by_start FROM written ORDER BY 1", database="app")]

    def database(self, **extra):
        return {"host": self.hosts, "port": self.old.port, "dbname": "app", "target_session_attrs": "primary", **extra}


@pytest.fixture
def cluster(many_files):
    with Parted() as cluster:
        yield cluster


@pytest.fixture
def start_pooler():
    started = []

    def start(databases, **settings):
        started.append(Headgate(databases, **{**SETTINGS, **settings}))
        return started[-1].start()

    yield start
    for pooler in started:
        pooler.stop()
        pooler.remove()


def hosts(pooler, database="app"):
    return {row["host"]: row for row in pooler.admin("SHOW HOSTS") if row["database"] == database}


def in_use(pooler, database="app"):
    return {host for host, row in hosts(pooler, database).items() if row["in_use"]}


def test_of_two_primaries_the_later_is_written_to_however_often_headgate_starts(cluster, start_pooler):
    cluster.prepare()
    cluster.part()
    for start in range(8):
        pooler = start_pooler({"app": cluster.database()})
        with pooler.connect() as client:
            client.execute("INSERT INTO written VALUES (%s)", (start,))
        assert in_use(pooler) == {NEW}
        assert hosts(pooler)[OLD]["error"] == FENCED
        pooler.stop()
    assert cluster.written(cluster.new) == list(range(8))
    assert cluster.written(cluster.old) == []


@pytest.mark.parametrize("how", ["start", "RECONNECT", "another user asks"])
def test_who_answers_late_at_the_beginning_is_waited_for(cluster, start_pooler, how):
    cluster.prepare()
    cluster.part()
    pooler = None
    if how != "start":
        pooler = start_pooler({"app": cluster.database()})
        wait_until(lambda: in_use(pooler) == {NEW}, 10, "a primary")
    cluster.freeze(cluster.new)
    if how == "start":
        pooler = start_pooler({"app": cluster.database()})
    elif how == "RECONNECT":
        pooler.admin("RECONNECT")
    else:
        pooler.reload(monitor_user="other")
    wait_until(lambda: hosts(pooler)[OLD]["role"] == "primary", 10, "the old one has answered")
    assert in_use(pooler) == set()
    with Wire(pooler.port) as wire:
        wire.send(startup({"user": "app", "database": "app"}), query("INSERT INTO written VALUES (1)"))
        wait_until(lambda: pooler.pool()["cl_waiting"] == 1, 10, "it waits")
        cluster.resume(cluster.new)
        wait_until(lambda: cluster.written(cluster.new), 30, "it has written")
    assert in_use(pooler) == {NEW}
    assert (cluster.written(cluster.old), cluster.written(cluster.new)) == ([], [1])


def test_a_host_that_hangs_at_the_beginning_is_waited_for_once(cluster, start_pooler):
    cluster.freeze(cluster.new)
    pooler = start_pooler({"app": cluster.database()}, monitor_timeout=1)
    with pooler.connect() as client:
        assert client.execute("SELECT host(inet_server_addr())").fetchone() == (OLD,)


def failover_seen_by_one(cluster, pooler):
    """The monitor of `other` cannot ask the successor, and the old primary comes back."""
    wait_until(lambda: in_use(pooler, "other") == {OLD} and in_use(pooler) == {OLD}, 10, "roles")
    cluster.new.forbid("other")
    cluster.new.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'other'")
    wait_until(lambda: hosts(pooler, "other")[NEW]["error"], 10, "the standby cannot be asked")
    cluster.kill(cluster.old)
    cluster.part()
    wait_until(lambda: in_use(pooler) == {NEW}, 10, "one monitor has seen it")
    cluster.old.start()


def test_what_one_monitor_has_seen_all_databases_know(cluster, start_pooler):
    cluster.prepare()
    databases = {"app": cluster.database(user="app"), "other": cluster.database(user="other")}
    pooler = start_pooler(databases, monitor_user=None, query_wait_timeout=2)
    failover_seen_by_one(cluster, pooler)
    wait_until(lambda: hosts(pooler, "other")[OLD]["error"] == FENCED, 10, "the old one is fenced")
    assert in_use(pooler, "other") == set() and in_use(pooler) == {NEW}
    with pytest.raises(psycopg.OperationalError, match="query_wait_timeout"):
        pooler.connect("other")
    pooler.restart_online()  # the new process has never seen another primary
    cluster.kill(cluster.new)
    wait_until(lambda: not in_use(pooler), 10, "no primary")
    pooler.restart_online()
    for database in ("app", "other"):
        wait_until(lambda database=database: hosts(pooler, database)[OLD]["error"] == FENCED, 10, "it is fenced")
        assert in_use(pooler, database) == set()
    assert cluster.written(cluster.old) == []
    pooler.admin("RECONNECT app")  # of the whole cluster
    wait_until(lambda: in_use(pooler) == in_use(pooler, "other") == {OLD}, 10, "what was known is forgotten")
