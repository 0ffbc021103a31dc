"""The pieces that hand-made inputs of the fuzz targets are built of."""

import struct

INT_MAX = 0x7FFFFFFF


def text(*parts):
    return b"".join(part.encode() + b"\0" for part in parts)


def piece(data):
    """Behind its length of two bytes, as FuzzInput::piece reads it."""
    data = data.encode() if isinstance(data, str) else data
    return struct.pack("!H", len(data)) + data


def pieces(*parts):
    return b"".join(map(piece, parts))


def message(tag, body=b"", length=None):
    return tag.encode() + struct.pack("!I", len(body) + 4 if length is None else length) + body


def value(data):
    return struct.pack("!i", -1) if data is None else struct.pack("!i", len(data)) + data


def short(*numbers):
    return struct.pack(f"!{len(numbers)}h", *numbers)


def integer(*numbers):
    return struct.pack(f"!{len(numbers)}i", *numbers)
