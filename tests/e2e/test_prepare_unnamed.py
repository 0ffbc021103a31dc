"""prepare_unnamed: unnamed statements that come again and again keep their plans on the servers."""

import pytest

from lib.messages import bind, close, describe, execute, extended, flush, parse, query, sync
from lib.wire import Wire, errors, first_value, tags

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only, pytest.mark.audited]

KNOWN = "SELECT string_agg(statement, ';') FROM pg_prepared_statements"


@pytest.fixture
def pooler(start_headgate):
    return start_headgate(pool_mode="transaction", default_pool_size=1, prepare_unnamed=1)


def connect(pooler):
    return Wire(pooler.port).login()


def ask(wire, sql, *values):
    wire.send(parse(sql), bind(values), describe(), execute(), sync())
    return wire.read_until()


def make_known(wire, sql):
    for _ in range(3):
        ask(wire, sql)


def server_parses(pooler):
    return sum(row["total_server_parse_count"] for row in pooler.admin("SHOW STATS"))


def known(wire):
    return wire.value(KNOWN)


def test_what_comes_again_is_kept_and_shared(pooler):
    sql = "SELECT $1::text || '!'"
    with connect(pooler) as wire, connect(pooler) as other:
        assert first_value(ask(wire, sql, "a")) == "a!"
        assert known(wire) is None  # it may never come again
        for n in range(3):
            answer = ask(wire, sql, str(n))
            assert tags(answer) == "12TDCZ" and first_value(answer) == f"{n}!"
        assert known(wire) == sql
        assert first_value(ask(other, sql, "other")) == "other!"
        assert known(other) == sql


def test_what_never_comes_again_is_not_kept(pooler):
    with connect(pooler) as wire:
        for n in range(300):
            assert first_value(ask(wire, f"SELECT 'number {n}'")) == f"number {n}"
        assert known(wire) is None


def test_without_the_setting_nothing_is_kept(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    with connect(pooler) as wire:
        for _ in range(3):
            ask(wire, "SELECT 1")
        assert known(wire) is None


def test_the_statement_stays_unnamed_for_its_client(pooler):
    with connect(pooler) as wire, connect(pooler) as other:
        for _ in range(2):
            ask(wire, "SELECT 'kept'")
            ask(other, "SELECT 'of another'")
        wire.send(parse("SELECT 'kept'"), sync())
        wire.read_until()
        ask(other, "SELECT 'of another'")
        wire.send(bind(()), execute(), sync())  # another transaction, the same server
        assert first_value(wire.read_until()) == "kept"
        wire.send(query("SELECT 1"), bind(()), execute(), sync())  # which drops it
        wire.read_until()
        assert [error["C"] for error in errors(wire.read_until())] == ["26000"]


def test_close_and_failing_parse_leave_no_statement(pooler):
    with connect(pooler) as wire:
        for end in (close(), parse("SELECT wrong FROM nowhere")):
            for _ in range(3):
                ask(wire, "SELECT 'kept'")
            wire.send(end, sync())
            wire.read_until()
            wire.send(bind(()), execute(), sync())
            assert [error["C"] for error in errors(wire.read_until())] == ["26000"]


def test_a_statement_that_fails_each_time_fails_each_time(pooler):
    with connect(pooler) as wire:
        for _ in range(4):
            assert [error["C"] for error in errors(ask(wire, "SELECT wrong FROM nowhere"))] == ["42P01"]
        assert first_value(ask(wire, "SELECT 1")) == "1"


def test_in_a_failed_transaction_it_is_refused(pooler):
    with connect(pooler) as wire:
        for _ in range(3):
            ask(wire, "SELECT 'kept'")
        wire.send(query("BEGIN"), query("SELECT 1/0"))
        wire.read_until(), wire.read_until()
        assert [error["C"] for error in errors(ask(wire, "SELECT 'kept'"))] == ["25P02"]
        wire.query("ROLLBACK")
        assert first_value(ask(wire, "SELECT 'kept'")) == "kept"


def test_errors_do_not_tell_the_name_on_the_server(pooler):
    with connect(pooler) as wire:
        for _ in range(3):
            ask(wire, "SELECT $1::int", "1")
        wire.send(parse("SELECT $1::int"), bind(()), execute(), sync())
        (error,) = errors(wire.read_until())
        assert error["M"] == 'bind message supplies 0 parameters, but prepared statement "" requires 1'


def test_the_table_may_change(pooler, postgres):
    with connect(pooler) as wire:
        wire.query("DROP TABLE IF EXISTS unnamed_t; CREATE TABLE unnamed_t AS SELECT 1 AS a")
        for _ in range(3):
            assert first_value(ask(wire, "SELECT * FROM unnamed_t")) == "1"
        wire.query("ALTER TABLE unnamed_t ADD b text DEFAULT 'more'")
        answer = ask(wire, "SELECT * FROM unnamed_t")
        assert tags(answer) == "12TDCZ", answer
        wire.query("DROP TABLE unnamed_t")


def test_named_ones_of_the_same_text_are_others(pooler):
    with connect(pooler) as wire:
        for _ in range(3):
            ask(wire, "SELECT 'same'")
        wire.send(parse("SELECT 'same'", "s"), sync())
        wire.read_until()
        for _ in range(2):
            assert first_value(ask(wire, "SELECT 'same'")) == "same"
        wire.send(close(name="s"), sync())
        wire.read_until()
        wire.send(bind((), "s"), sync())
        (error,) = errors(wire.read_until())
        assert error["M"] == 'prepared statement "s" does not exist'
        assert first_value(ask(wire, "SELECT 'same'")) == "same"


def test_settings_in_kept_statements_follow_the_client(pooler):
    with connect(pooler) as wire, connect(pooler) as other:
        for n in range(4):
            ask(wire, "SELECT set_config('app.tenant', $1, false)", f"t{n}")
            assert other.value("SELECT current_setting('app.tenant', true)") in (None, "")
            assert wire.value("SHOW app.tenant") == f"t{n}"


def test_many_in_one_pipeline(pooler):
    with connect(pooler) as wire:
        for _ in range(3):
            wire.send(*[part for n in range(10) for part in (extended(f"SELECT {n % 3}"), sync())])
            assert [first_value(wire.read_until()) for _ in range(10)] == [str(n % 3) for n in range(10)]


def test_the_server_is_not_asked_for_what_it_knows(pooler):
    with connect(pooler) as wire:
        make_known(wire, "SELECT 1")
        parses = server_parses(pooler)
        wire.send(parse("SELECT 1"), sync())
        assert tags(wire.read_until()) == "1Z"
        wire.send(parse("SELECT 1"), flush())
        assert tags(wire.read_until("1")) == "1"
        wire.send(sync())
        assert tags(wire.read_until()) == "Z"
        wire.send(parse("SELECT 1"), bind(()), parse("SELECT 1"), execute(), sync())
        assert tags(wire.read_until()) == "121DCZ"
        assert server_parses(pooler) == parses


def test_parse_complete_comes_in_front_of_an_error(pooler):
    with connect(pooler) as wire:
        make_known(wire, "SELECT 1")
        wire.send(parse("SELECT 1"), describe("S", "unknown"), sync())
        answer = wire.read_until()
        assert tags(answer) == "1EZ"
        assert errors(answer)[0]["M"] == 'prepared statement "unknown" does not exist'


def test_who_leaves_behind_a_parse_leaves_a_server(pooler):
    with connect(pooler) as wire:
        make_known(wire, "SELECT 1")
    for end in (b"", flush()):
        with connect(pooler) as leaver:
            leaver.send(parse("SELECT 1"), end)
        with connect(pooler) as other:
            assert first_value(ask(other, "SELECT 1")) == "1"


def test_the_table_may_change_behind_a_parse_that_was_told(pooler):
    with connect(pooler) as wire, connect(pooler) as owner:
        owner.query("DROP TABLE IF EXISTS told_t; CREATE TABLE told_t AS SELECT 1 AS a")
        make_known(wire, "SELECT * FROM told_t")
        owner.query("ALTER TABLE told_t ADD b text DEFAULT 'more'")
        wire.send(parse("SELECT * FROM told_t"), flush())
        assert tags(wire.read_until("1")) == "1"
        wire.send(bind(()), describe(), execute(), sync())
        assert tags(wire.read_until()) == "2TDCZ"
        owner.query("DROP TABLE told_t")
