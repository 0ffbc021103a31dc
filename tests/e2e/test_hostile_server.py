"""A server may be as hostile as a client: its client gets an error or a closed connection, others
get what they asked for, and nothing of a broken server is ever used again."""

import random
import struct

import pytest

from lib.fake_server import GOOD_ANSWER, LOGIN, READY, AnsweringServer, FakeServer
from lib.messages import message, query, startup
from lib.wire import Closed, Wire, errors

pytestmark = pytest.mark.sanitizers
SEED = 99


@pytest.fixture
def start_behind(start_headgate, postgres):
    """A pooler with the databases `bad` on that server and `app` on a good one."""

    def start(server, **settings):
        host = {"host": "127.0.0.1", "dbname": "single"}
        return start_headgate(
            {"app": {**host, "port": postgres.port}, "bad": {**host, "port": server.port}},
            pool_mode="transaction", default_pool_size=1, server_connect_timeout=1, query_wait_timeout=2,
            server_login_retry=0.2, **settings,
        )  # fmt: skip

    return start


def check_good_database(pooler):
    assert pooler.running
    with Wire(pooler.port) as wire:
        assert wire.login().value("SELECT 'unharmed'") == "unharmed"


BAD_LOGINS = {
    "silence": b"",
    "garbage": b"\x00\xff" * 500,
    "text": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "length 0": b"R" + struct.pack("!i", 0),
    "length negative": b"R" + struct.pack("!i", -9),
    "length huge": b"R" + struct.pack("!i", 0x7FFFFFFF) + bytes(100),
    "authentication of no kind": message("R"),
    "unknown authentication": message("R", struct.pack("!i", 99)),
    "sasl without mechanisms": message("R", struct.pack("!i", 10) + b"\0"),
    "sasl list without end": message("R", struct.pack("!i", 10) + b"SCRAM-SHA-256"),
    "sasl goes on unasked": message("R", struct.pack("!i", 11) + b"r=x,s=y,i=1"),
    "sasl ends unasked": message("R", struct.pack("!i", 12) + b"v=x"),
    "md5 without salt": message("R", struct.pack("!i", 5)),
    "error without fields": message("E"),
    "error without end": message("E", b"SFATAL"),
    "error without code": message("E", b"SFATAL\0Mno\0\0"),
    "parameter without value": message("R", struct.pack("!i", 0)) + message("S", b"name\0"),
    "key too short": message("R", struct.pack("!i", 0)) + message("K", b"12"),
    "ready before authentication": READY,
    "row before ready": LOGIN[: -len(READY)] + message("D", bytes(2)),
}


CRASHES_1_18 = ("ready before authentication",)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.headgate_only if name in CRASHES_1_18 else ()) for name in BAD_LOGINS],
)
def test_a_server_that_logs_in_badly(start_behind, name):
    with FakeServer(login=BAD_LOGINS[name]) as server:
        pooler = start_behind(server)
        with Wire(pooler.port) as wire:
            wire.send(startup({"user": "app", "database": "bad"}))
            check_good_database(pooler)
            said = wire.read_to_end()
        assert not said or errors(said)
        assert server.connections >= 1


BAD_ANSWERS = {
    "garbage": b"\x00\xff" * 500,
    "length 0": b"D" + struct.pack("!i", 0),
    "length negative": b"D" + struct.pack("!i", -1),
    "a cut row": message("D", bytes(100))[:50],
    "a huge row that never comes": b"D" + struct.pack("!i", 0x7FFFFFF0) + bytes(1000),
    "ready with an unknown state": message("C", b"X\0") + message("Z", b"?"),
    "ready without a state": message("Z"),
    "a client's message": message("Q", b"SELECT 1\0"),
    "authentication again": message("R", struct.pack("!i", 3)),
    "nothing": b"",
}


@pytest.mark.parametrize("name", list(BAD_ANSWERS))
def test_a_server_that_answers_badly_and_hangs_up(start_behind, name):
    with FakeServer(answer=BAD_ANSWERS[name], hang_up=True) as server:
        pooler = start_behind(server)
        with Wire(pooler.port) as wire:
            wire.login(database="bad").send(query("SELECT 1"))
            check_good_database(pooler)
            said = wire.read_to_end()
        assert errors(said) or not said or said[-1].tag != "Z" or said[-1].body not in (b"I", b"T", b"E")


@pytest.mark.headgate_only  # PgBouncer 1.18 passes them on
def test_answers_that_nobody_asked_for_reach_nobody(start_behind):
    """A second answer behind the first would be read by the next client."""
    extra = GOOD_ANSWER + message("C", b"STOLEN\0") + READY
    with FakeServer(answer=extra) as server:
        pooler = start_behind(server)
        for _ in range(5):
            with Wire(pooler.port) as wire:
                try:
                    wire.login(database="bad").send(query("SELECT 1"))
                    said = wire.read_until()
                    wire.send(query("SELECT 1"))
                    said += wire.read_until()
                except Closed:
                    continue
            assert [part.text() for part in said if part.tag == "C"].count("STOLEN") == 0
        assert server.connections > 1


def test_random_answers(start_behind):
    dice = random.Random(SEED)
    for _ in range(8):
        answer = bytearray(message("T", bytes(2)) + message("D", bytes(2)) * 3 + GOOD_ANSWER)
        for _ in range(dice.randint(1, 5)):
            answer[dice.randrange(len(answer))] = dice.randrange(256)
        with FakeServer(answer=bytes(answer), hang_up=True) as server:
            pooler = start_behind(server)
            with Wire(pooler.port) as wire:
                wire.login(database="bad").send(query("SELECT 1"))
                wire.read_to_end()
            check_good_database(pooler)
            pooler.remove()


def error(severity, sqlstate, text):
    fields = b"S" + severity + b"\0V" + severity + b"\0C" + sqlstate + b"\0M" + text + b"\0\0"
    return message("E", fields)


@pytest.mark.headgate_only  # PgBouncer 1.18 gives it to the client
def test_last_words_behind_a_check_are_heard_in_time(start_behind):
    """A server that has had its say, and has not closed the connection yet, is of no use."""

    ended = []

    def answer_to(number, data):
        if number in ended:
            raise ConnectionError
        if number > 1 or b"check" not in data:
            return GOOD_ANSWER
        ended.append(number)
        return GOOD_ANSWER + error(b"FATAL", b"57P05", b"idle for too long")

    with AnsweringServer(answer_to) as server:
        pooler = start_behind(server, server_check_delay=0, server_check_query="SELECT 'check'")
        with Wire(pooler.port) as wire:
            wire.login(database="bad")
            for _ in range(3):
                assert errors(wire.query("SELECT 1")) == []
        assert server.connections == 2


STRUCK = error(b"ERROR", b"57014", b"canceling statement due to statement timeout")


@pytest.mark.headgate_only
@pytest.mark.parametrize("session_state", ["track", "pgbouncer"])
@pytest.mark.parametrize("strikes", [1, 100])
def test_a_look_that_is_struck_by_a_time_limit_is_taken_again(start_behind, strikes, session_state):
    """The limit is what the client before has left, and says nothing about what else it has left. Who counts on what
    PgBouncer leaves keeps it."""
    struck, changed = [], []

    def answer_to(_, data):
        if b"SET" in data and b"statement_timeout" in data and b"pg_prepared_statements" not in data:
            changed.append(data)
        if b"pg_prepared_statements" not in data or len(struck) == strikes:
            return GOOD_ANSWER
        struck.append(data)
        return STRUCK + READY

    with AnsweringServer(answer_to) as server:
        pooler = start_behind(server, session_audit="all", session_state=session_state)
        with Wire(pooler.port) as wire:
            wire.login(database="bad").query("SELECT 1")
            assert errors(wire.query("SELECT 1")) == []
        assert server.connections == 1
        told = pooler.log().count("cannot be looked at: canceling statement due to statement timeout")
        assert (told > 0) == (strikes > 1)
        assert bool(changed) == (session_state == "track")
