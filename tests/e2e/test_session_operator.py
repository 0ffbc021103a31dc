"""Clients that share servers, and their operator: settings, reloads and commands take nothing from anybody."""

import pytest

from lib.messages import bind, execute, parse, query
from lib.sharing import connect, is_pinned, run, seen_by_another, show
from lib.wire import errors

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only, pytest.mark.audited]


# --- settings


@pytest.mark.parametrize("reset_query", ["RESET ALL", "SELECT 1", "DISCARD ALL", "RESET work_mem"])
def test_a_reset_query_of_the_operator_takes_nothing_from_clients(start_headgate, reset_query):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, server_reset_query=reset_query,
                            server_reset_query_always=1)  # fmt: skip
    with connect(pooler) as wire:
        wire.query("SET work_mem = '7MB'; SET app.x = 'own'")
        for _ in range(3):
            assert wire.value("SELECT current_setting('work_mem') || current_setting('app.x')") == "7MBown"
        assert seen_by_another(pooler, show("work_mem")) == "4MB"
        assert wire.value("SELECT current_setting('work_mem') || current_setting('app.x')") == "7MBown"


def test_a_tracked_parameter_that_no_server_reports_is_a_setting_like_others(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1,
                            track_extra_parameters="IntervalStyle, search_path, work_mem")  # fmt: skip
    with connect(pooler) as wire:
        wire.query("SET search_path = a, b; SET work_mem = '7MB'; SET IntervalStyle = 'iso_8601'")
        assert seen_by_another(pooler, show("search_path")) == '"$user", public'
        assert seen_by_another(pooler, show("work_mem")) == "4MB"
        assert seen_by_another(pooler, show("intervalstyle")) == "postgres"
        assert wire.value(show("search_path")) == "a, b"


def test_without_tracked_statements(start_headgate):
    pooler = start_headgate(session_audit="off", pool_mode="transaction", default_pool_size=1, max_prepared_statements=0)
    sql = "SELECT set_config('app.x', 'leak', false)"
    for name in ("", "named"):
        with connect(pooler) as wire:
            run(wire, parse(sql, name))
            run(wire, bind((), name), execute())
            assert seen_by_another(pooler, show("app.x")) in (None, "")
    with connect(pooler) as wire:
        run(wire, parse("SELECT set_config($1, $2, false)"), bind(["app.x", "own"]), execute())
        assert wire.value(show("app.x")) == "own"


def test_statement_mode(start_headgate):
    pooler = start_headgate(pool_mode="statement", default_pool_size=1)
    with connect(pooler) as wire:
        wire.query("SET app.x = 'own'")
        wire.query("SELECT set_config('app.y', 'too', false); SET work_mem = '7MB'")
        assert seen_by_another(pooler, "SELECT coalesce(current_setting('app.x', true), '')") == ""
        assert wire.value("SELECT current_setting('app.x') || current_setting('app.y')") == "owntoo"
        wire.send(query("BEGIN; SET app.x = 'begun'"))
        assert errors(wire.read_to_end())
    assert seen_by_another(pooler, "SELECT coalesce(current_setting('app.x', true), '')") == ""


# --- reloads and commands


def test_a_reload_that_begins_to_look_finds_servers_clean(start_headgate):
    pooler = start_headgate(session_audit="off", pool_mode="transaction", default_pool_size=1, session_state="pgbouncer")
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("SET app.x = 'leak'")
        assert other.value(show("app.x")) == "leak"
        pooler.reload(session_state="track")
        pooler.admin("RELOAD")
        assert other.value(show("app.x")) in (None, "")
        wire.query("SET app.x = 'own'")
        assert other.value(show("app.x")) in (None, "")
        assert wire.value(show("app.x")) == "own"
        pooler.reload(session_state="pgbouncer")
        pooler.admin("RELOAD")
        other.query("SET app.x = 'theirs'")
        pooler.reload(session_state="track")
        pooler.admin("RELOAD")
        assert wire.value(show("app.x")) == "own"
        assert other.value(show("app.x")) in (None, "")


def test_a_reload_while_a_client_is_pinned(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    with connect(pooler) as wire:
        wire.query("SELECT pg_advisory_lock(77)")
        pooler.reload(session_state="pgbouncer")
        pooler.admin("RELOAD")
        assert wire.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()") == "1"
        wire.query("SELECT pg_advisory_unlock(77)")
        assert seen_by_another(pooler, "SELECT 1") == "1"
        pooler.reload(session_state="track")
        pooler.admin("RELOAD")
        wire.query("CREATE TEMP TABLE mine ()")
        pooler.reload(pool_mode="session")
        pooler.admin("RELOAD")
        assert wire.value("SELECT count(*) FROM mine") == "0"


@pytest.mark.parametrize("command", ["RECONNECT", "KILL app", "DISABLE app"])
def test_commands_while_a_client_is_pinned(start_headgate, command):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    with connect(pooler) as wire:
        wire.query("SET app.x = 'own'; LISTEN pinned")
        assert is_pinned(pooler)
        pooler.admin(command)
        if command == "KILL app":
            assert errors(wire.read_to_end())[0]["S"] == "FATAL"
            pooler.admin("RESUME app")
        if command != "KILL app":
            assert wire.value(show("app.x")) == "own"
            wire.query("UNLISTEN *")
            assert wire.value(show("app.x")) == "own"
        if command == "DISABLE app":
            pooler.admin("ENABLE app")
    assert seen_by_another(pooler, show("app.x")) in (None, "")
