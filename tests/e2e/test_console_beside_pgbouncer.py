"""Debian's PgBouncer (1.18) and Headgate (which answers as 1.26) side by side: the same files, the same traffic, the same
questions on the console.

What 1.26 has and 1.18 has not yet is allowed where it was added; every other difference is listed here with its reason.
"""

import contextlib
import os

import pytest

from lib.headgate import Headgate
from lib.messages import query
from lib.wire import Wire

pytestmark = pytest.mark.headgate_only  # it starts both programs

PGBOUNCER = "/usr/sbin/pgbouncer"

SHOWS = """CLIENTS SERVERS POOLS DATABASES USERS SOCKETS ACTIVE_SOCKETS FDS LISTS MEM STATS STATS_TOTALS STATS_AVERAGES
    TOTALS CONFIG DNS_HOSTS DNS_ZONES VERSION client_encoding default_transaction_isolation
    standard_conforming_strings datestyle timezone""".split()

# Columns that have another name since: (SHOW, name in 1.18) -> (name in 1.26, reason).
RENAMED = {
    ("DATABASES", "reserve_pool"): ("reserve_pool_size", "1.24"),
}

# Settings of 1.18 that are no more.
GONE_SETTINGS = {}

# Rows by their first column, which must be a subsequence of Headgate's.
NAMED_ROWS = "LISTS MEM TOTALS CONFIG".split()

# Commands and what 1.18 answers differently, with the reason. Headgate's answer is tested in test_admin_access.py.
KNOWN_DIFFERENCES = {
    "KILL": "needs no database since 1.25",
    "ENABLE pgbouncer": "1.18 says `cannot disable admin db`",
    "KILL_CLIENT": "since 1.24",
    "KILL_CLIENT abc": "since 1.24",
    "KILL_CLIENT 999999": "since 1.24",
    "SHOW STATE": "since 1.22",
    "SHOW PEERS": "since 1.19",
    "SHOW PEER_POOLS": "since 1.19",
    "SHOW HELP": "1.18 names other commands",
}

COMMANDS = [
    *KNOWN_DIFFERENCES,
    "SELECT version", "", " ", ";", "SHOW", "SHOW FOO", "SHOW POOLS x", "SHOW POOLS; SHOW POOLS", "-- nothing", "SELECT 1", "FOO",
    "  show   pools ; ", "select CLIENTS", "SHOW \"pools\"", "SHOW 'pools'",
    "a" * 15, "a" * 16, "PAUSE " + "a" * 63, "PAUSE " + "a" * 64, f"RESUME {'a' * 63}",
    "SET", "SET foo", "SET foo = 1", "SET verbose = abc", "SET verbose = 0", "SET verbose to '0'", "SET listen_port = 9",
    "SET query_timeout = '" + "1" * 256 + "'", "SET timezone = 'x'", "SET client_encoding to UTF8", "SET a = 1;;",
    "RELOAD x", "SUSPEND x", "SHUTDOWN x", "RELOAD",
    "PAUSE pgbouncer", "RESUME pgbouncer", "RESUME", "RESUME nowhere", "RESUME app", "PAUSE nowhere",
    "DISABLE", "DISABLE pgbouncer", "DISABLE nowhere", "ENABLE", "ENABLE nowhere",
    "KILL nowhere", "KILL pgbouncer",
    "RECONNECT nowhere", "RECONNECT pgbouncer", "WAIT_CLOSE nowhere", "WAIT_CLOSE pgbouncer",
    "DISABLE app", "ENABLE app", "DISABLE \"app\"", "ENABLE \"app\"",
    "PAUSE unused", "PAUSE unused", "SUSPEND", "RESUME", "RESUME unused", "RESUME unused",
    "KILL unused", "RESUME unused", "WAIT_CLOSE unused", "RECONNECT unused",
]  # fmt: skip


@pytest.fixture(scope="module")
def poolers(postgres):
    if not os.path.exists(PGBOUNCER):
        pytest.skip(f"{PGBOUNCER} is not installed")
    target = {"host": "127.0.0.1", "port": postgres.port, "dbname": "app"}
    databases = {"app": target, "two": {**target, "pool_mode": "session"}, "unused": target}
    with contextlib.ExitStack() as stack:
        started = {}
        for name, options in (("pgbouncer", {"program": PGBOUNCER}), ("headgate", {})):
            pooler = Headgate(
                databases, {"other": "pool_mode=session"}, userlist={"other": ""}, pool_mode="transaction", **options
            )
            stack.enter_context(pooler)
            for database, user in (("app", "app"), ("app", "other"), ("two", "app")):
                connection = stack.enter_context(pooler.connect(database, user))
                connection.execute("SELECT 1")
            started[name] = pooler
        yield started


def table(pooler, command):
    """The columns as (name, type), the rows, and the command tag."""
    with pooler.console() as console:
        cursor = console.execute(command)
        columns = [(column.name, column.type_code) for column in cursor.description]
        return columns, [list(row.values()) for row in cursor.fetchall()], cursor.statusmessage


def missing_in_order(part, whole):
    """What of `part` does not stand in `whole` in the same order."""
    rest = iter(whole)
    return [one for one in part if one not in rest]


@pytest.mark.parametrize("show", SHOWS)
def test_columns_keep_their_names_order_and_types(poolers, show):
    old, _, old_tag = table(poolers["pgbouncer"], f"SHOW {show}")
    new, _, new_tag = table(poolers["headgate"], f"SHOW {show}")
    old = [(RENAMED.get((show, name), (name,))[0], kind) for name, kind in old]
    assert missing_in_order(old, new) == []
    assert old_tag == new_tag == "SHOW"


@pytest.mark.parametrize("show", NAMED_ROWS)
def test_named_rows_stand_in_the_same_order(poolers, show):
    old = [row[0] for row in table(poolers["pgbouncer"], f"SHOW {show}")[1] if row[0] not in GONE_SETTINGS]
    new = [row[0] for row in table(poolers["headgate"], f"SHOW {show}")[1]]
    missing = missing_in_order(old, new) if show != "CONFIG" else sorted(set(old) - set(new))
    assert missing == []


def common(poolers, show, names):
    """The values of these columns in both, row by row."""
    both = []
    for pooler in poolers.values():
        columns, rows, _ = table(pooler, f"SHOW {show}")
        places = [[name for name, _ in columns].index(name) for name in names]
        both.append([[row[place] for place in places] for row in rows])
    return both


@pytest.mark.parametrize(
    ("show", "names"),
    [
        ("CLIENTS", ["type", "user", "database", "addr", "wait", "close_needed", "tls"]),
        ("SERVERS", ["type", "user", "database", "addr", "port", "close_needed", "tls"]),
        ("POOLS", ["database", "user", "cl_active", "cl_waiting", "sv_active", "sv_login", "maxwait", "pool_mode"]),
        ("DATABASES", ["name", "host", "database", "force_user", "pool_size", "pool_mode", "max_connections",
                       "current_connections", "paused", "disabled"]),
        ("USERS", ["name", "pool_mode"]),
        ("STATS", ["database"]),
        ("STATS_TOTALS", ["database"]),
    ],
)  # fmt: skip
def test_rows_say_the_same(poolers, show, names):
    old, new = common(poolers, show, names)
    assert old == new


def answer(wire, command):
    """Errors with all their fields, notices, and the tag; rows are compared elsewhere."""
    wire.send(query(command))
    return [
        message.fields() if message.tag in "EN" else message.text()
        for message in wire.read_until()
        if message.tag in "ENC"
    ]


def test_commands_are_answered_alike(poolers):
    differences = {}
    with contextlib.ExitStack() as stack:
        old, new = (
            stack.enter_context(Wire(poolers[name].port)).login("admin", "pgbouncer")
            for name in ("pgbouncer", "headgate")
        )
        for command in COMMANDS:
            said = (answer(old, command), answer(new, command))
            if said[0] != said[1]:
                differences[command] = said
            if command == "KILL":  # Headgate has killed what PgBouncer has not
                for database in ("app", "two", "unused"):
                    answer(new, f"RESUME {database}")
    assert {command: said for command, said in differences.items() if command not in KNOWN_DIFFERENCES} == {}
    assert set(differences) == set(KNOWN_DIFFERENCES)


def test_a_login_to_the_console_is_greeted_alike(poolers):
    greeted = {}
    for name, pooler in poolers.items():
        with Wire(pooler.port) as wire:
            wire.login("admin", "pgbouncer")
            greeted[name] = [(key, value) for key, value in wire.parameters.items() if key != "server_version"]
            assert wire.parameters["server_version"].endswith("/bouncer")
    assert greeted["pgbouncer"] == greeted["headgate"]
