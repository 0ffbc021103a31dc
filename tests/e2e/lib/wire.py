"""A raw client of one connection: it sends any bytes, and reads messages with a deadline."""

import socket
import struct
import time

from lib import messages
from lib.messages import Message, MessageReader
from lib.scram import ScramClient, md5_answer


class Closed(Exception):
    """The other side closed the connection."""


class ServerError(Exception):
    """An ErrorResponse; `fields` has S, C, M, D..."""

    def __init__(self, fields):
        super().__init__(f"{fields.get('S')} {fields.get('C')}: {fields.get('M')}")
        self.fields = fields


class Authenticator:
    """Answers the server's authentication messages; shared with the asyncio client."""

    def __init__(self, user, password):
        self._user = user
        self._password = password
        self._scram = None
        self.asked = []  # the methods that the server asked for, as numbers

    def answer(self, request: Message):
        """The bytes to send back to an 'R' message; empty if none are wanted."""
        kind, rest = request.number(), request.body[4:]
        self.asked.append(kind)
        if kind == 3:
            return messages.password(self._password)
        if kind == 5:
            return messages.password(md5_answer(self._user, self._password, rest))
        if kind == 10:
            self._scram = ScramClient(self._password)
            first = self._scram.first()
            return messages.message("p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first)
        if kind == 11:
            return messages.message("p", self._scram.final(rest))
        if kind == 12 and not self._scram.verify(rest):
            raise ServerError({"S": "FATAL", "M": "wrong server signature"})
        return b""


class Wire:
    """One raw connection; closes itself at the end of a with block."""

    def __init__(self, port, host="127.0.0.1", timeout=10.0):
        self.port = port
        self.host = host
        self.timeout = timeout
        if host.startswith("/"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(f"{host}/.s.PGSQL.{port}")
        else:
            self.socket = socket.create_connection((host, port), timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = MessageReader()
        self.key = None  # (process, secret) for cancel()
        self.parameters = {}
        self.asked = []  # authentication requests seen

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Vanish with a TCP reset instead of an orderly end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, *data):
        self.socket.settimeout(self.timeout)
        self.socket.sendall(b"".join(data))

    def start_tls(self, context, direct=False, **options):
        """Ask for TLS (unless `direct`) and shake hands."""
        if not direct:
            self.send(messages.special_request(messages.SSL_REQUEST))
            answer = self.raw()
            if answer != b"S":
                raise Closed(f"TLS was answered with {answer}")
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost", **options)
        return self

    def raw(self, size=1, timeout=None):
        """Bytes as they come (the answer to an SSLRequest); b'' at the end of the stream."""
        self.socket.settimeout(timeout or self.timeout)
        return self.socket.recv(size)

    def read(self, timeout=None):
        """The next message; Closed at the end of the stream, TimeoutError when late."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            message = self._reader.next()
            if message:
                return message
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionError as error:
                raise Closed(str(error)) from error
            if not data:
                raise Closed(f"{len(self._reader)} bytes of an unfinished message left")
            self._reader.feed(data)

    def silent_for(self, seconds):
        """True if no message arrives for so long."""
        try:
            message = self.read(seconds)
        except TimeoutError:
            return True
        raise AssertionError(f"unexpected message {message}")

    def read_until(self, tags="Z", timeout=None):
        """Messages up to and with one of these tags, or a FATAL error."""
        collected = []
        while not collected or (collected[-1].tag not in tags and not collected[-1].is_fatal):
            collected.append(self.read(timeout))
        return collected

    def read_to_end(self, timeout=None):
        """All messages until the other side closes."""
        collected = []
        try:
            while True:
                collected.append(self.read(timeout))
        except Closed:
            return collected

    def login(self, user="app", database="app", password="", **parameters):
        """Start up and log in; raises ServerError with the server's refusal."""
        self.send(messages.startup({"user": user, "database": database, **parameters}))
        return self.finish_login(user, password)

    def finish_login(self, user, password=""):
        authenticator = Authenticator(user, password)
        self.asked = authenticator.asked
        while True:
            message = self.read()
            if message.tag == "R":
                self.send(authenticator.answer(message))
            elif message.tag == "S":
                name, value = message.body.split(b"\0")[:2]
                self.parameters[name.decode()] = value.decode()
            elif message.tag == "K":
                self.key = (message.number(0), message.number(4))
            elif message.tag == "E":
                raise ServerError(message.fields())
            elif message.tag == "Z":
                return self

    def query(self, sql, timeout=None):
        """Run a simple query: its messages up to ReadyForQuery; raises on an error."""
        self.send(messages.query(sql))
        answer = self.read_until("Z", timeout)
        raise_error(answer)
        return answer

    def value(self, sql, timeout=None):
        """The first column of the first row, as text."""
        return first_value(self.query(sql, timeout))

    def cancel(self):
        """Send a CancelRequest for this connection, and wait for its (silent) end."""
        send_cancel(self.port, self.key, self.host)


def send_cancel(port, key, host="127.0.0.1", timeout=10):
    with Wire(port, host, timeout) as wire:
        wire.send(messages.cancel_request(*key))
        return wire.read_to_end()


def errors(answer):
    return [message.fields() for message in answer if message.tag == "E"]


def raise_error(answer):
    for fields in errors(answer):
        raise ServerError(fields)


def tags(answer):
    return "".join(message.tag for message in answer)


def first_value(answer):
    for message in answer:
        if message.tag == "D":
            value = message.values()[0]
            return None if value is None else value.decode()
    return None
