"""A primary with two replicas, and poolers that find the roles of their hosts and send reads to them
(target_session_attrs, read_routing): what the tests of it share."""

import contextlib

import pytest

from lib.cluster import Cluster
from lib.headgate import WORKERS, Headgate
from lib.messages import extended, sync
from lib.processes import wait_until

# The text does not tell that it asks a server for its address: a plain read, to all that can be seen.
WHERE = "SELECT host FROM whereabouts"
SETUP = (
    "CREATE TABLE notes (id int PRIMARY KEY, body text)",
    "INSERT INTO notes SELECT n, 'note ' || n FROM generate_series(1, 100) n",
    "CREATE TABLE written (id serial, body text)",
    "CREATE UNLOGGED TABLE scratch (id int)",
    "CREATE TABLE secrets AS SELECT n % 6 + 1 AS tenant FROM generate_series(1, 60) n",
    "ALTER TABLE secrets ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY own ON secrets USING (tenant = current_setting('app.tenant')::int)",
    "CREATE SEQUENCE numbers",
    "CREATE TABLE troubled ()",
    "CREATE VIEW whereabouts AS SELECT host(inet_server_addr()) AS host",
    "CREATE VIEW next_number AS SELECT nextval('numbers') AS number",
    "CREATE VIEW slow_number AS SELECT nextval('numbers') AS number FROM pg_sleep(2)",
    "CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql STABLE RETURN $1 * 2",
    "CREATE FUNCTION place() RETURNS text LANGUAGE sql STABLE RETURN host(inet_server_addr())",
    "CREATE FUNCTION write_it(text) RETURNS text LANGUAGE sql VOLATILE AS "
    "$$ INSERT INTO written (body) VALUES ($1) RETURNING body $$",
    "CREATE FUNCTION disk() RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN "
    "IF inet_server_addr() = '127.0.0.2' AND EXISTS (SELECT FROM troubled) THEN "
    "RAISE 'disk full' USING ERRCODE = '53100'; END IF; RETURN host(inet_server_addr()); END $$",
    "CREATE VIEW sick AS SELECT disk() AS host",
    "GRANT ALL ON ALL TABLES IN SCHEMA public TO app",
    "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO app",
)
PRIMARY, REPLICAS = "127.0.0.1", {"127.0.0.2", "127.0.0.3"}
SETTINGS = {"pool_mode": "transaction", "default_pool_size": 5, "monitor_user": "monitor", "monitor_interval": 0.05,
            "query_wait_timeout": 30, "server_lifetime": 3600, "workers": WORKERS or 2}  # fmt: skip


@pytest.fixture(scope="module")
def shared_cluster(many_files):
    with Cluster() as cluster:
        cluster.primary.execute(*SETUP, database="app")
        cluster.wait_replayed()
        yield cluster


@pytest.fixture
def cluster(shared_cluster):
    """All well again after the test."""
    yield shared_cluster
    shared_cluster.heal()


@pytest.fixture
def start_monitoring():
    """start_monitoring(databases, names=..., ...) -> a running Headgate that asks hosts for their roles, stopped
    after the test."""
    with contextlib.ExitStack() as stack:

        def start(databases, names=None, **settings):
            pooler = Headgate(databases, **{**SETTINGS, **settings})
            stack.callback(pooler.remove)
            return pooler.start(environment=names(pooler).environment if names else None)

        yield start


@pytest.fixture
def start_pooler(cluster, start_monitoring):
    def start(routing="auto", target="primary", entry=None, **settings):
        where = {"host": cluster.hosts, "port": cluster.primary.port, "dbname": "app", "read_routing": routing,
                 **(entry or {})}  # fmt: skip
        if target:
            where["target_session_attrs"] = target
        pooler = start_monitoring({"app": where}, **settings)
        if routing in ("auto", "explicit"):
            wait_until(lambda: standbys(pooler) == REPLICAS, 20, "the replicas are found")
        return pooler

    return start


def standbys(pooler):
    return {row["host"] for row in pooler.admin("SHOW HOSTS") if row["role"] == "standby"}


def readable(pooler):
    return {row["host"] for row in pooler.admin("SHOW HOSTS") if row["read"]}


def places(client, sql=WHERE, times=8):
    return {client.execute(sql).fetchone()[0] for _ in range(times)}


def wait_until_read(client):
    """What a client has written, or what may have, is on the replicas."""
    wait_until(lambda: places(client) == REPLICAS, 20, "it reads replicas")


def batch(sql):
    return extended(sql) + sync()
