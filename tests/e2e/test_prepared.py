"""Prepared statements of the extended protocol where clients share servers."""

import asyncio

import asyncpg
import pytest

from lib.messages import bind, close, describe, execute, extended, flush, parse, query, sync
from lib.wire import Wire, errors, first_value, tags

pytestmark = [pytest.mark.sanitizers, pytest.mark.audited]

SQL = "SELECT $1::text || '!'"


@pytest.fixture(scope="module", params=["transaction", "statement"])
def pooler(request, module_headgates):
    return module_headgates(pool_mode=request.param, default_pool_size=3, max_client_conn=300)


def connect(pooler, **settings):
    return Wire(pooler.port, **settings).login()


def run(wire, name, value):
    wire.send(bind([value], name), execute(), sync())
    return wire.read_until()


def other_servers(pooler, count):
    """Connections that hold servers, so that the next client gets another one."""
    holders = [connect(pooler) for _ in range(count)]
    for holder in holders:
        holder.send(extended("SELECT 1"), flush())
        holder.read_until("C")
    return holders


def let_go(holders):
    for holder in holders:
        holder.send(sync())
        holder.read_until()
        holder.close()


def test_a_statement_goes_where_its_client_goes(pooler):
    wire = connect(pooler)
    wire.send(parse(SQL, "mine"), sync())
    assert tags(wire.read_until()) == "1Z"
    for busy in (0, 1, 2, 0, 2):
        holders = other_servers(pooler, busy)
        answer = run(wire, "mine", f"value {busy}")
        assert tags(answer) == "2DCZ" and first_value(answer) == f"value {busy}!"
        let_go(holders)


def test_the_same_name_means_something_else_to_each_client(pooler):
    wires = [connect(pooler) for _ in range(20)]
    for n, wire in enumerate(wires):
        wire.send(parse(f"SELECT {n} + $1::int", "s"), sync())
    for wire in wires:
        assert tags(wire.read_until()) == "1Z"
    for turn in range(5):
        for wire in wires:
            wire.send(bind([str(turn)], "s"), execute(), sync())
        for n, wire in enumerate(wires):
            assert first_value(wire.read_until()) == str(n + turn)


def test_clients_that_prepare_the_same_share_it(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    for name in ("a", "b", "c"):
        wire = connect(pooler)
        wire.send(parse("SELECT 'the same'", name), bind((), name), execute(), sync())
        assert tags(wire.read_until()) == "12DCZ"
        assert wire.send(query("SELECT count(*) FROM pg_prepared_statements")) is None
        assert first_value(wire.read_until()) == "1"
        wire.close()


def test_names_that_are_not_known_fail_as_in_postgresql(pooler):
    wire = connect(pooler)
    for message in (bind((), "nobody"), describe("S", "nobody")):
        wire.send(message, execute(), sync())
        answer = wire.read_until()
        assert tags(answer) == "EZ"
        [error] = errors(answer)
        assert error["C"] == "26000" and error["M"] == 'prepared statement "nobody" does not exist'
    wire.send(close("S", "nobody"), sync())
    assert tags(wire.read_until()) == "3Z"


def test_a_name_is_given_once(pooler):
    wire = connect(pooler)
    wire.send(parse("SELECT 1", "twice"), sync())
    assert tags(wire.read_until()) == "1Z"
    for sql in ("SELECT 1", "SELECT 2"):
        wire.send(parse(sql, "twice"), sync())
        answer = wire.read_until()
        assert tags(answer) == "EZ"
        [error] = errors(answer)
        assert error["C"] == "42P05" and error["M"] == 'prepared statement "twice" already exists'
    wire.send(close("S", "twice"), parse("SELECT 2", "twice"), bind((), "twice"), execute(), sync())
    answer = wire.read_until()
    assert tags(answer) == "312DCZ" and first_value(answer) == "2"


def test_an_error_behind_a_timeout_tells_the_clients_name(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, query_timeout=0.3)
    wire = connect(pooler)
    wire.send(query("SELECT pg_sleep(30)"), bind((), "nobody"), execute(), sync())
    assert errors(wire.read_until())[0]["C"] == "57014"
    [error] = errors(wire.read_until())
    assert error["M"] == 'prepared statement "nobody" does not exist'


def test_an_error_tells_the_name_that_the_statement_had_then(pooler):
    wire = connect(pooler)
    wire.send(parse("SELECT 1", "old"), sync())
    assert tags(wire.read_until()) == "1Z"
    wire.send(parse("SELECT 2", "old"), sync(), close("S", "old"), parse("SELECT 1", "new"), sync())
    [error] = errors(wire.read_until())
    assert error["M"] == 'prepared statement "old" already exists'
    assert tags(wire.read_until()) == "31Z"


def test_wrong_parameters_are_told_by_the_clients_name(pooler):
    wire = connect(pooler)
    wire.send(parse(SQL, "one parameter"), sync())
    wire.read_until()
    wire.send(bind(("a", "b"), "one parameter"), execute(), sync())
    [error] = errors(wire.read_until())
    assert error["M"] == 'bind message supplies 2 parameters, but prepared statement "one parameter" requires 1'


def test_an_error_takes_back_what_its_batch_prepared_and_closed(pooler):
    wire = connect(pooler)
    wire.send(parse("SELECT 'old'", "kept"), sync())
    wire.read_until()
    wire.send(extended("SELECT 1 / 0"), close("S", "kept"), parse("SELECT 'new'", "never"), sync())
    assert tags(wire.read_until())[-2:] == "EZ"
    assert first_value((wire.send(bind((), "kept"), execute(), sync()), wire.read_until())[1]) == "old"
    wire.send(bind((), "never"), execute(), sync())
    assert errors(wire.read_until())[0]["C"] == "26000"
    wire.send(parse("SELECT 'new'", "never"), bind((), "never"), execute(), sync())
    assert first_value(wire.read_until()) == "new"


def test_a_statement_with_an_error_is_not_known_afterwards(pooler):
    wire = connect(pooler)
    for _ in range(2):
        wire.send(parse("SELECT no_such_column", "wrong"), bind((), "wrong"), execute(), sync())
        answer = wire.read_until()
        assert tags(answer) == "EZ" and errors(answer)[0]["C"] == "42703"
    wire.send(parse("SELECT 'right'", "wrong"), bind((), "wrong"), execute(), sync())
    assert first_value(wire.read_until()) == "right"


def test_batches_in_flight_build_upon_each_other(pooler):
    wire = connect(pooler)
    wire.send(
        parse("SELECT 'a'", "p"), sync(),
        bind((), "p"), execute(), sync(),
        close("S", "p"), sync(),
        bind((), "p"), execute(), sync(),
        extended("SELECT 1 / 0"), parse("SELECT 'lost'", "p"), sync(),
        bind((), "p"), execute(), sync(),
        parse("SELECT 'b'", "p"), bind((), "p"), execute(), sync(),
    )  # fmt: skip
    answers = [wire.read_until() for _ in range(7)]
    assert [tags(answer) for answer in answers] == ["1Z", "2DCZ", "3Z", "EZ", "1EZ", "EZ", "12DCZ"]
    assert first_value(answers[6]) == "b"


def test_the_least_used_statement_makes_room(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, max_prepared_statements=3)
    wire = connect(pooler)
    for n in range(10):
        wire.send(parse(f"SELECT {n}", f"s{n}"), sync())
        assert tags(wire.read_until()) == "1Z"
        wire.send(query("SELECT count(*) FROM pg_prepared_statements"))
        assert int(first_value(wire.read_until())) <= 3
    for n in (0, 9, 4, 0):
        wire.send(bind((), f"s{n}"), execute(), sync())
        assert first_value(wire.read_until()) == str(n)
    wire.send(*(bind((), f"s{n}") + execute() for n in range(10)), sync())  # more than fit, in one batch
    answer = wire.read_until()
    assert tags(answer) == "2DC" * 10 + "Z"
    wire.send(extended("SELECT 1"), sync(), parse("SELECT 'x'", "x"), sync())
    wire.read_until(), wire.read_until()


def test_a_server_that_was_replaced_is_taught_anew(start_headgate, postgres):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=2)
    wire = connect(pooler)
    wire.send(parse("SELECT 'still'", "s"), sync())
    wire.read_until()
    postgres.end_backends("single")
    wire.send(bind((), "s"), execute(), sync())
    assert first_value(wire.read_until()) == "still"


@pytest.mark.parametrize("command", ["DISCARD ALL", "DEALLOCATE ALL"])
def test_forgetting_all_forgets_for_the_client(pooler, command):
    wire, other = connect(pooler), connect(pooler)
    for each in (wire, other):
        each.send(parse("SELECT 'same'", "s"), sync())
        assert tags(each.read_until()) == "1Z"
    wire.send(query(command))
    wire.read_until()
    wire.send(bind((), "s"), execute(), sync())
    assert errors(wire.read_until())[0]["C"] == "26000"
    for _ in range(4):
        other.send(bind((), "s"), execute(), sync())
        assert first_value(other.read_until()) == "same"


def test_the_unnamed_statement_is_the_clients_own(pooler):
    """Parse and Describe first, Bind in a later batch, as some drivers do."""
    one, two = connect(pooler), connect(pooler)
    one.send(parse("SELECT 'one'"), describe("S"), sync())
    assert tags(one.read_until()) == "1tTZ"
    two.send(parse("SELECT 'two'"), sync())
    two.read_until()
    holders = other_servers(pooler, 1)
    for wire, value in ((one, "one"), (two, "two"), (one, "one")):
        wire.send(bind(), execute(), sync())
        assert first_value(wire.read_until()) == value
    let_go(holders)
    one.send(query("SELECT 1"))  # which drops the unnamed statement
    one.read_until()
    one.send(bind(), execute(), sync())
    assert errors(one.read_until())[0]["C"] == "26000"


def test_nobody_gets_the_unnamed_statement_of_another(pooler):
    one, two = connect(pooler), connect(pooler)
    for _ in range(4):
        one.send(parse("SELECT 'secret'"), sync())
        one.read_until()
    two.send(bind(), execute(), sync())
    answer = two.read_until()
    assert errors(answer)[0]["C"] == "26000" and first_value(answer) is None


def test_a_bind_of_megabytes(pooler):
    wire = connect(pooler)
    wire.send(parse("SELECT length($1::text)::text", "long"), sync())
    wire.read_until()
    for size in (40_000, 49_140, 49_152, 60_000, 20_000_000):
        assert first_value(run(wire, "long", "x" * size)) == str(size)


def test_a_statement_of_megabytes(pooler):
    wire = connect(pooler)
    for size in (40_000, 60_000, 1_000_000):
        sql = f"SELECT length('{'y' * size}')::text"
        wire.send(parse(sql, f"s{size}"), bind((), f"s{size}"), execute(), sync())
        assert first_value(wire.read_until()) == str(size)
    wire.send(extended(f"SELECT length('{'y' * 6_000_000}')::text"), sync())  # nothing to remember
    assert first_value(wire.read_until()) == "6000000"
    wire.send(parse(f"SELECT '{'y' * 6_000_000}'", "too long")[:60_000])  # the beginning is enough
    [error] = errors(wire.read_to_end())
    assert error["S"] == "FATAL" and error["C"] == "54000"


def test_one_byte_at_a_time(pooler):
    wire = connect(pooler)
    for byte in parse(SQL, "slow") + bind(["bytes"], "slow") + execute() + close("S", "slow") + sync():
        wire.send(bytes([byte]))
    answer = wire.read_until()
    assert tags(answer) == "12DC3Z" and first_value(answer) == "bytes!"


def test_psycopg_with_every_statement_prepared(pooler):
    connections = [pooler.connect() for _ in range(8)]
    for connection in connections:
        connection.prepare_threshold = 0
    for turn in range(30):
        for n, connection in enumerate(connections):
            assert connection.execute("SELECT %s::int + 1", (turn * n,)).fetchone() == (turn * n + 1,)
    for connection in connections:
        connection.close()


def test_asyncpg_with_its_statement_cache(pooler):
    async def client(n):
        connection = await asyncpg.connect(
            host="127.0.0.1", port=pooler.port, user="app", database="app", ssl=False
        )
        for turn in range(30):
            assert await connection.fetchval("SELECT $1::int * 2", n + turn) == 2 * (n + turn)
        await connection.close()

    async def everybody():
        await asyncio.gather(*(client(n) for n in range(20)))

    asyncio.run(everybody())


def test_the_counts_are_shown(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    wire = connect(pooler)
    wire.send(parse("SELECT 1", "a"), parse("SELECT 2", "b"), sync())
    wire.read_until()
    for view in ("CLIENTS", "SERVERS"):
        rows = [row for row in pooler.admin(f"SHOW {view}") if row["database"] == "app"]
        assert [row["prepared_statements"] for row in rows] == [2]


@pytest.mark.parametrize("text, code", [(b"noend!", "08P01"), (b"SELECT '\xff'\0", "22021")], ids=["cut", "wrong"])
def test_a_query_that_cannot_be_read_does_not_open_the_statement_of_another(start_headgate, text, code):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    with connect(pooler) as wire, connect(pooler) as other:
        other.send(parse("SELECT 'of another'"), sync())
        other.read_until()
        wire.send(parse("SELECT 'mine'", "s"), sync())  # it has prepared something
        wire.read_until()
        other.send(parse("SELECT 'of another'"), bind(()), execute(), sync())
        other.read_until()
        wire.send(b"Q" + (4 + len(text)).to_bytes(4, "big") + text, bind(()), execute(), sync())
        first, second = wire.read_until(), wire.read_until()
        assert errors(first)[0]["C"] == code
        assert [error["C"] for error in errors(second)] == ["26000"], second
