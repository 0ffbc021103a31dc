"""session_policy and max_pinned_servers: what an operator lets clients leave in their sessions."""

import time

import pytest

from lib.messages import bind, describe, execute, parse, query, sync
from lib.processes import wait_until
from lib.wire import Wire, errors, first_value, tags

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only, pytest.mark.audited]

LEAVES = {
    "advisory_lock": "SELECT pg_advisory_lock(4711)",
    "temporary": "CREATE TEMP TABLE policy_t (a int)",
    "cursor": "BEGIN; DECLARE policy_c CURSOR WITH HOLD FOR SELECT 1; COMMIT",
    "prepared": "PREPARE policy_p AS SELECT 1",
    "listen": "LISTEN policy_channel",
    "load": "LOAD 'auto_explain'",
    "setting": "SET work_mem = '5MB'",
}
REFUSED = "advisory_lock=refuse, temporary=refuse, cursor=refuse, prepared=refuse, listen=refuse, load=refuse, setting=refuse"


def connect(pooler, **parameters):
    return Wire(pooler.port).login(**parameters)


def answer(wire, *messages):
    wire.send(*messages)
    return wire.read_until()


def notices(messages):
    return [message for message in messages if message.tag == "N"]


@pytest.fixture(scope="module")
def refusing(module_headgates):
    return module_headgates(pool_mode="transaction", default_pool_size=2, session_policy=REFUSED)


@pytest.mark.parametrize("kind", LEAVES)
def test_what_is_refused_is_an_error_that_helps(refusing, kind):
    with connect(refusing) as wire:
        (error,) = errors(answer(wire, query(LEAVES[kind])))
        assert error["C"] == "0A000" and error["M"].endswith("is not allowed by session_policy")
        assert error["H"].startswith("Use ")
        assert wire.value("SELECT 1") == "1"
        assert {row["pinned"] for row in refusing.admin("SHOW SERVERS")} == {""}


@pytest.mark.parametrize("kind", LEAVES)
def test_the_same_in_the_extended_protocol(refusing, kind):
    for name in ("", "named"):
        with connect(refusing) as wire:
            sql = "DECLARE policy_c CURSOR WITH HOLD FOR SELECT 1" if kind == "cursor" else LEAVES[kind]
            said = answer(wire, parse(sql, name), describe("S", name), bind((), name), execute(), sync())
            assert tags(said) == "EZ" and errors(said)[0]["C"] == "0A000"
            said = answer(wire, parse("SELECT 1", name), bind((), name), execute(), sync())
            assert first_value(said) == "1"


def test_a_refusal_fails_its_transaction_and_its_pipeline(refusing):
    with connect(refusing) as wire:
        assert wire.query("BEGIN")
        assert errors(answer(wire, query("SET work_mem = '5MB'")))[0]["C"] == "0A000"
        assert errors(answer(wire, query("SELECT 1")))[0]["C"] == "25P02"
        wire.query("ROLLBACK")
        wire.send(query("SELECT 1"), query("LISTEN c"), query("SELECT 2"))
        assert first_value(wire.read_until()) == "1"
        assert errors(wire.read_until())[0]["C"] == "0A000"
        assert first_value(wire.read_until()) == "2"


@pytest.mark.parametrize("sql", ["SET LOCAL work_mem = '5MB'", "RESET work_mem", "RESET ALL", "SET application_name = 'a'",
                                 "SELECT pg_advisory_xact_lock(1)", "SELECT set_config('app.x', 'y', true)",
                                 "DECLARE c CURSOR FOR SELECT 1", "DISCARD ALL", "UNLISTEN *", "SET client_encoding = 'UTF8'",
                                 "SELECT 'LISTEN'", "-- SET work_mem = 1\nSELECT 1"])  # fmt: skip
def test_what_leaves_nothing_is_not_refused(refusing, sql):
    with connect(refusing) as wire:
        wire.query("BEGIN") if "DISCARD" not in sql else None
        assert not errors(answer(wire, query(sql)))


def test_the_default_refuses_nothing(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    with connect(pooler) as wire:
        for sql in LEAVES.values():
            assert "0A000" not in [error["C"] for error in errors(answer(wire, query(sql)))], sql


def test_of_a_database_and_of_a_user(start_headgate, postgres):
    place = {"host": "127.0.0.1", "port": postgres.port, "dbname": "single"}
    pooler = start_headgate({"app": {**place, "session_policy": "setting=refuse"}},
                            {"app": "session_policy=listen=refuse"}, pool_mode="transaction")  # fmt: skip
    with connect(pooler) as wire:  # the user's goes before the database's
        assert errors(answer(wire, query(LEAVES["listen"])))
        assert not errors(answer(wire, query(LEAVES["setting"])))


def test_a_reload_changes_it(start_headgate):
    pooler = start_headgate(pool_mode="transaction")
    with connect(pooler) as wire:
        assert not errors(answer(wire, query("SET work_mem = '5MB'")))
        pooler.reload(session_policy="setting=refuse")
        until = time.monotonic() + 10  # each worker takes it over in its own time
        while not errors(answer(wire, query("SET work_mem = '5MB'"))):
            assert time.monotonic() < until
        assert wire.value("SHOW work_mem") == "5MB"


def test_a_warning_comes_once_for_each_shape(start_headgate):
    pooler = start_headgate(pool_mode="transaction", session_policy="advisory_lock=warn, setting=warn")
    with connect(pooler) as wire:
        (notice,) = notices(answer(wire, query("SELECT pg_advisory_lock(1)")))
        assert b"advisory lock keeps the server for this client alone" in notice.body
        assert not notices(answer(wire, query("SELECT pg_advisory_lock(2)")))
        assert notices(answer(wire, query("SELECT pg_advisory_lock(2), 'other'")))
        assert wire.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "2"
        assert notices(answer(wire, query("SET work_mem = '5MB'")))
        assert wire.value("SHOW work_mem") == "5MB"
    with connect(pooler) as other:
        assert notices(answer(other, query("SELECT pg_advisory_lock(1)")))


def test_a_warning_never_tears_an_answer(start_headgate):
    pooler = start_headgate(pool_mode="transaction", session_policy="setting=warn")
    with connect(pooler) as wire:
        wire.send(query("SELECT repeat('x', 3000000)"), *[query(f"SET work_mem = '{n}MB'") for n in (5, 6)], query("SHOW work_mem"))
        assert len(first_value(wire.read_until())) == 3_000_000
        rest = [wire.read_until() for _ in range(3)]
        assert first_value([message for message in rest[2] if message.tag != "N"]) == "6MB"


def test_pinned_settings_keep_the_server(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=2, session_policy="setting=pin")
    with connect(pooler) as wire:
        wire.query("SET work_mem = '5MB'")
        assert {row["pinned"] for row in pooler.admin("SHOW CLIENTS") if row["database"] == "app"} == {"setting"}
        wire.query("DISCARD ALL")
        assert {row["pinned"] for row in pooler.admin("SHOW CLIENTS") if row["database"] == "app"} == {""}


@pytest.mark.parametrize("policy, pinned", [("track", ""), ("pin", "listen")])
def test_who_listens_is_pinned_if_that_is_wanted(start_headgate, policy, pinned):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=3, session_policy=f"listen={policy}")
    for first in ("LISTEN c", "SELECT 1"):  # who begins with it waits without a server where it is shared
        with connect(pooler) as wire:
            wire.query(first)
            wire.query("LISTEN c")
            wait_until(lambda: {row["pinned"] for row in pooler.admin("SHOW CLIENTS") if row["database"] == "app"} == {pinned})
            shared = [row for row in pooler.admin("SHOW SERVERS") if row["application_name"] == "headgate: listening"]
            assert bool(shared) == (policy == "track")


def test_a_listen_that_is_refused_wants_no_listening_connection(refusing):
    with connect(refusing) as wire:
        assert errors(answer(wire, query("LISTEN c")))[0]["C"] == "0A000"
        assert "headgate: listening" not in {row["application_name"] for row in refusing.admin("SHOW SERVERS")}


def test_what_is_ignored_is_left_to_the_next(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1, session_policy="setting=ignore, temporary=ignore")
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("SET work_mem = '5MB'")
        wire.query("CREATE TEMP TABLE left_over AS SELECT 1 AS a")
        assert other.value("SHOW work_mem") == "5MB"
        assert other.value("SELECT a FROM left_over") == "1"


# --- max_pinned_servers


def lock(wire, key):
    return [error["C"] for error in errors(answer(wire, query(f"SELECT pg_advisory_lock({key})")))]


def test_no_more_servers_than_that_are_pinned(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=3, max_pinned_servers=2, workers=2)
    first, second, third = (connect(pooler) for _ in range(3))
    assert lock(first, 1) == lock(second, 2) == []
    said = answer(third, query("SELECT pg_advisory_lock(3)"))
    assert errors(said)[0]["C"] == "53400"
    assert lock(first, 11) == []  # its server is its own already
    assert third.value("SELECT 1") == "1"
    first.query("SELECT pg_advisory_unlock(1)")
    assert lock(third, 3) == ["53400"]
    first.query("SELECT pg_advisory_unlock(11)")
    wait_until(lambda: lock(third, 3) == [])  # once the server has said that it is gone
    second.close()
    wait_until(lambda: lock(first, 5) == [])
    for wire in (first, third):
        wire.close()


def test_what_follows_its_client_takes_no_place(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=3, max_pinned_servers=1)
    wires = [connect(pooler) for _ in range(3)]
    assert lock(wires[0], 1) == []
    for wire in wires[1:]:
        assert not errors(answer(wire, query("SET work_mem = '5MB'")))
        assert wire.value("SHOW work_mem") == "5MB"
        wire.close()
