"""Exact accounting of commits: what clients were told, against what is in the table.

Writers insert rows whose ids nobody else uses, several in each transaction, and note the fate of
each transaction: acknowledged, refused (an answer that proves it was not committed) or unknown
(the connection ended in between). The table has no unique index, so that a row written twice is
there twice.
"""

import asyncio
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field

from lib.messages import bind, execute, parse, query, sync
from lib.wire import Closed, ServerError
from lib.wire_async import AsyncWire

TABLE = "account"
STYLES = ("autocommit", "transaction", "batch", "pipeline")
RETRY_SECONDS = 0.05
# With these words the pooler refuses what it has sent to no server.
NEVER_SENT = ("query_wait_timeout", "query_timeout", "server login has been failing", "connect failed",
              "client_login_timeout", "the database system is", "no more connections")  # fmt: skip


def prepare(postgres, database):
    postgres.execute(f"CREATE TABLE {TABLE} (id bigint)", f"GRANT ALL ON {TABLE} TO public", database=database)


@dataclass
class Ledger:
    """What the writers were told; `late` must stay empty."""

    acknowledged: list = field(default_factory=list)  # each the ids of one transaction
    refused: list = field(default_factory=list)
    unknown: list = field(default_factory=list)
    errors: Counter = field(default_factory=Counter)
    late: list = field(default_factory=list)
    slowest: float = 0.0

    def note_error(self, fields):
        self.errors[f"{fields.get('C')} {fields.get('M')}"] += 1


@dataclass
class Balance:
    """The ledger against the table; `problems()` must be empty."""

    ledger: Ledger
    found: Counter

    def __post_init__(self):
        told = [ids for fates in (self.ledger.acknowledged, self.ledger.refused, self.ledger.unknown) for ids in fates]
        self.lost = [ids for ids in self.ledger.acknowledged if not all(self.found[one] for one in ids)]
        self.doubled = [one for one, count in self.found.items() if count > 1]
        self.invented = [ids for ids in self.ledger.refused if any(self.found[one] for one in ids)]
        self.torn = [ids for ids in told if len({bool(self.found[one]) for one in ids}) > 1]
        self.strange = self.found.keys() - {one for ids in told for one in ids}

    def problems(self):
        found = {"late": self.ledger.late, "lost": self.lost, "doubled": self.doubled, "invented": self.invented,
                 "torn": self.torn, "strange": sorted(self.strange)}  # fmt: skip
        return {name: list(some)[:10] for name, some in found.items() if some}

    def __str__(self):
        ledger = self.ledger
        kept = sum(all(self.found[one] for one in ids) for ids in ledger.unknown)
        summary = (
            f"commits: {len(ledger.acknowledged)} acknowledged, {len(ledger.acknowledged) - len(self.lost)} found,"
            f" {len(self.lost)} lost, {len(self.doubled)} rows doubled, {len(self.torn)} torn;"
            f" {len(ledger.refused)} refused, {len(self.invented)} of them found;"
            f" {len(ledger.unknown)} unknown, {kept} of them found; slowest answer {ledger.slowest:.1f} s"
        )
        return "\n".join([summary] + [f"    {count:6} x {error}" for error, count in ledger.errors.most_common()])


class Writer:
    """A client that comes back whenever its connection ends."""

    def __init__(self, port, number, style, ledger, answer_seconds):
        self._port = port
        self._ids = iter(range(number * 1_000_000, (number + 1) * 1_000_000))
        self._step = getattr(self, "_" + style)
        self._ledger = ledger
        self._answer_seconds = answer_seconds
        self._wire = None
        self._name = f"writer {number} ({style})"

    async def run(self, done):
        while not done.is_set():
            try:
                if self._wire is None:
                    self._wire = await self._open()
                await self._step()
            except TimeoutError:
                self._ledger.late.append(self._name)
                self._leave()
            except (Closed, ServerError, OSError) as error:
                self._leave()
                if isinstance(error, ServerError):
                    self._ledger.note_error(error.fields)
                await asyncio.sleep(RETRY_SECONDS)
        self._leave()

    async def _open(self):
        wire = await AsyncWire.open(self._port, self._answer_seconds)
        try:
            return await wire.login()
        except BaseException:
            wire.reset()
            raise

    def _leave(self):
        if self._wire:
            self._wire.reset()
        self._wire = None

    def _next(self, count):
        return [next(self._ids) for _ in range(count)]

    async def _answer(self):
        """The error's fields, or None, up to ReadyForQuery; Closed if there is neither."""
        began, error = time.monotonic(), None
        try:
            while True:
                message = await self._wire.read()
                if message.tag == "E":
                    error = message.fields()
                    if message.is_fatal:
                        return error
                if message.tag == "Z":
                    return error
        finally:
            self._ledger.slowest = max(self._ledger.slowest, time.monotonic() - began)

    async def _outcome(self, ids):
        """Read the answer that decides over these ids, and note their fate; True if it may go on."""
        self._ledger.unknown.append(ids)
        error = await self._answer()
        if error is None:
            self._move(ids, self._ledger.acknowledged)
            return True
        self._ledger.note_error(error)
        fatal = error["S"] in ("FATAL", "PANIC")
        if not fatal or any(error["M"].startswith(words) for words in NEVER_SENT):
            self._move(ids, self._ledger.refused)
        if fatal:
            self._leave()
        return not fatal

    def _move(self, ids, to):
        self._ledger.unknown.remove(ids)
        to.append(ids)

    # the styles

    async def _autocommit(self):
        ids = self._next(1)
        self._wire.send(query(insert(ids)))
        await self._outcome(ids)

    async def _transaction(self):
        """Nothing can be committed before the COMMIT is sent."""
        ids = self._next(2)
        self._ledger.refused.append(ids)
        for sql in ("BEGIN", insert(ids[:1]), insert(ids[1:])):
            self._wire.send(query(sql))
            error = await self._answer()
            if error:
                return self._give_up(error)
        self._ledger.refused.remove(ids)
        self._wire.send(query("COMMIT"))
        await self._outcome(ids)

    def _give_up(self, error):
        self._ledger.note_error(error)
        self._leave()

    async def _batch(self):
        """Two statements before one Sync are one transaction."""
        ids = self._next(2)
        self._wire.send(insert_extended(ids[0]), insert_extended(ids[1]), sync())
        await self._outcome(ids)

    async def _pipeline(self):
        """Four transactions at once."""
        batches = [self._next(1) for _ in range(4)]
        self._ledger.unknown += batches
        self._wire.send(*(insert_extended(ids[0]) + sync() for ids in batches))
        for position, ids in enumerate(batches):
            self._ledger.unknown.remove(ids)
            if not await self._outcome(ids):
                if ids in self._ledger.refused:  # then so were those behind it
                    for later in batches[position + 1 :]:
                        self._move(later, self._ledger.refused)
                return


def insert(ids):
    return f"INSERT INTO {TABLE} VALUES " + ", ".join(f"({one})" for one in ids)


def insert_extended(one):
    return parse(f"INSERT INTO {TABLE} VALUES ($1)") + bind([str(one)]) + execute()


@contextmanager
def writing(port, writers, answer_seconds):
    """So many writers at work, in a thread of their own: what is started in this one (a server that
    dies with its parent thread) outlives them. Yields their Ledger."""
    ledger, done = Ledger(), threading.Event()
    problems = []

    async def write():
        styles = (STYLES[number % len(STYLES)] for number in range(writers))
        crowd = [Writer(port, number, style, ledger, answer_seconds) for number, style in enumerate(styles)]
        await asyncio.gather(*(writer.run(done) for writer in crowd))

    def run():
        try:
            asyncio.run(write())
        except BaseException as problem:
            problems.append(problem)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield ledger
    finally:
        done.set()
        thread.join()
    if problems:
        raise problems[0]


def balance(ledger, postgres, database):
    rows = postgres.rows(f"SELECT id, count(*) FROM {TABLE} GROUP BY id", database=database)
    return Balance(ledger, Counter({row["id"]: row["count"] for row in rows}))
