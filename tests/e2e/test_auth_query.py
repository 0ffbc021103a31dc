"""auth_query: users whose secrets are in the server, looked up as they log in."""

import signal

import psycopg
import pytest

from lib import messages, processes
from lib.headgate import Headgate, as_pgbouncer, sqlstate
from lib.scram import md5_secret
from lib.wire import ServerError, Wire, first_value

pytestmark = pytest.mark.sanitizers

MODES = ["session", "transaction", "statement"]


@pytest.fixture
def server(postgres):
    return {"host": "127.0.0.1", "port": postgres.port, "dbname": "single"}


@pytest.fixture
def roles(postgres):
    """create(name, password, encryption, more): roles of the test, let in by md5 or SCRAM."""
    made = []

    def create(name, password=None, encryption="scram-sha-256", more="LOGIN"):
        made.append(name)
        secret = f"PASSWORD '{password}'" if password else ""
        postgres.execute(f"SET password_encryption = '{encryption}'", f"CREATE ROLE {name} {more} {secret}")
        with open(f"{postgres.data}/pg_hba.conf", "a", encoding="utf-8") as file:
            file.write(f"host all {name} 127.0.0.1/32 {'md5' if password else 'trust'}\n")
        postgres.execute("SELECT pg_reload_conf()")

    yield create
    for name in made:
        postgres.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = '{name}'",
                         f"DROP ROLE {name}")


def start(start_headgate, databases, **settings):
    defaults = {"auth_type": "scram-sha-256", "auth_user": "postgres", "server_login_retry": 0}
    return start_headgate(databases, userlist={"postgres": "x"}, **{**defaults, **settings})


def whoami(pooler, user, password, database="app"):
    with Wire(pooler.port) as wire:
        return wire.login(user, database, password).value("SELECT current_user")


def refusal(pooler, user, password, database="app"):
    with pytest.raises(ServerError) as caught:
        whoami(pooler, user, password, database)
    fields = caught.value.fields
    assert fields["S"] == "FATAL"
    if fields["M"] == "no such user" or "authentication failed" in fields["M"]:
        assert fields["C"] == sqlstate("28P01")  # it does not tell the one from the other
    return fields["M"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("workers", [1, 3])
def test_users_log_in_with_what_the_server_knows(start_headgate, server, roles, mode, workers):
    roles("with_scram", "first secret")
    pooler = start(start_headgate, {"app": server}, pool_mode=mode, workers=workers)
    for _ in range(4):
        assert whoami(pooler, "with_scram", "first secret") == "with_scram"
        assert refusal(pooler, "with_scram", "wrong") == "SASL authentication failed"
        assert refusal(pooler, "not_there", "x") == "no such user"


@pytest.mark.parametrize("connect_query", [None, "SET work_mem = '123kB'"])
def test_nothing_that_a_client_left_decides_who_may_log_in(start_headgate, server, roles, connect_query):
    roles("somebody", "secret")
    database = {**server, **({"connect_query": connect_query} if connect_query else {})}
    pooler = start(start_headgate, {"app": database}, auth_type="md5", pool_mode="transaction", default_pool_size=1,
                   **as_pgbouncer())  # fmt: skip
    with Wire(pooler.port) as wire:
        wire.login("postgres", "app", "x")
        wire.query("CREATE TEMP TABLE pg_authid AS SELECT 'intruder'::name AS rolname, "
                   f"'{md5_secret('intruder', 'mine')}' AS rolpassword, NULL::timestamptz AS rolvaliduntil, "
                   "true AS rolcanlogin")  # fmt: skip
        assert refusal(pooler, "intruder", "mine") == "no such user"
        assert whoami(pooler, "somebody", "secret") == "somebody"
        if connect_query:
            assert wire.value("SHOW work_mem") == "123kB"


@pytest.mark.parametrize("auth_type", ["md5", "plain"])
def test_md5_secrets_open_the_server_too(start_headgate, server, roles, auth_type):
    roles("with_md5", "its secret", "md5")
    pooler = start(start_headgate, {"app": server}, auth_type=auth_type)
    assert whoami(pooler, "with_md5", "its secret") == "with_md5"
    assert refusal(pooler, "with_md5", "wrong") == "password authentication failed"


def test_a_changed_password_holds_at_the_next_log_in(start_headgate, server, roles, postgres):
    roles("changing", "old")
    pooler = start(start_headgate, {"app": server}, admin_users="postgres")
    assert whoami(pooler, "changing", "old") == "changing"
    postgres.execute("ALTER ROLE changing PASSWORD 'new'")
    assert refusal(pooler, "changing", "old") == "SASL authentication failed"
    assert whoami(pooler, "changing", "new") == "changing"
    # And for new servers, too: the pool has learnt the new keys.
    with pooler.console("postgres", password="x") as console:
        console.execute("RECONNECT")
    processes.wait_until(lambda: postgres.count_backends("single", "changing") == 0)
    assert whoami(pooler, "changing", "new") == "changing"


def test_who_may_not_log_in_to_the_server_may_not_here(start_headgate, server, roles):
    roles("expired", "secret", more="LOGIN VALID UNTIL '2001-01-01'")
    roles("no_login", "secret", more="NOLOGIN")
    roles("no_password")
    pooler = start(start_headgate, {"app": server})
    assert refusal(pooler, "no_login", "secret") == "no such user"
    assert " login failed: db=app user=no_login\n" in pooler.log()
    assert refusal(pooler, "expired", "secret") == "SASL authentication failed"
    assert refusal(pooler, "no_password", "") == "SASL authentication failed"


def test_an_empty_secret_in_the_file_asks_the_query(start_headgate, server, roles):
    roles("in_both", "in the server")
    pooler = start_headgate({"app": server}, userlist={"postgres": "x", "in_both": ""}, auth_type="md5",
                            auth_user="postgres")
    assert whoami(pooler, "in_both", "in the server") == "in_both"


def test_entries_have_their_own_user_query_and_database(start_headgate, server, postgres):
    query = "SELECT $1::text, 'of the entry'::text"
    databases = {
        "asks": {**server, "user": "app", "auth_user": "postgres", "auth_query": query, "auth_dbname": "secrets"},
        "silent": {**server, "user": "app"},
        "secrets": {**server, "dbname": "app"},
    }
    pooler = start(start_headgate, databases, auth_user=None, auth_type="plain")
    assert whoami(pooler, "anyone", "of the entry", "asks") == "app"
    assert [row["datname"] for row in postgres.backends(user="postgres")] == ["app"]
    assert refusal(pooler, "anyone", "of the entry", "silent") == "password authentication failed"


def test_the_database_of_the_secrets_is_checked(start_headgate, server):
    databases = {"app": server, "strange": {**server, "auth_dbname": "missing"}, "secrets": server}
    pooler = start(start_headgate, databases, auth_dbname="secrets")
    assert refusal(pooler, "scram_user", "x", "strange") == "bouncer config error"
    assert 'authentication database "missing" is not configured.' in pooler.log()
    assert whoami(pooler, "scram_user", "scram secret") == "scram_user"


def test_a_disabled_database_of_the_secrets(start_headgate, server):
    pooler = start_headgate(
        {"app": server, "secrets": server}, userlist={"postgres": "x", "admin": "a"}, auth_type="scram-sha-256",
        auth_user="postgres", auth_dbname="secrets")
    with pooler.console(password="a") as console:
        console.execute("DISABLE secrets")
        assert refusal(pooler, "scram_user", "scram secret") == 'authentication database "secrets" is disabled'
        console.execute("ENABLE secrets")
    assert whoami(pooler, "scram_user", "scram secret") == "scram_user"


def test_the_console_needs_a_database_for_the_secrets(start_headgate, server):
    def enter(pooler):
        with Wire(pooler.port) as wire:
            wire.login("scram_user", "pgbouncer", "scram secret")
            return wire.value("SHOW VERSION")

    pooler = start(start_headgate, {"app": server}, admin_users="scram_user", auth_dbname="app")
    assert "PgBouncer" in enter(pooler)
    pooler = start(start_headgate, {"app": server}, admin_users="scram_user")
    with pytest.raises(ServerError, match="bouncer config error"):
        enter(pooler)


@pytest.mark.parametrize("columns, number", [("rolname", 1), ("rolname, rolpassword, 1", 3)])
def test_an_answer_of_the_wrong_width(start_headgate, server, columns, number):
    query = f"SELECT {columns} FROM pg_authid WHERE rolname = $1"
    pooler = start(start_headgate, {"app": server}, auth_query=query)
    assert refusal(pooler, "scram_user", "scram secret") == "bouncer config error"
    assert f"closing because: expected 2 columns from auth_query, not {number}" in pooler.log()


@pytest.mark.parametrize("query", [
    "SELECT nonsense, $1", "SELECT 'a'::text, repeat('x', 200000)", "SELECT NULL::text, 'x'::text",
    "SELECT repeat($1, 200), 'x'::text", "COPY pg_authid TO STDOUT", "BEGIN", "",
])
def test_useless_answers_leave_clean_servers(start_headgate, server, query, count_servers):
    pooler = start(start_headgate, {"app": server}, auth_query=query, pool_mode="transaction",
                   default_pool_size=1)
    for _ in range(3):
        assert refusal(pooler, "scram_user", "x") in ("bouncer config error", "no such user")
    assert count_servers() <= 1


def test_errors_of_the_query_are_logged_with_their_words(start_headgate, server):
    pooler = start(start_headgate, {"app": server}, auth_query="SELECT 1/0, $1")
    assert refusal(pooler, "scram_user", "x") == "bouncer config error"
    assert "S: error in auth_query: ERROR: division by zero" in pooler.log()


def test_names_are_bound_and_nothing_else_of_the_client_is_sent(start_headgate, server, postgres):
    """Quotes do nothing; the client's parameters never reach the servers of auth_user (CVE-2025-12819)."""
    pooler = start(start_headgate, {"app": server}, default_pool_size=1, pool_mode="transaction",
                   ignore_startup_parameters="search_path")
    strange = "x'; CREATE TABLE stolen(); --"
    assert refusal(pooler, strange, "x") == "no such user"
    with Wire(pooler.port) as wire, pytest.raises(ServerError):
        wire.login("nobody", "app", "x", application_name="evil", DateStyle="German", search_path="evil")
    (backend,) = postgres.backends("single", "postgres")
    assert backend["application_name"] != "evil" and backend["query"].startswith("SELECT rolname")
    # That very server, asked by a client of its own pool: nothing was set.
    with pooler.connect(user="postgres", password="x") as client:
        assert client.execute("SELECT pg_backend_pid()").fetchone()[0] == backend["pid"]
        assert client.execute("SHOW DateStyle").fetchone()[0] == "ISO, MDY"
    assert postgres.value("SELECT to_regclass('stolen')", database="single") is None


def test_prepared_statements_are_discarded_and_come_back(start_headgate, server, roles):
    roles("somebody", "secret")
    pooler = start(start_headgate, {"app": server}, default_pool_size=1, pool_mode="transaction")
    with Wire(pooler.port) as wire:
        wire.login("postgres", "app", "x")
        wire.send(messages.parse("SELECT pg_backend_pid()", "mine"), messages.sync())
        wire.read_until()
        pids = set()
        for _ in range(2):
            assert whoami(pooler, "somebody", "secret") == "somebody"
            wire.send(messages.bind(statement="mine"), messages.execute(), messages.sync())
            pids.add(first_value(wire.read_until()))
        assert len(pids) == 1


SLOW = "SELECT rolname, rolpassword FROM pg_authid, pg_sleep(100) WHERE rolname = $1"


def begin_log_in(pooler, user="scram_user"):
    wire = Wire(pooler.port)
    wire.send(messages.startup({"user": user, "database": "app"}))
    return wire


def asleep(postgres):
    return [row for row in postgres.backends("single") if "pg_sleep" in row["query"] and row["state"] == "active"]


def test_a_client_that_vanishes_leaves_the_server_clean(start_headgate, server, postgres):
    pooler = start(start_headgate, {"app": server}, auth_query=SLOW, default_pool_size=1)
    wire = begin_log_in(pooler)
    processes.wait_until(lambda: asleep(postgres), what="the query runs")
    (before,) = postgres.backends("single", "postgres")
    wire.reset()
    processes.wait_until(lambda: not asleep(postgres), what="the query is cancelled")
    with pooler.connect(user="postgres", password="x") as client:
        assert client.execute("SELECT pg_backend_pid()").fetchone()[0] == before["pid"]


def test_waiting_for_the_query_is_bounded_by_client_login_timeout(start_headgate, server, postgres):
    pooler = start(start_headgate, {"app": server}, auth_query=SLOW, default_pool_size=1, client_login_timeout=1)
    with begin_log_in(pooler) as first, begin_log_in(pooler) as second:  # the second one waits for the server
        for wire in (first, second):
            assert wire.read_to_end()[-1].fields()["M"] == "client_login_timeout"
    processes.wait_until(lambda: not asleep(postgres), what="the query is cancelled")


def test_look_ups_keep_to_the_limits_and_take_turns(start_headgate, server, postgres):
    query = "SELECT rolname, rolpassword FROM pg_authid, pg_sleep(0.02) WHERE rolname = $1"
    pooler = start(start_headgate, {"app": server}, auth_query=query, auth_type="plain", pool_mode="transaction",
                   default_pool_size=2, workers=3, max_client_conn=200)
    wires = [begin_log_in(pooler, "scram_user") for _ in range(40)]
    most = 0
    for wire in wires:
        most = max(most, postgres.count_backends("single", "postgres"))
        assert wire.read().number() == 3  # a password, please: the look-up is done
        wire.close()
    assert 1 <= most <= 2


def test_servers_that_died_idle_are_replaced_unseen(start_headgate, server, postgres):
    pooler = start(start_headgate, {"app": server}, server_check_delay=1000)
    for _ in range(5):
        assert whoami(pooler, "scram_user", "scram secret") == "scram_user"
        postgres.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'"
                      " AND datname = 'single' AND pid <> pg_backend_pid()")


def test_what_the_server_says_of_auth_user_is_for_the_log_alone(start_headgate, server):
    pooler = start_headgate({"app": server}, userlist={"stranger": "x"}, auth_type="md5", auth_user="stranger")
    for _ in range(2):
        assert refusal(pooler, "scram_user", "x") == "bouncer config error"
    assert 'auth_query cannot run in database "app" as user "stranger": no pg_hba.conf entry' in pooler.log()


def test_a_secret_is_never_shown(start_headgate, server, roles, postgres):
    roles("secretive", "very secret", "md5")
    pooler = start(start_headgate, {"app": server}, auth_type="md5", admin_users="postgres", verbose=2)
    with pooler.connect(user="secretive", password="very secret"):
        shown = ""
        for what in ("USERS", "DATABASES", "POOLS", "CLIENTS", "SERVERS", "CONFIG", "LISTS"):
            with pooler.console("postgres", password="x") as console:
                shown += str(console.execute(f"SHOW {what}").fetchall())
    for text in (shown, pooler.log()):
        assert md5_secret("secretive", "very secret")[3:] not in text and "very secret" not in text


def test_the_users_of_the_query_are_counted(start_headgate, server):
    pooler = start(start_headgate, {"app": server}, max_user_client_connections=1)
    with pooler.connect(user="scram_user", password="scram secret"):
        with pytest.raises(psycopg.OperationalError, match="max_user_client_connections"):
            pooler.connect(user="scram_user", password="scram secret")


def test_the_end_comes_while_a_query_runs(server, postgres):
    with Headgate({"app": server}, userlist={"postgres": "x"}, auth_type="md5", auth_user="postgres",
                  auth_query=SLOW) as pooler:
        with begin_log_in(pooler):
            processes.wait_until(lambda: asleep(postgres), what="the query runs")
            pooler.send_signal(signal.SIGQUIT)
            pooler.wait_ended()
    postgres.end_backends("single")
