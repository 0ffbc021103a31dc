"""A client with a schema of its own: runs programs, each directly and through every pool mode it suits."""

import asyncio
import itertools
from dataclasses import dataclass

import vocabulary
from compare import difference
from conversation import Connection, Conversation, is_fatal
from lib import messages
from steps import Program

RUN_SECONDS = 15  # what takes longer hangs
VACUUM_EVERY = 1000  # runs: each leaves dead rows behind
DATABASE = "app"
_tags = itertools.count()


@dataclass
class Difference:
    program: Program
    mode: str
    text: str
    shrunk: bool = False

    def __str__(self):
        state = "shrunk to" if self.shrunk else "not shrunk:"
        return (
            f"seed {self.program.seed} differs in {self.mode} mode, {state} {self.program.messages()} messages:\n"
            f"{self.program}\n    {self.text}\n"
            f"    again: python3 tests/differential/run.py --seed {self.program.seed} --mode {self.mode}"
        )


def schema_of(number):
    return f"lane_{number:02d}"


def prepare(postgres, lanes):
    """Make the schemas; their functions and tables are the same for every run."""
    for number in range(lanes):
        lane = schema_of(number)
        grant = f"ALTER FUNCTION {lane}.reset() SET search_path = {lane}"
        postgres.execute(vocabulary.SCHEMA.format(lane=lane), grant, database=DATABASE)


class Lane:
    """`ports`: a pooler's for each mode. Not for two programs at once."""

    def __init__(self, number, direct_port, ports, seconds=RUN_SECONDS):
        self.schema = schema_of(number)
        self._direct_port = direct_port
        self._ports = ports
        self.seconds = seconds
        self._direct = None
        self._pooled = {}
        self.runs = 0

    async def check(self, program, modes=Program.MODES):
        """The differences of a program: none, or one for each mode."""
        direct = await self.run_direct(program)
        found = []
        for mode in program.modes:
            if mode not in modes or mode not in self._ports:
                continue
            text = difference(program, direct, await self.run_pooled(program, mode, direct.marks))
            if text:
                found.append(Difference(program, mode, text))
        if found:
            found += await self._check_generator(program, direct)
        return found

    async def _check_generator(self, program, direct):
        """A program that is not even equal to itself says nothing about Headgate."""
        text = difference(program, direct, await self.run_direct(program, direct.marks))
        return [Difference(program, "no", f"two direct runs: {text}")] if text else []

    async def run_direct(self, program, marks=None):
        await self._reset()
        stream = await self._converse(program, self._direct, marks)
        if is_fatal(stream) or stream.end != "complete":
            self._drop_direct()
        return stream

    async def run_pooled(self, program, mode, marks):
        await self._reset()
        connection = self._pooled.pop(mode, None)
        if connection is None or connection.closed:
            connection = await asyncio.wait_for(Connection.open(self._ports[mode], database=DATABASE), self.seconds)
        stream = await self._converse(program, connection, marks)
        if stream.end != "complete":
            connection.abort()
        elif mode == "session" or program.changes_session():  # which is over when the client leaves
            connection.close()
        else:
            self._pooled[mode] = connection
        return stream

    async def _converse(self, program, connection, marks):
        self.runs += 1
        tag = f"run_{next(_tags):06x}"
        return await Conversation(program, connection, self.schema, tag, marks).run(self.seconds)

    async def _reset(self):
        """The tables as they were, and a direct session as if it were new."""
        if self._direct is None or self._direct.closed:
            self._direct = await Connection.open(self._direct_port, database=DATABASE)
        direct = self._direct
        direct.clear()
        direct.send(messages.query("DISCARD ALL") + messages.query(f"SELECT {self.schema}.reset()"))
        await asyncio.wait_for(direct.wait_for(lambda: direct.ready_count() == 2 or direct.closed), self.seconds)
        problems = [body for tag, body in direct.received if tag == "E"]
        assert not problems and not direct.closed, f"reset failed: {problems}"
        if self.runs % VACUUM_EVERY == VACUUM_EVERY - 1:
            await self._vacuum()

    async def _vacuum(self):
        owner = await Connection.open(self._direct_port, "postgres", DATABASE)
        owner.clear()
        owner.send(messages.query(f"VACUUM {self.schema}.t, {self.schema}.u"))
        await asyncio.wait_for(owner.wait_for(lambda: owner.ready_count() or owner.closed), self.seconds)
        owner.close()

    def _drop_direct(self):
        self._direct.abort()
        self._direct = None

    def forget_connections(self):
        """The next program meets new connections only."""
        for connection in self._pooled.values():
            connection.close()
        self._pooled.clear()

    def close(self):
        self.forget_connections()
        if self._direct:
            self._direct.close()
