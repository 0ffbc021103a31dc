"""LISTEN where clients share servers: one connection hears for all, and nobody keeps a server for it."""

import asyncio
import contextlib

import asyncpg
import pytest

from lib.listening import barrier, connect, heard, listening_servers, notification, pinned, wait_unpinned
from lib.messages import bind, execute, flush, parse, query, sync
from lib.processes import wait_until
from lib.wire import errors, tags

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only, pytest.mark.audited]


@pytest.fixture
def pooler(start_headgate):
    return start_headgate(pool_mode="transaction", default_pool_size=3, workers=2)


# --- who hears what


def test_many_clients_listen_and_share_few_servers(pooler, count_servers):
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(connect(pooler)) for _ in range(20)]
        for wire in listeners:
            wire.send(query("LISTEN news"))
        for wire in listeners:
            assert tags(wire.read_until()) == "CZ"
        wait_unpinned(pooler)
        workers = [stack.enter_context(connect(pooler)) for _ in range(4)]
        for number in range(30):
            for wire in workers:
                wire.send(query(f"SELECT {number}; NOTIFY news, '{number}'" if wire is workers[0] else "SELECT 1"))
            for wire in workers:
                assert not errors(wire.read_until())
        for wire in listeners:
            assert heard(wire, 30) == [("news", str(number)) for number in range(30)]
        assert count_servers() <= 3 and len(listening_servers(pooler)) == 1
        for wire in listeners:
            wire.send(query("SELECT 1"))
            assert tags(wire.read_until()) == "TDCZ"
            assert wire.silent_for(0.01)


def test_each_client_hears_its_own_channels_once_and_in_order(pooler):
    with connect(pooler) as one, connect(pooler) as two, connect(pooler) as other:
        one.query("LISTEN a")
        one.query("LISTEN b")
        two.query("LISTEN b; LISTEN c")
        for number in range(50):
            other.query(f"BEGIN; NOTIFY a, '{number}'; NOTIFY b, '{number}'; NOTIFY c, '{number}'; COMMIT")
        assert heard(one, 100) == [(channel, str(n)) for n in range(50) for channel in "ab"]
        assert heard(two, 100) == [(channel, str(n)) for n in range(50) for channel in "bc"]
        assert one.silent_for(0.2) and two.silent_for(0.01)


def test_what_is_notified_right_behind_the_listen_is_heard(pooler):
    """A LISTEN is answered when somebody listens already."""
    with connect(pooler) as other:
        for turn in range(40):
            with connect(pooler) as wire:
                wire.query(f"LISTEN turn{turn}")
                other.query(f"NOTIFY turn{turn}, 'at once'")
                assert heard(wire, 1) == [(f"turn{turn}", "at once")]


def test_a_client_hears_what_it_notifies_itself(pooler, postgres):
    with connect(pooler) as wire:
        wire.query("LISTEN own")
        for number in range(20):
            wire.query(f"NOTIFY own, '{number}'") if number == 0 else wire.send(query(f"NOTIFY own, '{number}'"))
        messages = []
        while sum(message.tag == "A" for message in messages) < 20:
            messages.append(wire.read(10))
        assert [notification(m)[1] for m in messages if m.tag == "A"] == [str(n) for n in range(20)]
        wait_unpinned(pooler)
        wire.query("SELECT 1")
        assert wire.silent_for(0.2)
        # The process is the true one.
        wire.send(query("NOTIFY own, 'pid'; SELECT pg_backend_pid()"))
        answer = wire.read_until("A")
        (pid,) = [message.values()[0] for message in answer if message.tag == "D"]
        assert answer[-1].number() == int(pid)


@pytest.mark.parametrize("listen, channel", [
    ("LISTEN News", "news"),
    ('LISTEN "News"', "News"),
    ('listen"with ""quotes"" and \'more\', ;"', "with \"quotes\" and 'more', ;"),
    ("LISTEN /* a comment */ x -- and another", "x"),
    ("LISTEN " + "a" * 70, "a" * 63),
    ('LISTEN "' + "é" * 31 + 'é"', "é" * 31),
    ("SELECT 1; LISTEN second", "second"),
    ("BEGIN; LISTEN within; COMMIT", "within"),
])  # fmt: skip
def test_names_of_channels(pooler, listen, channel):
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query(listen)
        wait_unpinned(pooler)
        quoted = '"' + channel.replace('"', '""') + '"'
        other.query(f"NOTIFY {quoted}, 'é'")
        assert heard(wire, 1) == [(channel, "é")]
        wire.query(f"UNLISTEN {quoted}")
        other.query(f"NOTIFY {quoted}, 'too late'")
        wire.query("LISTEN last")
        assert barrier(wire, other, "last", "x") == []


@pytest.mark.parametrize("prepared", ["", "named"])
def test_by_the_extended_protocol(pooler, prepared):
    with connect(pooler) as wire, connect(pooler) as other:
        for turn in range(3):
            if turn == 0 or not prepared:
                wire.send(parse("LISTEN channel", prepared), sync())
                assert tags(wire.read_until()) == "1Z"
            wire.send(bind((), prepared), execute(), sync())
            answer = wire.read_until()
            assert tags(answer) == "2CZ", errors(answer)
            wait_unpinned(pooler)
            other.query(f"NOTIFY channel, '{turn}'")
            assert heard(wire, 1) == [("channel", str(turn))]
            wire.send(parse("UNLISTEN channel"), bind(()), execute(), sync())
            assert tags(wire.read_until()) == "12CZ"
            other.query("NOTIFY channel, 'unheard'")
            wire.query("LISTEN last")
            assert barrier(wire, other, "last", str(turn)) == []


# --- the fate of the transaction


def test_a_listen_counts_when_its_transaction_is_committed(pooler):
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("BEGIN")
        wire.query("LISTEN a")
        other.query("NOTIFY a, 'before the commit'")
        wire.query("COMMIT")
        other.query("NOTIFY a, 'behind it'")
        assert heard(wire, 1) == [("a", "behind it")]
        for story in (["BEGIN", "LISTEN b", "ROLLBACK"], ["BEGIN", "SAVEPOINT s", "LISTEN b", "ROLLBACK TO s", "COMMIT"],
                      ["BEGIN", "LISTEN b", "UNLISTEN b", "COMMIT"], ["BEGIN; LISTEN b; ROLLBACK"]):  # fmt: skip
            for sql in story:
                wire.query(sql)
            other.query("NOTIFY b, 'unheard'")
            assert barrier(wire, other, "a", str(story).replace("'", "")) == []
        wait_unpinned(pooler)


def test_a_listen_that_fails_gains_nothing(pooler):
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("LISTEN a")
        wire.query("BEGIN")
        wire.send(query("SELECT 1/0"))
        wire.read_until()
        wire.send(query("LISTEN b"))
        assert errors(wire.read_until())[0]["C"] == "25P02"
        wire.query("ROLLBACK")
        wire.send(query("LISTEN b; SELECT 1/0"))
        assert errors(wire.read_until())[0]["C"] == "22012"
        wire.send(query("LISTEN 'b'"))
        assert errors(wire.read_until())[0]["C"] == "42601"
        other.query("NOTIFY b")
        assert barrier(wire, other, "a", "x") == []
        wait_unpinned(pooler)


@pytest.mark.parametrize("end", ["UNLISTEN a", "UNLISTEN *", "DISCARD ALL", "BEGIN; UNLISTEN a; COMMIT"])
def test_it_ends_with(pooler, end):
    with connect(pooler) as wire, connect(pooler) as other:
        for turn in range(3):
            wire.query("LISTEN a")
            other.query(f"NOTIFY a, '{turn}'")
            assert heard(wire, 1) == [("a", str(turn))]
            for sql in end.split("; "):
                wire.query(sql)
            other.query("NOTIFY a, 'unheard'")
            assert tags(wire.query("LISTEN b")) == "CZ"
            assert barrier(wire, other, "b", f"{turn}") == []
            wire.query("UNLISTEN b")


@pytest.mark.parametrize("story", ["BEGIN; UNLISTEN a; ROLLBACK", "BEGIN; UNLISTEN *; SELECT 1/0; COMMIT",
                                   "BEGIN; SAVEPOINT s; UNLISTEN a; ROLLBACK TO s; COMMIT",
                                   "UNLISTEN other"])  # fmt: skip
def test_it_goes_on_behind(pooler, story):
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("LISTEN a")
        for sql in story.split("; "):
            wire.send(query(sql))
            wire.read_until()
        other.query("NOTIFY a, 'heard'")
        assert heard(wire, 1) == [("a", "heard")]


@pytest.mark.parametrize("others", ["SELECT 1/(pg_sleep(0.1) IS NULL)::int; {}", "{}; SELECT 1/0", "BEGIN; SELECT 1; ROLLBACK; {}; SELECT 1/0",
                                    "BEGIN; {}; COMMIT; SELECT 1/0", "SELECT 1/0; BEGIN; {}; COMMIT"])  # fmt: skip
@pytest.mark.parametrize("end", ["UNLISTEN a", "UNLISTEN *"])
def test_it_ends_in_a_pipeline_whatever_becomes_of_the_rest(pooler, others, end):
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("LISTEN a")
        statements = others.format(end).split("; ")
        wire.send(*(query(sql) for sql in statements))
        assert sum("E" in tags(wire.read_until()) for _ in statements) == 1
        other.query("NOTIFY a, 'unheard'")
        assert tags(wire.query("LISTEN b")) == "CZ"
        assert barrier(wire, other, "b", "x") == []


@pytest.mark.parametrize("story", ["BEGIN; UNLISTEN a; ROLLBACK; SELECT 1", "BEGIN; SELECT 1/0; UNLISTEN a; COMMIT",
                                   "SELECT 1/0; BEGIN; UNLISTEN *; SELECT 1/0; COMMIT; SELECT 1"])  # fmt: skip
def test_it_goes_on_behind_a_pipeline(pooler, story):
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("LISTEN a")
        statements = story.split("; ")
        wire.send(*(query(sql) for sql in statements))
        for _ in statements:
            wire.read_until()
        other.query("NOTIFY a, 'heard'")
        assert heard(wire, 1) == [("a", "heard")]


def test_it_goes_on_where_the_batch_had_failed_before(pooler):
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("LISTEN a")
        wire.send(parse("UNLISTEN a", "u"), sync())
        assert tags(wire.read_until()) == "1Z"
        wire.send(parse("SELECT 1/0"), bind(), execute(), flush())
        wire.read_until("E")
        wire.send(bind((), "u"), execute(), sync())
        assert tags(wire.read_until()) == "Z"
        other.query("NOTIFY a, 'heard'")
        assert heard(wire, 1) == [("a", "heard")]


def test_a_client_in_a_hurry_listens_too(pooler):
    """Its statement_timeout strikes what is asked of its server as well."""
    with connect(pooler) as wire, connect(pooler) as other:
        for turn in range(10):
            wire.query("SET statement_timeout = '2ms'")
            wire.send(query(f"LISTEN c{turn}"))
            listens = not errors(wire.read_until())
            wire.send(query("RESET statement_timeout"))
            wire.read_until()
            if listens:
                other.query(f"NOTIFY c{turn}, 'x'")
                assert heard(wire, 1) == [(f"c{turn}", "x")]


def test_nothing_comes_within_a_transaction_or_a_result(pooler):
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("LISTEN a")
        wire.query("BEGIN")
        for number in range(10):
            other.query(f"NOTIFY a, '{number}'")
            assert tags(wire.query("SELECT 1")) == "TDCZ"
        wire.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 20000)"))
        other.query("NOTIFY a, '10'")
        assert tags(wire.read_until()) == "T" + "D" * 20000 + "CZ"
        assert tags(wire.query("COMMIT")) == "CZ"
        assert heard(wire, 11) == [("a", str(number)) for number in range(11)]
        # Nor between the rows of a statement on its own.
        wire.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 20000)"))
        wire.read_until("D")
        other.query("NOTIFY a, '11'")
        assert tags(wire.read_until()) == "D" * 19999 + "CZ"
        assert heard(wire, 1) == [("a", "11")]


def test_a_client_that_is_pinned_for_another_reason_hears_too(pooler):
    with connect(pooler) as wire, connect(pooler) as other:
        wire.query("SELECT pg_advisory_lock(1)")
        wire.query("LISTEN a")
        for number in range(5):
            other.query(f"NOTIFY a, '{number}'")
        assert heard(wire, 5) == [("a", str(number)) for number in range(5)]
        wait_until(lambda: pinned(pooler) == ["advisory lock"], 5, "it is not pinned by LISTEN")
        assert wire.silent_for(0.1)


# --- drivers


def test_psycopg(pooler):
    for autocommit in (True, False):
        with pooler.connect(autocommit=autocommit) as one, pooler.connect() as two:
            one.execute("LISTEN drivers")
            one.commit()
            for number in range(10):
                two.execute("SELECT pg_notify('drivers', %s)", (str(number),))
            got = []
            for notify in one.notifies():
                got.append(notify.payload)
                if len(got) == 10:
                    break
            assert got == [str(number) for number in range(10)]


def test_asyncpg(pooler):
    async def story():
        listener = await asyncpg.connect(**asyncpg_address(pooler))
        other = await asyncpg.connect(**asyncpg_address(pooler))
        got = asyncio.Queue()
        note = lambda *found: got.put_nowait(found[2:])  # noqa: E731
        await listener.add_listener("Async", note)
        for number in range(10):
            await other.execute(f"""NOTIFY "Async", '{number}'""")
        found = [await asyncio.wait_for(got.get(), 10) for _ in range(10)]
        assert found == [("Async", str(number)) for number in range(10)]
        await listener.remove_listener("Async", note)
        await other.execute("""NOTIFY "Async", 'unheard'""")
        await listener.add_listener("last", note)
        await other.execute("NOTIFY last, 'x'")
        assert await asyncio.wait_for(got.get(), 10) == ("last", "x")
        await listener.close()
        await other.close()

    asyncio.run(story())


def asyncpg_address(pooler):
    return {"host": "127.0.0.1", "port": pooler.port, "user": "app", "database": "app"}
