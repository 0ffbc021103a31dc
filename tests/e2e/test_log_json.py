"""log_format = json: lines that a log pipeline reads without parsing messages; what may be in them."""

import contextlib
import json
import re
import signal
import threading
import time

import psycopg
import pytest

from lib import messages, processes
from lib.processes import wait_until
from lib.web import start_with_web
from lib.wire import Wire

pytestmark = [pytest.mark.headgate_only, pytest.mark.sanitizers]

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d")
LEVELS = {"FATAL", "ERROR", "WARNING", "LOG", "DEBUG", "NOISE"}


def lines_of(path):
    """Its lines as dicts; whatever is no object of JSON fails the test. The last may be half written."""
    with open(path, "rb") as file:
        raw = file.read()
    lines = [json.loads(line.decode("utf-8")) for line in raw[: raw.rfind(b"\n") + 1].split(b"\n")[:-1]]
    for line in lines:
        assert TIME.fullmatch(line["time"]) and line["level"] in LEVELS and isinstance(line["message"], str), line
    return lines


def said(pooler, text, path=None):
    """The lines with this in their message, once there is one."""
    path = path or pooler.path("log")
    wait_until(lambda: any(text in line["message"] for line in lines_of(path)), what=f"{text} is logged")
    return [line for line in lines_of(path) if text in line["message"]]


def count(pooler, text):
    return sum(text in line["message"] for line in lines_of(pooler.path("log")))


@pytest.fixture
def start_json(start_headgate):
    def start(*arguments, **settings):
        return start_headgate(*arguments, **{"log_format": "json", **settings})

    return start


# --- lines


def test_a_client_s_life_is_fields(start_json, postgres):
    pooler = start_json(pool_mode="transaction")
    with Wire(pooler.port) as client:
        client.login()
        assert client.value("SELECT 1") == "1"
        port = client.socket.getsockname()[1]
        (row,) = [row for row in pooler.admin("SHOW CLIENTS") if row["port"] == port]
    (attempt,) = [line for line in said(pooler, "login attempt: db=app") if line.get("client_port") == port]
    who = {"pid": pooler.pid, "database": "app", "user": "app", "client_id": row["id"], "client_address": "127.0.0.1"}
    assert who.items() <= attempt.items()
    assert (attempt["tls"], attempt["replication"], attempt["level"]) == ("no", "no", "LOG")
    (closing,) = [line for line in said(pooler, "closing because: client unexpected eof") if line.get("client_id") == row["id"]]
    assert closing["reason"] == "client unexpected eof" and closing["age_s"] >= 0
    (server,) = said(pooler, "new connection to server")
    assert {"server_address": "127.0.0.1", "server_port": postgres.port, "database": "app"}.items() <= server.items()
    assert server["server_id"] > 0


def test_an_error_has_its_sqlstate(start_json):
    pooler = start_json()
    with pytest.raises(psycopg.OperationalError):
        pooler.connect("nowhere")
    (line,) = said(pooler, "pooler error: ")
    assert (line["level"], line["sqlstate"], line["database"]) == ("WARNING", "3D000", "nowhere")
    assert line["message"] == f"pooler error: {line['reason']}"


HOSTILE = [
    b'a","level":"FATAL","x":"',
    b"back\\slash\\",
    b"line\n{\"level\":\"FATAL\"}\n",
    b"\x01\x02\x1b[31m\x7f",
    b"latin-\xe4\xff\xfe",
    b"half \xe2\x82",
    "fünf €😀\u2028".encode(),
    b"\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_any_bytes(start_json, name):
    pooler = start_json()
    parameters = b"".join(part + b"\0" for part in (b"user", name, b"database", name, b"application_name", name)) + b"\0"
    with Wire(pooler.port) as client:
        body = (196608).to_bytes(4, "big") + parameters
        client.send((len(body) + 4).to_bytes(4, "big") + body)
        client.read_to_end()
    shown = name.decode("utf-8", "replace")
    closing = said(pooler, "closing because: ")[0]
    try:
        name.decode("utf-8")
        assert (closing["user"], closing["database"]) == (shown, shown)
    except UnicodeDecodeError:
        assert "\ufffd" in closing["user"] and "\ufffd" in closing["database"]
    assert closing["level"] == "LOG"
    assert not any(line["level"] == "FATAL" for line in lines_of(pooler.path("log")))


def test_ipv6_and_unix_sockets(start_json):
    pooler = start_json(listen_addr="127.0.0.1, ::1")
    with Wire(pooler.port, host=pooler.directory) as client:
        client.login()
    (unix,) = [line for line in said(pooler, "login attempt") if line["client_address"] == "unix"]
    assert unix["client_port"] == pooler.port and unix["client_pid"] > 0
    with Wire(pooler.port, host="::1") as client:
        client.login()
    wait_until(lambda: any(line["client_address"] == "::1" for line in said(pooler, "login attempt")), what="IPv6")


def test_every_outlet_has_the_same(start_json, make_headgate):
    pooler = make_headgate(log_format="json")
    pooler.settings["logfile"] = pooler.path("own.log")
    pooler.write_files()
    pooler.start()
    with Wire(pooler.port) as client:
        client.login()
    said(pooler, "login attempt", pooler.path("own.log"))
    from_start = [line for line in lines_of(pooler.path("own.log")) if "process up" in line["message"]]
    assert from_start and from_start == [line for line in lines_of(pooler.path("log")) if "process up" in line["message"]]


def test_it_changes_by_set_and_by_sighup(start_headgate):
    pooler = start_headgate()
    before = len(pooler.log().splitlines())

    def login():
        with Wire(pooler.port) as client:
            client.login()

    def formats():
        return ["json" if line.startswith("{") else "plain" for line in pooler.log().splitlines()[before:]]

    pooler.admin("SET log_format = 'json'")
    login()
    wait_until(lambda: formats()[-1] == "json", what="JSON by SET")
    pooler.admin("SET log_format = 'pgbouncer'")
    login()
    wait_until(lambda: formats()[-1] == "plain", what="plain by SET")
    pooler.settings["log_format"] = "json"
    pooler.write_files()
    pooler.send_signal(signal.SIGHUP)
    wait_until(lambda: login() or formats()[-1] == "json", what="JSON by SIGHUP")


def test_verbosity_changes_by_set(start_json):
    pooler = start_json(pool_mode="transaction")

    def cancel():
        with pooler.connect() as client:
            threading.Timer(0.3, client.cancel).start()
            with contextlib.suppress(psycopg.errors.QueryCanceled):
                client.execute("SELECT pg_sleep(30)")

    cancel()
    assert count(pooler, "cancel request: ") == 0
    pooler.admin("SET verbose = 1")
    cancel()
    assert said(pooler, "cancel request: ")[0]["level"] == "DEBUG"
    pooler.admin("SET verbose = 0")
    before = count(pooler, "cancel request: ")
    cancel()
    assert count(pooler, "cancel request: ") == before


# --- slow queries


def slow(pooler, text="duration: "):
    return [line for line in said(pooler, text) if "duration_ms" in line]


def test_a_slow_query_is_logged_with_what_is_known_and_without_constants(start_json, postgres):
    pooler = start_json(pool_mode="transaction", log_min_duration="200ms")
    with pooler.connect() as client:
        client.execute("SELECT 'quick secret'")
        (process,) = client.execute("SELECT pg_backend_pid(), pg_sleep(0.3), 'very secret', 4711").fetchone()[:1]
    (line,) = slow(pooler)
    assert line["duration_ms"] >= 300
    assert line["statement"] == "SELECT pg_backend_pid (), pg_sleep (?), ?"
    assert (line["server_pid"], line["server"]) == (process, f"127.0.0.1:{postgres.port}")
    assert (line["database"], line["user"], line["client_address"]) == ("app", "app", "127.0.0.1")
    assert "secret" not in pooler.log() and "4711" not in line["statement"]


def test_slow_queries_of_every_kind(start_json):
    pooler = start_json(pool_mode="transaction", log_min_duration="200ms")
    sleep = "SELECT pg_sleep(0.3)"
    with Wire(pooler.port) as client:
        client.login()
        client.send(messages.extended(sleep + " AS unnamed"), messages.sync())
        client.read_until()
        client.send(messages.parse(sleep + " AS named", "s"), messages.sync())
        client.read_until()
        client.send(messages.bind(statement="s"), messages.execute(), messages.sync())
        client.read_until()
        client.query("BEGIN")
        client.query("SELECT 1 AS quick")
        client.query(sleep + " AS in_transaction")
        client.query("COMMIT")
        # A pipeline: what is sent behind others is not kept.
        client.send(messages.query("SELECT 1"), messages.query(sleep + " AS piped"))
        client.read_until()
        client.read_until()
    wait_until(lambda: len(slow(pooler)) == 4, what="all are logged")
    assert [line["statement"] for line in slow(pooler)] == [
        "SELECT pg_sleep (?) AS unnamed",
        "SELECT pg_sleep (?) AS named",
        "SELECT pg_sleep (?) AS in_transaction",
        "(text not kept)",
    ]


def test_zero_logs_all_and_set_ends_it(start_headgate):
    pooler = start_headgate(pool_mode="session", log_min_duration=0)
    with pooler.connect() as client:
        for i in range(30):  # more than repetitions of a warning
            client.execute(f"SELECT 'secret {i}' AS one")
        wait_until(lambda: pooler.log().count("process") > 30, what="all are logged")
        text = r" LOG C-0x\w+: app/app@127\.0\.0\.1:\d+ duration: [\d.]+ ms; waited [\d.]+ ms; server \S+, process \d+: "
        assert len(re.findall(text + re.escape("SELECT ? AS one") + "\n", pooler.log())) == 30
        pooler.admin("SET log_min_duration = '-1'")
        before = pooler.log().count("duration: ")
        client.execute("SELECT 2")
        assert pooler.log().count("duration: ") == before
    assert "secret" not in pooler.log()
    with pytest.raises(psycopg.Error):
        pooler.admin("SET log_min_duration = '-2'")


def test_how_long_a_slow_query_has_waited_before(start_json):
    pooler = start_json(pool_mode="transaction", default_pool_size=1, log_min_duration="100ms")
    with pooler.connect(autocommit=False) as holder, pooler.connect() as waiter:
        holder.execute("SELECT 1")
        thread = threading.Thread(target=lambda: waiter.execute("SELECT pg_sleep(0.2) AS waiter"))
        thread.start()
        wait_until(lambda: pooler.pool()["cl_waiting"] == 1, what="it waits")
        time.sleep(0.2)
        holder.commit()
        thread.join()
    (line,) = slow(pooler)
    assert line["wait_ms"] >= 200 and line["statement"].endswith("AS waiter")


# --- long waits


def test_long_waits_and_how_they_end(start_json):
    pooler = start_json(pool_mode="transaction", default_pool_size=1, log_min_wait="100ms", query_wait_timeout=0)

    def wait_while(holder, client, give_back):
        holder.query("BEGIN")
        client.send(messages.query("SELECT 'secret'"))
        wait_until(lambda: pooler.pool()["cl_waiting"] == 1, what="it waits")
        time.sleep(0.15)
        give_back()

    with Wire(pooler.port) as holder, Wire(pooler.port) as client:
        holder.login()
        client.login()
        wait_while(holder, client, lambda: holder.query("COMMIT"))
        client.read_until()
        (served,) = said(pooler, "waited for a server: ")
        assert served["wait_ms"] >= 150 and (served["ended"], served["pool"]) == ("served", "app/app")
        assert served["clients_waiting"] == 0 and served["servers_active"] == 1
        wait_while(holder, client, client.close)
        wait_until(lambda: count(pooler, "waited for a server: ") == 2, what="its end")
        assert said(pooler, "waited for a server: ")[1]["ended"] == "client unexpected eof"
        holder.query("COMMIT")
        pooler.admin("SET query_wait_timeout = 1")
        with Wire(pooler.port) as other:
            other.login()
            wait_while(holder, other, lambda: other.read_until())
        wait_until(lambda: count(pooler, "waited for a server: ") == 3, what="the timeout")
        assert said(pooler, "waited for a server: ")[2]["ended"] == "query_wait_timeout"
    assert "secret" not in pooler.log()


def test_without_log_min_wait_none_is_logged(start_json):
    pooler = start_json(pool_mode="transaction", default_pool_size=1)
    with pooler.connect() as first, pooler.connect() as second:
        thread = threading.Thread(target=lambda: first.execute("SELECT pg_sleep(0.3)"))
        thread.start()
        second.execute("SELECT 1")
        thread.join()
    assert count(pooler, "waited for a server") == 0


# --- floods


def test_a_flood_of_log_ins_that_fail_is_cut_and_counted(start_headgate):
    pooler, web = start_with_web(start_headgate, log_format="json", log_connections=0, log_repeat_limit=5)
    tries = 40
    for user in ("app", "other"):
        for _ in range(tries):
            with Wire(pooler.port) as client, contextlib.suppress(Exception):
                client.login(user, "nowhere")
    wait_until(lambda: count(pooler, "closing because: ") == 2 * tries, what="each has its line of the end")
    errors = [line for line in lines_of(pooler.path("log")) if line["message"].startswith("pooler error: ")]
    logged = {user: sum(line["user"] == user for line in errors) for user in ("app", "other")}
    assert all(5 <= logged[user] <= 15 for user in logged), logged  # a period may have ended between
    failures = re.findall(r"headgate_client_failures_total\{.*} (\d+)", web.text("/metrics"))
    assert sum(map(int, failures)) == 2 * tries
    pooler.send_signal(signal.SIGQUIT)
    wait_until(lambda: pooler.process.poll() is not None, what="it ends")
    held = [line for line in lines_of(pooler.path("log")) if "repetitions" in line]
    for user in logged:
        mine = [line for line in held if line["user"] == user]
        assert sum(line["repetitions"] for line in mine) == tries - logged[user]
        assert all(line["database"] == "nowhere" and line["level"] == "WARNING" for line in mine)
        assert all(f"more like this in the last {line['seconds']} s for nowhere/{user}: pooler error: " in line["message"]
                   for line in mine)  # fmt: skip


def test_without_a_limit_each_is_logged(start_json):
    pooler = start_json(log_repeat_limit=0)
    for _ in range(40):
        with Wire(pooler.port) as client, contextlib.suppress(Exception):
            client.login("app", "nowhere")
    wait_until(lambda: count(pooler, "pooler error: ") == 40, what="all are logged")


def test_syntax_of_the_last_words(make_headgate):
    """What is said before the configuration is read, and when it is bad, is not lost in either form."""
    pooler = make_headgate(log_format="jsn")
    pooler.write_files()
    processes.write_file(pooler.path("log"), "")
    with pytest.raises(RuntimeError, match=r'log_format.*headgate\.ini|headgate\.ini.*log_format'):
        pooler.start()
    pooler.process = None
