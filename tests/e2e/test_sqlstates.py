"""The SQLSTATEs of errors are PostgreSQL's own, so that drivers and scripts find out what to do: ask for
another password, come again later, connect anew. With error_codes = pgbouncer they are PgBouncer's."""

import contextlib

import pytest

from lib import processes
from lib.fake_server import GOOD_ANSWER, FakeServer
from lib.messages import MessageReader, copy_data, extended, message, query, sync
from lib.postgres import Postgres, User
from lib.processes import wait_until
from lib.wire import ServerError, Wire, errors

pytestmark = [pytest.mark.headgate_only, pytest.mark.sanitizers]
PID = "SELECT pg_backend_pid()"
STYLES = ["postgres", "pgbouncer"]


def refusal(pooler, **login):
    """SQLSTATE and text of the error that ends a log-in."""
    with Wire(pooler.port) as wire, pytest.raises(ServerError) as caught:
        wire.login(**login)
    assert caught.value.fields["S"] == "FATAL"
    return caught.value.fields["C"], caught.value.fields["M"]


# --- log-ins that are refused


LOG_INS = [  # user and password, database, what is said
    ({"user": "nobody"}, "28P01", "SASL authentication failed"),
    ({"password": "wrong"}, "28P01", "SASL authentication failed"),
    ({"password": "wrong", "database": "nowhere"}, "28P01", "SASL authentication failed"),
    ({"database": "nowhere"}, "3D000", "no such database: nowhere"),
    ({"database": "closed"}, "55000", 'database "closed" is disabled'),
    ({"database": "pgbouncer"}, "42501", "not allowed"),
    ({"user": ""}, "28000", "no username supplied"),
    ({"options": "-x"}, "42601", "unsupported options startup parameter: "
     "only '-c config=val' and '--config=val' are allowed"),
    ({"replication": "perhaps"}, "42704", "unsupported startup parameter: replication"),
    ({"database": "not_there"}, "3D000", 'database "not_there" does not exist'),  # the server says so
]  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_refused_log_ins(start_headgate, postgres, style):
    server = {"host": "127.0.0.1", "port": postgres.port}
    databases = {"app": {**server, "dbname": "single"}, "closed": server, "not_there": server}
    userlist = {"app": "secret", "admin": "secret"}
    pooler = start_headgate(databases, auth_type="scram-sha-256", userlist=userlist, error_codes=style)
    with pooler.console(password="secret") as console:
        console.execute("DISABLE closed")
    for login, code, text in LOG_INS:
        told = refusal(pooler, **{"password": "secret", **login})
        of_server = login.get("database") == "not_there"  # PgBouncer passes it on
        assert told == (code if style == "postgres" or of_server else "08P01", text)


PASSWORDS = {"plain": "password authentication failed", "md5": "password authentication failed",
             "scram-sha-256": "SASL authentication failed"}  # fmt: skip


@pytest.mark.parametrize("auth_type", PASSWORDS)
def test_a_wrong_password_and_an_unknown_user_are_one_and_the_same(start_headgate, auth_type):
    pooler = start_headgate(auth_type=auth_type, userlist={"app": "secret"})
    for user in ("app", "nobody"):
        assert refusal(pooler, user=user, password="wrong") == ("28P01", PASSWORDS[auth_type])


def test_a_reload_changes_them(start_headgate):
    pooler = start_headgate()
    assert refusal(pooler, database="nowhere")[0] == "3D000"
    pooler.reload(error_codes="pgbouncer")
    assert refusal(pooler, database="nowhere")[0] == "08P01"


TOO_MANY = {
    "no more connections allowed (max_client_conn)": {"max_client_conn": 1},
    "client connections exceeded (max_db_client_connections)": {"max_db_client_connections": 1},
    "client connections exceeded (max_user_client_connections)": {"max_user_client_connections": 1},
}


@pytest.mark.parametrize("text", TOO_MANY)
def test_too_many_connections(start_headgate, text):
    pooler = start_headgate(**TOO_MANY[text])
    with Wire(pooler.port) as first:
        first.login()
        assert refusal(pooler) == ("53300", text)


@pytest.mark.parametrize("style, code", zip(STYLES, ["28P01", "08P01"]))
def test_a_server_that_has_refused_is_quoted_with_its_sqlstate(start_headgate, postgres, style, code):
    """While server_login_retry lasts nobody is sent there again."""
    entry = {"host": "127.0.0.1", "port": postgres.port, "dbname": "single", "user": "md5_user", "password": "wrong"}
    pooler = start_headgate({"app": entry}, error_codes=style)
    text = 'password authentication failed for user "md5_user"'
    assert refusal(pooler) == ("28P01", text)
    assert refusal(pooler) == (code, f"server login has been failing, cached error: {text} (server_login_retry)")


@pytest.fixture
def crowded(postgres):
    """PostgreSQL takes no connection of this role."""
    postgres.execute("CREATE ROLE crowded LOGIN CONNECTION LIMIT 0")
    yield {"host": postgres.directory, "port": postgres.port, "dbname": "single"}
    postgres.execute("DROP ROLE crowded")


def test_a_server_that_is_full(start_headgate, crowded):
    pooler = start_headgate({"app": {**crowded, "user": "crowded"}})
    assert refusal(pooler) == ("53300", 'too many connections for role "crowded"')


@pytest.mark.parametrize("style, code", zip(STYLES, ["53300", "08P01"]))
def test_a_server_that_is_full_when_it_is_asked_for_a_password(start_headgate, crowded, style, code):
    """A stranger hears that it may pass, and nothing of the role that asks."""
    pooler = start_headgate({"app": crowded}, auth_type="md5", auth_user="crowded", error_codes=style)
    assert refusal(pooler, user="stranger") == (code, "bouncer config error")


def test_a_server_that_is_not_there_is_said_to_be_not_there(start_headgate):
    pooler = start_headgate({"app": f"host=127.0.0.1 port={processes.free_port()}"}, client_login_timeout=1)
    assert refusal(pooler)[0] == "57P03"


# --- servers that end under their clients


@pytest.fixture(scope="module")
def ended(many_files):
    """A PostgreSQL of this file's own, to be shut down."""
    with Postgres.primary([User("app")]) as server:
        yield server


def idle(wire):
    wire.value(PID)


def in_a_transaction(wire):
    wire.query("BEGIN")
    wire.value(PID)


def in_a_failed_transaction(wire):
    wire.query("BEGIN")
    with contextlib.suppress(ServerError):
        wire.query("SELECT 1/0")


def in_a_query(wire):
    wire.send(query("SELECT pg_sleep(60)"))


def in_a_batch(wire):
    wire.send(extended("SELECT 1"), extended("SELECT pg_sleep(60)"), sync())


def in_a_transaction_s_query(wire):
    in_a_transaction(wire)
    in_a_query(wire)


def sending_rows(wire):
    wire.send(query("COPY (SELECT pg_sleep(0.01), repeat('x', 100) FROM generate_series(1, 100000)) TO STDOUT"))
    assert wire.read_until("d")[-1].tag == "d"


def taking_rows(wire):
    wire.query("CREATE TEMP TABLE taken (row text)")
    wire.send(query("COPY taken FROM STDIN"))
    wire.read_until("G")
    wire.send(copy_data(b"one\n"))


MOMENTS = {
    "session": [idle, in_a_transaction, in_a_failed_transaction, in_a_query, in_a_batch, sending_rows, taking_rows],
    "transaction": [in_a_transaction, in_a_failed_transaction, in_a_query, in_a_batch, in_a_transaction_s_query,
                    sending_rows, taking_rows],
    "statement": [in_a_query, in_a_batch],
}  # fmt: skip


@pytest.mark.parametrize("mode, moment", [(mode, moment) for mode, moments in MOMENTS.items() for moment in moments])
def test_a_server_that_is_shut_down_says_so_itself(start_headgate, ended, mode, moment):
    pooler = start_headgate({"app": f"host=127.0.0.1 port={ended.port} dbname=app"}, pool_mode=mode)
    with Wire(pooler.port) as wire:
        moment(wire.login())
        if moment in (in_a_query, in_a_batch, in_a_transaction_s_query):
            running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query ~ '^SELECT pg_sleep'"
            wait_until(lambda: ended.value(running), what="the query runs")
        ended.stop()
        try:
            fields = errors(wire.read_to_end())
        finally:
            ended.start()
        assert [(error["S"], error["C"], error["M"]) for error in fields] == [
            ("FATAL", "57P01", "terminating connection due to administrator command")
        ]


class EndsWhenAsked(FakeServer):
    """Serves one query of its first client; at what follows it says its last words."""

    LAST_WORDS = message("E", b"SFATAL\0VFATAL\0C57P01\0Mgood night\0\0")

    def _talk(self, connection):
        self._log_in(connection)
        reader, answers = MessageReader(), [message("C", b"SET\0") + message("Z", b"I"), self.LAST_WORDS]
        while answers:
            reader.feed(connection.recv(65536))
            while answers and reader.next():
                connection.sendall(answers.pop(0))


def test_a_server_that_ends_at_a_question_of_headgate_s_own_is_heard(start_headgate):
    """What the client has set is lost with the server that was about to be asked for it."""
    with EndsWhenAsked() as server:
        pooler = start_headgate({"app": f"host=127.0.0.1 port={server.port}"}, pool_mode="transaction")
        with Wire(pooler.port) as wire:
            wire.login().send(query("SET work_mem = '1MB'"))
            said = wire.read_to_end()
        assert errors(said) == [{"S": "FATAL", "V": "FATAL", "C": "57P01", "M": "good night"}]
    assert "server conn crashed?" in pooler.log()
