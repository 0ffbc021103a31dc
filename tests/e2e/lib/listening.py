"""Clients that LISTEN, what they hear, and the connection that listens for them."""

from .processes import wait_until
from .wire import Wire

LISTENING = "headgate: listening"


def connect(pooler, **parameters):
    return Wire(pooler.port).login(**parameters)


def notification(message):
    assert message.tag == "A", message
    channel, payload, _ = message.body[4:].split(b"\0")
    return channel.decode(), payload.decode()


def heard(wire, count, timeout=10):
    return [notification(wire.read(timeout)) for _ in range(count)]


def listening_servers(pooler):
    return [row for row in pooler.admin("SHOW SERVERS") if row["application_name"] == LISTENING]


def pinned(pooler):
    return [row["pinned"] for row in pooler.admin("SHOW CLIENTS") if row["pinned"]]


def wait_unpinned(pooler):
    wait_until(lambda: not pinned(pooler), 5, "nobody is pinned")


def wait_idle(pooler):
    """No client has a server."""
    wait_until(lambda: {row["state"] for row in pooler.admin("SHOW CLIENTS") if row["database"] == "app"} == {"idle"},
               5, "all are idle")  # fmt: skip


def listener_of(postgres):
    """The listening connection's process, as PostgreSQL knows it."""
    pids = [row["pid"] for row in postgres.backends("single") if row["application_name"] == LISTENING]
    return pids[0] if pids else None


def end_listener(postgres):
    before = listener_of(postgres)
    postgres.value("SELECT pg_terminate_backend(%s, 10000)", (before,))
    return before


def wait_for_listener(postgres, other_than):
    wait_until(lambda: listener_of(postgres) not in (None, other_than), 10, "it listens again")


def warning(wire, timeout=15):
    message = wire.read(timeout)
    assert message.tag == "N", message
    fields = message.fields()
    assert fields["C"] == "01000" and "may have been missed" in fields["M"] and fields["H"], fields
    return fields


def barrier(wire, other, channel, text):
    """What was notified before this has come when this comes."""
    other.query(f"NOTIFY {channel}, '{text}'")
    got = []
    while not got or got[-1] != (channel, text):
        got.append(notification(wire.read(10)))
    return got[:-1]
