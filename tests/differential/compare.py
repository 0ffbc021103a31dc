"""What must be equal, and how two streams of messages are compared."""

import re
from dataclasses import dataclass, replace

from disorder import breaks_copy
from lib.messages import Message
from steps import TAG, shown

# The only differences that are allowed, and why.
ALLOWED = {
    "log-in": "Welcome messages are not compared: Headgate answers a log-in itself, with a BackendKeyData of its own.",
    "notification": "NotificationResponse names the process that notified; it is another one with each server. Where "
                    "clients share servers it comes when it is heard, not in front of the ReadyForQuery of the NOTIFY: "
                    "only what comes and in what order is compared, as far as it has come at the end.",
    "tag": "Each run has a tag of its own in the names of its prepared statements, so that what an earlier run left "
           "on a server is in nobody's way. It comes back in error texts and is replaced there.",
    "broken COPY": "Where a program sends into a COPY what does not belong there, Headgate cannot tell which answer "
                   "belongs to what, and ends the connection with a FATAL error: see protocol/exchange.h.",
    "first in COPY": "If the first of that is about a statement, Headgate may have put a message in front of it, and "
                     "the server's error tells the type of that one.",
    "25P02": "In a transaction that has failed it may be a Parse of Headgate's own that is refused, in front of the "
             "Bind that needs it: the same error, from another function of the server.",
}  # fmt: skip

FIRST_IN_COPY = re.compile(rb"(unexpected message type 0x)[0-9A-F]{2}(?= during COPY)")
WHERE_FAILED = re.compile(rb"(?<=\x00)(?:L\d+|R(?:exec_parse|exec_bind)_message)(?=\x00)")
CONTEXT = 3  # messages shown in front of the first difference


@dataclass(frozen=True)
class Stream:
    """All that one run brought: (tag, body) of each message, and how it came to its end."""

    messages: tuple
    end: str = "complete"  # or closed, hung...
    marks: tuple = ()  # how many messages were there at each pause, notifications left out

    def answers(self):
        return tuple(message for message in self.messages if message[0] != "A")

    def notifications(self):
        """Those of this run: what was notified before, in the same lane, may come as well."""
        return tuple(message for message in self.messages if message[0] == "A" and TAG.encode() in message[1])


def normalised(messages, tag):
    """`messages` without what ALLOWED names for any program; `tag` is the run's."""
    tag, neutral = tag.encode(), TAG.encode()
    return tuple((kind, _body(kind, body, tag, neutral)) for kind, body in messages)


def _body(kind, body, tag, neutral):
    if kind == "A":
        body = bytes(4) + body[4:]
    if kind == "E":
        body = FIRST_IN_COPY.sub(rb"\1..", body)
        if b"\x00C25P02\x00" in body:
            body = WHERE_FAILED.sub(b"", body)
    return body.replace(tag, neutral) if tag in body else body


def difference(program, direct, pooled):
    """None if the streams are equal, else a text that shows where they part."""
    heard = pooled.notifications()
    if heard != direct.notifications()[: len(heard)]:
        return f"heard {heard}, directly {direct.notifications()}"
    direct, pooled = replace(direct, messages=direct.answers()), replace(pooled, messages=pooled.answers())
    if (direct.messages, direct.end) == (pooled.messages, pooled.end):
        return None
    if breaks_copy(program.steps) and _given_up(direct, pooled):
        return None
    pairs = zip(direct.messages, pooled.messages)
    at = next((index for index, (left, right) in enumerate(pairs) if left != right),
              min(len(direct.messages), len(pooled.messages)))  # fmt: skip
    lines = [f"      both: {readable(message)}" for message in direct.messages[max(0, at - CONTEXT) : at]]
    lines += [f"    {name}: {_message_at(stream, at)}" for name, stream in (("direct", direct), ("pooled", pooled))]
    return f"message {at} differs:\n" + "\n".join(lines)


def _given_up(direct, pooled):
    """The allowed "broken COPY": the same up to where Headgate ends the connection."""
    messages, ended = pooled.messages, pooled.end == "closed"
    if messages and Message(*messages[-1]).is_fatal:  # a client that is still sending may miss it
        messages, ended = messages[:-1], True
    return ended and messages == direct.messages[: len(messages)]


def _message_at(stream, at):
    return readable(stream.messages[at]) if at < len(stream.messages) else f"no more messages ({stream.end})"


def readable(message):
    tag, body = message
    if tag in "EN":
        fields = Message(tag, body).fields()
        return f"{tag} {fields.get('S')} {fields.get('C')} {fields.get('M')}"
    return f"{tag} {shown(body)}"
