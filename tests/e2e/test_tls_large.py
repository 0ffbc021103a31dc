"""Much data over TLS on both sides: every byte arrives, slow readers cost no memory."""

import hashlib

import pytest

from lib.certificates import Authority, client_context, file_of
from lib.headgate import is_sanitized
from lib.messages import query
from lib.postgres import Postgres, User
from lib.processes import wait_until
from lib.wire import Wire

pytestmark = pytest.mark.sanitizers
BIG = 40 << 20
MB = 1 << 20


@pytest.fixture(scope="module")
def own():
    with Authority() as authority:
        yield authority.issue("both", "DNS:localhost")


@pytest.fixture(scope="module")
def secure_postgres(own):
    with Postgres.primary([User("app")], ssl="on", ssl_cert_file=own.certificate,
                          ssl_key_file=file_of(own.key, own.key_text())) as server:  # fmt: skip
        yield server


@pytest.fixture(params=["both sides", "clients", "servers"])
def pooler(request, start_headgate, own, secure_postgres):
    return start_headgate(
        {"app": {"host": "127.0.0.1", "port": secure_postgres.port, "dbname": "app"}},
        client_tls_sslmode="disable" if request.param == "servers" else "require",
        client_tls_key_file=own.key, client_tls_cert_file=own.certificate,
        server_tls_sslmode="disable" if request.param == "clients" else "require",
        pool_mode="transaction",
    )  # fmt: skip


def test_a_row_of_40_mb_both_ways(pooler):
    text = hashlib.sha256(b"headgate").hexdigest() * (BIG // 64)
    with pooler.connect() as connection:
        (echo,) = connection.execute("SELECT %s::text", [text]).fetchone()
        assert echo == text
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_copy_both_ways(pooler):
    lines = [f"{number}\tvalue {number} " + "x" * (number % 3000) for number in range(8000)]
    with pooler.connect(autocommit=False) as connection:
        connection.execute("CREATE TEMPORARY TABLE numbers (number int, text text)")
        with connection.cursor().copy("COPY numbers FROM STDIN") as copy:
            for line in lines:
                copy.write(line + "\n")
        with connection.cursor().copy("COPY (SELECT * FROM numbers ORDER BY number) TO STDOUT") as copy:
            assert b"".join(bytes(part) for part in copy).decode().splitlines() == lines


def test_a_slow_reader_of_a_large_row_costs_little(pooler):
    before = pooler.rss_bytes()
    with Wire(pooler.port, timeout=60) as wire:
        if pooler.settings["client_tls_sslmode"] == "require":
            wire.start_tls(client_context())
        wire.login().send(query(f"SELECT repeat('x', {BIG})"))
        wait_until(lambda: pooler.pool()["sv_active"] == 1, what="the row is on its way")
        received, most, tail = 0, 0, b""
        while not tail.endswith(b"Z\0\0\0\5I"):
            part = wire.raw(4096 if received < 2 * MB else 1 << 16, 60)
            assert part, "the connection has ended"
            received += len(part)
            tail = (tail + part)[-6:]
            if received < 2 * MB:
                most = max(most, pooler.rss_bytes() - before)
        assert received > BIG
        if not is_sanitized():
            assert most < 8 * MB
        assert wire.value("SELECT 'in step'") == "in step"


def test_a_server_that_reads_slowly_stops_its_client(pooler):
    """The server executes something while 40 MB are sent to it: the client has to wait, not the memory to grow."""
    before = pooler.rss_bytes()
    with pooler.connect() as connection:
        sleepy = connection.execute("SELECT pg_sleep(0.3), length(%s::text)", ["y" * BIG]).fetchone()
        assert sleepy[1] == BIG
    if not is_sanitized():
        assert pooler.rss_bytes() - before < 16 * MB
