"""What a client has written it reads, wherever it reads: many clients write and read back at different ages of the write,
while the replicas stop replaying and go on. HEADGATE_PAIRS sets how many reads there are; 10,000 without."""

import random
import subprocess
import threading

import pytest

from lib import VARIABLES
from lib.cluster import Cluster
from lib.headgate import Headgate
from lib.postgres import program
from lib.processes import wait_until

pytestmark = [pytest.mark.headgate_only, pytest.mark.sanitizers, pytest.mark.slow]

PAIRS = int(VARIABLES.get("HEADGATE_PAIRS", "10000"))
CLIENTS, READS = 60, 5
WRITE_AND_READ = r"""
\set value random(1, 1000000000)
UPDATE pairs SET value = :value WHERE id = :client_id;
""" + r"""
SELECT value = :value AS is_fresh FROM pairs WHERE id = :client_id \gset
\if :is_fresh
\else
INSERT INTO stale (id, value) VALUES (:client_id, :value);
\endif
\sleep 40 ms
""" * READS


@pytest.fixture(scope="module")
def cluster(many_files):
    with Cluster() as cluster:
        cluster.primary.execute(
            "CREATE TABLE pairs (id int PRIMARY KEY, value int)",
            f"INSERT INTO pairs SELECT n, 0 FROM generate_series(0, {CLIENTS}) n",
            "CREATE TABLE stale (id int, value int)",
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO app",
            database="app",
        )
        cluster.wait_replayed()
        yield cluster


def changing_lag(cluster, over):
    """A replica or both stop replaying for a moment, again and again."""
    dice = random.Random(7)
    while not over.wait(dice.uniform(0.05, 0.3)):
        chosen = dice.sample(cluster.replicas, dice.randint(1, 2))
        for node in chosen:
            node.execute("SELECT pg_wal_replay_pause()")
        over.wait(dice.uniform(0.05, 0.5))
        for node in chosen:
            node.execute("SELECT pg_wal_replay_resume()")


def run(cluster, tmp_path, consistency, protocol):
    """Reads that were stale, and the share of all that replicas served."""
    cluster.primary.execute("TRUNCATE stale", database="app")
    script = tmp_path / "write_and_read.sql"
    script.write_text(WRITE_AND_READ)
    where = {"host": cluster.hosts, "port": cluster.primary.port, "dbname": "app", "read_routing": "auto"}
    settings = {"pool_mode": "transaction", "default_pool_size": 8, "monitor_user": "monitor", "workers": 2,
                "monitor_interval": 0.05, "read_consistency": consistency}  # fmt: skip
    with Headgate({"app": where}, **settings) as pooler:
        wait_until(lambda: sum(row["read"] for row in pooler.admin("SHOW HOSTS")) == 2, 20, "replicas are found")
        over = threading.Event()
        lag = threading.Thread(target=changing_lag, args=(cluster, over))
        lag.start()
        try:
            done = subprocess.run(
                [program("pgbench"), "-n", "-h", "127.0.0.1", "-p", str(pooler.port), "-U", "app", "-c", str(CLIENTS),
                 "-j", "2", "-M", protocol, "-t", str(-(-PAIRS // (CLIENTS * READS))), "-f", script, "app"],
                capture_output=True, text=True, timeout=900, check=False)  # fmt: skip
        finally:
            over.set()
            lag.join()
        assert done.returncode == 0, done.stderr
        reads = [row for row in pooler.admin("SHOW ROUTES") if row["statement"].startswith("SELECT value =")]
        counts = {name: sum(row[name] for row in reads) for name in ("reads", "replica", "repeated")}
    stale = cluster.primary.value("SELECT count(*) FROM stale", database="app")
    print(f"{consistency}, {protocol}: {counts['reads']} reads, {stale} stale, "
          f"{counts['replica'] / counts['reads']:.0%} by replicas, {counts['repeated']} repeated")  # fmt: skip
    return counts["reads"], stale, counts["replica"] / counts["reads"]


@pytest.mark.parametrize("protocol", ["simple", "prepared"])
def test_a_session_reads_its_own_writes(cluster, tmp_path, protocol):
    reads, stale, by_replicas = run(cluster, tmp_path, "session", protocol)
    assert reads >= PAIRS and stale == 0 and by_replicas > 0.05


def test_without_that_promise_some_reads_are_stale(cluster, tmp_path):
    """Or the test above would not tell anything."""
    reads, stale, by_replicas = run(cluster, tmp_path, "eventual", "simple")
    assert reads >= PAIRS and stale > 0 and by_replicas > 0.9
