"""Many programs, by several clients at once, through poolers with fewer servers than clients."""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

from generate import program
from lane import DATABASE, Lane
from lib.headgate import Headgate
from shrink import shrunk
from steps import Program

CLIENTS = 6
POOL_SIZE = 3
MAX_DIFFERENCES = 5  # then a campaign ends: more would say the same


@dataclass
class Tally:
    programs: int = 0
    messages: int = 0
    runs: int = 0
    differences: list = field(default_factory=list)  # texts

    def add(self, other):
        self.programs += other.programs
        self.messages += other.messages
        self.runs += other.runs
        self.differences += other.differences

    def __str__(self):
        return (f"{self.programs} programs, {self.messages} messages, {self.runs} runs, "
                f"{len(self.differences)} differences")  # fmt: skip


@contextlib.contextmanager
def poolers_for(postgres, modes=Program.MODES, **settings):
    """The port of a Headgate for each mode; at the end they must end well."""
    address = {"app": {"host": "127.0.0.1", "port": postgres.port, "dbname": DATABASE}}
    settings = {"default_pool_size": POOL_SIZE, **settings}
    quiet = {"log_connections": 0, "log_disconnections": 0, "log_pooler_errors": 0, "query_wait_notify": 0}
    with contextlib.ExitStack() as stack:
        poolers = {mode: Headgate(address, pool_mode=mode, **quiet, **settings) for mode in modes}
        yield {mode: stack.enter_context(pooler).port for mode, pooler in poolers.items()}


@dataclass
class Campaign:
    """`seeds` is an iterator that all clients draw from."""

    direct_port: int
    ports: dict
    seeds: object
    until: float = float("inf")  # by time.monotonic()
    first_lane: int = 0
    clients: int = CLIENTS
    tally: Tally = field(default_factory=Tally)

    def run(self):
        asyncio.run(self._run())
        return self.tally

    async def _run(self):
        await asyncio.gather(*(self._client(self.first_lane + number) for number in range(self.clients)))

    async def _client(self, number):
        lane = Lane(number, self.direct_port, self.ports)
        try:
            for seed in self.seeds:
                await self._one(lane, seed)
                if time.monotonic() > self.until or len(self.tally.differences) >= MAX_DIFFERENCES:
                    break
        finally:
            lane.close()
            self.tally.runs += lane.runs

    async def _one(self, lane, seed):
        candidate = program(seed)
        if not set(candidate.modes) & set(self.ports):
            return
        try:
            found = await lane.check(candidate, self.ports)
        except (OSError, AssertionError, asyncio.TimeoutError) as problem:
            self.tally.differences.append(f"seed {seed}: {type(problem).__name__} {problem}")
            return
        self.tally.programs += 1
        self.tally.messages += candidate.messages()
        for each in found:
            self.tally.differences.append(str(await shrunk(lane, each)))
