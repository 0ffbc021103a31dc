"""The raw client for asyncio: thousands of connections in one process."""

import asyncio
import socket

from lib import messages
from lib.messages import MessageReader
from lib.wire import Authenticator, Closed, ServerError, raise_error


class AsyncWire(asyncio.Protocol):
    """One connection; `read()` waits for a message, `reset()` vanishes mid-way."""

    def __init__(self, port, timeout=30.0):
        self.port = port
        self.timeout = timeout
        self.key = None
        self._reader = MessageReader()
        self._transport = None
        self._waiter = None
        self._closed = False

    @classmethod
    async def open(cls, port, timeout=30.0):
        loop = asyncio.get_running_loop()
        _, wire = await loop.create_connection(lambda: cls(port, timeout), "127.0.0.1", port)
        return wire

    # asyncio's side

    def connection_made(self, transport):
        self._transport = transport

    def data_received(self, data):
        self._reader.feed(data)
        self._wake()

    def connection_lost(self, _error):
        self._closed = True
        self._wake()

    def _wake(self):
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    # our side

    def send(self, *data):
        if self._closed:
            raise Closed("sending")
        self._transport.write(b"".join(data))

    def close(self):
        self._transport.close()

    def reset(self):
        """Vanish at once, whatever is under way."""
        self._transport.abort()

    async def start_tls(self, context):
        """Ask for TLS and shake hands."""
        self.send(messages.special_request(messages.SSL_REQUEST))
        while not len(self._reader):
            await self._wait(self.timeout)
        if self._reader.take() != b"S":
            raise Closed("no TLS here")
        self._transport = await asyncio.get_running_loop().start_tls(self._transport, self, context)
        return self

    async def closed(self):
        """Wait until the connection is gone."""
        while not self._closed:
            await self._wait(self.timeout)

    def has_answer(self):
        """Something has come that is not read yet."""
        return len(self._reader) > 0

    async def read(self, timeout=None):
        while True:
            message = self._reader.next()
            if message:
                return message
            if self._closed:
                raise Closed("reading")
            await self._wait(self.timeout if timeout is None else timeout)

    async def _wait(self, timeout):
        self._waiter = asyncio.get_running_loop().create_future()
        handle = asyncio.get_running_loop().call_later(timeout, self._late)
        try:
            await self._waiter
        finally:
            handle.cancel()
            self._waiter = None

    def _late(self):
        if self._waiter and not self._waiter.done():
            self._waiter.set_exception(TimeoutError("no message in time"))

    async def read_until(self, tags="Z", timeout=None):
        collected = []
        while not collected or (collected[-1].tag not in tags and not collected[-1].is_fatal):
            collected.append(await self.read(timeout))
        return collected

    async def login(self, user="app", database="app", password="", **parameters):
        self.send(messages.startup({"user": user, "database": database, **parameters}))
        authenticator = Authenticator(user, password)
        while True:
            message = await self.read()
            if message.tag == "R":
                self.send(authenticator.answer(message))
            elif message.tag == "K":
                self.key = (message.number(0), message.number(4))
            elif message.tag == "E":
                raise ServerError(message.fields())
            elif message.tag == "Z":
                return self

    async def query(self, sql, timeout=None):
        self.send(messages.query(sql))
        answer = await self.read_until("Z", timeout)
        raise_error(answer)
        return answer


async def log_in_many(port, count, at_once=200, context=None, **login):
    """Open `count` logged-in connections, so many of them at a time; with a context, over TLS."""
    gate = asyncio.Semaphore(at_once)

    async def log_in():
        async with gate:
            wire = await AsyncWire.open(port)
            if context:
                await wire.start_tls(context)
            return await wire.login(**login)

    return await asyncio.gather(*(log_in() for _ in range(count)))


async def send_cancel(port, key):
    """Send a CancelRequest and wait until the other side has closed."""
    loop = asyncio.get_running_loop()
    with socket.socket() as raw:
        raw.setblocking(False)
        await loop.sock_connect(raw, ("127.0.0.1", port))
        await loop.sock_sendall(raw, messages.cancel_request(*key))
        while await loop.sock_recv(raw, 64):
            pass
