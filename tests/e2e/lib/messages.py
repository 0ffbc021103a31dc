"""The bytes of protocol 3.0: messages a client sends, and messages read back."""

import struct
from dataclasses import dataclass

PROTOCOL_3_0 = 196608
CANCEL_REQUEST = 80877102
SSL_REQUEST = 80877103
GSS_REQUEST = 80877104


@dataclass(frozen=True)
class Message:
    """One message from the server; helpers read the bodies that tests look into."""

    tag: str
    body: bytes

    def fields(self):
        """ErrorResponse and NoticeResponse: {'S': 'ERROR', 'C': '57014', 'M': ...}."""
        parts = self.body.split(b"\0")
        return {chr(part[0]): part[1:].decode("utf-8", "replace") for part in parts if part}

    @property
    def is_fatal(self):
        """After it the connection is closed: no ReadyForQuery follows."""
        return self.tag == "E" and self.fields().get("S") in ("FATAL", "PANIC")

    def values(self):
        """DataRow: the columns as bytes, None for NULL."""
        (count,) = struct.unpack_from("!H", self.body)
        at, columns = 2, []
        for _ in range(count):
            (size,) = struct.unpack_from("!i", self.body, at)
            at += 4
            columns.append(None if size < 0 else self.body[at : at + size])
            at += max(size, 0)
        return columns

    def text(self):
        """CommandComplete's tag, ReadyForQuery's status: the body as text."""
        return self.body.rstrip(b"\0").decode("utf-8", "replace")

    def number(self, at=0):
        return struct.unpack_from("!i", self.body, at)[0]


class MessageReader:
    """Cuts a stream of bytes into messages."""

    def __init__(self):
        self._bytes = bytearray()

    def feed(self, data):
        self._bytes += data

    def next(self):
        if len(self._bytes) < 5:
            return None
        size = 1 + int.from_bytes(self._bytes[1:5], "big")
        if len(self._bytes) < size:
            return None
        message = Message(chr(self._bytes[0]), bytes(self._bytes[5:size]))
        del self._bytes[:size]
        return message

    def __len__(self):
        return len(self._bytes)

    def take(self):
        """What has come, though it is no message."""
        data, self._bytes = bytes(self._bytes), bytearray()
        return data


def _text(value):
    return value.encode() + b"\0" if isinstance(value, str) else value + b"\0"


def message(tag, body=b""):
    return tag.encode() + struct.pack("!i", len(body) + 4) + body


def startup(parameters, version=PROTOCOL_3_0):
    body = b"".join(_text(name) + _text(value) for name, value in parameters.items()) + b"\0"
    return struct.pack("!ii", len(body) + 8, version) + body


def special_request(code, *numbers):
    """SSLRequest, GSSENCRequest and CancelRequest: a length, a code, maybe a key."""
    body = struct.pack("!i", code) + b"".join(struct.pack("!i", number) for number in numbers)
    return struct.pack("!i", len(body) + 4) + body


def cancel_request(process, secret):
    return special_request(CANCEL_REQUEST, process, secret)


def password(secret):
    return message("p", _text(secret))


def query(sql):
    return message("Q", _text(sql))


def parse(sql, name="", types=()):
    numbers = struct.pack(f"!H{len(types)}I", len(types), *types)
    return message("P", _text(name) + _text(sql) + numbers)


def bind(parameters=(), statement="", portal=""):
    """Parameters are str, bytes or None, all in text format."""
    body = _text(portal) + _text(statement) + struct.pack("!HH", 0, len(parameters))
    for value in parameters:
        if value is None:
            body += struct.pack("!i", -1)
            continue
        raw = value.encode() if isinstance(value, str) else value
        body += struct.pack("!i", len(raw)) + raw
    return message("B", body + struct.pack("!H", 0))


def describe(kind="P", name=""):
    return message("D", kind.encode() + _text(name))


def execute(portal="", rows=0):
    return message("E", _text(portal) + struct.pack("!i", rows))


def close(kind="S", name=""):
    return message("C", kind.encode() + _text(name))


def sync():
    return message("S")


def flush():
    return message("H")


def terminate():
    return message("X")


def copy_data(data):
    return message("d", data)


def copy_done():
    return message("c")


def copy_fail(reason="given up"):
    return message("f", _text(reason))


def function_call(oid, arguments):
    """Arguments and result in text format."""
    body = struct.pack("!IHHH", oid, 1, 0, len(arguments))
    for value in arguments:
        body += struct.pack("!i", len(value)) + value
    return message("F", body + struct.pack("!H", 0))


def extended(sql, parameters=()):
    """Parse, Bind, Describe, Execute of an unnamed statement, without the Sync."""
    return parse(sql) + bind(parameters) + describe() + execute()
