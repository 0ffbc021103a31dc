"""Who may say what on the console: every command, with and without argument, for each kind of user."""

import psycopg
import pytest

from lib.messages import bind, execute, parse, query, sync
from lib.processes import as_service_user
from lib.wire import ServerError, Wire, errors

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only]  # 1.18 has fewer commands

SHOWS = """CLIENTS SERVERS POOLS DATABASES USERS SOCKETS ACTIVE_SOCKETS PEERS PEER_POOLS DNS_HOSTS DNS_ZONES LISTS
    STATS STATS_TOTALS STATS_AVERAGES TOTALS CONFIG MEM STATE VERSION HELP HOSTS ROUTES
    WAITS HOLDERS""".split()
PARAMETERS = """client_encoding default_transaction_isolation standard_conforming_strings datestyle timezone""".split()

# What everybody on the console may say.
FOR_ALL = [f"SHOW {name}" for name in (*SHOWS, *PARAMETERS)]
FOR_ALL += [f"SELECT {name}" for name in SHOWS] + [f"SET {name} = 'x'" for name in PARAMETERS]
FOR_ALL += ["EXPLAIN ROUTE SELECT 1"]
# What needs admin rights, and what an admin hears, one after the other: nothing, or an error.
FOR_ADMINS = [
    ("SHOW FDS", None),
    ("SET query_timeout = 0", None),
    ("SET nothing = 0", "SET failed"),
    ("RELOAD", None),
    ("PAUSE", None),
    ("PAUSE app", "already suspended/paused"),
    ("SUSPEND", "already suspended/paused"),
    ("KILL", "already suspended/paused"),
    ("KILL app", "already suspended/paused"),
    ("RESUME", None),
    ("RESUME app", "database app is not paused"),
    ("RESUME nowhere", "no such database: nowhere"),
    ("RESUME pgbouncer", "database pgbouncer is not paused"),
    ("PAUSE nowhere", "no such database: nowhere"),
    ("PAUSE pgbouncer", "cannot pause admin db: pgbouncer"),
    ("DISABLE", "a database is required"),
    ("DISABLE app", None),
    ("DISABLE nowhere", "no such database: nowhere"),
    ("DISABLE pgbouncer", "cannot disable admin db: pgbouncer"),
    ("ENABLE", "a database is required"),
    ("ENABLE app", None),
    ("ENABLE nowhere", "no such database: nowhere"),
    ("ENABLE pgbouncer", "cannot enable admin db: pgbouncer"),
    ("RECONNECT", None),
    ("RECONNECT app", None),
    ("RECONNECT nowhere", "no such database: nowhere"),
    ("RECONNECT pgbouncer", "cannot reconnect admin db: pgbouncer"),
    ("WAIT_CLOSE", None),
    ("WAIT_CLOSE app", None),
    ("WAIT_CLOSE nowhere", "no such database: nowhere"),
    ("WAIT_CLOSE pgbouncer", "cannot wait in admin db: pgbouncer"),
    ("KILL_CLIENT", "invalid client pointer supplied"),
    ("KILL_CLIENT x1", "invalid client pointer supplied"),
    ("KILL_CLIENT 123456789", "client not found"),
    ("KILL_CLIENT 99999999999999999999", "invalid client pointer supplied"),
    ("KILL nowhere", "no such database: nowhere"),
    ("KILL pgbouncer", "cannot kill admin db: pgbouncer"),
    ("KILL app", None),
    ("RESUME app", None),
    ("PAUSE app", None),
    ("SUSPEND", "cannot suspend with paused databases"),
    ("RESUME app", None),
    ("KILL", None),
    ("SUSPEND", None),
    ("RESUME", None),
]


@pytest.fixture
def pooler(start_headgate):
    return start_headgate()


def error_of(wire, command):
    """The text of the error that answers a command, or None; alike in both protocols."""
    wire.send(query(command))
    (simple,) = errors(wire.read_until()) or (None,)
    return simple and simple["M"]


def extended_error_of(wire, command):
    wire.send(parse(command), bind(), execute(), sync())
    (fields,) = errors(wire.read_until()) or (None,)
    return fields and fields["M"]


def check_may_look_only(wire):
    for command in FOR_ALL:
        assert error_of(wire, command) is None, command
        assert extended_error_of(wire, command) is None, command
    for command in (*dict(FOR_ADMINS), "SHUTDOWN", "SHUTDOWN WAIT_FOR_SERVERS", "SHUTDOWN WAIT_FOR_CLIENTS"):
        assert error_of(wire, command) == "admin access needed", command
        assert extended_error_of(wire, command) == "admin access needed", command


def check_may_do_all(wire):
    for command in FOR_ALL:
        assert error_of(wire, command) is None, command
    for command, text in FOR_ADMINS:
        assert error_of(wire, command) == text, command


def test_an_admin_may_do_all(pooler):
    with Wire(pooler.port) as wire:
        check_may_do_all(wire.login("admin", "pgbouncer"))


def test_the_owner_may_do_all_over_the_unix_socket(pooler):
    with as_service_user(), Wire(pooler.port, pooler.directory) as wire:
        check_may_do_all(wire.login("pgbouncer", "pgbouncer"))
        assert wire.asked == [0]
    assert "pgbouncer access from unix socket" in pooler.log()


def test_a_stats_user_may_look(pooler):
    with Wire(pooler.port) as wire:
        check_may_look_only(wire.login("stats", "pgbouncer"))


def test_with_auth_type_any_everybody_may_look(start_headgate, postgres):
    target = {"host": "127.0.0.1", "port": postgres.port, "dbname": "single", "user": "app"}
    pooler = start_headgate({"app": target}, auth_type="any")
    with Wire(pooler.port) as wire:
        check_may_look_only(wire.login("somebody", "pgbouncer"))


@pytest.mark.parametrize("user", ["app", "pgbouncer", "nobody"])
def test_others_do_not_even_come_to_a_password(start_headgate, user):
    pooler = start_headgate(auth_type="scram-sha-256")
    with Wire(pooler.port) as wire:
        with pytest.raises(ServerError, match="not allowed"):
            wire.login(user, "pgbouncer")
        assert wire.asked == []


def test_limits_of_clients_do_not_keep_an_admin_out(start_headgate):
    pooler = start_headgate(max_client_conn=1, max_user_client_connections=1, max_db_client_connections=1)
    with pooler.connect():
        with pytest.raises(psycopg.OperationalError, match="max_client_conn"):
            pooler.connect()
        with pooler.console() as one, pooler.console() as two:
            assert one.execute("SHOW VERSION").fetchall() == two.execute("SHOW VERSION").fetchall()


def test_each_command_is_logged_and_each_error_twice(pooler):
    with Wire(pooler.port) as wire:
        check_may_do_all(wire.login("admin", "pgbouncer"))
        error_of(wire, "NONSENSE")
        port = wire.socket.getsockname()[1]
    log = pooler.log()
    for word in "PAUSE RESUME SUSPEND KILL RECONNECT WAIT_CLOSE RELOAD".split():
        assert f" LOG {word} command issued" in log
    for word in "PAUSE RESUME KILL DISABLE ENABLE RECONNECT WAIT_CLOSE".split():
        assert f" LOG {word} 'app' command issued" in log
    assert " LOG KILL_CLIENT '123456789' command issued" in log
    for text in ("invalid command 'NONSENSE', use SHOW HELP;", "already suspended/paused", "client not found"):
        assert f" ERROR {text}\n" in log
        assert f"pgbouncer/admin@127.0.0.1:{port} pooler error: {text}\n" in log
