"""Clients that share servers: what one has set, whether another sees it, and who keeps a server."""

import time

from .messages import sync
from .wire import Wire


def connect(pooler, **parameters):
    return Wire(pooler.port).login(**parameters)


def show(name):
    return f"SELECT current_setting('{name}', true)"


def seen_by_another(pooler, sql):
    with connect(pooler) as other:
        return other.value(sql)


def given_back(pooler):
    """The server is idle again, once it has told what its client left behind."""
    until = time.monotonic() + 5
    while pooler.pool()["sv_active"] > 0:
        assert time.monotonic() < until


def is_pinned(pooler):
    until = time.monotonic() + 0.1
    while pooler.pool()["sv_active"] > 0:
        if time.monotonic() > until:
            return True
    return False


def run(wire, *messages):
    """The answer to a batch, with its Sync."""
    wire.send(*messages, sync())
    return wire.read_until()
