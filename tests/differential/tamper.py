"""A proxy that spoils one message of the server's, to prove that the comparison notices."""

import asyncio

HEADER = 5


def drop(message):
    return []


def duplicate(message):
    return [message, message]


def change_last_byte(message):
    return [message[:-1] + bytes([message[-1] ^ 1])]


class Swap:
    """Holds each message back until the next has passed; asked for two in a row, it swaps them."""

    def __init__(self):
        self._held = None

    def __call__(self, message):
        held, self._held = self._held, message
        if held is None:
            return []
        self._held = None
        return [message, held]


class Tamperer:
    """Between a client and the port `behind`: of the server's messages after the log-in, those that
    `chosen(number, message)` picks are replaced by the list that `spoil(message)` makes of each."""

    def __init__(self, behind, chosen, spoil):
        self._behind = behind
        self._chosen = chosen
        self._spoil = spoil
        self._server = None
        self.port = None
        self.spoilt = 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, client_reader, client_writer):
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._behind)
        try:
            await asyncio.gather(copy(client_reader, server_writer), self._answers(server_reader, client_writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            client_writer.close()
            server_writer.close()

    async def _answers(self, reader, writer):
        logged_in, number = False, 0
        try:
            while True:
                message = await read_message(reader)
                parts = [message]
                if logged_in:
                    number += 1
                    if self._chosen(number, message):
                        self.spoilt += 1
                        parts = self._spoil(message)
                writer.write(b"".join(parts))
                logged_in |= message[:1] == b"Z"
        finally:
            writer.close()


async def read_message(reader):
    header = await reader.readexactly(HEADER)
    return header + await reader.readexactly(int.from_bytes(header[1:], "big") + 1 - HEADER)


async def copy(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
