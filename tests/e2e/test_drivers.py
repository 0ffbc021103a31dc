"""Drivers with default settings see through Headgate what they see on a direct connection. Each tells the
same story (drivers/) in its own way: statements prepared by the driver, in and out of transactions, errors,
savepoints, COPY, and statements that it takes back by itself."""

import itertools
import os
import subprocess

import pytest

from lib.certificates import Authority
from lib.headgate import REPOSITORY

pytestmark = [pytest.mark.headgate_only, pytest.mark.audited]
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "drivers")
STORIES = {
    "JDBC": ["java", "-XX:TieredStopAtLevel=1", "-cp", "/usr/share/java/postgresql.jar", "Story.java"],
    "DBD::Pg": ["perl", "story.pl"],
    "PDO": ["php", "story.php"],
    "ruby-pg": ["ruby", "story.rb"],
    "node-postgres": ["node", "story.js"],
    "psqlODBC": ["/usr/bin/python3", "story_odbc.py"],
    "SQLAlchemy": ["/usr/bin/python3", "story_sqlalchemy.py"],
}
# `./dev test` installs it from npm's registry; without that it is left out.
NODE_MODULES = os.path.join(REPOSITORY, "build/node/node_modules")
DRIVERS = [
    pytest.param(driver, marks=pytest.mark.skipif(
        driver == "node-postgres" and not os.path.exists(NODE_MODULES), reason="npm's registry could not be reached"))
    for driver in STORIES
]
PASSWORD = "scram secret"
PARALLEL = 4
tables = itertools.count()  # each story has one of its own


def start_story(driver, port, tls="disable"):
    environment = {
        **os.environ, "LC_ALL": "C.UTF-8", "PGHOST": "127.0.0.1", "PGPORT": str(port), "PGDATABASE": "app",
        "PGUSER": "scram_user", "PGPASSWORD": PASSWORD, "PGSSLMODE": tls,
        "NODE_PATH": NODE_MODULES,
    }  # fmt: skip
    return subprocess.Popen(
        [*STORIES[driver], f"story{next(tables)}"], cwd=HERE, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
    )  # fmt: skip


def ending_of(story):
    said, _ = story.communicate(timeout=100)
    assert story.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def directly(postgres):
    """directly(driver) -> what the driver says on a direct connection; it is asked once."""
    said = {}

    def tell(driver):
        if driver not in said:
            said[driver] = ending_of(start_story(driver, postgres.port))
        return said[driver]

    return tell


@pytest.fixture
def start(start_headgate, postgres):
    def started(**settings):
        return start_headgate(
            {"app": f"host=127.0.0.1 port={postgres.port} dbname=app"},
            auth_type="scram-sha-256", userlist={"scram_user": PASSWORD}, **{"default_pool_size": 2, **settings},
        )  # fmt: skip

    return started


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_story_over_tls(start, directly, driver):
    with Authority() as authority:
        server = authority.issue("pooler", "IP:127.0.0.1")
        pooler = start(
            pool_mode="transaction", client_tls_sslmode="require",
            client_tls_key_file=server.key, client_tls_cert_file=server.certificate,
        )  # fmt: skip
        assert ending_of(start_story(driver, pooler.port, tls="require")) == directly(driver)


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_stories_side_by_side(start, directly, driver, mode):
    """More clients than servers: each finds its own statements, settings and rows."""
    holds_several = driver == "node-postgres" and mode == "session"  # connections at once, each its server
    pooler = start(pool_mode=mode, workers=2, default_pool_size=5 * PARALLEL if holds_several else 2)
    stories = [start_story(driver, pooler.port) for _ in range(PARALLEL)]
    assert {ending_of(story) for story in stories} == {directly(driver)}
