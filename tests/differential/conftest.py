"""One PostgreSQL with the schemas of all clients, and a Headgate for each mode."""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]

from campaign import CLIENTS, poolers_for  # noqa: E402
from lane import prepare  # noqa: E402
from lib import processes  # noqa: E402
from lib.postgres import Postgres, User  # noqa: E402


@pytest.fixture(scope="session")
def postgres():
    processes.clean_up_on_sigterm()
    with Postgres.primary([User("app")], max_connections=100) as server:
        prepare(server, CLIENTS)
        yield server


@pytest.fixture(scope="session")
def ports(postgres):
    """mode -> the port of a Headgate."""
    with poolers_for(postgres) as by_mode:
        yield by_mode


@pytest.fixture
def single_server(postgres):
    """The port of a Headgate with one server."""
    with poolers_for(postgres, ("transaction",), default_pool_size=1) as by_mode:
        yield by_mode["transaction"]
