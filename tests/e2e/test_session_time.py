"""Clients that share servers, and time: limits, cancels, and questions that take long strike nobody else."""

import time

import pytest

from lib.messages import bind, execute, parse, query, sync
from lib.sharing import connect, given_back, is_pinned, seen_by_another, show
from lib.wire import errors, first_value, tags

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only, pytest.mark.audited]


@pytest.fixture(scope="module")
def pooler(module_headgates):
    """One server for all: whoever comes next gets what was left."""
    return module_headgates(pool_mode="transaction", default_pool_size=1, max_client_conn=300)


def test_timeouts_of_one_client_do_not_strike_what_is_said_for_another(pooler):
    with connect(pooler) as hasty, connect(pooler) as slow:
        slow.query(";".join(f"SET slow.s{n} = '{n * 'x'}'" for n in range(90)))
        for _ in range(30):
            hasty.send(query("SET statement_timeout = 1"))
            hasty.read_until()
            assert slow.value(show("slow.s7")) == "xxxxxxx"
            assert slow.value("SHOW statement_timeout") == "0"
            hasty.send(query("RESET statement_timeout"))
            hasty.read_until()


def test_a_client_whose_time_limit_is_short_is_asked_all_the_same(pooler, postgres):
    """Headgate cannot look for locks while their view is locked, which takes longer than that."""
    with connect(pooler) as hasty, postgres.connect("app") as db:
        hasty.query("SET statement_timeout = '200ms'; SET search_path = a, b; SELECT pg_advisory_lock(1)")
        assert is_pinned(pooler)
        db.autocommit = False
        db.execute("LOCK TABLE pg_catalog.pg_locks IN ACCESS EXCLUSIVE MODE")
        assert hasty.value("SELECT pg_advisory_unlock(1)") == "t"
        time.sleep(1.5)
        db.rollback()
        given_back(pooler)
        assert seen_by_another(pooler, "SHOW statement_timeout") == "0"
        assert hasty.value("SHOW statement_timeout") == "200ms"
        assert hasty.value(show("search_path")) == "a, b"
        hasty.query("RESET statement_timeout")
        given_back(pooler)
        assert hasty.value("SHOW statement_timeout") == "0"


def test_nobody_is_told_of_the_time_limit_of_another(pooler, postgres):
    """The server cannot take an encoding while its catalog is locked, and the limit is the other's."""
    latin = {"client_encoding": "LATIN9"}
    with connect(pooler) as hasty, connect(pooler, **latin) as wire, postgres.connect("app") as db:
        hasty.query("SET statement_timeout = 1")
        db.autocommit = False
        db.execute("LOCK TABLE pg_catalog.pg_conversion IN ACCESS EXCLUSIVE MODE")
        wire.send(query("SHOW client_encoding"))
        with pytest.raises(TimeoutError):
            wire.read(0.3)
        db.rollback()
        assert first_value(wire.read_until()) == "LATIN9"
        assert wire.value("SHOW statement_timeout") == "0"
        assert hasty.value("SHOW statement_timeout") == "1ms"


def test_a_batch_that_comes_in_two_pieces_behind_discard_all_is_answered(pooler, postgres):
    """Between the pieces Headgate asks what is left, which takes as long as the view is locked."""
    with connect(pooler, options="-c work_mem=7MB") as wire, postgres.connect("app") as db:
        wire.query("SELECT 1")
        db.autocommit = False
        db.execute("LOCK TABLE pg_catalog.pg_settings IN ACCESS EXCLUSIVE MODE")
        batch = b"".join([parse(show("work_mem")), bind(), execute(), sync()])
        wire.send(query("DISCARD ALL"), batch[:8])
        wire.read_until()
        time.sleep(0.3)
        wire.send(batch[8:])
        time.sleep(0.1)
        db.rollback()
        assert first_value(wire.read_until()) == "7MB"


def test_a_deferrable_client_keeps_nobody_waiting(pooler, postgres):
    with connect(pooler) as wire, connect(pooler) as other, postgres.connect() as db:
        other.query("SET search_path = a, public")
        db.execute("CREATE TABLE IF NOT EXISTS deferred (n int)")
        wire.query("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE")
        db.autocommit = False
        db.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        db.execute("INSERT INTO deferred VALUES (1)")
        wire.query("SET app.x = 'set'")  # and asks for it
        assert other.value(show("search_path"), timeout=2) == "a, public"
        db.rollback()
        assert wire.value(show("default_transaction_deferrable")) == "on"
        assert other.value(show("default_transaction_read_only")) == "off"


def test_a_cancel_strikes_the_clients_own_request_and_nothing_else(pooler):
    with connect(pooler) as wire, connect(pooler) as other:
        for n in range(40):
            wire.query(f"SET app.x = '{n}'")
            wire.cancel()
            other.query("SET app.x = 'other'")
            wire.send(query("SELECT pg_sleep(0.05)"))
            wire.cancel()
            answer = wire.read_until()
            assert tags(answer)[-1] == "Z" and all(error["C"] == "57014" for error in errors(answer))
            given_back(pooler)
            assert wire.value(show("app.x")) == str(n)
