"""/metrics: what Prometheus reads agrees with what the console says and with what happened."""

import contextlib
import gzip
import re
import shutil
import subprocess
import time
import urllib.request

import psycopg
import pytest

from lib import messages, processes
from lib.cluster import Cluster
from lib.frozen import frozen, threads_of_workers
from lib.headgate import REPOSITORY
from lib.processes import wait_until
from lib.scrape import Scrape
from lib.web import start_with_web
from lib.wire import Wire

pytestmark = pytest.mark.headgate_only

STATS = {
    "total_server_assignment_count": ("server_assignments_total", 1),
    "total_xact_count": ("transactions_total", 1),
    "total_query_count": ("queries_total", 1),
    "total_received": ("received_bytes_total", 1),
    "total_sent": ("sent_bytes_total", 1),
    "total_xact_time": ("transaction_seconds_total", 1_000_000),
    "total_query_time": ("query_seconds_total", 1_000_000),
    "total_wait_time": ("wait_seconds_total", 1_000_000),
    "total_client_parse_count": ("client_parses_total", 1),
    "total_server_parse_count": ("server_parses_total", 1),
    "total_bind_count": ("binds_total", 1),
    "total_client_login_count": ("client_logins_total", 1),
}


@pytest.fixture
def started(start_headgate):
    return start_with_web(start_headgate, pool_mode="transaction", default_pool_size=3, workers=2, userlist={"other": ""})


def some_traffic(pooler, users=("app", "other")):
    """Transactions, queries, prepared statements, several clients at a time; all over when it returns."""
    with contextlib.ExitStack() as stack:
        for number in range(6):
            client = stack.enter_context(pooler.connect(user=users[number % len(users)]))
            client.execute("SELECT 1")
            with client.transaction():
                client.execute("SELECT pg_sleep(0.01)")
                client.execute("SELECT %s::text", ("x" * 1000,))
            client.execute("SELECT %s::int", (number,), prepare=True)


def stats_row(pooler, database="app"):
    return next(row for row in pooler.admin("SHOW STATS") if row["database"] == database)


# --- the forms


def test_both_forms_tell_the_same(started):
    pooler, web = started
    some_traffic(pooler)
    plain, open_form = Scrape(web), Scrape(web, open_metrics=True)
    assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert open_form.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert open_form.text.endswith("\n# EOF\n") and "# EOF" not in plain.text
    assert set(plain.samples) == set(open_form.samples)
    assert len(plain.samples) > 300
    for name in ("headgate_pool_wait_seconds", "headgate_worker_cpu_seconds"):
        assert open_form.families[name].unit == "seconds"
    assert {family.type for family in open_form.families.values()} == {"gauge", "counter", "histogram", "info"}
    moving = re.compile(r"process_|headgate_worker_|\w+_seconds|headgate_(clients|pool_clients|memory)|.*console")
    for key, value in plain.samples.items():
        if not moving.match(key[0]) and ("database", "pgbouncer") not in key[1]:
            assert open_form.samples[key] == value, key


@pytest.mark.parametrize("accept, open_metrics", [
    ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1", True),
    ("text/plain;q=0.5, application/openmetrics-text;q=0.4", False),
    ("*/*", False),
    ("application/openmetrics-text;q=0", False),
])  # fmt: skip
def test_who_asks_gets_the_form_that_he_prefers(started, accept, open_metrics):
    text = started[1].text("/metrics", Accept=accept)
    assert text.endswith("# EOF\n") == open_metrics


def test_prometheus_finds_no_fault_with_it(started):
    pooler, web = started
    some_traffic(pooler)
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed")
    text = "\n".join(line for line in web.text("/metrics").splitlines() if not line.startswith("process_"))
    done = subprocess.run(["promtool", "check", "metrics"], input=text + "\n", capture_output=True, text=True, check=False)
    faults = [line for line in done.stderr.splitlines() if "process_" not in line]
    assert (done.stdout, faults) == ("", [])


def test_it_comes_compressed_to_who_wants_that(started):
    _, web = started
    request = urllib.request.Request(f"http://127.0.0.1:{web.port}/metrics", headers={"Accept-Encoding": "br, gzip"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        packed = answer.read()
    text = gzip.decompress(packed).decode()
    assert text.startswith("# HELP headgate_build_info ") and len(packed) < len(text) / 4


def test_its_labels_say_which_version_runs(started):
    pooler, web = started
    (labels,) = Scrape(web).all("headgate_build_info")
    version = pooler.admin("SHOW VERSION")[0]["version"]
    assert version == "PgBouncer {} (Headgate {})".format(*labels)


# --- agreement with the console


def test_counters_are_those_of_show_stats(started):
    pooler, web = started
    some_traffic(pooler)
    wait_until(lambda: stats_row(pooler)["total_xact_count"] >= 18, what="all transactions are counted")
    row, scrape = stats_row(pooler), Scrape(web)
    assert row == stats_row(pooler)  # nothing happens meanwhile
    for column, (name, scale) in STATS.items():
        assert scrape.value(f"headgate_database_{name}", database="app") == pytest.approx(float(row[column]) / scale), column
    assert row["total_xact_count"] == 18 and row["total_client_login_count"] == 6


def test_pools_are_those_of_show_pools(started):
    pooler, web = started
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(pooler.connect()) for _ in range(5)]
        for client in clients[:3]:
            client.execute("BEGIN")
        waiters = [stack.enter_context(Wire(pooler.port)).login() for _ in range(2)]
        for waiter in waiters:
            waiter.send(messages.query("SELECT 1"))
        wait_until(lambda: pooler.pool()["cl_waiting"] == 2, what="two wait")
        row, scrape = pooler.pool(), Scrape(web)
        columns = {"cl_active": "clients_active", "cl_waiting": "clients_waiting", "sv_active": "servers_active",
                   "sv_active_cancel": "servers_active_cancel", "sv_being_canceled": "servers_being_canceled",
                   "sv_idle": "servers_idle", "sv_used": "servers_used", "sv_tested": "servers_tested",
                   "sv_login": "servers_login", "cl_active_cancel_req": "clients_active_cancel_req",
                   "cl_waiting_cancel_req": "clients_waiting_cancel_req"}  # fmt: skip
        for column, name in columns.items():
            assert scrape.value(f"headgate_pool_{name}", database="app", user="app") == row[column], column
        assert (row["cl_waiting"], row["sv_active"]) == (2, 3)
        assert scrape.value("headgate_pool_size", database="app", user="app") == 3
        assert scrape.value("headgate_pool_max_wait_seconds", database="app", user="app") > 0
        for client in clients[:3]:
            client.execute("COMMIT")
        for waiter in waiters:
            waiter.read_until()


def test_databases_users_and_lists_agree(start_headgate, postgres):
    where = {"host": "127.0.0.1", "port": postgres.port, "dbname": "app"}
    databases = {"one": {**where, "pool_size": 7, "max_db_connections": 9}, "two": where}
    pooler, web = start_with_web(start_headgate, databases, {"app": "pool_size=4 max_user_connections=5"})
    with pooler.connect("one") as client:
        client.execute("SELECT 1")
        pooler.admin("PAUSE two")
        pooler.admin("DISABLE two")
        scrape = Scrape(web)
        shown = {row["name"]: row for row in pooler.admin("SHOW DATABASES")}
        for name in ("one", "two"):
            for column in ("pool_size", "min_pool_size", "reserve_pool_size", "max_connections", "current_connections",
                           "max_client_connections", "current_client_connections", "paused", "disabled"):  # fmt: skip
                value = scrape.value(f"headgate_database_{column}", database=name)
                assert value == shown[name][column], (name, column)
        assert scrape.value("headgate_database_info", database="one", host="127.0.0.1", port=str(postgres.port),
                            dbname="app", force_user="", pool_mode="") == 1  # fmt: skip
        assert scrape.value("headgate_pool_size", database="one", user="app") == 4
        assert scrape.value("headgate_user_pool_size", user="app") == 4
        assert scrape.value("headgate_user_pool_size", user="admin") is None
        assert scrape.value("headgate_user_max_connections", user="app") == 5
        assert scrape.value("headgate_user_current_connections", user="app") == 1
        assert scrape.value("headgate_client_slots") == 100 and scrape.value("headgate_client_slots_used") == 1
        assert scrape.value("headgate_servers") == 1 and scrape.value("headgate_clients") == 1
        memory = {row["name"]: row for row in pooler.admin("SHOW MEM")}
        assert scrape.value("headgate_memory_object_bytes", kind="server_cache") == memory["server_cache"]["size"]
        assert scrape.value("headgate_memory_objects", kind="server_cache") == 1


def test_the_process_and_its_workers_say_what_they_take(started):
    pooler, web = started
    before = Scrape(web)
    some_traffic(pooler)
    scrape = Scrape(web)
    workers = scrape.all("headgate_worker_cpu_seconds_total")
    assert set(workers) == {("0",), ("1",)}
    assert sum(workers.values()) > sum(before.all("headgate_worker_cpu_seconds_total").values()) > 0
    assert scrape.value("process_cpu_seconds_total") >= sum(workers.values())
    assert abs(scrape.value("process_resident_memory_bytes") - pooler.rss_bytes()) < 5_000_000
    assert scrape.value("process_open_fds") < scrape.value("process_max_fds")
    assert 0 < scrape.value("process_start_time_seconds") <= time.time()
    assert sum(scrape.all("headgate_worker_delay_seconds").values()) > 0


# --- histograms


def test_histograms_count_what_show_stats_counts(started):
    pooler, web = started
    some_traffic(pooler)
    wait_until(lambda: stats_row(pooler)["total_xact_count"] >= 18, what="all transactions are counted")
    row, scrape = stats_row(pooler), Scrape(web)
    for name, count, time_column in (("query", "total_query_count", "total_query_time"),
                                     ("transaction", "total_xact_count", "total_xact_time"),
                                     ("wait", "total_server_assignment_count", "total_wait_time"),
                                     ("client_login", "total_client_login_count", None)):  # fmt: skip
        found = [scrape.histogram(f"headgate_pool_{name}_seconds", database="app", user=user) for user in ("app", "other")]
        first_logins = 2 if name == "wait" else 0  # they wait for a server to be there, and are not lent it
        assert sum(histogram.count for histogram in found) == row[count] + first_logins, name
        if time_column:
            assert sum(histogram.sum for histogram in found) == pytest.approx(float(row[time_column]) / 1e6), name
    for user in ("app", "other"):
        queries = scrape.histogram("headgate_pool_query_seconds", database="app", user=user)
        assert queries.longer_than(0.0064) >= 3  # pg_sleep(0.01)
        assert scrape.histogram("headgate_pool_transaction_seconds", database="app", user=user).longer_than(0.0064) >= 3


def test_a_wait_is_as_long_as_it_was(start_headgate):
    pooler, web = start_with_web(start_headgate, pool_mode="transaction", default_pool_size=1)
    with pooler.connect() as holder, Wire(pooler.port) as waiter:
        holder.execute("BEGIN")
        waiter.login()
        asked = time.monotonic()
        waiter.send(messages.query("SELECT 1"))
        wait_until(lambda: pooler.pool()["maxwait_us"] > 250_000, what="a quarter of a second has gone")
        holder.execute("COMMIT")
        waiter.read_until()
        took = time.monotonic() - asked
        waits = Scrape(web).histogram("headgate_pool_wait_seconds", database="app", user="app")
        assert 0.25 <= waits.sum <= took + 0.1  # the holder's log-in waited for a server, too
        assert waits.longer_than(0.2048) == 1


def test_histograms_outlive_the_share_of_a_worker(start_headgate):
    pooler, web = start_with_web(start_headgate, pool_mode="transaction", workers=2, server_idle_timeout=1,
                                 pool_idle_timeout=2)  # fmt: skip
    some_traffic(pooler, ("app",))
    last = 0

    def readings():
        nonlocal last
        scrape = Scrape(web)
        count = scrape.value("headgate_pool_query_seconds_count", database="app", user="app")
        assert count is None or count >= last, "a counter went back"
        last = count or last
        return count is None

    wait_until(readings, 60, "the pool is forgotten")
    assert last > 0
    assert stats_row(pooler)["total_query_count"] == last


# --- failures


def test_log_ins_that_fail_are_counted(start_headgate, postgres):
    databases = {"app": {"host": "127.0.0.1", "port": postgres.port, "dbname": "app"},
                 "gone": {"host": "127.0.0.1", "port": processes.free_port()}}  # fmt: skip
    pooler, web = start_with_web(start_headgate, databases, query_wait_timeout=2)
    for database, user in (("app", "nobody_here"), ("gone", "app"), ("none", "app")):
        with pytest.raises(psycopg.OperationalError):
            pooler.connect(database, user).close()
    with pooler.connect() as client:
        client.execute("SELECT 1")
    scrape = Scrape(web)
    failed = {labels: count for labels, count in scrape.all("headgate_client_failures_total").items() if count}
    assert failed[("no such database", "3D000")] == 1
    assert sum(failed.values()) == 3
    assert scrape.value("headgate_pool_server_login_failures_total", database="gone", user="app") >= 1
    assert scrape.value("headgate_pool_server_login_failures_total", database="app", user="app") == 0
    assert scrape.value("headgate_pool_server_logins_total", database="app", user="app") >= 1


def test_a_worker_that_is_stuck_is_named(start_headgate):
    pooler, web = start_with_web(start_headgate, workers=2)
    with frozen(threads_of_workers(pooler, web, 2)[1]):
        assert web.ask("/metrics")[::2] == (503, "worker 1 does not answer\n")
    wait_until(lambda: web.status("/metrics") == 200, what="it answers again")


# --- hosts


def test_hosts_have_roles_and_are_up_or_down(start_headgate):
    with Cluster() as cluster:
        pooler, web = start_with_web(start_headgate, cluster.databases(), monitor_user="monitor", monitor_interval=0.1)

        def roles():
            return {labels[0]: labels[-1] for labels in Scrape(web).all("headgate_host_info", database="app")}

        shown = wait_until(
            lambda: (rows := [row for row in pooler.admin("SHOW HOSTS") if row["database"] == "app"])
            and all(row["lsn"] for row in rows) and rows, what="all hosts are known")  # fmt: skip
        assert roles() == {row["host"]: row["role"] for row in shown}
        assert "standby" in roles().values() and "primary" in roles().values()
        standby = next(row for row in shown if row["role"] == "standby")
        labels = {"database": "app", "host": standby["host"], "port": str(standby["port"])}

        def lag():
            return Scrape(web).value("headgate_host_lag_seconds", **labels)

        assert wait_until(lambda: lag() is not None, what="its lag is known") and lag() >= 0
        assert Scrape(web).value("headgate_host_up", **labels) == 1
        for node in cluster.nodes:
            node.stop()
        wait_until(lambda: set(Scrape(web).all("headgate_host_up").values()) == {0}, what="all hosts are down")


# --- hostile names, and many


def test_hostile_names_are_escaped_and_stay_apart(start_headgate, postgres):
    names = [b'quo"te', b"back\\slash", b"new\nline", b"\xff\xfe", b"\xff\xfd", "\ufffd".encode(), "größe".encode(),
             b'} 1\nheadgate_evil{a="', b"\\n", b"\xed\xa0\x80"]  # fmt: skip
    pooler, web = start_with_web(start_headgate, {"*": {"host": "127.0.0.1", "port": postgres.port, "dbname": "app"}})
    with contextlib.ExitStack() as stack:
        for name in names:
            wire = stack.enter_context(Wire(pooler.port))
            body = b"user\0app\0database\0" + name + b"\0\0"
            wire.send((len(body) + 8).to_bytes(4, "big") + (196608).to_bytes(4, "big") + body)
            wire.read_until()
            wire.query("SELECT 1")
        for open_metrics in (False, True):
            scrape = Scrape(web, open_metrics)
            found = {labels[0] for labels in scrape.all("headgate_pool_size", user="app")}
            expected = {'quo"te', "back\\slash", "new\nline", "größe", '} 1\nheadgate_evil{a="', "\\n"}
            assert expected <= found and len(found) == len(names)
            assert "\ufffdFF\ufffdFE" in found and "\ufffdEF\ufffdBF\ufffdBD" in found
            assert not any(name.startswith("headgate_evil") for name in scrape.families)


def test_a_thousand_pools_are_read_at_once(start_headgate, postgres):
    pools = 1000
    pooler, web = start_with_web(
        start_headgate, {"*": {"host": "127.0.0.1", "port": postgres.port, "dbname": "app"}}, workers=2,
        pool_mode="transaction", max_client_conn=2000, server_lifetime=0)  # fmt: skip
    for number in range(pools):
        with Wire(pooler.port) as wire:
            wire.login("app", f"db{number}")
            wire.query("SELECT 1")
    with pooler.connect("db7") as client:
        scrape = Scrape(web, open_metrics=True)
        assert client.execute("SELECT 7").fetchone() == (7,)
    assert len([labels for labels in scrape.all("headgate_pool_size") if labels[0].startswith("db")]) == pools
    for number in (0, 500, 999):
        assert scrape.histogram("headgate_pool_query_seconds", database=f"db{number}", user="app").count == 1


# --- the documentation


def test_the_documentation_lists_what_there_is(started):
    pooler, web = started
    some_traffic(pooler)
    with open(f"{REPOSITORY}/docs/metrics.md", encoding="utf-8") as file:
        rows = re.findall(r"^\| `((?:headgate|process)_\w+)` \| (\w+) \|\s*([^|]*?)\s*\| ([^|]*) \|$", file.read(), re.MULTILINE)
    told = {}
    for line in web.text("/metrics").splitlines():
        if line.startswith("# HELP "):
            _, _, name, help_text = line.split(" ", 3)
        elif line.startswith("# TYPE "):
            told[name] = (line.rsplit(" ", 1)[1], help_text)
    documented = {name: ("gauge" if kind == "info" else kind, meaning) for name, kind, _, meaning in rows}
    assert documented == told
    labels = {name: set(re.findall(r"`(\w+)`", labels)) for name, _, labels, _ in rows}
    for (name, found), _ in Scrape(web).samples.items():
        base = re.sub(r"_(bucket|sum|count)$", "", name) if name not in labels else name
        assert {label for label, _ in found} - {"le"} == labels[base], name
