"""session_audit: what a client leaves behind is seen before anybody else gets the server, and told."""

import contextlib

import pytest

from lib.messages import bind, close, execute, parse, query, sync
from lib.processes import wait_until
from lib.wire import Wire

pytestmark = pytest.mark.headgate_only

TENANTS = """
    CREATE TABLE IF NOT EXISTS owned (tenant text, n int);
    ALTER TABLE owned ENABLE ROW LEVEL SECURITY;
    DROP POLICY IF EXISTS own ON owned;
    CREATE POLICY own ON owned USING (tenant = current_setting('app.tenant', true));
    CREATE OR REPLACE FUNCTION become(who text) RETURNS text LANGUAGE plpgsql AS
        $$ BEGIN RETURN set_config('app.tenant', who, false); END $$;
    CREATE OR REPLACE FUNCTION sets_memory() RETURNS void LANGUAGE plpgsql AS
        $$ BEGIN SET work_mem = '7MB'; END $$;
    CREATE OR REPLACE FUNCTION makes_temporary() RETURNS void LANGUAGE plpgsql AS
        $$ BEGIN CREATE TEMP TABLE IF NOT EXISTS left_here (n int); END $$;
    CREATE OR REPLACE FUNCTION takes_lock() RETURNS void LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_lock(7); END $$;
    CREATE OR REPLACE FUNCTION prepares() RETURNS void LANGUAGE plpgsql AS
        $$ BEGIN EXECUTE 'PREPARE left_here AS SELECT 1'; END $$;
    CREATE OR REPLACE FUNCTION listens() RETURNS void LANGUAGE plpgsql AS
        $$ BEGIN EXECUTE 'LISTEN left_here'; END $$;
    CREATE OR REPLACE FUNCTION opens() RETURNS void LANGUAGE plpgsql AS
        $$ BEGIN EXECUTE 'DECLARE left_here CURSOR WITH HOLD FOR SELECT 1'; END $$;
    CREATE OR REPLACE FUNCTION takes_role() RETURNS void LANGUAGE plpgsql AS
        $$ BEGIN SET ROLE app; END $$;
"""


@pytest.fixture(scope="module")
def house(module_headgates, postgres):
    for database in ("app", "single"):
        postgres.execute(TENANTS, database=database)
    return module_headgates


@pytest.fixture
def pooler(start_headgate, house):
    """One server for all, which is looked at behind each transaction."""
    return start_headgate(pool_mode="transaction", default_pool_size=1, session_audit="ALL")


def looks(pooler):
    rows = pooler.admin("SHOW AUDIT")
    return rows[0]["looks"] if rows else 0


def told(pooler):
    """What the log says, without the name of the server."""
    lines = [line.split("session audit: ", 1)[1] for line in pooler.log().splitlines() if "session audit: " in line]
    return [line.split("; behind: ") for line in lines]


def connect(pooler, **parameters):
    return Wire(pooler.port).login(**parameters)


def run(wire, *messages):
    wire.send(*messages)
    return wire.read_until()


def last(pooler):
    with connect(pooler) as other:  # whoever comes next
        other.query("SELECT 1")
    return told(pooler)


LEAVING = {
    "SELECT become('7')": ('setting "app.tenant" is "7", and no client of this moment has set it', "app.tenant"),
    "SELECT sets_memory()": ('setting "work_mem" is "7MB", and no client of this moment has set it', "work_mem"),
    "SELECT makes_temporary()": ('temporary object "table left_here" is there', None),
    "SELECT takes_lock()": ('advisory lock "0 7 1" is there', None),
    "SELECT prepares()": ('prepared statement "left_here" is there', None),
    "SELECT listens()": ('channel "left_here" is there', None),
    "SELECT opens()": ('cursor "left_here" is there', None),
}


@pytest.mark.parametrize("sql", LEAVING)
def test_what_a_function_leaves_is_told_and_taken_away(pooler, sql):
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query(sql)
        expected, setting = LEAVING[sql]
        assert other.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0"
        assert other.value("SELECT count(*) FROM pg_prepared_statements") == "0"
        assert other.value("SELECT count(*) FROM pg_listening_channels()") == "0"
        if setting:
            assert other.value(f"SELECT current_setting('{setting}', true)") in ("", None, "4MB")
        assert told(pooler) == [[expected, sql]]
        row = pooler.admin("SHOW AUDIT")[0]
        assert (row["database"], row["user"], row["differences"]) == ("app", "app", 1)
        assert (row["last_difference"], row["last_statements"]) == (expected, sql)


def test_the_statement_is_told_however_it_was_sent(pooler):
    with connect(pooler) as wire:
        run(wire, parse("SELECT become($1)", "s"), sync())
        run(wire, query("SELECT 1"))
        run(wire, bind(["9"], "s"), execute(), sync())
    last(pooler)
    assert told(pooler)[0][1] == "SELECT become($1)"
    with connect(pooler) as wire:
        wire.query("SELECT 1; SELECT become('many\nlines')")
    last(pooler)
    assert "SELECT 1; SELECT become('many" in pooler.log()


HONEST = [
    "SET work_mem = '8192kB'",
    "SET app.tenant = '7'",
    "SELECT set_config('app.other', 'x', false)",
    "BEGIN; SET LOCAL work_mem = '1MB'; COMMIT",
    "BEGIN; SET app.tenant = '8'; ROLLBACK",
    "RESET app.tenant",
    "SET search_path = a, public",
    "SET TIME ZONE 'Europe/Berlin'; SET DateStyle = 'german'; SET client_encoding = 'LATIN1'",
    "SET ROLE app",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "RESET default_transaction_read_only; RESET ROLE",
    "PREPARE mine AS SELECT 1",
    "EXECUTE mine",
    "DEALLOCATE mine",
    "LISTEN mine",
    "UNLISTEN mine",
    "SELECT pg_advisory_lock_shared(3)",
    "SELECT pg_advisory_unlock_shared(3)",
    "CREATE TEMP TABLE mine (n int)",
    "DROP TABLE mine",
    "BEGIN; DECLARE mine CURSOR WITH HOLD FOR SELECT 1; COMMIT",
    "CLOSE mine",
    "SELECT 1 / 0",
    "SET work_mem = 'nonsense'",
    "RESET ALL",
    "SET plpgsql.extra_warnings = 'all'",
    "DO $$ BEGIN END $$",
    "DISCARD ALL",
]


@pytest.mark.parametrize("mode", ["transaction", "statement", "session"])
def test_an_honest_house_has_nothing_to_tell(start_headgate, house, mode):
    pooler = start_headgate(pool_mode=mode, default_pool_size=2, session_audit="ALL")
    start = "-c statement_timeout=30000 -c work_mem=4096kB -c app.tenant=start"
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(connect(pooler, options=start))
        second = stack.enter_context(connect(pooler, application_name="ü", client_encoding="latin1"))
        for sql in HONEST:
            if mode == "statement" and "BEGIN;" in sql:
                continue
            run(first, query(sql))
            second.query("SELECT current_setting('app.tenant', true)")
            run(first, parse(sql, "s"), sync())
            run(first, close("S", "s"), parse("SELECT 1"), bind(), execute(), sync())
            run(second, query(sql))
            first.query("SELECT 1")
    last(pooler)
    wait_until(lambda: looks(pooler) >= (2 if mode == "session" else 50), 10, "every server was looked at")
    assert told(pooler) == []


def test_what_no_client_did_is_not_told(start_headgate, house, postgres):
    connect_query = "SELECT become(''connect''); SET work_mem = ''6MB''; PREPARE ours AS SELECT 1"
    address = f"host=127.0.0.1 port={postgres.port} dbname=single"
    pooler = start_headgate({"app": f"{address} connect_query='{connect_query}'"}, session_audit="ALL",
                            pool_mode="transaction", default_pool_size=1)  # fmt: skip
    postgres.execute("ALTER ROLE app SET app.ours = 'role'", "ALTER DATABASE single SET app.theirs = 'database'")
    try:
        with connect(pooler) as wire, connect(pooler) as other:
            for _ in range(3):
                wire.query("SET app.ours = 'mine'; SET app.theirs = 'mine'")
                assert other.value("SELECT current_setting('app.ours')") == "role"
                assert other.value("SELECT current_setting('work_mem')") == "6MB"
                wire.query("RESET app.ours; RESET app.theirs")
                other.query("SELECT 1")
            assert told(pooler) == []
            wire.query("SELECT become('7')")
        last(pooler)
        assert [text for text, _ in told(pooler)] == ['setting "app.tenant" is "7" and not "connect"']
    finally:
        postgres.execute("ALTER ROLE app RESET ALL", "ALTER DATABASE single RESET ALL")


@pytest.mark.parametrize("audit, expected", [("sample:5", 4), ("off", 0), ("ALL", 20)])
def test_a_sample_is_one_of_so_many(start_headgate, audit, expected):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, session_audit=audit)
    with connect(pooler) as wire:
        for _ in range(20):
            wire.query("SELECT 1")
    with connect(pooler) as other:  # waits until the last look is over
        pooler.reload(session_audit="off")
        other.query("SELECT 1")
        assert looks(pooler) == expected


def test_in_pgbouncer_mode_it_is_told_once_and_left_alone(start_headgate, house):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, session_audit="ALL",
                            session_state="pgbouncer")  # fmt: skip
    with connect(pooler) as wire, connect(pooler) as other:
        for _ in range(3):
            wire.query("SET app.tenant = '7'")
            assert other.value("SELECT current_setting('app.tenant')") == "7"
    last(pooler)
    assert [text for text, _ in told(pooler)] == [
        'setting "app.tenant" is "7", and no client of this moment has set it'
    ]


def test_in_session_mode_a_reset_query_that_forgets_something_is_told(start_headgate, house):
    pooler = start_headgate(pool_mode="session", default_pool_size=1, session_audit="ALL",
                            server_reset_query="RESET ALL")  # fmt: skip
    with connect(pooler) as wire:
        wire.query("SET app.tenant = '7'; PREPARE mine AS SELECT 1")
    with connect(pooler) as other:
        assert other.value("SELECT count(*) FROM pg_prepared_statements") == "0"
    assert [text for text, _ in told(pooler)] == ['prepared statement "mine" is there']


def test_a_short_time_limit_does_not_strike_the_look(pooler, postgres):
    with connect(pooler) as wire, postgres.connect("single") as db:
        wire.query("SET statement_timeout = '300ms'")
        db.autocommit = False
        db.execute("LOCK TABLE pg_catalog.pg_locks IN ACCESS EXCLUSIVE MODE")
        before = looks(pooler)
        wire.query("SELECT 1")
        with pytest.raises(TimeoutError):
            wire.send(query("SELECT 2"))
            wire.read(1)
        assert looks(pooler) <= before + 1
        db.rollback()
        wire.read_until()
        assert wire.value("SHOW statement_timeout") == "300ms"
        assert told(pooler) == []


def test_a_server_that_cannot_be_looked_at_is_told(pooler, postgres):
    postgres.execute("REVOKE SELECT ON pg_catalog.pg_settings FROM public", database="single")
    try:
        with connect(pooler) as wire:
            wire.query("SELECT 1")
        last(pooler)
    finally:
        postgres.execute("GRANT SELECT ON pg_catalog.pg_settings TO public", database="single")
    assert told(pooler)[0][0] == "the server cannot be looked at: permission denied for view pg_settings"


def test_what_the_operator_ignores_is_not_told(start_headgate, house):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, session_audit="ALL",
                            session_policy="advisory_lock=ignore, temporary=ignore")  # fmt: skip
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("SELECT takes_lock(), makes_temporary()")
        assert other.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "1"
    last(pooler)
    assert told(pooler) == []


def test_clients_that_vanish_leave_nothing(pooler):
    for _ in range(5):
        wire = connect(pooler)
        wire.query("BEGIN; SET app.tenant = '7'; SELECT pg_advisory_lock(1)")
        wire.socket.close()
    last(pooler)
    assert told(pooler) == []


def test_a_strict_house_expects_the_worst_of_functions(start_headgate, house):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, session_audit="ALL",
                            session_state="strict")  # fmt: skip
    with connect(pooler) as wire, connect(pooler) as other:
        for _ in range(3):
            wire.query("SELECT become('7')")
            assert other.value("SELECT current_setting('app.tenant', true)") in ("", None)
    last(pooler)
    assert told(pooler) == []
    assert looks(pooler) > 0


def test_the_setting_is_read_as_it_is_meant(start_headgate):
    pooler = start_headgate(session_audit="sample:1")
    shown = {row["key"]: row["value"] for row in pooler.admin("SHOW CONFIG")}
    assert shown["session_audit"] == "all"
    with pooler.console() as console, pytest.raises(Exception, match="SET failed"):
        console.execute("SET session_audit = 'sample:0'")
