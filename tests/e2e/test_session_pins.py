"""What cannot be carried to another server keeps a client where it is, as long as it must."""

import pytest

from lib.messages import bind, execute, extended, parse, query, sync
from lib.processes import wait_until
from lib.wire import Wire, errors, first_value

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only, pytest.mark.audited]

PID = "SELECT pg_backend_pid()"


@pytest.fixture
def pooler(start_headgate):
    return start_headgate(pool_mode="transaction", default_pool_size=2)


def connect(pooler, **parameters):
    return Wire(pooler.port).login(**parameters)


def backends(pooler, wire, turns=6):
    """The backends that answer it while another client comes between."""
    seen = set()
    for _ in range(turns):
        with connect(pooler) as other:
            other.send(extended("SELECT 1"))
            other.send(sync())
            other.read_until()
            seen.add(wire.value(PID))
    return seen


def is_pinned(pooler, user="app"):
    return pooler.pool(user=user)["sv_active"] == 1


# What begins, how it can be seen to be there, and what ends it.
STATE = {
    "advisory lock": ("SELECT pg_advisory_lock(7)",
                      "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()", "1",
                      ["SELECT pg_advisory_unlock(7)", "SELECT pg_advisory_unlock_all()", "DISCARD ALL"]),
    "shared advisory lock": ("SELECT pg_try_advisory_lock_shared(1, 2)",
                             "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()", "1",
                             ["SELECT pg_advisory_unlock_shared(1, 2)"]),
    "temporary table": ("CREATE TEMP TABLE t AS SELECT 1 AS n", "SELECT n FROM t", "1",
                        ["DROP TABLE t", "DISCARD TEMP", "DISCARD ALL", "BEGIN; DROP TABLE t; COMMIT"]),
    "table by INTO": ("SELECT 1 AS n INTO TEMPORARY t", "SELECT n FROM t", "1", ["DROP TABLE pg_temp.t"]),
    "temporary view": ("CREATE OR REPLACE TEMP VIEW v AS SELECT 1 AS n", "SELECT n FROM v", "1", ["DROP VIEW v"]),
    "cursor": ("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 100); COMMIT", "FETCH ABSOLUTE 3 c", "3",
               ["CLOSE c", "CLOSE ALL", "DISCARD ALL"]),
    "prepared statement": ("PREPARE p(int) AS SELECT $1 + 1 /* \\ */", "EXECUTE p(4)", "5",
                           ["DEALLOCATE p", "DEALLOCATE ALL", "DISCARD ALL"]),
    # More than are listened to for one client by others, see test_session_listen_limits.py.
    "listen": (";".join(f"LISTEN c{n}" for n in range(101)), "SELECT count(*) FROM pg_listening_channels()", "101",
               ["UNLISTEN *", "DISCARD ALL"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", STATE)
def test_it_stays_with_its_client_and_goes_when_it_is_gone(pooler, kind):
    begin, look, there, ends = STATE[kind]
    with connect(pooler) as wire:
        for end in ends:
            for sql in begin.split("; "):
                wire.query(sql)
            assert len(backends(pooler, wire)) == 1 and is_pinned(pooler), end
            assert wire.value(look) == there
            for sql in end.split("; "):
                wire.query(sql)
            wire.value("SELECT 1")
            wait_until(lambda: not is_pinned(pooler), 5, f"{kind} ends with {end}")


@pytest.mark.parametrize("kind", STATE)
def test_nobody_gets_what_a_client_that_has_gone_has_left(pooler, kind):
    begin, look, there, _ = STATE[kind]
    for goodbye in ("close", "reset"):
        wire = connect(pooler)
        for sql in begin.split("; "):
            wire.query(sql)
        getattr(wire, goodbye)()
        wait_until(lambda: pooler.pool()["sv_active"] + pooler.pool()["sv_tested"] == 0, 5, "the server is free")
        with connect(pooler) as other:
            answer = other.query(look) if "count" in look else None
            if answer:
                assert first_value(answer) == "0"
            else:
                other.send(query(look))
                assert errors(other.read_until())


def test_the_console_tells_why(pooler):
    def told(show):
        return [row["pinned"] for row in pooler.admin(f"SHOW {show}") if row["database"] == "app"]

    with connect(pooler) as wire:
        assert told("CLIENTS") == [""]
        wire.query("SELECT pg_advisory_lock(7)")
        wire.query("CREATE TEMP TABLE t (n int)")
        wait_until(lambda: told("CLIENTS") == told("SERVERS") == ["advisory lock, temporary object"])
        wire.query("DROP TABLE t")
        wait_until(lambda: told("CLIENTS") == told("SERVERS") == ["advisory lock"])
        wire.query("SELECT pg_advisory_unlock(7)")
        wait_until(lambda: told("CLIENTS") == told("SERVERS") == [""])


def test_what_was_rolled_back_or_ended_within_its_transaction_pins_nothing(pooler):
    stories = [
        ["BEGIN", "CREATE TEMP TABLE t (n int)", "ROLLBACK"],
        ["BEGIN", "CREATE TEMP TABLE t (n int) ON COMMIT DROP", "COMMIT"],
        ["BEGIN", "SELECT pg_advisory_xact_lock(7)", "COMMIT"],
        ["BEGIN", "SELECT pg_advisory_lock(7)", "SELECT pg_advisory_unlock(7)", "COMMIT"],
        ["BEGIN", "DECLARE c CURSOR FOR SELECT 1", "COMMIT"],
        ["BEGIN", "LISTEN a", "ROLLBACK"],
        ["SELECT pg_try_advisory_lock(7) WHERE false"],
    ]
    with connect(pooler) as wire:
        for story in stories:
            for sql in story:
                wire.query(sql)
            wait_until(lambda: not is_pinned(pooler), 5, f"nothing is left by {story}")


def test_an_advisory_lock_is_free_at_once_when_its_client_has_gone(pooler):
    for _ in range(5):
        holder = connect(pooler)
        holder.query("SELECT pg_advisory_lock(99)")
        holder.reset()
        with connect(pooler) as other:
            other.query("SET statement_timeout = '5s'")
            other.query("SELECT pg_advisory_lock(99)")
            other.query("SELECT pg_advisory_unlock(99)")


def test_by_the_extended_protocol(pooler):
    with connect(pooler) as wire:
        wire.send(parse("SELECT pg_advisory_lock($1)", "lock"), bind(["5"], "lock"), execute(), sync())
        wire.read_until()
        assert len(backends(pooler, wire)) == 1 and is_pinned(pooler)
        wire.send(parse("SELECT pg_advisory_unlock($1)"), bind(["5"]), execute(), sync())
        wire.read_until()
        wait_until(lambda: not is_pinned(pooler), 5, "it is unlocked")
        wire.send(bind(["6"], "lock"), execute(), sync())
        wire.read_until()
        assert len(backends(pooler, wire)) == 1 and is_pinned(pooler)


def test_settings_of_a_client_that_is_pinned(pooler):
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("SET app.tenant = 'before'")
        wire.query("CREATE TEMP TABLE t (n int)")
        wire.query("SET app.tenant = 'pinned'")
        assert wire.value("SELECT current_setting('app.tenant')") == "pinned"
        wire.query("DROP TABLE t")
        wire.value("SELECT 1")
        wait_until(lambda: not is_pinned(pooler), 5, "it is free")
        assert other.value("SELECT current_setting('app.tenant', true)") in (None, "")
        assert wire.value("SELECT current_setting('app.tenant')") == "pinned"


def test_notifications_reach_a_client_that_listens(pooler):
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("LISTEN news")
        other.query("NOTIFY news, 'hello'")
        message = wire.read(timeout=5)
        assert message.tag == "A" and b"hello" in message.body


def test_load_ends_with_its_server(start_headgate, postgres):
    database = {"host": "127.0.0.1", "port": postgres.port, "dbname": "single", "user": "postgres"}
    pooler = start_headgate({"app": database}, pool_mode="transaction", default_pool_size=2)
    with connect(pooler) as wire:
        wire.send(query("LOAD 'there is none'"))
        assert errors(wire.read_until())
        assert not is_pinned(pooler, "postgres")
        backend = wire.value(PID)
        wire.query("LOAD 'plpgsql'")
        assert len(backends(pooler, wire)) == 1
        wire.query("DISCARD ALL")
        assert len(backends(pooler, wire)) == 1  # a library stays
    wait_until(lambda: not is_pinned(pooler, "postgres"), 5, "its server has gone")
    with connect(pooler) as one, connect(pooler) as two:
        one.query("BEGIN")
        two.query("BEGIN")
        assert backend not in {one.value(PID), two.value(PID)}


def test_a_setting_that_only_the_server_knows_by_name(pooler):
    with connect(pooler) as wire:
        wire.query("SELECT set_config('app.' || 'hidden', 'x', false)")
        assert len(backends(pooler, wire)) == 1 and is_pinned(pooler)
        assert wire.value("SELECT current_setting('app.hidden')") == "x"
        wire.query("DISCARD ALL")
        wait_until(lambda: not is_pinned(pooler), 5, "it was discarded")
    with connect(pooler) as wire:
        wire.query("PREPARE p AS SELECT set_config('app.hidden', $1, false)")
        wire.query("EXECUTE p('y')")
        assert len(backends(pooler, wire)) == 1
        assert wire.value("SELECT current_setting('app.hidden')") == "y"


def test_pinned_servers_are_not_lent_and_others_wait(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, query_wait_timeout=1)
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("SELECT pg_advisory_lock(1)")
        other.send(query("SELECT 1"))
        assert errors(other.read_to_end())[0]["M"] == "query_wait_timeout"
        wire.query("SELECT pg_advisory_unlock(1)")


# --- strict


@pytest.fixture
def strict(start_headgate):
    return start_headgate(pool_mode="transaction", default_pool_size=1, session_state="strict")


ROUTINES = [
    "CREATE OR REPLACE FUNCTION hide() RETURNS int LANGUAGE plpgsql AS"
    " $$ BEGIN PERFORM set_config('app.tenant', 'hidden', false); RETURN 1; END $$",
    "CREATE OR REPLACE PROCEDURE hide_too() LANGUAGE plpgsql AS"
    " $$ BEGIN PERFORM set_config('app.tenant', 'hidden', false); END $$",
]
HIDDEN = [
    "DO $$ BEGIN EXECUTE 'SET app.' || 'tenant = ''hidden''' ; END $$",
    "SELECT hide()",
    "SELECT public . hide ()",
    'SELECT "hide"()',
    "CALL hide_too()",
    "SELECT 1 FROM generate_series(1, 2) WHERE hide() IS NOT NULL",
]


@pytest.mark.parametrize("sql", HIDDEN)
@pytest.mark.parametrize("way", ["simple", "extended"])
def test_strict_resets_what_it_cannot_look_into(strict, sql, way):
    look = "SELECT current_setting('app.tenant', true)"
    with connect(strict) as wire, connect(strict) as other:
        for routine in ROUTINES:
            wire.query(routine)
        wire.query("SET work_mem = '7MB'")
        for _ in range(3):
            if way == "simple":
                wire.query(sql)
            else:
                wire.send(extended(sql), sync())
                assert not errors(wire.read_until())
            assert other.value(look) in (None, "")
            assert other.value("SELECT current_setting('work_mem')") == "4MB"
            assert wire.value("SELECT current_setting('work_mem')") == "7MB"


def test_strict_leaves_servers_alone_that_harmless_things_were_done_to(strict):
    with connect(strict) as wire, connect(strict) as other:
        wire.send(parse("SELECT count(*), max(oid), coalesce(min(oid), 0), now() FROM pg_class WHERE oid IN (1, 2)", "s"),
                  bind((), "s"), execute(), sync())  # fmt: skip
        wire.read_until()
        other.value("SELECT upper('a')")
        # The statement is still prepared there: nothing was discarded.
        assert other.value("SELECT count(*) FROM pg_prepared_statements") == "1"
        wire.query("SELECT pg_catalog.pg_relation_size('pg_class')")
        assert other.value("SELECT count(*) FROM pg_prepared_statements") == "0"
