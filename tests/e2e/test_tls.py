"""TLS between a client and the pooler: who gets in by which sslmode, and what both know afterwards."""

import asyncio
import re
import subprocess

import asyncpg
import psycopg
import pytest

from lib.certificates import Authority, client_context
from lib.headgate import is_headgate
from lib.messages import SSL_REQUEST, GSS_REQUEST, query, special_request, startup
from lib.postgres import program
from lib.processes import wait_until
from lib.wire import Closed, Wire, errors, send_cancel

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
