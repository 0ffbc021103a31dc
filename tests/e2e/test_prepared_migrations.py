"""Prepared statements whose tables change: "cached plan must not change result type"."""

import psycopg
import pytest

from lib.messages import bind, close, describe, execute, parse, query, sync
from lib.processes import wait_until
from lib.wire import Wire, errors, tags

pytestmark = [pytest.mark.sanitizers, pytest.mark.audited]

STALE = "cached plan must not change result type"
SQL = "SELECT * FROM migrated"


@pytest.fixture
def table(postgres):
    """Runs SQL on the server itself; the table `migrated` has one column and one row."""

    def run(*statements):
        postgres.execute(*statements, database="single")

    run("DROP TABLE IF EXISTS migrated, counted", "CREATE TABLE migrated AS SELECT 1 AS a", "CREATE TABLE counted (n int)",
        "GRANT ALL ON migrated, counted TO PUBLIC")  # fmt: skip
    yield run
    run("DROP TABLE migrated, counted")


@pytest.fixture(params=[1, 3], ids=["1 server", "3 servers"])
def pooler(request, start_headgate):
    return start_headgate(pool_mode="transaction", default_pool_size=request.param)


def connect(pooler):
    wire = Wire(pooler.port).login()
    wire.send(parse(SQL, "s"), describe("S", "s"), sync())
    assert tags(wire.read_until()) == "1tTZ"
    return wire


def on_all_servers(pooler, wires):
    """Every server prepares the statement: all clients use it in transactions that overlap."""
    for wire in wires:
        assert tags(answer(wire, query("BEGIN"))) == "CZ"
        assert tags(answer(wire, bind((), "s"), execute(), sync())) == "2DCZ"
    for wire in wires:
        assert tags(answer(wire, query("COMMIT"))) == "CZ"


def answer(wire, *messages):
    wire.send(*messages)
    return wire.read_until()


def rows(connection):
    return connection.execute(SQL).fetchall()


def columns(message):
    return int.from_bytes(message.body[:2], "big")


def described(wire):
    return answer(wire, bind((), "s"), describe("P"), execute(), sync())


def test_a_client_that_asks_what_the_rows_are_notices_nothing(pooler, table):
    wires = [connect(pooler) for _ in range(3)]
    for columns_then in (2, 3, 4):
        table(f"ALTER TABLE migrated ADD COLUMN c{columns_then} int")
        for wire in wires * 3:
            rows = described(wire)
            assert tags(rows) == "2TDCZ"
            assert columns(rows[1]) == columns(rows[2]) == columns_then


def test_psycopg_notices_nothing(pooler, table):
    with psycopg.connect(**pooler.address(), autocommit=True, prepare_threshold=0) as connection:
        assert rows(connection) == [(1,)]
        table("ALTER TABLE migrated ADD COLUMN b text DEFAULT 'new'")
        for _ in range(4):
            assert rows(connection) == [(1, "new")]
        table("ALTER TABLE migrated ALTER COLUMN a TYPE text")
        for _ in range(4):
            assert rows(connection) == [("1", "new")]


def test_a_client_that_has_just_prepared_it_notices_nothing(pooler, table):
    """Others have prepared the same before: the server has no part in that Parse."""
    connect(pooler)
    table("ALTER TABLE migrated ADD COLUMN b int")
    for _ in range(6):
        with Wire(pooler.port).login() as wire:
            said = answer(wire, parse(SQL, "new"), bind((), "new"), describe("P"), execute(), sync())
            assert tags(said) == "12TDCZ" and columns(said[2]) == 2
            assert tags(answer(wire, parse(SQL, "new"), sync())) == "EZ"
            assert tags(answer(wire, bind((), "new"), execute(), sync())) == "2DCZ"


def test_a_statement_is_described_anew(pooler, table):
    """The client has its parameters already when the error comes."""
    wire = connect(pooler)
    table("ALTER TABLE migrated ADD COLUMN b int")
    said = answer(wire, describe("S", "s"), sync())
    assert tags(said) == "tEZ" and errors(said)[0]["M"] == STALE
    said = answer(wire, describe("S", "s"), sync())
    assert tags(said) == "tTZ" and columns(said[1]) == 2


def test_a_client_that_does_not_ask_is_told_once(pooler, table):
    """It would take the new rows for the old ones."""
    wire = connect(pooler)
    assert tags(answer(wire, bind((), "s"), execute(), sync())) == "2DCZ"
    table("ALTER TABLE migrated ADD COLUMN b int")
    said = answer(wire, bind((), "s"), execute(), sync())
    assert tags(said) == "EZ" and errors(said)[0]["M"] == STALE
    said = answer(wire, bind((), "s"), execute(), sync())
    assert tags(said) == "2DCZ" and columns(said[1]) == 2


def test_one_error_renews_the_statement_on_every_server(start_headgate, table):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=3)
    wires = [connect(pooler) for _ in range(3)]
    on_all_servers(pooler, wires)
    table("ALTER TABLE migrated ADD COLUMN b int")
    said = answer(wires[0], bind((), "s"), execute(), sync())
    assert tags(said) == "EZ" and errors(said)[0]["M"] == STALE
    on_all_servers(pooler, wires)


def test_in_a_transaction_the_error_is_the_clients(pooler, table):
    wire = connect(pooler)
    assert tags(described(wire)) == "2TDCZ"
    table("ALTER TABLE migrated ADD COLUMN b int")
    answer(wire, query("BEGIN"))
    said = described(wire)
    assert tags(said) == "EZ" and errors(said)[0]["M"] == STALE and said[-1].body == b"E"
    answer(wire, query("ROLLBACK"))
    assert tags(described(wire)) == "2TDCZ"


def test_nothing_is_repeated_behind_what_has_run(pooler, table):
    wire = connect(pooler)
    assert tags(described(wire)) == "2TDCZ"
    table("ALTER TABLE migrated ADD COLUMN b int")
    wire.send(parse("INSERT INTO counted VALUES (1)", "count"), sync())
    wire.read_until()
    said = answer(wire, bind((), "count"), describe("P"), execute(),
                  bind((), "s"), describe("P"), execute(), sync())  # fmt: skip
    assert tags(said) == "2nCEZ" and errors(said)[0]["M"] == STALE
    assert answer(wire, query("SELECT count(*) FROM counted"))[1].body[-1:] == b"0"
    assert tags(described(wire)) == "2TDCZ"


def test_a_pipeline_keeps_its_order(pooler, table):
    """The first of two batches cannot be repeated behind the second."""
    wire = connect(pooler)
    assert tags(described(wire)) == "2TDCZ"
    table("ALTER TABLE migrated ADD COLUMN b int")
    batch = [bind((), "s"), describe("P"), execute(), sync()]
    wire.send(*batch, *batch)
    first, second = wire.read_until(), wire.read_until()
    assert tags(first) in ("EZ", "2TDCZ") and tags(second) in ("EZ", "2TDCZ")
    assert tags(described(wire)) == "2TDCZ"


def test_a_statement_can_be_closed_and_prepared_again(pooler, table):
    wire = connect(pooler)
    table("ALTER TABLE migrated ADD COLUMN b int")
    said = answer(wire, close("S", "s"), parse(SQL, "s"), bind((), "s"), describe("P"), execute(), sync())
    if tags(said) == "31EZ":  # another name for what the server has: its plan is the old one
        said = described(wire)
        assert tags(said) == "2TDCZ"
    else:
        assert tags(said) == "312TDCZ"


def test_it_fails_again_if_there_is_nothing_left_to_select_from(pooler, table):
    wire = connect(pooler)
    assert tags(described(wire)) == "2TDCZ"
    table("ALTER TABLE migrated RENAME TO elsewhere")
    said = described(wire)
    assert tags(said) == "EZ" and errors(said)[0]["C"] == "42P01"
    table("ALTER TABLE elsewhere RENAME TO migrated")
    wait_until(lambda: tags(described(wire)) == "2TDCZ", what="the statement works again")
