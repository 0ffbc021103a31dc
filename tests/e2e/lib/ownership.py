"""Traffic whose every answer carries the id of whoever asked: proof that nobody gets another's.

Hundreds of clients do what is hard for a pooler (pipelines, transactions, errors, COPY,
cancels, timeouts, vanishing in the middle of messages) over a handful of servers. A stranger's
id in any answer is a failure, and so is an answer that does not come without an error instead.
"""

import asyncio
import random
import time
from dataclasses import dataclass, field

from lib.headgate import only_headgate
from lib.messages import copy_fail, extended, query, sync
from lib.wire import Closed, ServerError
from lib.wire_async import AsyncWire, send_cancel

ALLOWED_ENDS = ("query timeout", "query_timeout", "query_wait_timeout")
ANSWER_SECONDS = 60


@dataclass
class Tally:
    """What happened; `failures` must stay empty."""

    answers: int = 0
    cancelled: int = 0
    timed_out: int = 0
    vanished: int = 0
    failures: list = field(default_factory=list)

    def add(self, other):
        self.answers += other.answers
        self.cancelled += other.cancelled
        self.timed_out += other.timed_out
        self.vanished += other.vanished
        self.failures += other.failures

    def __str__(self):
        return (f"{self.answers} answers, {self.cancelled} cancelled, {self.timed_out} timed out,"
                f" {self.vanished} vanished, {len(self.failures)} failures")  # fmt: skip


class Wrong(Exception):
    """An answer that is not what was asked for."""


class Client:
    """One client after another: each life has a new connection and a new name."""

    def __init__(self, port, name, dice, tally):
        self._port = port
        self._name = name
        self._dice = dice
        self._tally = tally
        self._count = 0
        self._wire = None

    async def run(self, until):
        while time.monotonic() < until:
            try:
                await self._step()
            except (Wrong, TimeoutError, ServerError, Closed) as error:
                self._tally.failures.append(f"{self._name}: {type(error).__name__} {error}")
                self._leave()
        if self._wire:
            self._wire.close()

    async def _step(self):
        if self._wire is None:
            self._wire = await AsyncWire.open(self._port, ANSWER_SECONDS)
            await self._wire.login(**only_headgate(application_name=self._name))  # 1.18 lets cancels hit its SET
        actions, weights = zip(*ACTIONS)
        await self._dice.choices(actions, weights)[0](self)

    def _next_id(self):
        self._count += 1
        return f"{self._name}-{self._count}"

    def _leave(self):
        if self._wire:
            self._wire.reset()
            self._wire = None

    async def _expect(self, rows, error="", may_cancel=False):
        """Read one answer up to its ReadyForQuery: these rows, or this error, and nothing else."""
        answer = await self._wire.read_until()
        self._tally.answers += 1
        fields = next((part.fields() for part in answer if part.tag == "E"), None)
        got = [part.values()[0].decode() for part in answer if part.tag == "D"]
        if fields and self._is_interruption(fields, may_cancel):
            return self._check_prefix(got, rows)
        if error:
            if not fields or error not in fields["M"]:
                raise Wrong(f"wanted error {error}, got {fields or got}")
            rows = []
        elif fields:
            raise Wrong(f"wanted {short(rows)}, got {fields}")
        if got != rows:
            raise Wrong(f"wanted {short(rows)}, got {short(got)}")

    def _is_interruption(self, fields, may_cancel):
        """A timeout of ours, or a cancel that we have asked for."""
        if fields["M"] in ALLOWED_ENDS:
            self._tally.timed_out += 1
            self._leave()
            return True
        if fields["C"] != "57014" or "COPY" in fields["M"]:
            return False
        if "query_timeout" in fields.get("D", ""):
            self._tally.timed_out += 1
            return True
        self._tally.cancelled += 1
        return may_cancel

    def _check_prefix(self, got, rows):
        if got != rows[: len(got)]:
            raise Wrong(f"before the interruption: wanted {short(rows)}, got {short(got)}")

    # what a client does

    async def simple(self):
        mine = self._next_id()
        self._wire.send(query(f"SELECT '{mine}'"))
        await self._expect([mine])

    async def parameter(self):
        mine = self._next_id()
        self._wire.send(extended("SELECT $1", [mine]), sync())
        await self._expect([mine])

    async def many_rows(self):
        mine, count = self._next_id(), self._dice.randint(1, 60)
        self._wire.send(query(f"SELECT '{mine}/' || g FROM generate_series(1, {count}) g"))
        await self._expect([f"{mine}/{g}" for g in range(1, count + 1)])

    async def large_row(self):
        mine, count = self._next_id(), self._dice.randint(1000, 20_000)
        self._wire.send(extended(f"SELECT repeat($1, {count})", [mine]), sync())
        await self._expect([mine * count])

    async def pipeline(self):
        ids = [self._next_id() for _ in range(self._dice.randint(2, 12))]
        batches = [extended("SELECT $1", [mine]) + sync() if self._dice.random() < 0.5
                   else query(f"SELECT '{mine}'") for mine in ids]  # fmt: skip
        await self._send_in_pieces(b"".join(batches))
        for mine in ids:
            await self._expect([mine])
            if self._wire is None:
                return

    async def transaction(self):
        ids = [self._next_id() for _ in range(self._dice.randint(1, 4))]
        for text, rows in [("BEGIN", []), *((f"SELECT '{mine}'", [mine]) for mine in ids), ("COMMIT", [])]:
            self._wire.send(query(text))
            await self._expect(rows)
            if self._wire is None:
                return

    async def error(self):
        mine = self._next_id()
        self._wire.send(extended("SELECT $1::text::int", [mine]), extended("SELECT 'never'"), sync())
        await self._expect([], error=mine)

    async def refused_copy(self):
        mine = self._next_id()
        self._wire.send(query("COPY sink FROM STDIN"))
        first = (await self._wire.read_until("GE"))[-1]
        if first.tag == "G":
            self._wire.send(copy_fail(mine))
            await self._expect([], error=mine)
        elif not self._is_interruption(first.fields(), may_cancel=False):
            raise Wrong(f"COPY refused: {first.fields()}")
        elif self._wire:
            await self._wire.read_until()

    async def cancelled(self):
        mine = self._next_id()
        self._wire.send(query(f"SELECT '{mine}' || pg_sleep(0.01)::text"))
        await asyncio.sleep(self._dice.uniform(0, self._dice.choice([0.02, 0.4])))  # it may wait, run, or be over
        cancel = asyncio.create_task(send_cancel(self._port, self._wire.key))
        await self._expect([mine], may_cancel=True)
        await cancel

    async def too_long(self):
        self._wire.send(query(f"SELECT '{self._next_id()}' || pg_sleep(20)::text"))
        await self._expect([])

    async def vanish_in_message(self):
        text = query(f"SELECT '{self._next_id()}'") + extended("SELECT $1", ["x" * 5000]) + sync()
        self._wire.send(text[: self._dice.randrange(1, len(text))])
        await self._vanish()

    async def vanish_in_transaction(self):
        self._wire.send(query("BEGIN"), query(f"SELECT '{self._next_id()}'"))
        await self._vanish()

    async def vanish_in_result(self):
        self._wire.send(query(f"SELECT repeat('{self._next_id()}', 100000), pg_sleep(0.005)"))
        await self._vanish()

    async def _vanish(self):
        await asyncio.sleep(self._dice.choice([0, 0, 0.002, 0.02]))
        self._tally.vanished += 1
        self._leave()

    async def _send_in_pieces(self, data):
        if self._dice.random() < 0.7:
            self._wire.send(data)
            return
        cut = self._dice.randrange(1, len(data))
        self._wire.send(data[:cut])
        await asyncio.sleep(self._dice.choice([0, 0.001]))
        self._wire.send(data[cut:])


ACTIONS = [
    (Client.simple, 20), (Client.parameter, 20), (Client.many_rows, 8), (Client.large_row, 3),
    (Client.pipeline, 15), (Client.transaction, 12), (Client.error, 8), (Client.refused_copy, 4),
    (Client.cancelled, 4), (Client.too_long, 0.02), (Client.vanish_in_message, 2),
    (Client.vanish_in_transaction, 1), (Client.vanish_in_result, 1),
]  # fmt: skip


def short(rows):
    return [row[:60] for row in rows[:3]]


def run(port, clients, seconds, seed):
    """The Tally of so many clients during so many seconds."""
    tally = Tally()
    dice = random.Random(seed)

    async def all_of_them():
        until = time.monotonic() + seconds
        crowd = [Client(port, f"c{seed}.{number}", random.Random(dice.random()), tally) for number in range(clients)]
        await asyncio.gather(*(client.run(until) for client in crowd))

    asyncio.run(all_of_them())
    return tally


def prepare(postgres, database):
    """The table that refused_copy never fills."""
    postgres.execute("CREATE TABLE IF NOT EXISTS sink (text text)", "GRANT ALL ON sink TO public", database=database)
