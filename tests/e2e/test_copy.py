"""COPY in every direction, also when it fails and the client has not noticed yet."""

import pytest

from lib import messages
from lib.messages import copy_data, copy_done, copy_fail, query, sync
from lib.wire import Wire, errors, first_value, tags

pytestmark = pytest.mark.sanitizers


@pytest.fixture(scope="module", params=["session", "transaction"])
def pooler(request, module_headgates, postgres):
    postgres.execute("CREATE TABLE IF NOT EXISTS copied (id int, text text)",
                     "GRANT ALL ON copied TO public", database="app")  # fmt: skip
    return module_headgates(pool_mode=request.param, default_pool_size=1)


@pytest.fixture
def wire(pooler, postgres):
    postgres.execute("TRUNCATE copied", database="app")
    with Wire(pooler.port) as connection:
        yield connection.login()


def lines(count):
    return b"".join(b"%d\tline %d\n" % (n, n) for n in range(count))


def copied(postgres):
    return postgres.value("SELECT count(*) FROM copied", database="app")


def test_copy_out_brings_every_row(pooler):
    with pooler.connect() as connection, connection.cursor() as cursor:
        with cursor.copy("COPY (SELECT generate_series(1, 100000)) TO STDOUT") as copy:
            rows = b"".join(bytes(part) for part in copy).splitlines()
    assert rows == [b"%d" % n for n in range(1, 100001)]


def test_copy_in_brings_every_row(pooler, postgres, wire):
    with pooler.connect() as connection, connection.cursor() as cursor:
        wire.close()
        with cursor.copy("COPY copied FROM STDIN") as copy:
            for _ in range(20):
                copy.write(lines(5000))
        assert cursor.rowcount == 100000
    assert copied(postgres) == 100000


def test_copy_in_between_other_statements(wire, postgres):
    wire.send(query("BEGIN; COPY copied FROM STDIN; SELECT count(*) FROM copied; COMMIT"))
    assert wire.read_until("G")[-1].tag == "G"
    wire.send(copy_data(lines(10)), copy_done())
    answer = wire.read_until()
    assert (tags(answer), first_value(answer)) == ("CTDCCZ", "10")
    assert copied(postgres) == 10


def test_a_copy_that_fails_is_over_before_the_client_knows(wire, pooler, postgres):
    """The server says ErrorResponse and ReadyForQuery; data and CopyDone that were under way come late."""
    wire.send(query("COPY copied FROM STDIN"))
    wire.read_until("G")
    wire.send(copy_data(b"not a number\n"))
    failed = wire.read_until()
    assert errors(failed)[0]["C"] == "22P02"
    wire.send(*(copy_data(lines(100)) for _ in range(20)), copy_done())
    wire.send(query("SELECT 'in step'"))
    answer = wire.read_until()
    assert (tags(answer), first_value(answer)) == ("TDCZ", "in step")
    with Wire(pooler.port) as other:
        if pooler.settings["pool_mode"] == "session":
            wire.close()
        assert other.login().value("SELECT 'also in step'") == "also in step"
    assert copied(postgres) == 0


@pytest.mark.headgate_only  # PgBouncer 1.18 hangs in transaction mode
def test_a_copy_with_the_error_in_the_middle_of_the_stream(wire, postgres):
    wire.send(query("COPY copied FROM STDIN"),
              *(copy_data(lines(1000)) for _ in range(50)), copy_data(b"bad\n"),
              *(copy_data(lines(1000)) for _ in range(50)), copy_done(),
              query("SELECT 'in step'"))  # fmt: skip
    first = wire.read_until()
    assert errors(first)[0]["C"] == "22P02"
    assert first_value(wire.read_until()) == "in step"
    assert copied(postgres) == 0


def test_copy_fail_from_the_client(wire, postgres):
    wire.send(query("COPY copied FROM STDIN"))
    wire.read_until("G")
    wire.send(copy_data(lines(3)), copy_fail("changed my mind"))
    failed = wire.read_until()
    assert errors(failed)[0]["C"] == "57014"
    assert "changed my mind" in errors(failed)[0]["M"]
    assert wire.value("SELECT 1") == "1"
    assert copied(postgres) == 0


def extended_copy(wire, table="copied"):
    wire.send(messages.parse(f"COPY {table} FROM STDIN"), messages.bind(), messages.describe(),
              messages.execute(), sync())  # fmt: skip


def test_copy_in_over_the_extended_protocol(wire, postgres):
    """libpq's way: Execute and Sync before the data (the server ignores that Sync), another after CopyDone."""
    extended_copy(wire)
    assert tags(wire.read_until("G")) == "12nG"
    wire.send(copy_data(lines(500)), copy_done(), sync())
    assert tags(wire.read_until()) == "CZ"
    assert wire.value("SELECT 'one ready, not two'") == "one ready, not two"
    assert copied(postgres) == 500


def test_a_failing_copy_in_over_the_extended_protocol(wire, postgres):
    extended_copy(wire)
    wire.read_until("G")
    wire.send(copy_data(b"bad\n"), copy_data(lines(10)), copy_done(), sync())
    failed = wire.read_until()
    assert (errors(failed)[0]["C"], failed[-1].tag) == ("22P02", "Z")
    assert wire.value("SELECT 'in step'") == "in step"
    assert copied(postgres) == 0


def test_a_copy_that_never_starts_over_the_extended_protocol(wire):
    extended_copy(wire, "no_such_table")
    failed = wire.read_until()
    assert (errors(failed)[0]["C"], failed[-1].tag) == ("42P01", "Z")
    assert wire.value("SELECT 'in step'") == "in step"


def test_the_server_is_kept_until_the_copy_is_done(pooler, wire, postgres):
    wire.send(query("COPY copied FROM STDIN"))
    wire.read_until("G")
    assert pooler.pool()["sv_active"] == 1
    wire.send(copy_data(lines(1)), copy_done())
    assert tags(wire.read_until()) == "CZ"
    assert copied(postgres) == 1


def test_psycopg_survives_a_failing_copy(pooler, wire):
    wire.close()
    with pooler.connect() as connection, connection.cursor() as cursor:
        with pytest.raises(Exception, match="invalid input syntax"):
            with cursor.copy("COPY copied FROM STDIN") as copy:
                copy.write(b"bad\n")
                for _ in range(100):
                    copy.write(lines(1000))
        assert cursor.execute("SELECT 'fine'").fetchone() == ("fine",)
