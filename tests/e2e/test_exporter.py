"""Debian's prometheus-pgbouncer-exporter, unmodified, reads Headgate as it reads PgBouncer.

The exporter (1.7) was written for PgBouncer 1.7 and ends with a KeyError on every later one, Debian's 1.18 included:
it asks SHOW STATS for total_requests, which 1.8 replaced, and SHOW DATABASES for reserve_pool, which 1.24 renamed.
What it can read is compared, and where it cannot, that it fails on the same names.
"""

import contextlib
import os
import re
import urllib.error
import urllib.request

import pytest

from lib import processes
from lib.headgate import Headgate

pytestmark = pytest.mark.headgate_only  # it starts both programs

PGBOUNCER = "/usr/sbin/pgbouncer"
EXPORTER = "/usr/bin/prometheus-pgbouncer-exporter"

# What the exporter misses in each program's columns: by collector, the key that it stumbles over.
MISSING = {
    "pgbouncer": {"StatsCollector": "total_requests"},
    "headgate": {"StatsCollector": "total_requests", "DatabasesCollector": "reserve_pool"},
}


@pytest.fixture(scope="module")
def poolers(postgres):
    for program in (PGBOUNCER, EXPORTER):
        if not os.path.exists(program):
            pytest.skip(f"{program} is not installed")
    target = {"host": "127.0.0.1", "port": postgres.port, "dbname": "app"}
    with contextlib.ExitStack() as stack:
        started = {}
        for name, options in (("pgbouncer", {"program": PGBOUNCER}), ("headgate", {})):
            pooler = stack.enter_context(Headgate({"app": target, "two": target}, userlist={"other": ""}, pool_mode="transaction", **options))
            for database, user in (("app", "app"), ("app", "other"), ("two", "app")):
                connection = stack.enter_context(pooler.connect(database, user))
                connection.execute("SELECT 1")
            started[name] = pooler
        yield started


def scrape(pooler, *arguments):
    """The text that the exporter's own process shows about a pooler."""
    port = processes.free_port()
    log = pooler.path("exporter.log")
    command = [EXPORTER, "--host", "127.0.0.1", "--port", str(port), "--pgbouncer-host", "127.0.0.1",
               "--pgbouncer-port", str(pooler.port), "--pgbouncer-user", "stats", *arguments]
    process = processes.spawn(command, log)
    try:
        return processes.wait_until(lambda: _get(process, port), 20, "the exporter answers or ends"), _log(log)
    finally:
        processes.stop(process)


def _get(process, port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return answer.read().decode()
    except (OSError, urllib.error.URLError):
        return "ended" if process.poll() is not None else None


def _log(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def names_and_labels(text):
    """The metrics of the pooler, without their values."""
    lines = [line for line in text.splitlines() if line.startswith(("pgbouncer_", "# TYPE pgbouncer_"))]
    return sorted(re.sub(r" [^ ]*$", "", line) if not line.startswith("#") else line for line in lines)


def test_the_exporter_shows_the_same_metrics_of_both(poolers):
    # Limited to a database that has no rows, it gets as far as it can with any PgBouncer since 1.8.
    shown = {name: scrape(pooler, "--database", "none")[0] for name, pooler in poolers.items()}
    metrics = {name: names_and_labels(text) for name, text in shown.items()}
    assert "pgbouncer_used_clients" in metrics["headgate"]
    assert metrics["headgate"] == metrics["pgbouncer"]


def test_without_that_limit_it_ends_alike_on_both(poolers):
    for name, pooler in poolers.items():
        text, log = scrape(pooler)
        assert text == "ended", name
        assert "KeyError: 'total_requests'" in log, name


def collected(pooler):
    """By collector: its metrics with their labels, or the column that it misses."""
    from prometheus_pgbouncer_exporter import collectors
    from prometheus_pgbouncer_exporter.utils import get_connection

    connection = get_connection("stats", pooler.port, "127.0.0.1")
    results = {}
    try:
        for name in ("StatsCollector", "PoolsCollector", "DatabasesCollector"):
            collector = getattr(collectors, name)(connection=connection, databases=None)
            try:
                samples = [sample for metric in collector.collect() for sample in metric.samples]
                results[name] = sorted((sample.name, sorted(sample.labels.items())) for sample in samples)
            except KeyError as missing:
                results[name] = missing.args[0]
    finally:
        connection.close()
    return results


def test_its_collectors_read_the_same_rows_of_both(poolers):
    read = {name: collected(pooler) for name, pooler in poolers.items()}
    for name, results in read.items():
        assert {key: value for key, value in results.items() if isinstance(value, str)} == MISSING[name]
    pools = read["headgate"]["PoolsCollector"]
    assert pools == read["pgbouncer"]["PoolsCollector"]
    assert len(pools) == 8  # two metrics of three pools and the console's own
