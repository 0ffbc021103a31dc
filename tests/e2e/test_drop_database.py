"""Idle servers give way to who wants a database to itself: to DROP DATABASE and its like Headgate looks like
a direct connection, on which nobody else would be there. PostgreSQL waits five seconds before it refuses."""

import contextlib

import psycopg
import psycopg2
import pytest

from lib.messages import bind, describe, execute, parse, query, sync
from lib.processes import wait_until
from lib.wire import Wire, errors, tags

pytestmark = [pytest.mark.headgate_only, pytest.mark.sanitizers]
DATABASES = ("crowd", "copied", "renamed")


@pytest.fixture
def admin(start_headgate, postgres):
    """admin(**settings) -> a pooler whose users `postgres` and `app` may go to every database, with an idle
    server of each in `crowd`, which has a second name there."""
    postgres.execute("CREATE DATABASE crowd OWNER app", "ALTER ROLE app CREATEDB")

    def start(idle=("postgres", "app"), **settings):
        server = f"host=127.0.0.1 port={postgres.port}"
        settings = {"pool_mode": "transaction", "userlist": {"postgres": ""}, **settings}
        pooler = start_headgate({"*": server, "alias": f"{server} dbname=crowd"}, **settings)
        for user, database in zip(idle, ("crowd", "alias")):
            visit(pooler, database, user)
        wait_until(lambda: postgres.count_backends("crowd") == len(idle), what="idle servers in crowd")
        return pooler

    yield start
    for database in DATABASES:
        postgres.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    postgres.execute("ALTER ROLE app NOCREATEDB")


def visit(pooler, database, user="app"):
    with Wire(pooler.port) as wire:
        wire.login(user, database).query("SELECT 1")


def exists(postgres, database):
    return postgres.value("SELECT count(*) FROM pg_database WHERE datname = %s", (database,)) == 1


def simple(wire, sql):
    wire.send(query(sql))


def unnamed(wire, sql):
    wire.send(parse(sql), bind(), describe(), execute(), sync())


def named(wire, sql):
    wire.send(parse(sql, "s"), bind(statement="s", portal="p"), execute("p"), sync())


ANSWERS = {simple: "CZ", unnamed: "12nCZ", named: "12CZ"}


@pytest.mark.parametrize("mode", ["session", "transaction"])
@pytest.mark.parametrize("way", ANSWERS)
def test_drop_database_over_idle_servers(admin, postgres, way, mode):
    pooler = admin(pool_mode=mode, workers=2)
    with Wire(pooler.port) as wire:
        wire.login(database="app").query("SELECT 1")
        way(wire, "DROP DATABASE crowd")
        assert tags(wire.read_until(timeout=20)) == ANSWERS[way]
        assert not exists(postgres, "crowd")
        if way is not simple:  # what is prepared is there as it was
            wire.send(bind(statement="s" if way is named else ""), execute(), sync())
            assert [error["C"] for error in errors(wire.read_until())] == ["3D000"]
        assert wire.value("SELECT 'goes on'") == "goes on"


COMMANDS = {
    "ALTER DATABASE crowd RENAME TO renamed": "renamed",
    "CREATE DATABASE copied TEMPLATE crowd": "copied",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_other_commands_that_want_a_database_to_themselves(admin, postgres, command):
    with admin().connect("postgres", "postgres") as connection:
        connection.execute(command)
    assert exists(postgres, COMMANDS[command])


def test_a_database_is_copied_from_inside(admin, postgres):
    """Its other idle servers go, the one that copies stays."""
    pooler = admin(default_pool_size=3)
    with contextlib.ExitStack() as stack:
        for wire in [stack.enter_context(Wire(pooler.port)).login(database="crowd") for _ in range(3)]:
            wire.query("BEGIN")
    wait_until(lambda: pooler.pool("crowd")["sv_idle"] == 3)
    with Wire(pooler.port) as wire:
        assert not errors(wire.login(database="crowd").query("CREATE DATABASE copied TEMPLATE crowd", timeout=20))
    assert exists(postgres, "copied")


def test_minimum_pools_wait_with_opening(admin, postgres):
    pooler = admin(min_pool_size=2, idle=())
    with Wire(pooler.port) as stays, pooler.connect("postgres") as connection:
        stays.login(database="crowd")
        wait_until(lambda: postgres.count_backends("crowd") == 2, what="the pool is filled")
        connection.execute("DROP DATABASE crowd")
    assert not exists(postgres, "crowd")


def refused(wire, sql):
    wire.send(query(sql))
    (error,) = errors(wire.read_until(timeout=30))
    return error["C"]


def test_servers_that_are_in_use_stay(admin, postgres):
    """Idle ones have gone; it is tried once more, and then the client is told."""
    pooler = admin()
    with Wire(pooler.port) as wire, Wire(pooler.port) as busy:
        busy.login(database="crowd").query("BEGIN")
        assert refused(wire.login(database="app"), "DROP DATABASE crowd") == "55006"
        assert exists(postgres, "crowd")
        assert busy.value("SELECT 'undisturbed'") == "undisturbed"
        assert postgres.count_backends("crowd") == 1
        assert wire.value("SELECT 'goes on'") == "goes on"


def times_refused(postgres):
    return postgres.log().count('database "crowd" is being accessed by other users')


def test_where_nobody_of_ours_is_it_is_told_at_once(admin, postgres):
    pooler = admin(idle=())
    before = times_refused(postgres)
    with postgres.connect("crowd"), Wire(pooler.port) as wire:
        assert refused(wire.login(database="app"), "DROP DATABASE crowd") == "55006"
    assert times_refused(postgres) == before + 1


def test_who_may_not_drop_it_closes_nobody_s_servers(admin, postgres):
    pooler = admin()
    postgres.execute("ALTER DATABASE crowd OWNER TO postgres")
    pids = [backend["pid"] for backend in postgres.backends("crowd")]
    with Wire(pooler.port) as wire:
        assert refused(wire.login(database="app"), "DROP DATABASE crowd") == "42501"
    assert [backend["pid"] for backend in postgres.backends("crowd")] == pids


@pytest.mark.parametrize("text", ["BEGIN; DROP DATABASE crowd", "DROP DATABASE crowd; SELECT 1"])
def test_in_a_transaction_it_fails_as_it_does(admin, postgres, text):
    with Wire(admin().port) as wire:
        assert refused(wire.login(database="app"), text) == "25001"
    assert postgres.count_backends("crowd") == 2


def test_what_follows_in_the_same_breath_is_not_overtaken(admin, postgres):
    """The next request is on its way already: nothing is repeated behind it."""
    with Wire(admin().port) as wire:
        wire.login(database="app").send(query("DROP DATABASE crowd"), query("SELECT 'next'"))
        (error,) = errors(wire.read_until(timeout=20))
        assert error["C"] == "55006"
        assert tags(wire.read_until()) == "TDCZ"
    assert exists(postgres, "crowd")


def test_the_database_of_the_session_itself(admin, postgres):
    pooler = admin()
    with Wire(pooler.port) as wire:
        assert refused(wire.login("postgres", "crowd"), "DROP DATABASE crowd") == "55006"
        assert postgres.count_backends("crowd") == 2, "nobody went in vain"


def test_a_cancel_ends_the_wait(admin, postgres):
    pooler = admin()
    with Wire(pooler.port) as wire, Wire(pooler.port) as busy:
        busy.login(database="crowd").query("BEGIN")
        before = times_refused(postgres)
        wire.login(database="app").send(query("DROP DATABASE crowd"))
        wait_until(lambda: times_refused(postgres) > before, what="it is tried again")
        wire.cancel()
        assert [error["C"] for error in errors(wire.read_until())] == ["57014"]
        assert wire.value("SELECT 'goes on'") == "goes on"


def test_query_timeout_counts_all_of_it(admin, postgres):
    pooler = admin(query_timeout=7)
    with Wire(pooler.port) as wire, Wire(pooler.port) as busy:
        busy.login(database="crowd").query("BEGIN")
        assert refused(wire.login(database="app"), "DROP DATABASE crowd") == "57014"


@pytest.mark.parametrize("driver", [psycopg, psycopg2])
def test_drivers(admin, postgres, driver):
    connection = driver.connect(**admin().address("app"))
    connection.autocommit = True
    with contextlib.closing(connection):
        connection.cursor().execute("DROP DATABASE crowd")
    assert not exists(postgres, "crowd")
