"""What a client hears through Headgate is what it would hear from PostgreSQL, byte for byte."""

import asyncio
import random
from dataclasses import dataclass

import pytest

import tamper
from campaign import Campaign, poolers_for
from compare import Stream, difference, normalised
from conversation import pieces
from disorder import breaks_copy
from generate import program
from lane import Lane
from lib.wire import Wire
from shrink import Shrinker
from steps import (
    Bind, Close, CopyData, CopyDone, Execute, Parse, Pause, Program, Query, Sync,
)  # fmt: skip

BLOCK = 400  # seeds in each test
BLOCKS = 3


@pytest.mark.parametrize("first", range(0, BLOCK * BLOCKS, BLOCK))
def test_random_programs_are_answered_as_without_a_pooler(postgres, ports, first):
    """Six clients share three servers in each of the modes; each program runs in those that it suits."""
    tally = Campaign(postgres.port, ports, iter(range(first, first + BLOCK))).run()
    print(tally)
    assert not tally.differences, "\n".join(tally.differences)
    assert tally.programs == BLOCK


def test_the_same_with_plans_for_unnamed_statements(postgres):
    shared = ("transaction", "statement")
    with poolers_for(postgres, shared, prepare_unnamed=1) as ports:
        tally = Campaign(postgres.port, ports, iter(range(10_000, 10_000 + BLOCK))).run()
    print(tally)
    assert not tally.differences, "\n".join(tally.differences)


def test_the_same_with_deferred_begin(postgres):
    with poolers_for(postgres, ("transaction",), defer_begin=1) as ports:
        tally = Campaign(postgres.port, ports, iter(range(20_000, 20_000 + BLOCK))).run()
    print(tally)
    assert not tally.differences, "\n".join(tally.differences)


def check(postgres, ports, steps, modes=Program.MODES):
    """The differences of a program that is written out."""

    async def run():
        lane = Lane(0, postgres.port, ports)
        try:
            return [str(each) for each in await lane.check(Program(0, tuple(steps), modes))]
        finally:
            lane.close()

    return asyncio.run(run())


def test_a_batch_that_copies_fails_before_its_last_sync_is_sent(postgres, ports):
    """libpq's order: a Sync with the Execute, which the COPY ignores, and one behind CopyDone. The error is earlier."""
    steps = [Parse("COPY lane_@@.t FROM STDIN"), Bind(), Execute(), Sync(), Pause(),
             CopyData(b"bad\n"), Pause(), CopyDone(), Sync(), Query("SELECT 'in step'")]  # fmt: skip
    assert not check(postgres, ports, steps)


@dataclass(frozen=True)
class Part(CopyData):
    """Some of the bytes of a CopyData, as they are."""

    def encode(self):
        return self.data


def test_data_that_come_late_in_two_parts_stay_whole(postgres, ports):
    """The COPY has failed, with a Sync inside it, while half of a CopyData is on its way."""
    late = CopyData(b"x" * 1000).encode()
    steps = [Query("COPY lane_@@.t FROM STDIN"), Pause(), Sync(), CopyData(b"bad\n"), Part(late[:500]), Pause(),
             Part(late[500:]), CopyDone(), Query("SELECT 'in step'")]  # fmt: skip
    assert not check(postgres, ports, steps)


def test_a_sync_cut_in_its_header_is_heard_when_a_server_comes_late(postgres, single_server):
    """The client waits for the only server with nothing but the five bytes of a Sync, which came in two parts."""
    with Wire(single_server) as holder, Wire(single_server) as waiting:
        holder.login().query("BEGIN")
        waiting.login()
        for part in (b"S\0", b"\0\0\4"):
            waiting.send(part)
            assert waiting.silent_for(0.1)
        holder.query("COMMIT")
        assert waiting.read_until()[-1].text() == "I"


# --- the comparison bites

SPOILERS = {
    "dropped": (tamper.drop, 1),
    "sent twice": (tamper.duplicate, 1),
    "changed in one byte": (tamper.change_last_byte, 1),
    "swapped with the next": (tamper.Swap(), 2),
}
TALK = (Query("SELECT id, v FROM lane_@@.t ORDER BY id"), Parse("SELECT 1"), Bind(), Execute(), Sync())


@pytest.mark.parametrize("what", SPOILERS)
@pytest.mark.parametrize("number", (1, 5, 11, 12, 16))  # T, D, C, Z, the Z of the batch
def test_one_message_spoilt_is_a_difference(postgres, ports, what, number):
    spoil, count = SPOILERS[what]

    async def run():
        chosen = lambda at, _: number <= at < number + count  # noqa: E731
        async with tamper.Tamperer(ports["transaction"], chosen, spoil) as proxy:
            lane = Lane(0, postgres.port, {"transaction": proxy.port}, seconds=1)
            found = await lane.check(Program(0, TALK))
            lane.close()
            return found, proxy.spoilt

    found, spoilt = asyncio.run(run())
    assert spoilt == count
    assert [each.mode for each in found] == ["transaction"]


def test_through_a_proxy_that_spoils_nothing_there_is_no_difference(postgres, ports):
    async def run():
        async with tamper.Tamperer(ports["transaction"], lambda *_: False, tamper.drop) as proxy:
            lane = Lane(0, postgres.port, {"transaction": proxy.port})
            found = [each for seed in range(50) for each in await lane.check(program(seed))]
            lane.close()
            return found

    assert not asyncio.run(run())


def test_a_planted_difference_is_shrunk_to_the_message_that_shows_it(postgres, ports):
    """Only a row with POISON is spoilt, in the middle of a long program."""
    noise = [program(seed).steps for seed in range(60) if "statement" in program(seed).modes]
    poison = Query(f"SELECT 1; SELECT 'POISON{'x' * 2000}'; SELECT 2")
    steps = (*noise[0], *noise[1], Query("ROLLBACK"), poison, *noise[2])

    async def run():
        chosen = lambda _, message: message[:1] == b"D" and b"POISON" in message  # noqa: E731
        async with tamper.Tamperer(ports["transaction"], chosen, tamper.change_last_byte) as proxy:
            lane = Lane(0, postgres.port, {"transaction": proxy.port})
            (found,) = await lane.check(Program(0, steps))
            smallest = await Shrinker(lane, "transaction").shrink(found)
            lane.close()
            return smallest

    smallest = asyncio.run(run())
    assert smallest.shrunk
    assert [type(step) for step in smallest.program.steps] == [Query]
    assert len(smallest.program.steps[0].sql) < 60
    assert "--seed 0 --mode transaction" in str(smallest)


# --- the parts

def test_a_seed_always_gives_the_same_program():
    assert program(7) == program(7)
    assert len({program(seed).steps for seed in range(100)}) > 95


def test_every_kind_of_message_and_every_mode_comes_up():
    programs = [program(seed) for seed in range(500)]
    tags = {step.encode()[:1] for each in programs for step in each.steps}
    assert tags == {*(bytes([tag]) for tag in b"QPBDECHSdcfF"), b""}
    for mode in Program.MODES:
        assert sum(mode in each.modes for each in programs) > 100


def test_pieces_are_the_whole():
    for seed in range(200):
        data = bytes(range(256)) * (seed % 5)
        assert b"".join(pieces(data, random.Random(seed))) == data


def test_only_the_stated_differences_are_taken_out():
    notification = ("A", b"\0\0\0\7lane\0one\0")
    messages = [("E", b"Mrun_00002a is gone\0\0"), notification, ("D", b"run_00002b")]
    assert normalised(messages, "run_00002a") == (
        ("E", b"Mrun_@@@@@@ is gone\0\0"), ("A", b"\0\0\0\0lane\0one\0"), ("D", b"run_00002b"))  # fmt: skip


def test_a_connection_that_ends_is_a_difference_unless_the_program_breaks_copy():
    direct = Stream((("G", b""), ("E", b"SERROR\0\0"), ("Z", b"I")))
    pooled = Stream((("G", b""), ("E", b"SFATAL\0\0")), "closed")
    copying = (Parse("COPY t FROM STDIN"), Bind(), Execute())
    assert difference(Program(0, (*copying, CopyDone(), Sync())), direct, pooled)
    assert not difference(Program(0, (*copying, Query("SELECT 1"))), direct, pooled)
    other = Stream((("H", b""), ("E", b"SFATAL\0\0")), "closed")
    assert difference(Program(0, (*copying, Query("SELECT 1"))), direct, other)


@pytest.mark.parametrize("steps, broken", [
    ((Query("COPY t FROM STDIN"), CopyData(b"x"), Sync(), CopyDone(), Query("SELECT 1")), False),
    ((Query("COPY t FROM STDIN"), Query("SELECT 1")), True),
    ((Query("COPY t FROM STDIN; COPY t FROM STDIN"), CopyDone(), Sync(), Query("SELECT 1")), True),
    ((Parse("COPY t FROM STDIN"), Bind(), Execute(), Sync(), CopyDone(), Close()), True),
    ((Parse("COPY t FROM STDIN"), Bind(), Execute(), Sync(), CopyDone(), Sync(), Close()), False),
    ((Parse("COPY t FROM STDIN"), Bind(), Execute(), CopyDone(), Close()), False),
])  # fmt: skip
def test_what_breaks_copy(steps, broken):
    assert breaks_copy(steps) == broken
