"""TLS between the pooler and PostgreSQL: when it is used, whom it trusts, and that nothing is lost by it."""

import socket
import threading

import psycopg
import pytest

from lib.certificates import Authority, file_of
from lib.messages import SSL_REQUEST, query, special_request
from lib.postgres import Postgres, User
from lib.processes import wait_until
from lib.wire import Wire, errors

pytestmark = pytest.mark.sanitizers
IS_ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@pytest.fixture(scope="module")
def authority():
    with Authority() as authority:
        yield authority


@pytest.fixture(scope="module")
def secure_postgres(authority):
    """PostgreSQL with a certificate for `localhost`, but not for 127.0.0.1; it asks for ours."""
    own = authority.issue("postgres", "DNS:localhost", "DNS:other.example")
    files = {"ssl_cert_file": own.certificate, "ssl_ca_file": authority.file,
             "ssl_key_file": file_of(own.key, own.key_text())}  # fmt: skip
    users = [User("app"), User("scram_user", "scram secret", "scram-sha-256")]
    with Postgres.primary(users, ssl="on", **files) as server:
        yield server


@pytest.fixture
def start_before(start_headgate, secure_postgres):
    """start_before(server_tls_sslmode=..., ...) -> a pooler in front of that PostgreSQL."""

    def start(sslmode, host="127.0.0.1", **settings):
        return start_headgate(
            {"app": {"host": host, "port": secure_postgres.port, "dbname": "app"}},
            **{"server_tls_sslmode": sslmode, "pool_mode": "transaction", "server_login_retry": 1, **settings},
        )

    return start


def value(pooler, sql, **options):
    with pooler.connect(**options) as connection:
        return connection.execute(sql).fetchone()[0]


def refusal(pooler):
    with pytest.raises(psycopg.Error) as refused:
        value(pooler, "SELECT 1", connect_timeout=5)
    return str(refused.value)


# --- modes


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require"])
def test_a_server_that_has_tls(start_before, mode):
    pooler = start_before(mode)
    assert value(pooler, IS_ENCRYPTED) == (mode != "disable")
    (row,) = pooler.admin("SHOW SERVERS")
    assert row["tls"] == ("" if mode == "disable" else "TLSv1.3/TLS_AES_256_GCM_SHA384")


@pytest.mark.parametrize("mode", ["allow", "prefer"])
def test_a_server_that_has_none(start_headgate, mode):
    pooler = start_headgate(server_tls_sslmode=mode)
    assert value(pooler, "SELECT 1") == 1
    assert pooler.admin("SHOW SERVERS")[0]["tls"] == ""


@pytest.mark.headgate_only  # the reason is told to who waits
def test_a_server_that_has_none_but_must(start_headgate):
    pooler = start_headgate(server_tls_sslmode="require")
    assert "server refused SSL" in refusal(pooler)
    assert "closing because: server refused SSL" in pooler.log()


def test_a_unix_socket_needs_no_tls(start_before, secure_postgres):
    pooler = start_before("verify-full", secure_postgres.directory)
    assert value(pooler, IS_ENCRYPTED) is False


@pytest.mark.parametrize("mode, host, answer", [
    ("verify-ca", "127.0.0.1", True),
    ("verify-full", "localhost", True),
    ("verify-full", "127.0.0.1", None),
])  # fmt: skip
def test_a_certificate_is_verified(start_before, authority, mode, host, answer):
    pooler = start_before(mode, host, server_tls_ca_file=authority.file)
    if answer:
        assert value(pooler, IS_ENCRYPTED) is True
        return
    refusal(pooler)
    assert 'TLS handshake error: the server\'s certificate is not for "127.0.0.1"' in pooler.log()


def test_the_authority_has_to_be_the_right_one(start_before):
    with Authority("another") as other:
        pooler = start_before("verify-ca", server_tls_ca_file=other.file)
        refusal(pooler)
        assert "TLS handshake error: certificate verify failed: " in pooler.log()


def test_we_show_a_certificate(start_before, authority):
    own = authority.issue("the pooler")
    pooler = start_before("require", server_tls_cert_file=own.certificate, server_tls_key_file=own.key)
    assert value(pooler, "SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "/CN=the pooler"


def test_a_password_is_proven_over_tls(start_before):
    def know_the_user(pooler):
        pooler.userlist["scram_user"] = "scram secret"

    pooler = start_before("require", before_start=know_the_user)
    assert value(pooler, IS_ENCRYPTED, user="scram_user") is True


# --- cancels, moves, deaths


def test_a_cancel_goes_by_tls_too(start_before, secure_postgres):
    pooler = start_before("require")
    with Wire(pooler.port) as wire:
        wire.login().send(query("SELECT pg_sleep(60)"))
        wait_until(lambda: any("pg_sleep(60)" in one["query"] for one in secure_postgres.backends("app")),
                   what="the query runs")  # fmt: skip
        wire.cancel()
        assert errors(wire.read_until())[0]["C"] == "57014"
        assert wire.value("SELECT 1") == "1"


@pytest.mark.headgate_only
def test_servers_move_between_workers(start_before):
    """Two servers for the clients of three workers: what a server said in TLS goes on elsewhere."""
    pooler = start_before("require", default_pool_size=2, workers=3, max_client_conn=200)
    failures = []

    def work(number):
        try:
            with Wire(pooler.port) as wire:
                wire.login()
                for turn in range(40):
                    wanted = f"{number}/{turn}" * (1 + turn % 7 * 700)
                    assert wire.value(f"SELECT '{wanted}'") == wanted
        except Exception as error:  # noqa: BLE001: whatever it is, it is the test's result
            failures.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(18)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures
    assert all(row["tls"] for row in pooler.admin("SHOW SERVERS"))
    assert pooler.pool()["sv_idle"] == 2


def test_a_server_that_is_ended_while_idle_is_replaced(start_before, secure_postgres):
    pooler = start_before("require")
    with Wire(pooler.port) as wire:
        first = wire.login().value("SELECT pg_backend_pid()")
        secure_postgres.end_backends("app")
        wait_until(lambda: not secure_postgres.backends("app"), what="it is gone")
        assert wire.value("SELECT pg_backend_pid()") != first


# --- answers to the request that no server gives


def answer_to_ssl_request(answer):
    """A listener that answers every SSLRequest so."""
    listener = socket.create_server(("127.0.0.1", 0))
    requests = []

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                requests.append(connection.recv(1000))
                connection.sendall(answer)
                while connection.recv(1000):
                    pass

    threading.Thread(target=serve, daemon=True).start()
    return listener, requests


@pytest.mark.headgate_only
@pytest.mark.parametrize("answer, reason", [
    (b"S" + b"Z\0\0\0\5I", "received unencrypted data after SSL response"),
    (b"N" + b"R\0\0\0\x08\0\0\0\0", "bad sslreq answer"),
    (b"E\0\0\0\x20SFATAL\0C08P01\0Mlies\0\0", "bad sslreq answer"),
    (b"?", "bad sslreq answer"),
])  # fmt: skip
def test_an_answer_that_no_server_gives(start_headgate, answer, reason):
    listener, requests = answer_to_ssl_request(answer)
    with listener:
        pooler = start_headgate({"app": {"host": "127.0.0.1", "port": listener.getsockname()[1]}},
                                server_tls_sslmode="prefer", server_login_retry=60)  # fmt: skip
        assert reason in refusal(pooler)
        assert requests == [special_request(SSL_REQUEST)]
        assert "lies" not in pooler.log()


@pytest.mark.headgate_only
def test_a_server_that_talks_nonsense_behind_its_yes(start_headgate):
    """It is not tried without TLS instead: that is for an N alone."""
    listener = socket.create_server(("127.0.0.1", 0))
    heard = []

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                heard.append(connection.recv(8))
                connection.sendall(b"S")
                heard.append(connection.recv(1000))
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                while connection.recv(1000):
                    pass

    threading.Thread(target=serve, daemon=True).start()
    with listener:
        pooler = start_headgate({"app": {"host": "127.0.0.1", "port": listener.getsockname()[1]}},
                                server_tls_sslmode="prefer", server_login_retry=60)  # fmt: skip
        assert "TLS handshake with the server failed" in refusal(pooler)
        assert "TLS handshake error: wrong version number" in pooler.log()
        assert heard[0] == special_request(SSL_REQUEST)
        assert heard[1][:1] == b"\x16" and b"user" not in heard[1] and len(heard) == 2


# --- reload


def test_changed_server_settings_replace_servers_and_unchanged_ones_none(start_before, authority):
    pooler = start_before("prefer")
    with Wire(pooler.port) as wire:
        first = wire.login().value("SELECT pg_backend_pid()")
        pooler.reload()
        pooler.reload(client_idle_timeout=60)
        assert wire.value("SELECT pg_backend_pid()") == first
        pooler.reload(server_tls_sslmode="verify-ca", server_tls_ca_file=authority.file)
        second = wire.value("SELECT pg_backend_pid()")
        assert second != first
        wire.query("BEGIN")
        assert wire.value("SELECT pg_backend_pid()") == second
        pooler.reload(server_tls_sslmode="disable")
        assert wire.value("SELECT pg_backend_pid()") == second  # its transaction goes on
        wire.query("COMMIT")
        assert wire.value(IS_ENCRYPTED) == "f"
