"""Settings whose effect no other file shows: one small test for each."""

import grp
import os
import re
import stat
import subprocess

import pytest

from lib import processes
from lib.headgate import as_pgbouncer, is_headgate
from lib.messages import parse, query, startup, sync
from lib.processes import wait_until
from lib.wire import Authenticator, ServerError, Wire, errors

pytestmark = pytest.mark.sanitizers
newer = pytest.mark.headgate_only  # newer than 1.18
PID = "SELECT pg_backend_pid()"


@pytest.fixture
def server(postgres):
    return {"host": "127.0.0.1", "port": postgres.port, "dbname": "single"}


def login(pooler, **more):
    with Wire(pooler.port) as wire:
        return wire.login(**more).value("SELECT 1")


def fatal(wire):
    *_, fields = errors(wire.read_to_end())
    assert fields["S"] == "FATAL"
    return fields["M"]


# --- log-ins


def test_ignore_startup_parameters(start_headgate):
    pooler = start_headgate(ignore_startup_parameters="extra_float_digits, search_path", **as_pgbouncer())
    assert login(pooler, extra_float_digits="3", search_path="elsewhere") == "1"
    with pytest.raises(ServerError, match="unsupported startup parameter: work_mem"):
        login(pooler, work_mem="1MB")


@newer
def test_the_word_options_ignores_what_stands_in_options(start_headgate):
    assert login(start_headgate(ignore_startup_parameters="options"), options="-c work_mem=1MB") == "1"


@newer
def test_login_notify_message(start_headgate):
    pooler = start_headgate(login_notify_message="mind the gap")
    with Wire(pooler.port) as wire:
        wire.send(startup({"user": "app", "database": "app"}))
        notices = [message.fields() for message in wire.read_until() if message.tag == "N"]
    assert [(notice["S"], notice["M"]) for notice in notices] == [("NOTICE", "mind the gap")]


def test_disable_pqexec(start_headgate):
    pooler = start_headgate(disable_pqexec=1)
    with Wire(pooler.port) as wire:
        wire.login().send(parse("SELECT 1"), sync())
        assert not errors(wire.read_until())
        wire.send(query("SELECT 1"))
        assert fatal(wire) == "PQexec disallowed"


@newer
def test_scram_iterations(start_headgate):
    pooler = start_headgate(auth_type="scram-sha-256", userlist={"app": "secret"}, scram_iterations=5000)
    with Wire(pooler.port) as wire:
        wire.send(startup({"user": "app", "database": "app"}))
        authenticator = Authenticator("app", "secret")
        wire.send(authenticator.answer(wire.read()))
        assert b"i=5000" in wire.read().body


def test_admin_users_and_stats_users(start_headgate):
    pooler = start_headgate(admin_users="app, admin", stats_users="other", userlist={"other": ""})
    pooler.admin("RELOAD", "app")
    pooler.admin("SHOW VERSION", "other")
    with pytest.raises(Exception, match="admin access needed"):
        pooler.admin("RELOAD", "other")


# --- logs


@pytest.mark.parametrize(
    "setting, line",
    [
        ("log_connections", "login attempt: db=app user=app"),
        ("log_disconnections", "closing because: client close request"),
        ("log_pooler_errors", "pooler error: no such database: nowhere"),
        ("log_stats", "stats: "),
    ],
)
@pytest.mark.parametrize("on", [1, 0])
def test_what_is_logged(start_headgate, setting, line, on):
    pooler = start_headgate(**{setting: on, "stats_period": 1})
    with Wire(pooler.port) as wire:
        wire.login().send(b"X\0\0\0\x04")
        wire.read_to_end()
    with Wire(pooler.port) as wire, pytest.raises(ServerError):
        wire.login(database="nowhere")
    other = "closing because" if setting == "log_stats" else "stats: "
    wait_until(lambda: other in pooler.log(), what="the log has gone on")
    if on:
        wait_until(lambda: line in pooler.log(), what="the line")
    else:
        assert line not in pooler.log()


def test_verbose(start_headgate):
    quiet, loud = start_headgate(), start_headgate(verbose=1)
    for pooler in (quiet, loud):
        login(pooler)
    assert " DEBUG " not in quiet.log()
    if is_headgate():
        with Wire(loud.port) as wire:
            wire.login().send(query("SELECT pg_sleep(30)"))
            wait_until(lambda: loud.pool()["sv_active"] == 1, what="the query runs")
            wire.cancel()
        wait_until(lambda: " DEBUG " in loud.log(), what="a line of that level")


def test_the_file_that_is_read_can_be_changed(start_headgate):
    pooler = start_headgate(default_pool_size=7)
    pooler.write("other.ini", open(pooler.path("headgate.ini"), encoding="utf-8").read().replace(
        "default_pool_size = 7", "default_pool_size = 8"))  # fmt: skip
    pooler.admin(f"SET conffile = '{pooler.path('other.ini')}'")
    pooler.admin("RELOAD")
    rows = {row["key"]: row["value"] for row in pooler.admin("SHOW CONFIG")}
    assert rows["default_pool_size"] == "8"


# --- sockets


@pytest.mark.parametrize("mode", ["0777", "0700"])
def test_unix_socket_mode(start_headgate, mode):
    pooler = start_headgate(unix_socket_mode=mode)
    status = os.stat(pooler.path(f".s.PGSQL.{pooler.port}"))
    assert stat.S_IMODE(status.st_mode) == int(mode, 8)


def test_unix_socket_group(start_headgate):
    account = processes.service_user()
    name = grp.getgrgid(account.pw_gid if account else os.getgid()).gr_name
    pooler = start_headgate(unix_socket_group=name)
    status = os.stat(pooler.path(f".s.PGSQL.{pooler.port}"))
    assert grp.getgrgid(status.st_gid).gr_name == name


def test_so_reuseport(start_headgate):
    first = start_headgate(so_reuseport=1)

    def on_the_same_port(pooler):
        pooler.port = pooler.settings["listen_port"] = first.port

    second = start_headgate(so_reuseport=1, before_start=on_the_same_port)
    wait_until(lambda: "process up" in second.log(), what="the second one has started")
    first.stop()
    assert login(second) == "1"


def timers(port):
    """What ss says of the connections at this port: keepalive timers and socket memory."""
    return subprocess.run(
        ["ss", "-tnoemH", "state", "established", "sport", f":{port}", "or", "dport", f":{port}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def test_tcp_keepalive_on_both_sides(start_headgate, postgres):
    for on in (1, 0):
        pooler = start_headgate(tcp_keepalive=on, tcp_keepidle=77, tcp_keepintvl=5, tcp_keepcnt=3)
        with Wire(pooler.port) as wire:
            wire.login().query("SELECT 1")
            for port in (pooler.port, postgres.port):
                wait_until(lambda port=port: "timer:(on," not in timers(port), what="nothing is on its way")
                assert bool(re.findall(r"keepalive,1min1[0-7]", timers(port))) == bool(on)
        pooler.stop()


# --- servers


@newer
def test_server_fast_close(start_headgate):
    pooler = start_headgate(pool_mode="session", server_fast_close=1)
    with Wire(pooler.port) as idle, Wire(pooler.port) as busy:
        idle.login().query("SELECT 1")
        busy.login().query("BEGIN")
        pooler.admin("RECONNECT")
        assert fatal(idle) == "database configuration changed"
        assert busy.value("SELECT 'still in its transaction'") == "still in its transaction"
        busy.send(query("COMMIT"))
        assert fatal(busy) == "database configuration changed"
    assert login(pooler) == "1"


@newer
def test_without_server_fast_close_a_session_keeps_its_server(start_headgate, count_servers):
    pooler = start_headgate(pool_mode="session")
    with Wire(pooler.port) as wire:
        pid = wire.login().value(PID)
        pooler.admin("RECONNECT")
        assert wire.value(PID) == pid


@newer
def test_a_connect_query_that_fails_is_logged(start_headgate, server):
    pooler = start_headgate({"app": {**server, "connect_query": "SELECT 1 / 0"}})
    assert login(pooler) == "1"
    assert "division by zero" in pooler.log()


def test_a_server_lifetime_of_0_uses_each_server_once(start_headgate):
    pooler = start_headgate(pool_mode="transaction", server_lifetime=0)
    with Wire(pooler.port) as wire:
        wire.login()
        assert len({wire.value(PID) for _ in range(4)}) == 4


@newer
def test_a_forced_user_is_not_lost_by_a_reload(start_headgate, server):
    pooler = start_headgate({"app": {**server, "user": "other"}}, pool_mode="transaction")
    assert login_user(pooler) == "other"
    pooler.databases = {"app": server}
    pooler.reload()
    assert "losing forced user not supported, keeping old setting" in pooler.log()
    assert login_user(pooler) == "other"


def login_user(pooler):
    with Wire(pooler.port) as wire:
        return wire.login().value("SELECT current_user")


@newer
def test_min_pool_size_of_a_forced_user_holds_from_the_reload_on(start_headgate, server, count_servers):
    pooler = start_headgate(pool_mode="transaction")
    pooler.databases = {"app": {**server, "user": "app", "min_pool_size": 2}}
    pooler.reload()
    wait_until(lambda: count_servers() == 2, what="two servers")


# --- keys of a database


@pytest.mark.parametrize(
    "key, value, shown",
    [
        ("client_encoding", "LATIN1", "LATIN1"),
        ("datestyle", "German", "German, DMY"),
        ("timezone", "Asia/Tokyo", "Asia/Tokyo"),
        ("application_name", "from the ini", "from the ini"),
    ],
)
def test_parameters_of_a_database_s_servers(start_headgate, server, key, value, shown):
    pooler = start_headgate({"app": {**server, key: value}})
    with Wire(pooler.port) as wire:
        assert wire.login().value(f"SHOW {key}") == shown


def waiting(pooler):
    return (pooler.pool() or {}).get("cl_waiting")


def fill(pooler, count, user="app"):
    """So many clients that want a transaction each."""
    clients = [Wire(pooler.port).login(user) for _ in range(count)]
    for wire in clients:
        wire.send(query("BEGIN"))
    return clients


@newer
@pytest.mark.parametrize("key", ["reserve_pool_size", "reserve_pool"])
def test_the_reserve_of_a_database(start_headgate, server, count_servers, key):
    pooler = start_headgate(
        {"app": {**server, "pool_size": 1, key: 1}}, pool_mode="transaction", reserve_pool_timeout=0.2
    )
    clients = fill(pooler, 3)
    wait_until(lambda: count_servers() == 2 and waiting(pooler) == 1, what="the reserve is in use")
    for wire in clients:
        wire.close()


def test_max_db_connections_of_a_database(start_headgate, server, count_servers):
    pooler = start_headgate({"app": {**server, "max_db_connections": 2}}, pool_mode="transaction")
    clients = fill(pooler, 4)
    wait_until(lambda: waiting(pooler) == 2, what="two wait")
    assert count_servers() == 2
    for wire in clients:
        wire.close()


@newer
def test_max_db_client_connections_of_a_database(start_headgate, server):
    pooler = start_headgate({"app": {**server, "max_db_client_connections": 1}})
    with Wire(pooler.port) as wire:
        wire.login()
        with pytest.raises(ServerError, match="max_db_client_connections"):
            login(pooler)


@newer
def test_server_lifetime_of_a_database(start_headgate, server):
    pooler = start_headgate({"app": {**server, "server_lifetime": 1}}, pool_mode="transaction")
    with Wire(pooler.port) as wire:
        pid = wire.login().value(PID)
        wait_until(lambda: wire.value(PID) != pid, what="another server")


@newer
def test_min_pool_size_of_a_database(start_headgate, server, count_servers):
    pooler = start_headgate({"app": {**server, "min_pool_size": 3}}, pool_mode="transaction")
    with Wire(pooler.port) as wire:
        wire.login()
        wait_until(lambda: count_servers() == 3, what="three servers")


@newer
@pytest.mark.parametrize("of_database, of_user, waits", [(1, None, False), (0, 1, False), (1, 0, True)])
def test_query_wait_timeout_of_a_database_and_of_a_user(start_headgate, server, of_database, of_user, waits):
    users = None if of_user is None else {"app": {"query_wait_timeout": of_user}}
    pooler = start_headgate(
        {"app": {**server, "pool_size": 1, "query_wait_timeout": of_database}}, users,
        pool_mode="transaction", query_wait_timeout=100, query_wait_notify=2,
    )  # fmt: skip
    holder, waiter = fill(pooler, 2)
    first = waiter.read()
    assert first.fields()["M"].startswith("No server connection" if waits else "query_wait_timeout")
    holder.close()
    waiter.close()


# --- keys of a user


@newer
def test_sizes_of_a_user(start_headgate, server, count_servers):
    pooler = start_headgate(
        {"app": {**server, "pool_size": 5}}, {"app": {"pool_size": 1, "reserve_pool_size": 1}},
        pool_mode="transaction", reserve_pool_timeout=0.2,
    )  # fmt: skip
    clients = fill(pooler, 4)
    wait_until(lambda: count_servers() == 2 and waiting(pooler) == 2, what="one and one of the reserve")
    for wire in clients:
        wire.close()


def test_max_user_connections_of_a_user(start_headgate, server, count_servers):
    pooler = start_headgate(
        {"app": server}, {"app": {"max_user_connections": 1}}, userlist={"other": ""}, pool_mode="transaction"
    )
    clients = fill(pooler, 3) + fill(pooler, 2, "other")
    wait_until(lambda: waiting(pooler) == 2 and count_servers("other") == 2, what="only one user is limited")
    assert count_servers("app") == 1
    for wire in clients:
        wire.close()


@newer
def test_max_user_client_connections_of_a_user(start_headgate, server):
    pooler = start_headgate({"app": server}, {"app": {"max_user_client_connections": 1}}, userlist={"other": ""})
    with Wire(pooler.port) as wire:
        wire.login()
        with pytest.raises(ServerError, match="max_user_client_connections"):
            login(pooler)
        assert login(pooler, user="other") == "1"


@newer
@pytest.mark.parametrize(
    "key, text",
    [
        ("client_idle_timeout", "client_idle_timeout"),
        ("idle_transaction_timeout", "idle transaction timeout"),
        ("transaction_timeout", "transaction timeout"),
    ],
)
def test_timeouts_of_a_user(start_headgate, server, key, text):
    pooler = start_headgate({"app": server}, {"app": {key: 1}}, userlist={"other": ""}, pool_mode="transaction")
    with Wire(pooler.port) as limited, Wire(pooler.port) as other:
        limited.login().query("SELECT 1" if key == "client_idle_timeout" else "BEGIN")
        other.login("other").query("BEGIN")
        assert fatal(limited) == text
        assert other.value("SELECT 'undisturbed'") == "undisturbed"


# --- names without effect


@newer
def test_what_has_no_effect_is_told_and_does_no_harm(start_headgate):
    inert = {"job_name": "x", "service_name": "y", "pkt_buf": 8192, "sbuf_loopcnt": 9,
             "resolv_conf": "/nowhere", "dns_zone_check_period": 5}  # fmt: skip
    pooler = start_headgate(**inert)
    for name in inert:
        assert f"{name} has no effect in Headgate" in pooler.log()
    assert login(pooler) == "1"


@newer
def test_the_check_lists_nothing_that_is_in_effect(start_headgate):
    pooler = start_headgate()
    report = subprocess.run([pooler.program, "--check", pooler.path("headgate.ini")],
                            capture_output=True, text=True, check=True).stdout  # fmt: skip
    without = re.search(r"^without effect: (.*)$", report, re.M).group(1).split(", ")
    assert sorted(without) == ["dns_zone_check_period", "job_name", "pkt_buf", "resolv_conf", "sbuf_loopcnt",
                               "service_name"]  # fmt: skip
