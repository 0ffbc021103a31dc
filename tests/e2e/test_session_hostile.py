"""Clients that share servers and mean ill, or have bad luck: no setting reaches another, none is lost."""

import time

import pytest

from lib.messages import bind, execute, extended, flush, function_call, message, parse, query, sync, terminate
from lib.sharing import connect, given_back, is_pinned, run, seen_by_another, show
from lib.wire import errors, first_value, tags

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only, pytest.mark.audited]

SET_CONFIG = 2078  # pg_proc.oid
LO_CREAT = 957
LONG = "app." + "n" * 70


@pytest.fixture(scope="module")
def pooler(module_headgates):
    """One server for all: whoever comes next gets what was left."""
    return module_headgates(pool_mode="transaction", default_pool_size=1, max_client_conn=300)


# --- texts that hide what they do

HIDDEN = [
    "EXPLAIN ANALYZE SELECT set_config('app.x', 'leak', false)",
    "CREATE TABLE hidden_t AS SELECT set_config('app.x', 'leak', false) AS \"function\"",
    "DO $$ BEGIN SET app.x = 'leak'; END $$",
    "DO $$ BEGIN IF true THEN SET app.x = 'leak'; END IF; END $$",
    "DO $$ BEGIN EXECUTE 'SET app.x = ' || quote_literal('leak'); END $$",
    "DO $$ BEGIN EXECUTE format('SET app.x = %L', 'leak'); END $$",
    r"DO E'BEGIN PERFORM set_config(\'app.x\', \'leak\', false); END'",
    "SELECT set_config('app.' || 'x', 'leak', false)",
    "SELECT set_config(E'app.\\x78', 'leak', false)",
    "PREPARE hidden AS SELECT set_config('app.x', 'leak', false); EXECUTE hidden",
    "BEGIN; DECLARE hidden CURSOR FOR SELECT set_config('app.x', 'leak', false); FETCH hidden; COMMIT",
    "COPY (SELECT set_config('app.x', 'leak', false)) TO STDOUT",
    "WITH w AS (SELECT set_config('app.x', 'leak', false) s) SELECT s FROM w",
    "SET U&\"\\0061pp\".x = 'leak'",
    "SET app.X TO leak",
    "SET SESSION app.x TO 'leak'",
    "/* /* */ */ SET app.x = 'leak'",
]


@pytest.mark.parametrize("sql", HIDDEN, ids=[sql[:50] for sql in HIDDEN])
def test_what_hides_in_a_text_is_seen_by_its_client_alone(pooler, sql):
    with connect(pooler) as wire:
        wire.query(sql)
        assert wire.value(show("app.x")) == "leak"
        wire.query("DROP TABLE IF EXISTS hidden_t")
        if not is_pinned(pooler):  # it is not pinned
            assert seen_by_another(pooler, show("app.x")) in (None, "")
        assert wire.value(show("app.x")) == "leak"
        wire.send(terminate())
    assert seen_by_another(pooler, show("app.x")) in (None, "")


@pytest.mark.parametrize("strings", ["on", "off"])
def test_backslashes_hide_nothing_whatever_they_mean(pooler, strings):
    texts = [r"SELECT '\'; SET app.x = 'leak' --'", r"SELECT '\', set_config('app.x', 'leak', false) --'",
             r"SELECT '\'', set_config('app.x', 'leak', false) --'"]  # fmt: skip
    for sql in texts:
        with connect(pooler) as wire:
            wire.send(query(f"SET standard_conforming_strings = {strings}"), query(sql), extended(sql), sync(),
                      parse(sql, "named"), bind((), "named"), execute(), sync())  # fmt: skip
            for _ in range(4):
                wire.read_until()
            if not is_pinned(pooler):
                assert seen_by_another(pooler, show("app.x")) in (None, ""), sql


def test_encodings_that_hold_backslashes_hide_nothing(pooler):
    for pipelined in (True, False):
        with connect(pooler) as wire:
            hidden = query(b"SELECT E'\x95\x5c'; SET app.x = 'leak' --'")
            if pipelined:
                wire.send(query("SET client_encoding = 'SJIS'"), hidden)
                wire.read_until()
            else:
                wire.query("SET client_encoding = 'SJIS'")
                wire.send(hidden)
            assert not errors(wire.read_until())
            assert seen_by_another(pooler, show("app.x")) in (None, ""), pipelined


def test_a_function_that_is_called_by_its_number(pooler):
    with connect(pooler) as wire:
        wire.send(function_call(SET_CONFIG, [b"app.x", b"leak", b"f"]))
        assert not errors(wire.read_until())
        assert wire.value(show("app.x")) == "leak"
        assert seen_by_another(pooler, show("app.x")) in (None, "")


@pytest.mark.parametrize("how", ["SET", "set_config", "options"])
def test_names_that_the_server_cuts(pooler, how):
    with connect(pooler, **({"options": f"-c {LONG}=leak"} if how == "options" else {})) as wire:
        if how == "SET":
            wire.query(f"SET {LONG} = 'leak'")
        if how == "set_config":
            wire.query(f"SELECT set_config('{LONG}', 'leak', false)")
        name = LONG[:67] if how == "SET" else LONG
        for _ in range(2):
            assert wire.value(show(name)) == "leak"
            if not is_pinned(pooler):
                assert seen_by_another(pooler, show(name)) in (None, "")


def test_an_unnamed_statement_whose_successor_failed_to_come(pooler):
    with connect(pooler) as wire:
        run(wire, parse("SELECT set_config('app.x', 'leak', false)"))
        answer = run(wire, parse("no such statement", "bad"), parse("SELECT 1"))
        assert errors(answer)
        run(wire, bind(), execute())
        assert wire.value(show("app.x")) in (None, "", "leak")
        assert seen_by_another(pooler, show("app.x")) in (None, "")


def test_large_texts(pooler):
    value = "v" * 60000
    with connect(pooler) as wire:
        wire.query(f"SET app.x = '{value}'")
        for _ in range(2):
            assert seen_by_another(pooler, "SELECT length(current_setting('app.x', true))") in (None, "0")
            assert wire.value("SELECT length(current_setting('app.x'))") == "60000"
        wire.query("SET app.y = 'before'; SELECT '" + "x" * 100000 + "'; SET app.y = 'behind'")
        assert wire.value(show("app.y")) == "behind"
    with connect(pooler) as wire:
        wire.query("SELECT '" + "x" * 300000 + "'; SET app.x = 'leak'")
        assert seen_by_another(pooler, show("app.x")) in (None, "")


# --- temporary things


def test_tables_that_are_temporary_by_their_place(pooler):
    with connect(pooler) as wire, connect(pooler) as other:
        other.query("CREATE TABLE IF NOT EXISTS shadowed (who text)")
        wire.query("SET search_path = pg_temp, public")
        wire.query("CREATE TABLE shadowed AS SELECT 'evil' AS who")
        other.send(query("SELECT count(*) FROM shadowed"))
        assert other.silent_for(0.2)
        assert wire.value("SELECT who FROM shadowed") == "evil"
        wire.query("DISCARD ALL")
        assert first_value(other.read_until()) == "0"
        other.query("DROP TABLE shadowed")


@pytest.mark.parametrize("sql", ["EXPLAIN ANALYZE CREATE TEMP TABLE shadow AS SELECT 1",
                                 "CREATE FUNCTION pg_temp.shadow() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                                 "CREATE TEMP VIEW shadow AS SELECT 1", "CREATE TEMP SEQUENCE shadow",
                                 "CREATE TYPE pg_temp.shadow AS ENUM ('a')",
                                 "CREATE COLLATION pg_temp.shadow FROM \"C\"",
                                 "CREATE TEXT SEARCH DICTIONARY pg_temp.shadow (template = simple)",
                                 "SELECT 1 AS a INTO TEMP shadow", "DO $$ BEGIN CREATE TEMP TABLE shadow (); END $$",
                                 ])  # fmt: skip
def test_temporary_things_of_all_kinds_pin(pooler, sql):
    with connect(pooler) as wire:
        wire.query(sql)
        assert is_pinned(pooler)
        wire.query("DISCARD ALL")
        given_back(pooler)


# --- its own settings


def test_settings_that_cannot_be_carried_disturb_nobody(pooler):
    with connect(pooler) as wire:
        wire.query("SET search_path = a, public")
        for sql in ("SET seed = 0.5", "SET seed TO 0.5", "SET transaction_isolation = 'serializable'",
                    "BEGIN", "SET transaction_read_only = on", "SET SESSION transaction_deferrable = off", "COMMIT"):  # fmt: skip
            wire.query(sql)
        assert seen_by_another(pooler, "SELECT 1") == "1"
        assert wire.value(show("search_path")) == "a, public"


def test_a_setting_behind_a_reset_is_kept(pooler):
    start = {"options": "-c statement_timeout=30000 -c app.x=start"}
    with connect(pooler, **start) as wire:
        for sql in ("RESET ALL; SET app.x = 'own'", "RESET app.x; SET app.x = 'own'",
                    "SET app.x TO DEFAULT; SELECT set_config('app.x', 'own', false)"):  # fmt: skip
            wire.query(sql)
            seen_by_another(pooler, "SELECT 1")
            assert wire.value(show("app.x")) == "own", sql
            assert wire.value(show("statement_timeout")) == "30s"
        run(wire, extended("RESET app.x"), extended("SET app.x = 'own'"))
        seen_by_another(pooler, "SELECT 1")
        assert wire.value(show("app.x")) == "own"
        run(wire, extended("SET app.x = 'not'"), extended("RESET app.x"))
        assert wire.value(show("app.x")) == "start"


def test_discard_all_in_a_pipeline_gives_the_server_back(pooler):
    with connect(pooler, options="-c app.x=start") as wire:
        wire.query("SELECT set_config('app.' || 'y', 'pins', false)")
        assert is_pinned(pooler)
        wire.query("DISCARD ALL")
        assert wire.value(show("app.x")) == "start"
        given_back(pooler)
        wire.query("SELECT set_config('app.' || 'y', 'pins', false)")
        wire.send(query("DISCARD ALL"), query("SELECT 1"))
        wire.read_until()
        wire.read_until()
        assert wire.value(show("app.y")) in (None, "")
        given_back(pooler)


# --- the middle of things


@pytest.mark.parametrize("end", ["flush", "nothing", "goodbye", "reset", "goodbye behind Sync", "in a transaction"])
def test_a_client_that_ends_right_behind_its_set(pooler, end):
    for set_it in (extended("SET app.x = 'leak'"), extended("SELECT set_config($1, 'leak', false)", ["app.x"]),
                   extended("SELECT pg_advisory_lock(5)"), extended("LISTEN leak")):  # fmt: skip
        wire = connect(pooler)
        if end == "in a transaction":
            wire.send(query("BEGIN"))
        wire.send(set_it, {"flush": flush(), "goodbye": terminate(), "goodbye behind Sync": sync() + terminate(),
                           "in a transaction": sync()}.get(end, b""))  # fmt: skip
        if end == "flush":
            wire.read_until("C")
        if end in ("reset", "nothing", "flush", "in a transaction"):
            wire.reset()
        else:
            wire.read_to_end()
        with connect(pooler) as other:
            assert other.value(show("app.x")) in (None, "")
            assert other.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0"
            assert other.value("SELECT count(*) FROM pg_listening_channels()") == "0"


def test_transactions_of_all_kinds(pooler):
    with connect(pooler) as wire:
        wire.query("SET app.x = 'begin'")
        for sqls, expected in (
            (("BEGIN", "SET app.x = '1'", "COMMIT AND CHAIN", "SET app.x = '2'", "ROLLBACK"), "1"),
            (("BEGIN", "SET app.x = '3'", "ROLLBACK AND CHAIN", "SET app.y = '3'", "COMMIT"), "1"),
            (("BEGIN", "SAVEPOINT a", "SET app.x = '4'", "SAVEPOINT b", "SET app.x = '5'", "ROLLBACK TO b", "COMMIT"), "4"),
            (("BEGIN; SET app.x = '6'; COMMIT; BEGIN; SET app.x = '7'; ROLLBACK",), "6"),
            (("BEGIN", "SET LOCAL app.x = '8'", "SELECT set_config('app.x', '9', true)", "COMMIT"), "6"),
            (("BEGIN", "SET app.x = '10'", "SET LOCAL app.x = '11'", "COMMIT"), "10"),
        ):
            for sql in sqls:
                wire.query(sql)
            assert seen_by_another(pooler, show("app.x")) in (None, "")
            assert wire.value(show("app.x")) == expected, sqls


def test_a_portal_that_runs_in_parts_and_later(pooler):
    with connect(pooler) as wire:
        wire.query("BEGIN")
        sql = "SELECT set_config('app.x', n::text, false) FROM generate_series(1, 5) n"
        run(wire, parse(sql, "s"), bind((), "s", "portal"), execute("portal", 2))
        run(wire, execute("portal", 2))
        wire.query("COMMIT")
        assert seen_by_another(pooler, show("app.x")) in (None, "")
        assert wire.value(show("app.x")) == "4"


def test_syncs_at_every_place(pooler):
    parts = [parse("SET app.x = 'piped'"), bind(), execute(), parse("SELECT 1"), bind(), execute()]
    for mask in range(1 << 6):
        with connect(pooler) as wire:
            expected = 1
            for place, part in enumerate(parts):
                wire.send(part)
                if mask >> place & 1:
                    wire.send(sync())
                    expected += 1
            wire.send(sync())
            answer = []
            while tags(answer).count("Z") < expected:
                answer += wire.read_until()
            done = any(message.tag == "C" and message.text() == "SET" for message in answer)
            assert seen_by_another(pooler, show("app.x")) in (None, "")
            assert (wire.value(show("app.x")) == "piped") == done, mask


def test_two_encodings(pooler):
    with connect(pooler, client_encoding="LATIN1") as latin, connect(pooler, client_encoding="UTF8") as utf:
        latin.query(b"SET app.x = 'caf\xe9'")
        utf.query("SET app.x = 'café 馬'")
        for _ in range(2):
            assert latin.query("SELECT current_setting('app.x')")[1].values() == [b"caf\xe9"]
            assert utf.value(show("app.x")) == "café 馬"
        latin.query("SET client_encoding = 'UTF8'")
        seen_by_another(pooler, "SELECT 1")
        assert latin.value(show("app.x")) == "café"


@pytest.mark.parametrize("name", ["a.b$c", "A.B", "a.b.c", "_x._y", "ž.ů", "a.select"])
def test_names_with_odd_characters(pooler, name):
    with connect(pooler) as wire:
        wire.query(f"SELECT set_config('{name}', 'own', false)")
        assert seen_by_another(pooler, show(name)) in (None, "")
        assert wire.value(show(name)) == "own"


def test_what_only_another_role_may_set(pooler, postgres):
    with postgres.connect() as db:
        db.execute("DROP ROLE IF EXISTS boss")
        db.execute("CREATE ROLE boss SUPERUSER")
        db.execute("GRANT boss TO app")
    with connect(pooler) as wire:
        wire.query("SET ROLE boss; SET log_min_duration_statement = '1h'; RESET ROLE")
        assert is_pinned(pooler)
        assert wire.value("SHOW log_min_duration_statement") == "1h"
        wire.query("SET ROLE boss")
        assert wire.value("SHOW log_min_duration_statement") == "1h"
    assert seen_by_another(pooler, "SELECT current_user || current_setting('log_min_duration_statement')") == "app-1"
    with postgres.connect() as db:
        db.execute("DROP ROLE boss")


@pytest.mark.parametrize("sql", ["SET server_version = '1'", "SET log_statement = 'all'", "SET shared_buffers = 1", "SET nosuch = 1",
                                 "SET \"a b\".c = 1", "SET \"\".c = 1", "SELECT set_config('', 'x', false)",
                                 "SELECT set_config('a b', 'x', false)", "SET work_mem = 'much'",
                                 "RESET nosuch", "SET ROLE nobody_at_all", "SET SESSION AUTHORIZATION nobody_at_all",
                                 "SET log_statement TO", "LISTEN", "SET is_superuser = off"])  # fmt: skip
def test_what_is_refused_changes_nothing(pooler, sql):
    with connect(pooler) as wire:
        wire.query("SET app.x = 'own'")
        wire.send(query(sql))
        assert errors(wire.read_until())
        given_back(pooler)
        assert seen_by_another(pooler, "SELECT 1") == "1"
        assert wire.value(show("app.x")) == "own"


def test_copies_and_calls_between(pooler):
    with connect(pooler) as wire:
        wire.send(query("SET app.x = 'own'; COPY (SELECT 1) TO STDOUT; BEGIN; SET app.y = 'too'"))
        wire.read_until()
        wire.send(function_call(LO_CREAT, [b"131072"]))
        assert not errors(wire.read_until())
        wire.query("COMMIT")
        assert seen_by_another(pooler, show("app.x")) in (None, "")
        assert wire.value("SELECT current_setting('app.x') || current_setting('app.y')") == "owntoo"


def test_many_clients_of_one_server_each_with_its_own(pooler):
    clients = [connect(pooler) for _ in range(20)]
    for n, wire in enumerate(clients):
        wire.query(f"SET app.x = '{n}'; SET work_mem = '{n + 1}MB'")
    until = time.monotonic() + 2
    while time.monotonic() < until:
        for wire in clients:
            wire.send(query("SELECT current_setting('app.x') || ' ' || current_setting('work_mem')"))
        for n, wire in enumerate(clients):
            assert first_value(wire.read_until()) == f"{n} {n + 1}MB"
    for wire in clients:
        wire.close()


@pytest.mark.parametrize("name", [b"app.a\0b", b"\0", b"\0\0\0\2", b"\xff\xff\xff\xff"])
def test_a_bound_name_that_is_no_text_hurts_nobody(pooler, name):
    with connect(pooler) as wire, connect(pooler) as other:
        value = len(name).to_bytes(4, "big") + name
        bound = b"\0\0" + b"\0\1\0\1" + b"\0\1" + value + b"\0\0"
        wire.send(parse("SELECT set_config($1, 'x', false)"), message("B", bound), execute(), sync())
        assert [error["C"] for error in errors(wire.read_until())] == ["22021"]
        assert wire.value("SELECT 1") == other.value("SELECT 1") == "1"
        assert {row["pinned"] for row in pooler.admin("SHOW SERVERS")} == {""}
