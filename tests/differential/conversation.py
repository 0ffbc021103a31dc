"""One run of a program over one connection: sends it in random pieces, collects all that comes back."""

import asyncio
import random

from compare import Stream, normalised
from lib import messages
from lib.messages import Message
from steps import LANE, TAG

END = b"end of the program"
QUIET_SECONDS = 0.002  # directly, so much silence means that the server waits for us
# A COPY that is still open is failed, a batch ended, a transaction rolled back; then comes the mark.
CLOSE_COPY = messages.copy_fail("end of the program")
CLOSE_ALL = messages.sync() + messages.query("ROLLBACK") + messages.query(f"SELECT '{END.decode()}'")
HEADER = 5


class Connection(asyncio.Protocol):
    """A raw connection that keeps every message as (tag, body)."""

    def __init__(self):
        self.received = []
        self.closed = False
        self.ended = False  # the mark at the program's end has come
        self._bytes = bytearray()
        self._wanted = lambda: True
        self._waiter = None
        self._transport = None
        self._writable = asyncio.Event()
        self._writable.set()

    @classmethod
    async def open(cls, port, user="app", database="app"):
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(cls, "127.0.0.1", port)
        connection.send(messages.startup({"user": user, "database": database}))
        await connection.wait_for(lambda: connection.closed or connection.ready_count())
        if connection.closed:
            raise ConnectionError(f"log-in refused: {connection.received}")
        return connection

    def connection_made(self, transport):
        self._transport = transport

    def connection_lost(self, _error):
        self.closed = True
        self._writable.set()
        self._wake()

    def pause_writing(self):
        self._writable.clear()

    def resume_writing(self):
        self._writable.set()

    def data_received(self, data):
        self._bytes += data
        held, at = self._bytes, 0
        while len(held) - at >= HEADER:
            end = at + 1 + int.from_bytes(held[at + 1 : at + HEADER], "big")
            if end > len(held):
                break
            self._take(chr(held[at]), bytes(held[at + HEADER : end]))
            at = end
        del held[:at]
        self._wake()

    def _take(self, tag, body):
        self.received.append((tag, body))
        last = [message for message in self.received[-8:] if message[0] != "A"]
        if tag == "Z" and len(last) > 2 and last[-3] == END_ROW:
            self.ended = True

    def _wake(self):
        if self._waiter and not self._waiter.done() and self._wanted():
            self._waiter.set_result(None)

    def ready_count(self):
        return sum(tag == "Z" for tag, _ in self.received)

    def answer_count(self):
        return sum(tag != "A" for tag, _ in self.received)

    def send(self, data):
        self._transport.write(data)

    async def send_in_pieces(self, data, dice):
        for piece in pieces(data, dice):
            if self.closed:
                return
            self.send(piece)
            await self._writable.wait()
            await asyncio.sleep(dice.choice((0, 0, 0, 0, 0.001)))

    async def wait_for(self, wanted):
        """Until `wanted()`; who needs a limit sets one around it."""
        while not wanted():
            self._wanted = wanted
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    async def quiet(self):
        seen = None
        while seen != (len(self.received), len(self._bytes)):
            seen = (len(self.received), len(self._bytes))
            await asyncio.sleep(QUIET_SECONDS)

    def clear(self):
        self.received.clear()
        self.ended = False

    def close(self):
        if not self.closed:
            self.send(messages.terminate())
        self._transport.close()

    def abort(self):
        self._transport.abort()


END_ROW = ("D", b"\0\1" + len(END).to_bytes(4, "big") + END)


def pieces(data, dice):
    """`data` cut at random places; mostly few."""
    count = min(dice.choice((0, 0, 0, 1, 2, 5, 12)), len(data))
    cuts = sorted(dice.randrange(len(data)) for _ in range(count))
    places = [0, *cuts, len(data)]
    return [data[start:end] for start, end in zip(places, places[1:]) if end > start]


class Conversation:
    """Runs a program; with the marks of a direct run, each pause waits for as many messages as came there."""

    def __init__(self, program, connection, lane, tag, marks=None):
        self._program = program
        self._connection = connection
        self._names = ((LANE.encode(), lane.encode()), (TAG.encode(), tag.encode()))
        self._tag = tag
        self._given_marks = marks
        self._marks = []
        self._dice = random.Random(program.seed)
        self._doing = "beginning"

    async def run(self, seconds):
        connection = self._connection
        try:
            await asyncio.wait_for(self._talk(), seconds)
            end = "complete" if connection.ended else "closed"
        except asyncio.TimeoutError:
            end = f"hung while {self._doing}"
        return Stream(normalised(connection.received, self._tag), end, tuple(self._marks))

    async def _talk(self):
        connection = self._connection
        connection.clear()
        *groups, last = (self._named(group) for group in self._program.groups())
        for number, group in enumerate(groups):
            self._doing = f"sending before pause {number}"
            await connection.send_in_pieces(group, self._dice)
            self._doing = f"waiting at pause {number}"
            await self._pause(number)
        self._doing = "sending the end"
        await connection.send_in_pieces(last + self._closing(), self._dice)
        self._doing = "waiting for the end"
        await connection.wait_for(lambda: connection.ended or connection.closed)

    def _named(self, data):
        for placeholder, name in self._names:
            data = data.replace(placeholder, name)
        return data

    def _closing(self):
        copies = any("STDIN" in getattr(step, "sql", "") for step in self._program.steps)
        return CLOSE_COPY + CLOSE_ALL if copies else CLOSE_ALL

    async def _pause(self, number):
        connection = self._connection
        if self._given_marks is None:
            await connection.quiet()
            self._marks.append(connection.answer_count())
        else:
            wanted = self._given_marks[number]
            await connection.wait_for(lambda: connection.answer_count() >= wanted or connection.closed)


def is_fatal(stream):
    return any(tag == "E" and Message(tag, body).is_fatal for tag, body in stream.messages)
