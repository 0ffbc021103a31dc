"""Settings that disturb the server itself, and session_state = strict."""

import time

import pytest

from lib.messages import query, terminate
from lib.wire import Wire, errors, tags

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only, pytest.mark.audited]


@pytest.fixture(scope="module")
def pooler(module_headgates):
    """One server for all: whoever comes next gets what was left."""
    return module_headgates(pool_mode="transaction", default_pool_size=1, max_client_conn=300)


def connect(pooler, **parameters):
    return Wire(pooler.port).login(**parameters)


def show(name):
    return f"SELECT current_setting('{name}', true)"


def test_a_setting_that_cannot_be_taken_back_in_the_session_hurts_nobody(pooler):
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("SET temp_buffers = '16MB'")
        wire.query("CREATE TEMP TABLE t AS SELECT 1")
        wire.query("DROP TABLE t")
        assert wire.value("SHOW temp_buffers") == "16MB"
        wire.send(terminate())
        assert other.value("SHOW temp_buffers") == "8MB"


@pytest.mark.parametrize("setting", ["client_min_messages = debug5", "exit_on_error = on", "max_stack_depth = 100",
                                     "default_transaction_read_only = on", "transform_null_equals = on",
                                     "session_replication_role = replica", "lc_messages = 'C'", "work_mem = 64",
                                     "default_transaction_isolation = serializable", "row_security = off",
                                     "ignore_checksum_failure = on", "debug_print_parse = on", "jit = on",
                                     "standard_conforming_strings = off", "array_nulls = off",
                                     "search_path = evil, pg_catalog", "statement_timeout = 1", "lock_timeout = 1"])  # fmt: skip
def test_what_one_has_set_another_does_not_feel(pooler, setting):
    with connect(pooler) as wire, connect(pooler) as other:
        other.query("SET app.other = 'one''s'; SET search_path = a, \"B\"")
        for _ in range(3):
            wire.send(query(f"SET {setting}"))
            wire.read_until()
            answer = other.query("SELECT 1")
            assert tags(answer) == "TDCZ", answer
            assert other.value("SELECT current_setting('app.other') || current_setting('search_path')") == "one'sa, \"B\""


def test_a_server_that_ends_for_want_of_work_disturbs_nobody_else(pooler):
    with connect(pooler) as other:
        other.query("SET app.other = 'own'")
        for n in range(100):
            with connect(pooler) as wire:
                wire.send(query("SET idle_session_timeout = 1"))
                wire.read_until("C")
                time.sleep(n % 20 / 8000)
                assert other.value(show("app.other")) == "own"


# --- session_state = strict


def test_strict_finds_what_functions_hide(start_headgate, postgres):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, session_state="strict")
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("CREATE OR REPLACE FUNCTION hides(v text) RETURNS text LANGUAGE plpgsql AS "
                   "$$ BEGIN PERFORM set_config('app.hidden', v, false); RETURN v; END $$")  # fmt: skip
        for sql in ("SELECT hides('leak')", "DO $$ BEGIN PERFORM hides('leak'); END $$",
                    "SELECT U&\"set\\005fconfig\"('app.hidden', 'leak', false)",
                    "PREPARE p AS SELECT hides('leak'); EXECUTE p; DEALLOCATE p"):  # fmt: skip
            wire.query(sql)
            assert other.value(show("app.hidden")) in (None, ""), sql
        wire.query("SET app.x = 'own'")
        assert other.value("SELECT count(*) FROM pg_class WHERE false") == "0"
        assert wire.value(show("app.x")) == "own"
        wire.query("DROP FUNCTION hides")


def test_a_client_that_is_refused_its_settings_does_not_take_the_server_along(pooler):
    with connect(pooler) as other:
        backend = other.value("SELECT pg_backend_pid()")
        for options in ("-c work_mem=much", "-c nosuch=1", "-c log_statement=all", "-c role=nobody_at_all"):
            bad = connect(pooler, options=options)
            bad.send(query("SELECT 1"))
            assert errors(bad.read_to_end())[0]["S"] == "FATAL"
        assert other.value("SELECT pg_backend_pid()") == backend
