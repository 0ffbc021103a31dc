"""Protocol that drivers rarely use but may: pipelines, Flush, suspended portals, FunctionCall."""

import pytest

from lib import messages
from lib.messages import extended, flush, query, sync
from lib.processes import wait_until
from lib.wire import Closed, Wire, errors, first_value, tags

pytestmark = pytest.mark.sanitizers


@pytest.fixture(scope="module", params=["session", "transaction"])
def pooler(request, module_headgates):
    return module_headgates(pool_mode=request.param, default_pool_size=2)


@pytest.fixture
def wire(pooler):
    with Wire(pooler.port) as connection:
        yield connection.login()


def test_many_syncs_in_flight_are_answered_in_order(wire):
    wire.send(*(extended("SELECT $1", [str(n)]) + sync() for n in range(200)))
    for n in range(200):
        answer = wire.read_until()
        assert tags(answer) == "12TDCZ"
        assert first_value(answer) == str(n)


def test_an_error_in_a_pipeline_fails_only_its_own_batch(wire):
    wire.send(
        extended("SELECT 'one'"), sync(),
        extended("SELECT 1 / 0"), extended("SELECT 'skipped'"), sync(),
        extended("SELECT 'three'"), sync(),
    )  # fmt: skip
    assert first_value(wire.read_until()) == "one"
    failed = wire.read_until()
    assert [error["C"] for error in errors(failed)] == ["22012"]
    assert first_value(failed) is None
    assert first_value(wire.read_until()) == "three"


def test_many_simple_queries_in_one_write(wire):
    wire.send(*(query(f"SELECT {n}") for n in range(100)))
    assert [first_value(wire.read_until()) for _ in range(100)] == [str(n) for n in range(100)]


def test_simple_and_extended_queries_mixed_in_one_write(wire):
    wire.send(query("SELECT 'a'"), extended("SELECT 'b'"), sync(), query("SELECT 'c'"), sync(), query(""))
    assert [first_value(wire.read_until()) for _ in range(3)] == ["a", "b", "c"]
    assert tags(wire.read_until()) == "Z"
    assert tags(wire.read_until()) == "IZ"


def test_a_transaction_that_spans_a_pipeline(wire):
    wire.send(query("BEGIN"), extended("SELECT pg_backend_pid()::text"), sync(),
              extended("SELECT pg_backend_pid()::text"), sync(), query("COMMIT"))  # fmt: skip
    answers = [wire.read_until() for _ in range(4)]
    assert [answer[-1].text() for answer in answers] == ["T", "T", "T", "I"]
    assert first_value(answers[1]) == first_value(answers[2])


def test_a_flush_brings_the_answer_and_keeps_the_server(pooler, wire):
    wire.send(extended("SELECT 'early'"), flush())
    answer = wire.read_until("C")
    assert first_value(answer) == "early"
    assert pooler.pool()["sv_active"] >= 1
    wire.send(sync())
    assert tags(wire.read_until()) == "Z"
    wait_until(
        lambda: pooler.settings["pool_mode"] == "session" or pooler.pool()["sv_active"] == 0,
        what="the server is free after the Sync",
    )


def test_an_error_after_a_flush_is_skipped_up_to_the_sync(wire):
    wire.send(extended("SELECT 1 / 0"), flush())
    assert errors(wire.read_until("E"))[0]["C"] == "22012"
    wire.send(extended("SELECT 'not run'"), flush())
    wire.send(sync())
    assert tags(wire.read_until()) == "Z"


def test_a_suspended_portal_goes_on(wire):
    wire.send(messages.parse("SELECT generate_series(1, 5)"), messages.bind(), messages.execute(rows=2), flush())
    assert tags(wire.read_until("s")) == "12DDs"
    wire.send(messages.execute(rows=2), flush())
    assert tags(wire.read_until("s")) == "DDs"
    wire.send(messages.execute(), sync())
    assert tags(wire.read_until()) == "DCZ"


def test_named_statements_and_portals_within_one_batch(wire):
    wire.send(
        messages.parse("SELECT $1::text", "mine"),
        messages.bind(["x"], "mine", "portal"),
        messages.describe("P", "portal"),
        messages.execute("portal"),
        messages.close("P", "portal"),
        messages.close("S", "mine"),
        sync(),
    )
    answer = wire.read_until()
    assert (tags(answer), first_value(answer)) == ("12TDC33Z", "x")


def test_a_multi_statement_query_has_one_ready(wire):
    answer = wire.query("SELECT 1; SELECT 2; SELECT 3")
    assert tags(answer) == "TDCTDCTDCZ"


def test_a_message_that_arrives_byte_by_byte(wire):
    for byte in query("SELECT 'slowly'"):
        wire.send(bytes([byte]))
    assert first_value(wire.read_until()) == "slowly"


def test_messages_cut_at_every_place(wire):
    stream = extended("SELECT $1", ["cut"]) + sync() + query("SELECT 'me'")
    for place in range(1, len(stream)):
        wire.send(stream[:place])
        wire.send(stream[place:])
        assert (first_value(wire.read_until()), first_value(wire.read_until())) == ("cut", "me")


def test_function_call(wire, postgres):
    oid = postgres.value("SELECT 'pg_catalog.int4abs(int4)'::regprocedure::oid::bigint")
    wire.send(messages.function_call(oid, [b"-17"]))
    answer = wire.read_until()
    assert tags(answer) == "VZ"
    assert answer[0].body[4:] == b"17"


def test_a_failing_function_call(wire):
    wire.send(messages.function_call(0, [b"1"]))
    answer = wire.read_until()
    assert len(errors(answer)) == 1
    assert wire.value("SELECT 'goes on'") == "goes on"


def test_terminate_closes_the_connection(wire):
    wire.send(messages.terminate())
    with pytest.raises(Closed):
        wire.read()


def test_thousands_of_rows_of_all_sizes(wire):
    answer = wire.query("SELECT g::text, repeat('y', (g * 7919) % 9000) FROM generate_series(1, 3000) g")
    rows = [message.values() for message in answer if message.tag == "D"]
    assert [int(row[0]) for row in rows] == list(range(1, 3001))
    assert all(row[1] == b"y" * (int(row[0]) * 7919 % 9000) for row in rows)
