"""Settings of clients that share servers: each client has its own, wherever it goes."""

import pytest

from lib.messages import bind, close, execute, extended, flush, parse, query, sync
from lib.wire import Wire, errors, first_value, tags

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only, pytest.mark.audited]

SERVERS = 3


@pytest.fixture(scope="module")
def pooler(module_headgates):
    return module_headgates(pool_mode="transaction", default_pool_size=SERVERS, max_client_conn=300)


def connect(pooler, **parameters):
    return Wire(pooler.port).login(**parameters)


class Elsewhere:
    """While it lasts, so many servers are held by others: a client gets one of the rest."""

    def __init__(self, pooler, held):
        self._holders = [connect(pooler) for _ in range(held)]

    def __enter__(self):
        for holder in self._holders:
            holder.send(extended("SELECT 1"), flush())
            holder.read_until("C")

    def __exit__(self, *_):
        for holder in self._holders:
            holder.send(sync())
            holder.read_until()
            holder.close()


def values_everywhere(pooler, wire, sql):
    """What a client reads on each of the servers."""
    values = set()
    for held in (0, 1, 2, 0, 2, 1):
        with Elsewhere(pooler, held):
            values.add(wire.value(sql))
    return values


def show(name):
    return f"SELECT current_setting('{name}', true)"


def spoil(pooler, *settings):
    """Other clients set the same on every server."""
    for held in range(SERVERS):
        with Elsewhere(pooler, held), connect(pooler) as other:
            for sql in settings:
                other.query(sql)


STATEMENTS = [
    ("SET app.tenant = 'one'", "app.tenant", "one"),
    ("SET SESSION app.tenant TO 'two'", "app.tenant", "two"),
    ("set work_mem = '7MB'", "work_mem", "7MB"),
    ("SET App.Tenant = 'mixed case'", "app.tenant", "mixed case"),
    ('SET "app"."user" = 17', "app.user", "17"),
    ("SET search_path = a, \"B c\", public", "search_path", 'a, "B c", public'),
    ("SET search_path TO ''", "search_path", '""'),
    ("SELECT set_config('search_path', '', false)", "search_path", ""),
    ("SELECT pg_catalog.set_config('app.tenant', 'x' || 'y', false)", "app.tenant", "xy"),
    ("SET app.tenant = 'it''s $h$ \\ \"q\" $hh'", "app.tenant", "it's $h$ \\ \"q\" $hh"),
    ("SET app.tenant = 'žluťoučký 馬'", "app.tenant", "žluťoučký 馬"),
    ("SET SCHEMA 'elsewhere'", "search_path", "elsewhere"),
    ("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
     "default_transaction_isolation", "serializable"),
    ("SET XML OPTION DOCUMENT", "xmloption", "document"),
    ("SELECT 1; SET app.tenant = 'behind'; SELECT 2", "app.tenant", "behind"),
    ("BEGIN; SET app.tenant = 'in it'; COMMIT", "app.tenant", "in it"),
    ("DO $$ BEGIN PERFORM set_config('app.tenant', 'done', false); END $$", "app.tenant", "done"),
    ("/* a */ -- b\nSET app.tenant = 'commented'", "app.tenant", "commented"),
    ("SET TIME ZONE 'Asia/Tokyo'", "timezone", "Asia/Tokyo"),
    ("SET NAMES 'LATIN1'", "client_encoding", "LATIN1"),
    ("SET application_name = 'me'", "application_name", "me"),
]  # fmt: skip


@pytest.mark.parametrize("sql, name, value", STATEMENTS, ids=[sql[:40] for sql, _, _ in STATEMENTS])
def test_a_setting_goes_where_its_client_goes_and_nowhere_else(pooler, sql, name, value):
    with connect(pooler) as other, connect(pooler) as wire:
        before = values_everywhere(pooler, other, show(name))
        wire.query(sql)
        assert values_everywhere(pooler, wire, show(name)) == {value}
        after = values_everywhere(pooler, other, show(name))
        # A custom setting that was reset is empty, and not NULL as before anybody had set it.
        assert after == before or after <= {None, ""}


def test_what_another_has_set_on_every_server_is_not_seen(pooler):
    spoil(pooler, "SET app.tenant = 'theirs'", "SET work_mem = '9MB'", "SET statement_timeout = '77s'")
    with connect(pooler) as wire:
        assert values_everywhere(pooler, wire, show("app.tenant")) <= {None, ""}
        assert values_everywhere(pooler, wire, show("work_mem")) == {"4MB"}
        assert values_everywhere(pooler, wire, show("statement_timeout")) == {"0"}


def test_reset_and_default(pooler):
    with connect(pooler) as wire:
        for back in ("RESET work_mem", "SET work_mem TO DEFAULT", "RESET ALL", "DISCARD ALL", "BEGIN; RESET ALL; COMMIT"):
            wire.query("SET work_mem = '7MB'; SET app.tenant = 'one'")
            assert values_everywhere(pooler, wire, show("work_mem")) == {"7MB"}
            for sql in back.split("; "):
                wire.query(sql)
            assert values_everywhere(pooler, wire, show("work_mem")) == {"4MB"}, back
            kept = "work_mem" in back
            assert values_everywhere(pooler, wire, show("app.tenant")) <= ({"one"} if kept else {None, ""}), back


def test_what_is_rolled_back_did_not_happen(pooler):
    with connect(pooler) as wire:
        wire.query("SET app.tenant = 'before'")
        for sql in ("BEGIN", "SET app.tenant = 'within'", "ROLLBACK"):
            wire.query(sql)
        assert values_everywhere(pooler, wire, show("app.tenant")) == {"before"}
        wire.send(query("SET app.tenant = 'lost'; SELECT 1/0"))
        assert errors(wire.read_until())[0]["C"] == "22012"
        assert values_everywhere(pooler, wire, show("app.tenant")) == {"before"}
        for sql in ("BEGIN", "SET app.tenant = 'kept'", "SAVEPOINT s", "SET app.tenant = 'not kept'",
                    "ROLLBACK TO s", "COMMIT"):  # fmt: skip
            wire.query(sql)
        assert values_everywhere(pooler, wire, show("app.tenant")) == {"kept"}
        wire.query("BEGIN")
        wire.query("SET app.tenant = 'failed'")
        wire.send(query("SELECT 1/0"))
        wire.read_until()
        wire.query("COMMIT")
        assert values_everywhere(pooler, wire, show("app.tenant")) == {"kept"}


def test_local_settings_end_with_their_transaction(pooler):
    with connect(pooler) as wire:
        wire.query("SET app.tenant = 'mine'")
        for local in ("SET LOCAL app.tenant = 'local'", "SELECT set_config('app.tenant', 'local', true)"):
            wire.query("BEGIN")
            wire.query(local)
            assert wire.value(show("app.tenant")) == "local"
            wire.query("COMMIT")
            assert values_everywhere(pooler, wire, show("app.tenant")) == {"mine"}


@pytest.mark.parametrize("name", ["", "named"])
def test_set_config_with_bound_arguments(pooler, name):
    sql = "SELECT set_config($1, $2, $3)"
    with connect(pooler) as wire:
        wire.send(parse(sql, name), sync())
        wire.read_until()
        for value, is_local, expected in (("a", "f", "a"), ("b", "false", "b"), ("c", "t", "b"), ("d", "f", "d")):
            with Elsewhere(pooler, 2):
                wire.send(bind(["App.Tenant", value, is_local], name), execute(), sync())
                assert first_value(wire.read_until()) == value
            other = connect(pooler)  # on a server of before
            assert values_everywhere(pooler, other, show("app.tenant")) <= {None, ""}
            other.close()
            wire.send(parse(show("app.tenant"), "look"), bind((), "look"), execute(), parse(sql, "") if not name else b"", sync())
            answer = wire.read_until()
            assert first_value(answer) == expected, tags(answer)
            wire.send(close("S", "look"), sync())
            wire.read_until()


def test_settings_in_pipelines(pooler):
    with connect(pooler) as wire:
        wire.send(query("SET app.tenant = '1'"), query(show("app.tenant")), query("SET app.tenant = '2'"),
                  extended(show("app.tenant")), sync(), query("RESET app.tenant"))  # fmt: skip
        answer = [wire.read_until() for _ in range(5)]
        assert [first_value(answer[1]), first_value(answer[3])] == ["1", "2"]
        assert values_everywhere(pooler, wire, show("app.tenant")) == {""}
        wire.send(extended("SET app.tenant = '3'"), extended(show("app.tenant")), sync(), query("SET app.tenant = '4'"))
        assert first_value(wire.read_until()) == "3"
        wire.read_until()
        assert values_everywhere(pooler, wire, show("app.tenant")) == {"4"}
        wire.send(query("DISCARD ALL"), query("SET app.tenant = '5'"), query("SELECT 1"))
        for _ in range(3):
            wire.read_until()
        assert values_everywhere(pooler, wire, show("app.tenant")) == {"5"}


def test_a_client_that_vanishes_leaves_nothing(pooler):
    for n in range(20):
        gone = connect(pooler)
        gone.send(query(f"SET app.tenant = 'gone {n}'"))
        if n % 2:
            gone.read_until()
        gone.reset()
    with connect(pooler) as wire:
        assert values_everywhere(pooler, wire, show("app.tenant")) <= {None, ""}


def test_more_settings_than_are_remembered_keep_the_client_where_it_is(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=2)
    with connect(pooler) as wire, connect(pooler) as other:
        for first in range(0, 150, 50):
            wire.query(";".join(f"SET many.s{n} = '{n}'" for n in range(first, first + 50)))
        assert other.value("SELECT 1") == "1"
        for n in (0, 77, 149):
            assert wire.value(show(f"many.s{n}")) == str(n)
        assert pooler.pool()["sv_active"] == 1
        wire.query("DISCARD ALL")
        assert wire.value(show("many.s7")) in (None, "")
        assert pooler.pool()["sv_active"] == 0


# --- from the start


def test_start_up_parameters_of_any_kind(pooler):
    options = "-c statement_timeout=30000 -c app.tenant=start\\ me --work-mem=6MB"
    with connect(pooler, options=options, lock_timeout="5s") as wire, connect(pooler) as other:
        for name, value in (("statement_timeout", "30s"), ("app.tenant", "start me"), ("work_mem", "6MB"),
                            ("lock_timeout", "5s")):  # fmt: skip
            assert values_everywhere(pooler, wire, show(name)) == {value}
            assert values_everywhere(pooler, other, show(name)) & {value} == set()
        wire.query("SET statement_timeout = '1min'")
        assert values_everywhere(pooler, wire, show("statement_timeout")) == {"1min"}
        for back in ("RESET statement_timeout", "RESET ALL", "DISCARD ALL", "SET statement_timeout TO DEFAULT"):
            wire.query("SET statement_timeout = '2min'")
            wire.query(back)
            assert wire.value(show("statement_timeout")) in ("30s", "30000"), back
            assert values_everywhere(pooler, wire, show("statement_timeout")) == {"30s"}


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_reset_returns_to_what_the_client_has_started_with(start_headgate, mode):
    pooler = start_headgate(pool_mode=mode, default_pool_size=2)
    start = {"DateStyle": "SQL, DMY", "application_name": "mine", "options": "-c work_mem=6MB -c app.tenant=start"}
    expected = {"datestyle": "SQL, DMY", "application_name": "mine", "work_mem": "6MB", "app.tenant": "start"}
    other_values = {"datestyle": "ISO", "application_name": "'x'", "work_mem": "'7MB'", "app.tenant": "'x'"}
    with connect(pooler, **start) as wire:
        for name, value in expected.items():
            for way in (f"RESET {name}", f"SET {name} TO DEFAULT", "RESET ALL", "DISCARD ALL", "extended", "block"):
                wire.query(f"SET {name} = {other_values[name]}")
                assert wire.value(show(name)) != value
                if way == "extended":
                    wire.send(extended(f"RESET {name}"), sync())
                    assert not errors(wire.read_until())
                elif way == "block":
                    wire.query("BEGIN")
                    wire.query(f"RESET {name}")
                    assert wire.value(show(name)) == value, way
                    wire.query("ROLLBACK")
                    assert wire.value(show(name)) != value, way
                    wire.query(f"RESET {name}")
                else:
                    wire.query(way)
                assert wire.value(show(name)) == value, (name, way)
        wire.query("SELECT 1")
        assert (wire.parameters["DateStyle"], wire.parameters["application_name"]) == ("SQL, DMY", "mine")
    with connect(pooler) as other:
        assert other.value(show("work_mem")) == "4MB" and other.value(show("app.tenant")) in (None, "")


@pytest.mark.parametrize("parameters, sqlstate", [({"nosuch": "1"}, "42704"), ({"work_mem": "much"}, "22023"),
                                                  ({"role": "nobody_at_all"}, "22023")])  # fmt: skip
def test_a_bad_start_up_parameter_is_refused_in_the_servers_words_and_costs_no_server(
    start_headgate, postgres, parameters, sqlstate
):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    with connect(pooler) as wire:
        backend = wire.value("SELECT pg_backend_pid()")
        wire.query("CREATE TABLE IF NOT EXISTS touched (n int)")
        wire.query("TRUNCATE touched")
        for _ in range(3):
            bad = connect(pooler, **parameters)
            bad.send(query("INSERT INTO touched VALUES (1)"))
            error = errors(bad.read_to_end())[0]
            assert error["S"] == "FATAL" and error["C"] == sqlstate and next(iter(parameters.values())) + next(iter(parameters))
        assert wire.value("SELECT pg_backend_pid()") == backend
        assert wire.value("SELECT count(*) FROM touched") == "0"
        wire.query("DROP TABLE touched")


# --- who one is


@pytest.fixture
def roles(postgres):
    with postgres.connect() as db:
        for name in ("reader", "writer"):
            db.execute(f"DROP ROLE IF EXISTS {name}")
            db.execute(f"CREATE ROLE {name}")
            db.execute(f"GRANT {name} TO app")
    yield
    with postgres.connect() as db:
        for name in ("reader", "writer"):
            db.execute(f"DROP ROLE {name}")


def test_roles(pooler, roles):
    me = "SELECT current_user"
    with connect(pooler) as reader, connect(pooler) as writer, connect(pooler) as app:
        reader.query("SET ROLE reader")
        writer.query("SET role = 'writer'")
        for _ in range(2):
            assert values_everywhere(pooler, reader, me) == {"reader"}
            assert values_everywhere(pooler, writer, me) == {"writer"}
            assert values_everywhere(pooler, app, me) == {"app"}
        reader.query("SET work_mem = '5MB'")
        assert values_everywhere(pooler, reader, me + " || current_setting('work_mem')") == {"reader5MB"}
        reader.query("RESET ROLE")
        writer.query("SET ROLE NONE")
        assert values_everywhere(pooler, reader, me) == values_everywhere(pooler, writer, me) == {"app"}


def test_a_role_that_is_gone_is_told_and_nothing_runs_without_it(start_headgate, postgres, roles):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    with postgres.connect() as db:
        db.execute("CREATE ROLE short")
        db.execute("GRANT short TO app")
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("SET ROLE short")
        with postgres.connect() as db:
            db.execute("DROP ROLE short")
        other.query("SELECT 1")  # the server is another's now
        wire.send(query("CREATE TABLE made_without_role (n int)"))
        error = errors(wire.read_to_end())[0]
        assert error["S"] == "FATAL" and "short" in error["M"]
        assert other.value("SELECT to_regclass('made_without_role')") is None


# --- other ways


def test_as_pgbouncer_does(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, session_state="pgbouncer")
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("SET app.tenant = 'leaks'")
        assert other.value(show("app.tenant")) == "leaks"
    bad = Wire(pooler.port)
    with pytest.raises(Exception, match="unsupported startup parameter: work_mem"):
        bad.login(work_mem="6MB")


def test_the_policy_of_a_user_comes_before_that_of_the_database(start_headgate, postgres):
    database = {"host": "127.0.0.1", "port": postgres.port, "dbname": "app", "session_state": "pgbouncer"}
    pooler = start_headgate({"app": database}, users={"app": {"session_state": "track"}}, pool_mode="transaction",
                            default_pool_size=1)  # fmt: skip
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("SET app.tenant = 'mine'")
        assert other.value(show("app.tenant")) in (None, "")
