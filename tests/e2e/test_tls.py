"""TLS between a client and the pooler: who gets in by which sslmode, and what both know afterwards."""

import asyncio
import re
import ssl
import subprocess

import asyncpg
import psycopg
import pytest

from lib.certificates import Authority, client_context
from lib.messages import GSS_REQUEST, SSL_REQUEST, cancel_request, query, special_request, startup
from lib.postgres import program
from lib.processes import wait_until
from lib.wire import Wire, errors, send_cancel

pytestmark = pytest.mark.sanitizers


@pytest.fixture(scope="module")
def authority():
    with Authority() as authority:
        yield authority


@pytest.fixture(scope="module")
def own(authority):
    return authority.issue("pooler", "DNS:localhost", "IP:127.0.0.1")


@pytest.fixture
def start_tls(start_headgate, own):
    """start_tls(client_tls_sslmode=..., ...) -> a pooler that has a certificate."""

    def start(sslmode="require", **settings):
        return start_headgate(**{
            "client_tls_sslmode": sslmode,
            "client_tls_key_file": own.key,
            "client_tls_cert_file": own.certificate,
            "pool_mode": "transaction",
            **settings,
        })  # fmt: skip

    return start


def refusal(pooler, **options):
    with pytest.raises(psycopg.OperationalError) as refused:
        pooler.connect(**options).close()
    return str(refused.value)


# --- modes


@pytest.mark.parametrize("mode", ["allow", "prefer", "require"])
@pytest.mark.parametrize("wanted", ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])
def test_a_driver_gets_what_both_sides_allow(start_tls, authority, mode, wanted):
    pooler = start_tls(mode)
    with_root = {"sslrootcert": authority.file} if wanted.startswith("verify") else {}
    if mode == "require" and wanted == "disable":
        assert "SSL required" in refusal(pooler, sslmode=wanted)
        return
    with pooler.connect(sslmode=wanted, **with_root) as connection:
        assert connection.execute("SELECT 'hello'").fetchone() == ("hello",)
        (row,) = [row for row in pooler.admin("SHOW CLIENTS") if row["user"] == "app"]
        encrypted = mode == "require" or wanted not in ("disable", "allow")
        assert bool(row["tls"]) == encrypted


def test_without_tls_a_client_that_needs_it_is_told(start_headgate):
    assert "server does not support SSL" in refusal(start_headgate(), sslmode="require")


def test_psql_and_asyncpg(start_tls, authority):
    pooler = start_tls("require")
    done = subprocess.run(
        [program("psql"), "-At", "-c", "SELECT 1 + 1",
         f"host=127.0.0.1 port={pooler.port} user=app dbname=app sslmode=verify-full sslrootcert={authority.file}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "2\n"

    async def ask():
        connection = await asyncpg.connect(
            host="127.0.0.1", port=pooler.port, user="app", database="app",
            ssl=client_context(authority), statement_cache_size=0,
        )  # fmt: skip
        try:
            return await connection.fetchval("SELECT 2 + 2")
        finally:
            await connection.close()

    assert asyncio.run(ask()) == 4


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_a_client_has_to_show_a_certificate(start_tls, authority, mode):
    pooler = start_tls(mode, client_tls_ca_file=authority.file)
    known = authority.issue("app")
    with pooler.connect(sslmode="require", sslcert=known.certificate, sslkey=known.key) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert "certificate required" in refusal(pooler, sslmode="require")
    with Authority("somebody else") as other:
        stranger = other.issue("app")
        assert "unknown ca" in refusal(pooler, sslmode="require", sslcert=stranger.certificate, sslkey=stranger.key)
    assert re.search(r"WARNING C-0x\w+: \(nodb\)/\(nouser\)@127.0.0.1:\d+ TLS handshake error: ", pooler.log())


def test_a_certificate_that_is_shown_is_verified_in_every_mode(start_tls, authority):
    pooler = start_tls("allow", client_tls_ca_file=authority.file)
    with pooler.connect(sslmode="require") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with Authority("somebody else") as other:
        stranger = other.issue("app")
        assert "unknown ca" in refusal(pooler, sslmode="require", sslcert=stranger.certificate, sslkey=stranger.key)


def test_a_unix_socket_never_has_tls(start_tls):
    pooler = start_tls("require")
    with Wire(pooler.port, pooler.directory) as wire:
        wire.send(special_request(SSL_REQUEST))
        assert wire.raw() == b"N"
        assert wire.login().value("SELECT 1") == "1"


# --- what is known of it


def test_the_log_and_show_clients_tell_version_and_cipher(start_tls):
    pooler = start_tls("require", client_tls_protocols="tlsv1.3")
    with pooler.connect(sslmode="require"):
        (row,) = [row for row in pooler.admin("SHOW CLIENTS") if row["user"] == "app"]
    assert row["tls"] == "TLSv1.3/TLS_AES_256_GCM_SHA384"
    assert "SSL established: TLSv1.3/TLS_AES_256_GCM_SHA384" in pooler.log()
    assert "login attempt: db=app user=app tls=TLSv1.3/TLS_AES_256_GCM_SHA384 replication=no" in pooler.log()


def test_versions_and_ciphers_are_as_set(start_tls):
    pooler = start_tls("require", client_tls_protocols="tlsv1.2", client_tls_ciphers="ECDHE-ECDSA-AES128-GCM-SHA256",
                       client_tls_ecdhcurve="secp384r1")  # fmt: skip
    with pooler.connect(sslmode="require"):
        (row,) = [row for row in pooler.admin("SHOW CLIENTS") if row["user"] == "app"]
    assert row["tls"] == "TLSv1.2/ECDHE-ECDSA-AES128-GCM-SHA256/ECDH=secp384r1"
    assert "protocol version" in refusal(pooler, sslmode="require", ssl_min_protocol_version="TLSv1.3")


# --- what comes before the handshake


def test_ssl_and_gss_requests_may_follow_each_other(start_tls):
    pooler = start_tls("require")
    with Wire(pooler.port) as wire:
        wire.send(special_request(GSS_REQUEST))
        assert wire.raw() == b"N"
        assert wire.start_tls(client_context()).login().value("SELECT 1") == "1"


def test_bytes_behind_the_request_are_refused(start_tls):
    pooler = start_tls("prefer")
    for behind in (b"\x16\x03\x01\x02\x00\x01", startup({"user": "app", "database": "app"})):
        with Wire(pooler.port) as wire:
            wire.send(special_request(SSL_REQUEST) + behind)
            (error,) = errors(wire.read_to_end())
            assert (error["S"], error["M"]) == ("FATAL", "received unencrypted data after SSL request")


def test_a_second_request_within_tls_is_refused(start_tls):
    pooler = start_tls("prefer")
    with Wire(pooler.port) as wire:
        wire.start_tls(client_context())
        wire.send(special_request(SSL_REQUEST))
        assert errors(wire.read_to_end())[0]["M"] == "protocol violation"


@pytest.mark.headgate_only
@pytest.mark.parametrize("protocols", [None, ["postgresql"], ["h2", "postgresql"]])
def test_direct_tls(start_tls, protocols):
    pooler = start_tls("require")
    context = client_context()
    if protocols:
        context.set_alpn_protocols(protocols)
    with Wire(pooler.port) as wire:
        wire.start_tls(context, direct=True)
        assert wire.socket.selected_alpn_protocol() == (protocols and "postgresql")
        assert wire.login().value("SELECT 1") == "1"


@pytest.mark.headgate_only
@pytest.mark.parametrize("direct", [True, False])
def test_a_client_of_another_protocol_is_refused(start_tls, direct):
    pooler = start_tls("require")
    context = client_context()
    context.set_alpn_protocols(["http/1.1"])
    with Wire(pooler.port) as wire, pytest.raises(ssl.SSLError, match="no application protocol"):
        wire.start_tls(context, direct)


def test_a_request_within_direct_tls_is_refused(start_tls):
    with Wire(start_tls().port) as wire:
        wire.start_tls(client_context(), direct=True)
        wire.send(special_request(SSL_REQUEST))
        assert wire.read().fields()["M"] == "protocol violation"


def test_direct_tls_where_there_is_none(start_headgate):
    with Wire(start_headgate().port) as wire:
        wire.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert errors(wire.read_to_end())[0]["M"].startswith("bad packet header")


def test_a_cancel_request_in_clear_is_heard_in_every_mode(start_tls, postgres):
    """libpq before version 17 knows no other."""
    pooler = start_tls("require")
    with Wire(pooler.port) as wire:
        wire.start_tls(client_context()).login().send(query("SELECT pg_sleep(60)"))
        wait_until(lambda: any("pg_sleep(60)" in one["query"] for one in postgres.backends("single")), what="it runs")
        send_cancel(pooler.port, wire.key)
        assert errors(wire.read_until())[0]["C"] == "57014"


def test_a_cancel_request_over_tls(start_tls, postgres):
    pooler = start_tls("require")
    with Wire(pooler.port) as wire, Wire(pooler.port) as second:
        wire.start_tls(client_context()).login().send(query("SELECT pg_sleep(60)"))
        wait_until(lambda: any("pg_sleep(60)" in one["query"] for one in postgres.backends("single")), what="it runs")
        second.start_tls(client_context()).send(cancel_request(*wire.key))
        assert second.read_to_end() == []
        assert errors(wire.read_until())[0]["C"] == "57014"


# --- tickets


@pytest.mark.headgate_only
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed_by_its_ticket(start_tls, authority, version):
    pooler = start_tls("verify-full", client_tls_ca_file=authority.file)
    context = client_context(authority, authority.issue("app"))
    context.maximum_version = context.minimum_version = version
    with Wire(pooler.port) as wire:
        wire.start_tls(context).login().query("SELECT 1")
        session = wire.socket.session
        assert not wire.socket.session_reused
    with Wire(pooler.port) as wire:
        wire.start_tls(context, session=session)
        assert wire.socket.session_reused
        assert wire.login().value("SELECT 1") == "1"
    pooler.reload(client_tls_ciphers="HIGH")  # another snapshot has another key
    with Wire(pooler.port) as wire:
        wire.start_tls(context, session=session)
        assert not wire.socket.session_reused
        assert wire.login().value("SELECT 1") == "1"
