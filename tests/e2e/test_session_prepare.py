"""Statements that clients make by PREPARE in SQL follow them from server to server, and DEALLOCATE knows those of the
protocol by the names that their clients gave."""

import contextlib
import random

import psycopg
import pytest

from lib.messages import bind, close, describe, execute, extended, parse, query, sync
from lib.processes import wait_until
from lib.wire import Wire, errors, first_value, tags

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only, pytest.mark.audited]

SERVERS = 3
OWN = "SELECT string_agg(name, ' ' ORDER BY name) FROM pg_prepared_statements WHERE from_sql"
BY_CLIENT = "SELECT string_agg(name, ' ') FROM pg_prepared_statements WHERE name NOT LIKE 'headgate%'"


@pytest.fixture
def pooler(start_headgate):
    return start_headgate(pool_mode="transaction", default_pool_size=SERVERS)


def connect(pooler, **parameters):
    return Wire(pooler.port).login(**parameters)


def everywhere(pooler, action, servers=SERVERS):
    """What the action gives on each of the servers, which other clients hold in turn."""
    with contextlib.ExitStack() as stack:
        holders = [stack.enter_context(connect(pooler)) for _ in range(servers)]
        for holder in holders:
            holder.query("BEGIN")
        results = []
        for holder in holders:
            holder.query("COMMIT")
            results.append(action())
            holder.query("BEGIN")
        return results


def run(wire, *messages):
    wire.send(*messages, sync())
    return wire.read_until()


def error_of(wire, sql):
    wire.send(query(sql))
    found = errors(wire.read_until())
    return found[0]["C"] if found else None


def pinned(pooler):
    return [row["pinned"] for row in pooler.admin("SHOW CLIENTS") if row["database"] == "app" and row["pinned"]]


# --- PREPARE in SQL


def test_a_statement_goes_where_its_client_goes(pooler):
    with connect(pooler) as wire:
        wire.query("PREPARE p(int) AS SELECT $1 + 1")
        assert everywhere(pooler, lambda: wire.value("EXECUTE p(4)")) == ["5"] * SERVERS
        assert everywhere(pooler, lambda: wire.value(OWN)) == ["p"] * SERVERS
        pids = everywhere(pooler, lambda: wire.value("SELECT pg_backend_pid()"))
        assert len(set(pids)) == SERVERS and not pinned(pooler)
        wire.query("DEALLOCATE p")
        assert everywhere(pooler, lambda: error_of(wire, "EXECUTE p(4)")) == ["26000"] * SERVERS
        assert everywhere(pooler, lambda: wire.value(BY_CLIENT)) == [None] * SERVERS


def test_its_text_is_the_same_everywhere(pooler):
    text = "PREPARE p AS SELECT 1;"
    with connect(pooler) as wire:
        wire.query(text)
        seen = everywhere(pooler, lambda: wire.value("SELECT statement FROM pg_prepared_statements WHERE name = 'p'"))
        assert seen == [text] * SERVERS


def test_the_same_name_means_something_else_to_each_client(pooler):
    dice = random.Random(5)
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(connect(pooler)) for _ in range(20)]
        own = [{} for _ in wires]
        for turn in range(600):
            n = dice.randrange(len(wires))
            wire, statements = wires[n], own[n]
            name = dice.choice(("p", "q", "r"))
            begin, end = dice.choice((("", ""), ("", ""), ("BEGIN", "COMMIT"), ("BEGIN", "ROLLBACK")))
            if begin:
                wire.query(begin)
            kind = dice.choice(("make", "use", "use", "use", "drop"))
            if kind == "make" and name not in statements:
                wire.query(f"PREPARE {name} AS SELECT '{n} {name} {turn}'")
                statements[name] = f"{n} {name} {turn}"
            elif kind == "drop" and name in statements:
                wire.query(f"DEALLOCATE {name}")
                del statements[name]
            elif name in statements:
                assert wire.value(f"EXECUTE {name}") == statements[name]
            else:
                assert error_of(wire, f"EXECUTE {name}") == "26000"
                if begin:
                    end = "ROLLBACK"
            if end:
                wire.query(end)
            if dice.random() < 0.2:
                assert wire.value(OWN) == (" ".join(sorted(statements)) or None)
        assert not pinned(pooler)


def test_what_was_made_stays_when_its_transaction_is_rolled_back(pooler):
    with connect(pooler) as wire:
        for sql in ("PREPARE kept AS SELECT 'kept'", "PREPARE dropped AS SELECT 1", "BEGIN",
                    "PREPARE made AS SELECT 'made'", "DEALLOCATE dropped", "ROLLBACK"):  # fmt: skip
            wire.query(sql)
        assert everywhere(pooler, lambda: wire.value(OWN)) == ["kept made"] * SERVERS
        assert everywhere(pooler, lambda: wire.value("EXECUTE made")) == ["made"] * SERVERS


def test_texts_of_several_statements(pooler):
    with connect(pooler) as wire:
        both = "PREPARE a AS SELECT 'a;b'; PREPARE \"B c\"(int, text) AS SELECT $1 || $2 /* ; */"
        wire.query(f"{both}; EXECUTE a; SELECT 1")
        look = "EXECUTE \"B c\"(1, 'x')"
        assert everywhere(pooler, lambda: (wire.value("EXECUTE a"), wire.value(look))) == [("a;b", "1x")] * SERVERS
        assert error_of(wire, "PREPARE c AS SELECT 'c'; SELECT 1/0; PREPARE d AS SELECT 'd'") == "22012"
        assert everywhere(pooler, lambda: wire.value(OWN)) == ["B c a c"] * SERVERS
        assert everywhere(pooler, lambda: wire.value("EXECUTE c")) == ["c"] * SERVERS
        wire.query('DEALLOCATE a; DEALLOCATE PREPARE "B c"; DEALLOCATE c; PREPARE a AS SELECT 2')
        assert everywhere(pooler, lambda: wire.value("EXECUTE a")) == ["2"] * SERVERS
        assert everywhere(pooler, lambda: wire.value(OWN)) == ["a"] * SERVERS
        assert not pinned(pooler)


def test_names_are_read_as_postgresql_reads_them(pooler):
    long = "n" * 80
    with connect(pooler) as wire:
        wire.query('PREPARE "Big" AS SELECT 1; PREPARE BIG AS SELECT 2; PREPARE "q""q" AS SELECT 3')
        wire.query(f"PREPARE {long} AS SELECT 4")
        for sql, value in (('"Big"', "1"), ("bIg", "2"), ('"q""q"', "3"), (long, "4"), (long[:63], "4")):
            assert everywhere(pooler, lambda sql=sql: wire.value(f"EXECUTE {sql}")) == [value] * SERVERS
        for name in ("Big", '"Big"', '"q""q"', long):
            wire.query(f"DEALLOCATE {name}")
        assert everywhere(pooler, lambda: wire.value(BY_CLIENT)) == [None] * SERVERS
        assert not pinned(pooler)


@pytest.mark.parametrize("command", ["DEALLOCATE ALL", "DISCARD ALL", "DEALLOCATE PREPARE ALL"])
def test_all_of_them_are_forgotten(pooler, command):
    with connect(pooler) as wire:
        for way in ("simple", "extended"):
            wire.query("PREPARE p AS SELECT 1; PREPARE q AS SELECT 2")
            assert everywhere(pooler, lambda: wire.value(OWN)) == ["p q"] * SERVERS
            if way == "simple":
                wire.query(command)
            else:
                assert not errors(run(wire, extended(command)))
            assert everywhere(pooler, lambda: wire.value(OWN)) == [None] * SERVERS


def test_a_client_that_has_gone_leaves_nothing(pooler):
    for goodbye in ("close", "reset"):
        wire = connect(pooler)
        wire.query("PREPARE p AS SELECT 'theirs'")
        everywhere(pooler, lambda wire=wire: wire.value("EXECUTE p"))
        getattr(wire, goodbye)()
        with connect(pooler) as other:
            assert everywhere(pooler, lambda other=other: other.value(OWN)) == [None] * SERVERS
            other.query("PREPARE p AS SELECT 'own'")
            assert everywhere(pooler, lambda other=other: other.value("EXECUTE p")) == ["own"] * SERVERS


def test_a_statement_whose_table_has_gone_takes_nothing_else_with_it(pooler):
    with connect(pooler) as wire, connect(pooler) as other:
        other.query("DROP TABLE IF EXISTS passing; CREATE TABLE passing AS SELECT 1 AS n")
        wire.query("SET app.tenant = 'mine'")
        wire.query("PREPARE gone AS SELECT n FROM passing; PREPARE stays AS SELECT 'here'")
        assert everywhere(pooler, lambda: wire.value("EXECUTE gone")) == ["1"] * SERVERS
        other.query("DROP TABLE passing")
        everywhere(pooler, lambda: other.value("SELECT 1"))
        look = "SELECT current_setting('app.tenant')"
        found = everywhere(pooler, lambda: (wire.value("EXECUTE stays"), wire.value(look)))
        assert found == [("here", "mine")] * SERVERS
        assert set(everywhere(pooler, lambda: error_of(wire, "EXECUTE gone"))) <= {"26000", "42P01"}
        other.query("CREATE TABLE passing AS SELECT 2 AS n")
        everywhere(pooler, lambda: other.value("SELECT 1"))
        assert everywhere(pooler, lambda: wire.value("EXECUTE gone")) == ["2"] * SERVERS
        other.query("DROP TABLE passing")


def test_settings_come_before_the_statements_that_need_them(pooler):
    with connect(pooler) as wire:
        wire.query("SET search_path = information_schema")
        wire.query("PREPARE p AS SELECT count(*) > 0 FROM sql_features")
        assert everywhere(pooler, lambda: wire.value("EXECUTE p")) == ["t"] * SERVERS


def test_letters_in_every_encoding(pooler):
    with connect(pooler) as wire, connect(pooler, client_encoding="LATIN1") as latin:
        wire.query("PREPARE p AS SELECT 'ä€'")
        latin.send(b"Q\0\0\0\x1cPREPARE p AS SELECT '\xe4'\0")
        assert not errors(latin.read_until())
        look = "EXECUTE p"
        for _ in range(2):
            assert everywhere(pooler, lambda: wire.value(look)) == ["ä€"] * SERVERS
            latin.send(query("EXECUTE p"))
            [row] = [message.values()[0] for message in latin.read_until() if message.tag == "D"]
            assert row == b"\xe4"
        latin.query("SET client_encoding = 'UTF8'")
        assert everywhere(pooler, lambda: latin.value(look)) == ["ä"] * SERVERS
        assert not pinned(pooler)


PINNING = {
    "a backslash": "PREPARE p AS SELECT E'\\\\x'",
    "a name of other letters": 'PREPARE "pä" AS SELECT 1',
    "a name in codes": 'PREPARE U&"p\\0070" AS SELECT 1',
    "a long text": f"PREPARE p AS SELECT '{'x' * 20000}'",
    "two of one name": "PREPARE p AS SELECT 1; DEALLOCATE p; PREPARE p AS SELECT 2",
    "a name of Headgate's": "PREPARE headgate_5 AS SELECT 1",
    "more than are carried": "; ".join(f"PREPARE p{n} AS SELECT {n}" for n in range(101)),
}


@pytest.mark.parametrize("why", PINNING)
def test_what_cannot_be_carried_keeps_its_client_where_it_is(pooler, why):
    with connect(pooler) as wire:
        wire.query("PREPARE a AS SELECT 1")
        wire.query(PINNING[why])
        wire.value("SELECT 1")
        wait_until(lambda: pinned(pooler) == ["prepared statement"], 5, why)
        wire.query("PREPARE b AS SELECT 1")
        assert wire.value(OWN)
        wire.query("DEALLOCATE a")
        wire.value("SELECT 1")
        assert pinned(pooler) == ["prepared statement"]
        for name in wire.value(OWN).split():
            wire.query(f'DEALLOCATE "{name}"')
        wire.value("SELECT 1")
        wait_until(lambda: not pinned(pooler), 5, "it is dropped")
    with connect(pooler) as other:
        assert everywhere(pooler, lambda: other.value(OWN)) == [None] * SERVERS


def test_a_short_statement_timeout_of_another_does_no_harm(pooler):
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("PREPARE p AS SELECT 1")
        wire.query("SET statement_timeout = 1000")
        wire.query("SET default_transaction_deferrable = on")
        for _ in range(3):
            assert everywhere(pooler, lambda: wire.value("EXECUTE p")) == ["1"] * SERVERS
            assert everywhere(pooler, lambda: other.value("SHOW statement_timeout")) == ["0"] * SERVERS
            assert everywhere(pooler, lambda: other.value(OWN)) == [None] * SERVERS


def test_by_the_extended_protocol(pooler):
    with connect(pooler) as wire:
        assert tags(run(wire, extended("PREPARE p(int) AS SELECT $1 * 2"))) == "12nCZ"
        run_p = extended("EXECUTE p(21)")
        assert everywhere(pooler, lambda: first_value(run(wire, run_p))) == ["42"] * SERVERS
        again = (parse("EXECUTE p(4)", "again"), bind((), "again"), execute())
        assert first_value(run(wire, *again)) == "8"
        again = (bind((), "again"), execute())
        assert everywhere(pooler, lambda: first_value(run(wire, *again))) == ["8"] * SERVERS
        direct = (bind(("5",), "p"), describe(), execute())
        assert everywhere(pooler, lambda: first_value(run(wire, *direct))) == ["10"] * SERVERS
        assert tags(run(wire, describe("S", "p"))) == "tTZ"
        assert tags(run(wire, extended("DEALLOCATE p"))) == "12nCZ"
        assert everywhere(pooler, lambda: errors(run(wire, run_p))[0]["C"]) == ["26000"] * SERVERS
        wire.query("PREPARE p AS SELECT 1")
        assert tags(run(wire, close("S", "p"))) == "3Z"
        assert everywhere(pooler, lambda: error_of(wire, "EXECUTE p")) == ["26000"] * SERVERS


def test_in_statement_mode(start_headgate):
    pooler = start_headgate(pool_mode="statement", default_pool_size=1)
    with connect(pooler) as one, connect(pooler) as two:
        one.query("PREPARE p AS SELECT 'one'")
        two.query("PREPARE p AS SELECT 'two'")
        for _ in range(3):
            assert one.value("EXECUTE p") == "one" and two.value("EXECUTE p") == "two"
        assert not pinned(pooler)


def test_in_strict(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, session_state="strict")
    with connect(pooler) as one, connect(pooler) as two:
        one.query("PREPARE p AS SELECT 'one'")
        two.query("PREPARE p AS SELECT 'two'")
        for _ in range(3):
            assert one.value("EXECUTE p") == "one" and two.value("EXECUTE p") == "two"


def test_where_statements_of_the_protocol_are_not_tracked(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=SERVERS, max_prepared_statements=0)
    with connect(pooler) as wire:
        wire.query("PREPARE p AS SELECT 'own'")
        assert everywhere(pooler, lambda: wire.value("EXECUTE p")) == ["own"] * SERVERS
        assert everywhere(pooler, lambda: first_value(run(wire, extended("EXECUTE p")))) == ["own"] * SERVERS
        wire.query("DEALLOCATE p")
        assert everywhere(pooler, lambda: error_of(wire, "EXECUTE p")) == ["26000"] * SERVERS


def test_a_statement_outlives_the_servers_that_had_it(start_headgate, postgres):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=2)
    with connect(pooler) as wire:
        wire.query("PREPARE p AS SELECT 'own'")
        assert wire.value("EXECUTE p") == "own"
        postgres.end_backends("single")
        wait_until(lambda: pooler.pool()["sv_idle"] == 0, 5, "its servers have gone")
        assert wire.value("EXECUTE p") == "own"  # a connection of its own would have ended


# --- DEALLOCATE of a statement of the protocol


@pytest.mark.parametrize("way", ["simple", "extended"])
@pytest.mark.parametrize("name", ["p", '"Big ""one"""', "MiXeD", "PREPARE p"])
def test_deallocate_of_a_statement_of_the_protocol(pooler, way, name):
    of_protocol = {"MiXeD": "mixed", '"Big ""one"""': 'Big "one"'}.get(name, "p")
    with connect(pooler) as wire, connect(pooler) as other:
        for client in (wire, other):
            assert tags(run(client, parse("SELECT 'it'", of_protocol))) == "1Z"
        assert everywhere(pooler, lambda: first_value(run(wire, bind((), of_protocol), execute()))) == ["it"] * SERVERS
        if way == "simple":
            answer = wire.query(f"DEALLOCATE {name}")
            assert tags(answer) == "CZ" and answer[0].text() == "DEALLOCATE"
        else:
            answer = run(wire, extended(f"DEALLOCATE {name}"))
            assert tags(answer) == "12nCZ" and answer[3].text() == "DEALLOCATE"
        use = (bind((), of_protocol), execute())
        assert everywhere(pooler, lambda: errors(run(wire, *use))[0]["C"]) == ["26000"] * SERVERS
        assert error_of(wire, f"DEALLOCATE {name}") == "26000"
        assert everywhere(pooler, lambda: first_value(run(other, *use))) == ["it"] * SERVERS
        assert everywhere(pooler, lambda: other.value(BY_CLIENT)) == [None] * SERVERS
        assert tags(run(wire, parse("SELECT 'new'", of_protocol))) == "1Z"
        assert everywhere(pooler, lambda: first_value(run(wire, *use))) == ["new"] * SERVERS


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_deallocate_in_a_transaction(pooler, end):
    with connect(pooler) as wire:
        wire.query("BEGIN")
        for text in ("one", "two", "three"):
            assert tags(run(wire, parse(f"SELECT '{text}'", "p"), bind((), "p"), execute())) == "12DCZ"
            wire.query("DEALLOCATE p")
        assert tags(run(wire, parse("SELECT 'four'", "p"), bind((), "p"), execute())) == "12DCZ"
        assert tags(run(wire, extended("DEALLOCATE p"), parse("SELECT 'five'", "p"))) == "12nC1Z"
        wire.query(end)
        assert everywhere(pooler, lambda: first_value(run(wire, bind((), "p"), execute()))) == ["five"] * SERVERS


@pytest.mark.parametrize("way", ["simple", "extended"])
def test_deallocate_in_a_transaction_that_has_failed(pooler, way):
    with connect(pooler) as wire:
        run(wire, parse("SELECT 'it'", "p"))
        wire.query("BEGIN")
        assert error_of(wire, "SELECT 1/0") == "22012"
        if way == "simple":
            assert error_of(wire, "DEALLOCATE p") == "25P02"
        else:
            assert errors(run(wire, extended("DEALLOCATE p")))[0]["C"] == "25P02"
        wire.query("ROLLBACK")
        assert everywhere(pooler, lambda: first_value(run(wire, bind((), "p"), execute()))) == ["it"] * SERVERS
        assert everywhere(pooler, lambda: wire.value(BY_CLIENT)) == [None] * SERVERS


def test_an_error_takes_back_what_its_batch_deallocated(pooler):
    with connect(pooler) as wire:
        run(wire, parse("SELECT 'it'", "p"))
        answer = run(wire, extended("SELECT 1/0"), extended("DEALLOCATE p"))
        assert errors(answer)[0]["C"] == "22012"
        assert first_value(run(wire, bind((), "p"), execute())) == "it"


def test_a_statement_that_deallocates_does_so_each_time_that_it_runs(pooler):
    with connect(pooler) as wire:
        run(wire, parse("DEALLOCATE p", "d"))
        for _ in range(SERVERS):
            assert tags(run(wire, parse("SELECT 'it'", "p"), bind((), "p"), execute())) == "12DCZ"
            assert tags(run(wire, bind((), "d"), execute())) == "2CZ"
            assert errors(run(wire, bind((), "d"), execute()))[0]["C"] == "26000"


def test_in_a_pipeline(pooler):
    with connect(pooler) as wire:
        wire.send(parse("SELECT 'it'", "p"), sync(), query("DEALLOCATE p"), bind((), "p"), execute(), sync(),
                  parse("SELECT 'new'", "p"), bind((), "p"), execute(), sync())  # fmt: skip
        assert [tags(wire.read_until()) for _ in range(4)] == ["1Z", "CZ", "EZ", "12DCZ"]
        wire.send(parse("SELEC", "q"), sync(), query("DEALLOCATE q"))
        assert errors(wire.read_until())[0]["C"] == "42601"
        assert errors(wire.read_until())[0]["C"] == "26000"


def test_a_name_is_given_once_in_both_ways(pooler):
    with connect(pooler) as wire, connect(pooler) as other:
        run(wire, parse("SELECT 'protocol'", "p"))
        wire.query("PREPARE s AS SELECT 'sql'")
        wire.value("SELECT 1")
        for _ in range(2):
            assert error_of(wire, "PREPARE p AS SELECT 'sql'") == "42P05"
            assert errors(run(wire, extended("PREPARE p AS SELECT 'sql'")))[0]["C"] == "42P05"
            assert errors(run(wire, parse("SELECT 'protocol'", "s")))[0]["C"] == "42P05"
        wire.query("BEGIN")
        assert error_of(wire, "PREPARE p AS SELECT 'sql'") == "42P05"
        wire.query("ROLLBACK")
        assert everywhere(pooler, lambda: first_value(run(wire, bind((), "p"), execute()))) == ["protocol"] * SERVERS
        assert everywhere(pooler, lambda: wire.value("EXECUTE s")) == ["sql"] * SERVERS
        assert everywhere(pooler, lambda: other.value(BY_CLIENT)) == [None] * SERVERS
        assert not pinned(pooler)


@pytest.mark.parametrize("pinned_by", [None, "PREPARE q AS SELECT E'\\\\x'"])
@pytest.mark.parametrize("pipelined", [False, True])
def test_a_name_that_was_refused_in_sql_is_free_when_it_is_closed(pooler, pinned_by, pipelined):
    with connect(pooler) as wire:
        if pinned_by:
            wire.query(pinned_by)
            wait_until(lambda: pinned(pooler), 5, "it is pinned")
        requests = [
            ((parse("SELECT 'first'", "p"), sync()), "1Z"),
            ((query("PREPARE p AS SELECT 'sql'"),), "EZ"),
            ((close("S", "p"), sync()), "3Z"),
            ((bind((), "p"), execute(), sync()), "EZ"),
            ((query("EXECUTE p"),), "EZ"),
            ((parse("SELECT 'second'", "p"), bind((), "p"), execute(), sync()), "12DCZ"),
            ((close("S", "p"), sync()), "3Z"),
            ((query("PREPARE p AS SELECT 'sql'"),), "CZ"),
            ((query("EXECUTE p"),), "TDCZ"),
        ]
        answers = []
        for messages, _ in requests:
            wire.send(*messages)
            if not pipelined:
                answers.append(tags(wire.read_until()))
        if pipelined:
            answers = [tags(wire.read_until()) for _ in requests]
        assert answers == [answer for _, answer in requests]


def test_nobody_is_disturbed_by_who_deallocates_statements_of_headgates(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    with connect(pooler) as wire, connect(pooler) as other:
        run(other, parse("SELECT 'it'", "p"))
        for name in wire.value("SELECT string_agg(name, ' ') FROM pg_prepared_statements").split():
            wire.query(f"DEALLOCATE {name}")
        assert first_value(run(other, bind((), "p"), execute())) == "it"


def test_psycopg_that_drops_statements_by_itself(pooler):
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(psycopg.connect(**pooler.address("app", "app", None), prepare_threshold=0,
                                                autocommit=autocommit))
            for autocommit in (True, False) * 3
        ]
        for n, client in enumerate(clients):
            client.prepared_max = 2
            for turn in range(12):
                for number in (turn, turn + 1, turn):
                    assert client.execute(f"SELECT {n}, {number}").fetchone() == (n, number)
                if turn % 3 == 0:
                    client.rollback()
    with connect(pooler) as other:
        assert everywhere(pooler, lambda: other.value(BY_CLIENT)) == [None] * SERVERS
