"""What is reported to a client of its parameters is in PostgreSQL's own spelling, however it has spelled them
itself; and an empty search_path, as pg_dump leaves it, stays empty from server to server."""

import psycopg
import pytest

from lib.wire import Wire

pytestmark = [pytest.mark.headgate_only, pytest.mark.sanitizers, pytest.mark.audited]
PID = "SELECT pg_backend_pid()"
SPELLED = {
    "client_encoding": "utf-8",
    "DateStyle": "german",
    "TimeZone": "europe/berlin",
    "standard_conforming_strings": "true",
    "IntervalStyle": "ISO_8601",
    "application_name": "it is mine",
}
MODES = {
    "session": {"pool_mode": "session"},
    "session, linked": {"pool_mode": "session", "link_at_login": 1},
    "transaction": {"pool_mode": "transaction"},
    "as PgBouncer": {"pool_mode": "transaction", "session_state": "pgbouncer"},
}


def reported(messages):
    return dict(message.text().split("\0") for message in messages if message.tag == "S")


@pytest.fixture(scope="module")
def directly(postgres):
    with Wire(postgres.port) as wire:
        parameters = wire.login(database="single", **SPELLED).parameters
    return {name: parameters[name] for name in SPELLED}


@pytest.mark.parametrize("mode", MODES)
def test_values_of_the_start(start_headgate, directly, mode):
    """Encoding and strings are right at once, as clients read by them; what only a server can spell is told
    by the first query."""
    pooler = start_headgate(**MODES[mode])
    with Wire(pooler.port) as wire:
        told = dict(wire.login(**SPELLED).parameters)
        for name in ("client_encoding", "standard_conforming_strings"):
            assert told[name] == directly[name]
        told.update(reported(wire.query("SELECT 1")))
        assert {name: told[name] for name in SPELLED} == directly
        assert reported(wire.query("SELECT 2")) == {}, "it is told once"


@pytest.mark.parametrize("mode", MODES)
def test_what_a_server_has_already_is_in_its_words(start_headgate, postgres, mode):
    pooler = start_headgate(**MODES[mode])
    with Wire(pooler.port) as first:
        usual = first.login().parameters
    with Wire(pooler.port) as wire:
        wire.login(client_encoding="Utf8", DateStyle=usual["DateStyle"].lower(), TimeZone=usual["TimeZone"].lower())
        for name in ("client_encoding", "DateStyle", "TimeZone"):
            assert wire.parameters[name] == usual[name]
        assert reported(wire.query("SELECT 1")) == {}


@pytest.mark.parametrize("mode", MODES)
def test_values_set_later(start_headgate, postgres, mode):
    statements = [
        "SET client_encoding = 'latin-1'", "SET NAMES 'utf-8'", "SET DateStyle = 'german'", "SET DateStyle = iso",
        "SET TimeZone = 'europe/berlin'", "SET standard_conforming_strings = false",
    ]  # fmt: skip
    pooler = start_headgate(**MODES[mode])
    with Wire(pooler.port) as wire, Wire(postgres.port) as direct:
        wire.login()
        direct.login(database="single")
        for sql in statements:
            assert reported(wire.query(sql)) == reported(direct.query(sql))


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_every_encoding_by_every_name(start_headgate, postgres, mode):
    names = """abc alt big5 euc_cn euc-jis-2004 eucjp euc_kr euctw gb18030 gbk iso88591 iso-8859-10 iso885913 iso885914
        ISO8859-15 iso885916 iso88592 iso88593 iso88594 iso-8859-5 iso88596 iso88597 iso88598 iso88599 johab koi8 koi8r
        KOI8-U latin1 latin10 latin2 latin3 latin4 latin5 latin6 latin7 latin8 Latin-9 mskanji mule_internal shiftjis
        shift_jis_2004 sjis sql-ascii tcvn tcvn5712 uhc unicode UNICODE utf8 utf-8 vscii win win1250 win1251 win1252
        win1253 win1254 win1255 win1256 win1257 win1258 win866 win874 win932 win936 win949 win950 windows1250
        windows-1251 windows1252 windows1253 windows1254 windows1255 windows1256 windows1257 windows1258 windows866
        windows874 windows932 windows936 windows949 windows950""".split()
    pooler = start_headgate(pool_mode=mode, default_pool_size=2)
    for name in names:
        spelled = postgres.value("SELECT pg_encoding_to_char(pg_char_to_encoding(%s))", (name,))
        with Wire(pooler.port) as wire:
            told = wire.login(client_encoding=name).parameters["client_encoding"]
            assert told == ("UNICODE" if name == "UNICODE" else spelled)


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "unicode", "latin-1"])
def test_a_driver_reads_by_the_encoding(start_headgate, encoding):
    pooler = start_headgate(pool_mode="transaction")
    with pooler.connect(client_encoding=encoding) as connection:
        assert connection.info.encoding == ("iso8859-1" if encoding == "latin-1" else "utf-8")
        assert connection.execute("SELECT 'é'").fetchone() == ("é",)


DUMP = "SELECT pg_catalog.set_config('search_path', '', false)"


@pytest.mark.parametrize("policy", ["track", "strict"])
def test_an_empty_search_path_goes_along(start_headgate, policy):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=2, session_state=policy,
                            session_audit="off")  # fmt: skip  # a look would take the server that was used last
    with Wire(pooler.port) as wire, Wire(pooler.port) as other:
        wire.login().query(DUMP)
        seen = {wire.value(PID)}
        other.login().query("BEGIN")  # on the server that was used last
        seen.add(wire.value(PID))
        assert len(seen) == 2
        assert wire.value("SHOW search_path") == ""
        assert wire.value("SELECT current_schemas(false)::text") == "{}"


def test_a_dump_is_restored(start_headgate):
    """Its search_path is empty, so every name in it has its schema."""
    pooler = start_headgate(pool_mode="transaction", default_pool_size=2)
    with pooler.connect() as connection, pooler.connect() as other:
        for sql in (DUMP, "CREATE TABLE public.restored (id integer)", "INSERT INTO public.restored VALUES (1)"):
            connection.execute(sql)
            other.execute("SELECT 1")
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM restored")
        assert other.execute("SELECT * FROM restored").fetchall() == [(1,)]
        other.execute("DROP TABLE restored")
