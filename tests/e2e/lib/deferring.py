"""Poolers with defer_begin, and the words to talk to them."""

import pytest

from lib.messages import query
from lib.wire import Wire, tags


@pytest.fixture
def start(start_headgate):
    def begin(**settings):
        return start_headgate(**{"pool_mode": "transaction", "default_pool_size": 1, "defer_begin": 1, **settings})

    return begin


@pytest.fixture
def pooler(start):
    return start()


@pytest.fixture
def table(postgres):
    postgres.execute("CREATE TABLE IF NOT EXISTS deferred (n int)", "TRUNCATE deferred",
                     "GRANT ALL ON deferred TO public", database="single")  # fmt: skip
    return lambda: postgres.value("SELECT count(*) FROM deferred", database="single")


def connect(pooler, **parameters):
    return Wire(pooler.port).login(**parameters)


def ask(wire, *said):
    """The tags of the answer, and the status that it ends with."""
    wire.send(*(query(text) if isinstance(text, str) else text for text in said))
    answer = wire.read_until()
    return tags(answer), answer[-1].text(), answer


def command(wire, sql):
    """The command and the status that a statement without rows is answered with."""
    found, status, answer = ask(wire, sql)
    assert found == "CZ", answer
    return answer[0].text(), status


def servers_in_use(pooler):
    return pooler.pool()["sv_active"]


def state_of_clients(pooler):
    return {row["state"] for row in pooler.admin("SHOW CLIENTS") if row["database"] == "app"}
