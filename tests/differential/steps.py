"""The messages a program is made of: values that encode themselves, print readably and can be shortened.

Two placeholders of fixed width stand in texts and are filled in on the wire, so lengths stay as they are:
LANE is the schema of the client that runs the program, TAG is another one for each run.
"""

import dataclasses
import itertools
import re
import struct
from dataclasses import dataclass
from typing import ClassVar

from lib import messages

LANE = "lane_@@"
TAG = "run_@@@@@@"
SHOWN = 160  # of a long value, when printed


def shown(value):
    if isinstance(value, (str, bytes)) and len(value) > SHOWN:
        return f"{value[:SHOWN // 2]!r}..<{len(value)} long>..{value[-SHOWN // 4:]!r}"
    if isinstance(value, tuple):
        return "(" + ", ".join(shown(part) for part in value) + ("," if len(value) == 1 else "") + ")"
    return repr(value)


class Step:
    """What a program does next. Those that are messages have encode()."""

    def __str__(self):
        fields = dataclasses.fields(self)
        changed = [field for field in fields if getattr(self, field.name) != field.default]
        return f"{type(self).__name__}({', '.join(f'{f.name}={shown(getattr(self, f.name))}' for f in changed)})"


@dataclass(frozen=True)
class Pause(Step):
    """Wait for what the server has to say to all of the above."""

    def encode(self):
        return b""


@dataclass(frozen=True)
class Query(Step):
    sql: str

    def encode(self):
        return messages.query(self.sql)


@dataclass(frozen=True)
class Parse(Step):
    sql: str
    name: str = ""
    types: tuple = ()

    def encode(self):
        return messages.parse(self.sql, self.name, self.types)


@dataclass(frozen=True)
class Bind(Step):
    values: tuple = ()  # bytes, or None for NULL
    statement: str = ""
    portal: str = ""
    formats: tuple = ()
    result_formats: tuple = ()

    def encode(self):
        body = self.portal.encode() + b"\0" + self.statement.encode() + b"\0" + _shorts(self.formats)
        body += struct.pack("!H", len(self.values)) + b"".join(_sized(value) for value in self.values)
        return messages.message("B", body + _shorts(self.result_formats))


@dataclass(frozen=True)
class Describe(Step):
    kind: str = "P"
    name: str = ""

    def encode(self):
        return messages.describe(self.kind, self.name)


@dataclass(frozen=True)
class Execute(Step):
    portal: str = ""
    rows: int = 0

    def encode(self):
        return messages.execute(self.portal, self.rows)


@dataclass(frozen=True)
class Close(Step):
    kind: str = "S"
    name: str = ""

    def encode(self):
        return messages.close(self.kind, self.name)


@dataclass(frozen=True)
class Flush(Step):
    def encode(self):
        return messages.flush()


@dataclass(frozen=True)
class Sync(Step):
    def encode(self):
        return messages.sync()


@dataclass(frozen=True)
class CopyData(Step):
    data: bytes = b""

    def encode(self):
        return messages.copy_data(self.data)


@dataclass(frozen=True)
class CopyDone(Step):
    def encode(self):
        return messages.copy_done()


@dataclass(frozen=True)
class CopyFail(Step):
    reason: str = "given up"

    def encode(self):
        return messages.copy_fail(self.reason)


@dataclass(frozen=True)
class FunctionCall(Step):
    function: int
    values: tuple = ()
    formats: tuple = ()
    result_format: int = 0

    def encode(self):
        body = struct.pack("!I", self.function) + _shorts(self.formats)
        body += struct.pack("!H", len(self.values)) + b"".join(_sized(value) for value in self.values)
        return messages.message("F", body + struct.pack("!H", self.result_format))


@dataclass(frozen=True)
class Malformed(Step):
    """A message whose body is not what its tag promises."""

    tag: str
    body: bytes = b""

    def encode(self):
        return messages.message(self.tag, self.body)


LEAVES_STATE = re.compile(r"\bSET\b|set_config|PREPARE|LISTEN|TEMP|HOLD|advisory")


@dataclass(frozen=True)
class Program:
    """Steps from a seed. `modes`: where it must behave as without a pooler."""

    MODES: ClassVar[tuple] = ("session", "transaction", "statement")

    seed: int
    steps: tuple
    modes: tuple = MODES

    def with_steps(self, steps):
        return dataclasses.replace(self, steps=tuple(steps))

    def messages(self):
        return sum(not isinstance(step, Pause) for step in self.steps)

    def changes_session(self):
        """Whether it may leave something behind that the next program of the same client would meet."""
        return any(LEAVES_STATE.search(getattr(step, "sql", "")) for step in self.steps)

    def groups(self):
        """The bytes between two pauses, for each stretch."""
        group = []
        for step in self.steps:
            if isinstance(step, Pause):
                yield b"".join(group)
                group = []
            else:
                group.append(step.encode())
        yield b"".join(group)

    def __str__(self):
        runs = [(step, len(list(same))) for step, same in itertools.groupby(self.steps)]
        return "\n".join(f"    {step}" + (f"  {count} times" if count > 1 else "") for step, count in runs)


def _shorts(numbers):
    return struct.pack(f"!H{len(numbers)}h", len(numbers), *numbers)


def _sized(value):
    return struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
