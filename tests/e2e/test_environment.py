"""A container has no files of its own: the environment says everything, or overrides a file."""

import os
import re
import socket
import subprocess

import psycopg
import pytest

from lib import processes
from lib.headgate import PROGRAM
from lib.postgres import Postgres, User

pytestmark = [pytest.mark.headgate_only, pytest.mark.sanitizers]

EXAMPLE = os.path.join(os.path.dirname(__file__), "examples", "container.env")
CLIENT = User("boxed", "pa ss/word", "scram-sha-256")


@pytest.fixture(scope="module")
def server():
    """A server that asks for the password."""
    with Postgres.primary([CLIENT], ["single"]) as instance:
        yield instance


@pytest.fixture
def start(make_headgate):
    """start(NAME=value, ...) -> a pooler without a file."""

    def start_one(**environment):
        pooler = make_headgate()
        common = {
            "HEADGATE_LISTEN_PORT": str(pooler.port), "HEADGATE_UNIX_SOCKET_DIR": pooler.directory,
            "HEADGATE_ADMIN_USERS": CLIENT.name,
        }  # fmt: skip
        pooler.process = processes.spawn(
            [pooler._reachable_program()], pooler.path("log"), {**common, **environment}
        )
        processes.wait_until(pooler._answers, what="it answers")
        return pooler

    return start_one


def in_words_of(image, server):
    """The variables of one image for our server's database."""
    host, port, user, password = "127.0.0.1", str(server.port), CLIENT.name, CLIENT.password
    return {
        "pgbouncer": {"DATABASES_HOST": host, "DATABASES_PORT": port, "DATABASES_DBNAME": "single",
                      "DATABASES_USER": user, "DATABASES_PASSWORD": password},
        "edoburu": {"DB_HOST": host, "DB_PORT": port, "DB_NAME": "single", "DB_USER": user, "DB_PASSWORD": password},
        "bitnami": {"POSTGRESQL_HOST": host, "POSTGRESQL_PORT": port, "POSTGRESQL_DATABASE": "single",
                    "POSTGRESQL_USERNAME": user, "POSTGRESQL_PASSWORD": password},
        "url": {"DATABASE_URL": f"postgres://{user}:pa%20ss%2Fword@{host}:{port}/single?sslmode=disable"},
    }[image]  # fmt: skip


def log_in(pooler, password=CLIENT.password, database="single"):
    with pooler.connect(database, CLIENT.name, password) as connection:
        return connection.execute("SELECT current_user, current_database()").fetchone()


def shown(pooler):
    with psycopg.connect(**pooler.address("pgbouncer", CLIENT.name, CLIENT.password), autocommit=True) as console:
        return {row[0]: row[1] for row in console.execute("SHOW CONFIG")}


@pytest.mark.parametrize("auth_type", ["md5", "scram-sha-256"])
@pytest.mark.parametrize("image", ["pgbouncer", "edoburu", "bitnami", "url"])
def test_the_words_of_an_image(start, server, image, auth_type):
    pooler = start(PGBOUNCER_POOL_MODE="transaction", PGBOUNCER_AUTH_TYPE=auth_type, **in_words_of(image, server))
    assert log_in(pooler) == (CLIENT.name, "single")
    with pytest.raises(psycopg.OperationalError):
        log_in(pooler, "wrong")
    assert shown(pooler)["pool_mode"] == "transaction"
    assert CLIENT.password not in pooler.log()


def test_the_example_with_our_server(start, server):
    with open(EXAMPLE, encoding="utf-8") as file:
        example = dict(re.findall(r"^(\w+)=(.*)$", file.read(), re.M))
    pooler = start(**{**example, **in_words_of("pgbouncer", server), "DATABASES_DBNAME": "single"})
    assert log_in(pooler) == (CLIENT.name, "single")
    config = shown(pooler)
    for name, value in example.items():
        if name.startswith("PGBOUNCER_"):
            assert config[name.removeprefix("PGBOUNCER_").lower()] == value
    assert "WARNING environment" not in pooler.log()


def test_a_reload_reads_the_secret_again(start, server):
    where = processes.make_directory("secrets")
    secret = os.path.join(where, "password")
    processes.write_file(secret, "wrong\n")
    variables = in_words_of("pgbouncer", server)
    del variables["DATABASES_PASSWORD"]
    pooler = start(DATABASES_PASSWORD_FILE=secret, **variables)
    with pytest.raises(psycopg.OperationalError):
        log_in(pooler)
    processes.write_file(secret, CLIENT.password + "\n")
    with pooler.connect("pgbouncer", CLIENT.name, "wrong") as console:
        console.execute("RELOAD")
    assert log_in(pooler) == (CLIENT.name, "single")
    os.remove(secret)
    with pooler.connect("pgbouncer", CLIENT.name, CLIENT.password) as console:
        with pytest.raises(psycopg.Error, match="RELOAD failed"):
            console.execute("RELOAD")
    assert "could not open DATABASES_PASSWORD_FILE" in pooler.log()
    assert log_in(pooler) == (CLIENT.name, "single"), "nothing has changed"
    processes.remove_directory(where)


def test_the_environment_overrides_a_file_also_at_a_reload(make_headgate):
    pooler = make_headgate(pool_mode="session", query_timeout=5)
    pooler.start(environment={"HEADGATE_POOL_MODE": "transaction", "PGBOUNCER_MAX_DB_CONNECTIONS": "7"})

    def now():
        config = {row["key"]: row["value"] for row in pooler.admin("SHOW CONFIG")}
        return config["pool_mode"], config["max_db_connections"], config["query_timeout"]

    assert now() == ("transaction", "7", "5")
    pooler.reload(pool_mode="statement", query_timeout=6)
    assert now() == ("transaction", "7", "6")
    pooler.admin("SET pool_mode = 'session'")
    assert now()[0] == "session"


def run(*arguments, **environment):
    done = subprocess.run(
        [PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=20,
        env={**os.environ, **environment},
    )  # fmt: skip
    return done.returncode, done.stdout


def test_nothing_at_all_is_an_error():
    status, said = run()
    assert status == 1
    assert "no configuration file specified" in said


def test_a_mistake_is_told_by_its_variable():
    status, said = run("--check", DATABASES_HOST="x", HEADGATE_POOL_MOD="session", HEADGATE_QUERY_TIMEOUT="5m")
    assert (status, said.splitlines()) == (
        1,
        ["error: unknown environment variable HEADGATE_POOL_MOD",
         "  hint: did you mean HEADGATE_POOL_MODE?",
         'error: invalid value "5m" for parameter query_timeout in environment variable HEADGATE_QUERY_TIMEOUT',
         "  hint: expected seconds, or a number with a unit (us, ms, s, min, h, d)",
         "the environment has 2 errors"],
    )  # fmt: skip
    status, said = run(DATABASES_HOST="x", HEADGATE_POOL_MOD="session")
    assert status == 1 and "did you mean HEADGATE_POOL_MODE?" in said


def test_the_check_knows_the_environment():
    status, said = run("--check", DATABASE_URL="postgres://a:hunter2@db.example/shop", HEADGATE_AUTH_TYPE="trust")
    assert status == 0
    assert "the environment is valid" in said
    assert "auth_type = trust with listen_addr = *" in said
    assert "in environment variable HEADGATE_AUTH_TYPE" in said
    assert "hunter2" not in said


def test_a_service_of_our_name_in_the_cluster_is_no_setting(start, server):
    news = {"HEADGATE_PORT": "tcp://10.0.0.1:6432", "HEADGATE_SERVICE_HOST": "10.0.0.1", "HEADGATE_SERVICE_PORT": "1",
            "HEADGATE_PORT_6432_TCP_ADDR": "10.0.0.1"}  # fmt: skip
    pooler = start(**news, **in_words_of("pgbouncer", server))
    assert log_in(pooler) == (CLIENT.name, "single")
    with socket.create_connection(("127.0.0.1", pooler.port), 5):
        pass
