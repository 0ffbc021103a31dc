"""The admin console shows what PgBouncer's shows: columns, types, rows."""

import re
import threading

import psycopg
import pytest

from lib.console_columns import COLUMNS, HELP, LISTS_ROWS, MAYBE_EMPTY, TOTALS_ROWS
from lib.headgate import is_headgate, is_sanitized
from lib.messages import query
from lib.processes import wait_until
from lib.wire import ServerError, Wire, tags

pytestmark = pytest.mark.sanitizers


@pytest.fixture(scope="module")
def pooler(module_headgates):
    return module_headgates(pool_mode="transaction", default_pool_size=3, stats_period=1)


@pytest.fixture
def traffic(pooler):
    """Two clients, one of them in a transaction."""
    with pooler.connect(application_name="seen") as idle, pooler.connect(autocommit=False) as active:
        idle.execute("SELECT 1")
        active.execute("SELECT 1")
        yield idle, active


@pytest.mark.headgate_only  # 1.18 has fewer columns
@pytest.mark.parametrize("command", list(COLUMNS))
def test_columns_are_those_of_pgbouncer_1_26(pooler, traffic, command):
    with pooler.console() as console:
        cursor = console.execute(f"SHOW {command}")
        assert [(column.name, column.type_code) for column in cursor.description] == COLUMNS[command]
        assert cursor.statusmessage == "SHOW"
        assert cursor.fetchall() or command in MAYBE_EMPTY


def test_show_pools_counts_clients_and_servers(pooler, traffic):
    pool = pooler.pool()
    assert (pool["cl_active"], pool["cl_waiting"], pool["sv_active"]) == (2, 0, 1)
    assert pool["pool_mode"] == "transaction"
    assert pooler.pool("pgbouncer", "pgbouncer")["pool_mode"] == "statement"


def test_show_clients_lists_each_client(pooler, traffic):
    rows = [row for row in pooler.admin("SHOW CLIENTS") if row["database"] == "app"]
    assert [row["user"] for row in rows] == ["app", "app"]
    assert {row["type"] for row in rows} == {"C"}
    assert {row["addr"] for row in rows} == {"127.0.0.1"}
    assert {row["local_port"] for row in rows} == {pooler.port}
    assert "seen" in {row["application_name"] for row in rows}
    assert sum(row["link"] != "" for row in rows) == 1
    assert all(row["ptr"].startswith("0x") for row in rows)


def test_show_servers_lists_each_server(pooler, traffic, postgres):
    rows = pooler.admin("SHOW SERVERS")
    assert {row["type"] for row in rows} == {"S"}
    assert {row["port"] for row in rows} == {postgres.port}
    pids = {backend["pid"] for backend in postgres.backends("app", "app")}
    assert {row["remote_pid"] for row in rows} <= pids
    assert sum(row["link"] != "" for row in rows) == 1
    assert [row["state"] for row in rows].count("active") == 1


def test_client_and_server_are_linked_to_each_other(pooler, traffic):
    clients = {row["ptr"]: row["link"] for row in pooler.admin("SHOW CLIENTS") if row["link"]}
    servers = {row["ptr"]: row["link"] for row in pooler.admin("SHOW SERVERS") if row["link"]}
    assert clients == {client: server for server, client in servers.items()}


def test_show_databases(pooler, traffic, postgres):
    rows = {row["name"]: row for row in pooler.admin("SHOW DATABASES")}
    assert set(rows) == {"app", "pgbouncer"}
    app = rows["app"]
    assert (app["host"], app["port"], app["database"]) == ("127.0.0.1", postgres.port, "app")
    assert (app["pool_size"], app["paused"], app["disabled"]) == (3, 0, 0)
    assert (app["force_user"], app["pool_mode"]) == (None, None)
    assert app["current_connections"] >= 1
    admin = rows["pgbouncer"]
    assert (admin["host"], admin["port"], admin["force_user"]) == (None, pooler.port, "pgbouncer")


def test_show_stats_counts_queries_and_bytes(pooler):
    def totals():
        (row,) = [row for row in pooler.admin("SHOW STATS") if row["database"] == "app"]
        return row

    with pooler.connect(autocommit=False) as connection:
        before = totals()
        for _ in range(10):
            connection.execute("SELECT repeat('x', 1000)")
            connection.execute("SELECT 1")
            connection.commit()
        after = wait_until(
            lambda: (row := totals())["total_xact_count"] - before["total_xact_count"] == 10 and row,
            what="ten transactions counted",
        )
    counted = {name: after[name] - before[name] for name in before if name.startswith("total_")}
    assert counted["total_query_count"] == 40
    assert 10_000 < counted["total_sent"] < 30_000
    assert 500 < counted["total_received"] < 3000
    assert counted["total_xact_time"] >= counted["total_query_time"] > 0


def test_show_totals_adds_up_the_databases(pooler, traffic):
    totals = {row["name"]: row["value"] for row in pooler.admin("SHOW TOTALS")}
    assert totals["total_query_count"] > 0
    if is_headgate():
        assert list(totals) == TOTALS_ROWS


def test_show_lists(pooler, traffic):
    rows = pooler.admin("SHOW LISTS")
    items = {row["list"]: row["items"] for row in rows}
    assert items["used_clients"] == 3
    assert items["databases"] == 2
    assert items["used_servers"] >= 1
    if is_headgate():
        assert [row["list"] for row in rows] == LISTS_ROWS


def test_show_config_tells_values_defaults_and_what_can_change(pooler):
    rows = {row["key"]: row for row in pooler.admin("SHOW CONFIG")}
    assert rows["pool_mode"]["value"] == "transaction"
    assert rows["pool_mode"]["default"] == "session"
    assert rows["default_pool_size"]["value"] == "3"
    assert rows["server_lifetime"]["value"] == "3600"
    assert rows["listen_port"]["changeable"] == "no"
    assert rows["query_timeout"]["changeable"] == "yes"


def test_show_users_mem_version(pooler, traffic):
    assert {"app", "admin"} <= {row["name"] for row in pooler.admin("SHOW USERS")}
    assert "server_cache" in {row["name"] for row in pooler.admin("SHOW MEM")}
    version = pooler.admin("SHOW VERSION")[0]["version"]
    assert version.startswith("PgBouncer ")  # exporters look for it
    assert "Headgate" in version or not is_headgate()


@pytest.mark.headgate_only  # newer than 1.18
def test_show_state(pooler):
    states = {row["key"]: row["value"] for row in pooler.admin("SHOW STATE")}
    assert (states["active"], states["paused"], states["suspended"]) == ("yes", "no", "no")


def test_show_help_is_a_notice(pooler):
    with Wire(pooler.port) as wire:
        wire.login("admin", "pgbouncer")
        answer = wire.query("SHOW HELP")
        (notice,) = [message.fields() for message in answer if message.tag == "N"]
        assert notice["M"] == "Console usage"
        assert answer[-2].text() == "SHOW"
        shown = set(re.findall(r"\w+", notice["D"]))
        assert notice["D"] == HELP or not is_headgate()
        assert {"SHOW", "POOLS", "CONFIG", "PAUSE", "RESUME", "RELOAD", "KILL", "SHUTDOWN", "SET"} <= shown


def test_login_to_the_console_tells_its_version(pooler):
    with Wire(pooler.port) as wire:
        wire.login("admin", "pgbouncer")
        assert wire.parameters["server_version"].endswith("/bouncer")
        assert wire.parameters["client_encoding"] == "UTF8"


def test_commands_are_read_without_regard_to_case(pooler):
    with pooler.console() as console:
        for command in ("show pools", "SHOW POOLS;", "  Show  Pools ; ", "SELECT pools"):
            assert console.execute(command).fetchall()


def test_an_unknown_command_is_an_error_and_no_more(pooler):
    with pooler.console() as console:
        for command in ("FOO", "SHOW NOTHING", "SHOW POOLS; SHOW POOLS", ""):
            with pytest.raises(psycopg.Error, match="invalid command|use SHOW HELP"):
                console.execute(command or "-- nothing")
        assert console.execute("SHOW VERSION").fetchall()


def test_sockets_are_those_of_clients_and_servers(pooler, traffic):
    with Wire(pooler.port, pooler.directory) as silent:  # it has connected and not yet said who it is
        rows = wait_until(
            lambda: (all_rows := pooler.admin("SHOW SOCKETS")) and all_rows[-1]["state"] == "cl_login" and all_rows,
            what="the one that logs in is shown",
        )
        silent.close()
    states = [row["state"] for row in rows if row["database"] == "app"]
    assert states.count("cl_active") == 2
    assert states.count("sv_active") == 1
    clients = {row["id"] for row in pooler.admin("SHOW CLIENTS") if row["database"] == "app"}
    assert clients == {row["id"] for row in rows if row["type"] == "C" and row["database"] == "app"}


def test_bytes_that_wait_for_a_server_are_seen(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    text = "SELECT 1 -- " + "x" * 1000
    with Wire(pooler.port) as holder, Wire(pooler.port) as waiter:
        holder.login().query("BEGIN")
        waiter.login().send(query(text))
        (row,) = wait_until(lambda: pooler.admin("SHOW ACTIVE_SOCKETS"), what="a socket with bytes")
        assert (row["state"], row["recv_pos"], row["pkt_avail"]) == ("cl_waiting", len(text) + 6, len(text) + 6)
        holder.query("COMMIT")
        waiter.read_until()
        assert not pooler.admin("SHOW ACTIVE_SOCKETS")


def test_answers_that_nobody_reads_do_not_pile_up(pooler):
    commands = 4000  # 50 MB of answers
    with Wire(pooler.port) as wire:
        wire.login("admin", "pgbouncer")
        before = pooler.rss_bytes()
        sending = threading.Thread(target=wire.send, args=[query("SHOW CONFIG") * commands])
        sending.start()
        row = wait_until(
            lambda: [row for row in pooler.admin("SHOW ACTIVE_SOCKETS") if row["send_avail"]], what="the console is full"
        )
        assert row[0]["database"] == "pgbouncer"
        if not is_sanitized():
            assert pooler.rss_bytes() - before < 10_000_000
        for _ in range(commands):
            assert tags(wire.read_until()).endswith("CZ")
        sending.join(10)
        assert not sending.is_alive()


def test_ids_are_shared_and_never_used_again(pooler):
    def ids():
        return [row["id"] for kind in ("CLIENTS", "SERVERS") for row in pooler.admin(f"SHOW {kind}")]

    with pooler.connect() as connection:
        connection.execute("SELECT 1")
        seen = ids()
        assert len(set(seen)) == len(seen)
    with pooler.connect():
        assert max(ids()) > max(seen)


def test_the_console_counts_itself(pooler):
    def row(command, key="database"):
        return next(row for row in pooler.admin(command) if row[key] == "pgbouncer")

    before = row("SHOW STATS")["total_query_count"]
    pooler.admin("SHOW VERSION")
    if is_headgate():  # 1.18 counts the first query of a connection, more or less
        assert row("SHOW STATS")["total_query_count"] == before + 2
    assert row("SHOW POOLS")["cl_active"] == 1
    assert row("SHOW DATABASES", "name")["pool_size"] == 2


def test_databases_from_the_fallback_are_hidden_when_idle(start_headgate, postgres):
    target = {"host": "127.0.0.1", "port": postgres.port, "dbname": "app"}
    pooler = start_headgate({"*": target}, server_idle_timeout=1)

    def shown():
        return {row["name"] for row in pooler.admin("SHOW DATABASES")}

    with pooler.connect("one") as connection:
        connection.execute("SELECT 1")
        assert "one" in shown()
    pooler.admin("DISABLE two")
    assert "two" in shown()
    if is_headgate():  # PgBouncer waits for autodb_idle_timeout
        wait_until(lambda: shown() == {"two", "pgbouncer"}, what="the idle database is hidden")
        pooler.admin("ENABLE two")
        assert shown() == {"pgbouncer"}


def test_who_may_do_what(pooler):
    with pooler.console("stats") as console:
        assert console.execute("SHOW POOLS").fetchall()
        for command in ("RELOAD", "PAUSE", "SET query_timeout = 1", "SHUTDOWN"):
            with pytest.raises(psycopg.Error, match="admin access needed"):
                console.execute(command)
    with Wire(pooler.port) as wire, pytest.raises(ServerError, match="not allowed"):
        wire.login("app", "pgbouncer")


def test_many_commands_in_one_write_are_answered_in_order(pooler):
    with Wire(pooler.port) as wire:
        wire.login("admin", "pgbouncer").send(*(query("SHOW VERSION") for _ in range(20)))
        assert [tags(wire.read_until()) for _ in range(20)] == ["TDCZ"] * 20
