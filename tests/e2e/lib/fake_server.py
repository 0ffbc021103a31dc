"""A PostgreSQL server that misbehaves: it logs in as one would, then answers as it is told."""

import socket
import struct
import threading

from lib.messages import MessageReader, message

READY = message("Z", b"I")
LOGIN = b"".join([
    message("R", struct.pack("!i", 0)),
    message("S", b"server_version\x0015.0\0"),
    message("S", b"client_encoding\0UTF8\0"),
    message("S", b"standard_conforming_strings\0on\0"),
    message("S", b"DateStyle\0ISO, MDY\0"),
    message("S", b"TimeZone\0UTC\0"),
    message("K", struct.pack("!ii", 1234, 5678)),
    READY,
])  # fmt: skip
GOOD_ANSWER = message("C", b"SELECT 0\0") + READY


class FakeServer:
    """`login` answers the startup packet, `answer` each later message; then it may hang up."""

    def __init__(self, login=LOGIN, answer=GOOD_ANSWER, hang_up=False):
        self._login = login
        self._answer = answer
        self._hang_up = hang_up
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                self._talk(connection)
            except OSError:
                pass

    def _log_in(self, connection):
        if b"user\0" not in connection.recv(4096):  # SSLRequest
            connection.sendall(b"N")
            connection.recv(4096)
        connection.sendall(self._login)

    def _talk(self, connection):
        self._log_in(connection)
        while self._login:
            data = connection.recv(65536)
            if not data or data[:1] == b"X":
                return
            if data[:1] in b"Q":
                connection.sendall(self._answer)
                if self._hang_up:
                    return


class AnsweringServer(FakeServer):
    """`answer_to` gets the number of the connection and each message."""

    def __init__(self, answer_to):
        super().__init__()
        self._answer_to = answer_to

    def _talk(self, connection):
        number, reader = self.connections, MessageReader()
        self._log_in(connection)
        while more := connection.recv(65536):
            reader.feed(more)
            while asked := reader.next():
                connection.sendall(self._answer_to(number, asked.body))
