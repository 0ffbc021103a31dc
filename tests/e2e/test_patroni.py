"""A cluster that Patroni runs, under load: a planned switchover and the loss of the primary are a pause. No write
that was acknowledged is lost, none is there twice, none goes to a host in recovery, and who is idle notices nothing.
Reads go to the replicas meanwhile, and show their clients what these have written."""

import collections
import contextlib
import threading
import time

import psycopg

import pytest

from lib import accounting
from lib.headgate import Headgate
from lib.patroni import PatroniCluster
from lib.processes import wait_until

pytestmark = pytest.mark.headgate_only

CLIENTS, IDLE, READERS = 200, 20, 10
WHERE = "SELECT host(inet_server_addr()), pg_is_in_recovery()"


@pytest.fixture(scope="module")
def cluster(many_files):
    with PatroniCluster() as cluster:
        yield cluster


@pytest.fixture
def pooler(cluster):
    where = {"host": cluster.hosts, "port": cluster.nodes[0].port, "dbname": "app"}
    databases = {"app": {**where, "target_session_attrs": "primary", "read_routing": "auto"},
                 "app_ro": {**where, "target_session_attrs": "standby"}}  # fmt: skip
    pooler = Headgate(databases, pool_mode="transaction", default_pool_size=10, max_client_conn=1000,
                      monitor_user="monitor", query_wait_timeout=60, log_connections=0, log_disconnections=0)  # fmt: skip
    try:
        yield pooler.start()
        pooler.stop()
    finally:
        pooler.remove()


def in_use(pooler):
    return next((row["host"] for row in pooler.admin("SHOW HOSTS") if row["database"] == "app" and row["in_use"]), None)


class Watch:
    """The longest time in which nobody's write was acknowledged."""

    def __init__(self, ledger):
        self._ledger, self._count, self._since = ledger, 0, time.monotonic()
        self.longest = 0.0

    def look(self):
        now, count = time.monotonic(), len(self._ledger.acknowledged)
        if count > self._count:
            self._count, self._since = count, now
        self.longest = max(self.longest, now - self._since)
        return count


class Readers:
    """Clients that write a number each, and read it back from wherever that is served."""

    TABLE = "CREATE TABLE seen (id int PRIMARY KEY, n int)"
    VIEW = "CREATE VIEW seen_here AS SELECT id, n, host(inet_server_addr()) AS host FROM seen"

    def __init__(self, pooler, primary):
        primary.execute("DROP TABLE IF EXISTS seen CASCADE", self.TABLE, self.VIEW,
                        f"INSERT INTO seen SELECT id, 0 FROM generate_series(0, {READERS}) id",
                        "GRANT ALL ON seen, seen_here TO app", database="app")  # fmt: skip
        self.hosts, self.stale, self.over = collections.Counter(), [], threading.Event()
        self._pooler = pooler
        self._threads = [threading.Thread(target=self._run, args=(id,)) for id in range(READERS)]
        for thread in self._threads:
            thread.start()

    def _run(self, id):
        written = 0
        while not self.over.is_set():
            with contextlib.suppress(psycopg.Error), self._pooler.connect() as client:
                while not self.over.is_set():
                    client.execute("UPDATE seen SET n = %s WHERE id = %s", (written + 1, id))
                    written += 1
                    for _ in range(4):
                        n, host = client.execute("SELECT n, host FROM seen_here WHERE id = %s", (id,)).fetchone()
                        self.hosts[host] += 1
                        if n < written:
                            self.stale.append((host, n, written))
                        time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("how", ["switchover", "kill"])
def test_a_change_of_the_primary_is_a_pause(cluster, pooler, how):
    cluster.wait_healthy()
    old = cluster.primary
    new = next(node for node in cluster.nodes if node is not old)
    old.execute(f"DROP TABLE IF EXISTS {accounting.TABLE}", database="app")
    accounting.prepare(old, "app")
    idle = [pooler.connect() for _ in range(IDLE)]
    for client in idle:
        assert client.execute(WHERE).fetchone() == (old.address, False)
    with (Readers(pooler, old) as readers,
          accounting.writing(pooler.port, CLIENTS, answer_seconds=90) as ledger):  # fmt: skip
        watch = Watch(ledger)
        wait_until(lambda: watch.look() > 1000, 30, "writes")
        cluster.switchover(new) if how == "switchover" else old.kill()
        before = watch.look()
        wait_until(lambda: watch.look() > before + 1000 and in_use(pooler) not in (old.address, None), 60,
                   "writes at the new primary", every=0.01)  # fmt: skip
        if how == "kill":
            old.start()
        wait_until(lambda: watch.look() and old.role() == "replica", 60, "the old primary is a standby", every=0.05)
        before = watch.look()
        wait_until(lambda: watch.look() > before + 500, 30, "writes beside it", every=0.01)
        read = readers.hosts.copy()
        standbys = [node.address for node in cluster.nodes if node is not cluster.primary]
        wait_until(lambda: all(readers.hosts[host] > read[host] for host in standbys), 60, "they are read")
    for client in idle:
        host, in_recovery = client.execute(WHERE).fetchone()
        assert (host, in_recovery) == (cluster.primary.address, False) and host != old.address
        client.close()
    cluster.wait_healthy()
    balance = accounting.balance(ledger, cluster.primary, "app")
    print(f"\n{how} with {CLIENTS} clients: {watch.longest:.1f} s without an acknowledged write\n{balance}\n"
          f"{readers.hosts.total()} reads, {dict(readers.hosts)}, {len(readers.stale)} stale")  # fmt: skip
    assert not balance.problems(), balance
    assert not readers.stale
    assert not [error for error in ledger.errors if error.startswith("25006")]  # a write to a host in recovery
    rows = {row["host"]: (row["role"], row["in_use"]) for row in pooler.admin("SHOW HOSTS") if row["database"] == "app"}
    assert rows.pop(cluster.primary.address) == ("primary", 1)
    assert set(rows.values()) == {("standby", 0)}
