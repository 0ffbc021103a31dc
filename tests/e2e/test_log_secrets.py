"""No secret stands in the log, whatever is asked for and whatever goes wrong, however much is logged."""

import contextlib
import os
import signal

import psycopg
import pytest

from lib import messages, processes
from lib.directories import BASE, PAM_MATRIX, SLAPD, Ldap, Pam
from lib.headgate import is_sanitized
from lib.processes import wait_until
from lib.scram import md5_secret
from lib.wire import Wire

pytestmark = [pytest.mark.headgate_only, pytest.mark.sanitizers]

PEOPLE = {"plain_user": "plain secret", "md5_user": "md5 secret", "scram_user": "scram secret"}
LOUD = {"verbose": 2, "log_min_duration": 0, "log_min_wait": 0, "log_repeat_limit": 0}
HIDDEN = "hush"  # is in every other secret of this file


def parts_of(verifier):
    """Salt and keys of SCRAM-SHA-256$4096:SALT$STORED:SERVER."""
    _, salt, keys = verifier.split("$")
    return [salt.partition(":")[2], *keys.split(":")]


@pytest.fixture
def secrets(postgres):
    """All that must not be logged, as it stands in files, in the server and on the wire."""
    rows = postgres.rows("SELECT rolpassword FROM pg_authid WHERE rolpassword LIKE 'SCRAM%'")
    keys = [part for row in rows for part in parts_of(row["rolpassword"])]
    hashes = [md5_secret(user, password) for user, password in PEOPLE.items()]
    return [HIDDEN, *PEOPLE.values(), *keys, *hashes, *(one.removeprefix("md5") for one in hashes)]


def check(pooler, secrets, *expected):
    """None of them is there, and what makes the run loud is."""
    for text in expected:
        wait_until(lambda text=text: text in pooler.log(), what=f"{text} is logged")
    log = pooler.log()
    assert [line for line in log.splitlines() if any(secret in line for secret in secrets)] == []


def login(pooler, user, password, database="app"):
    with Wire(pooler.port) as wire, contextlib.suppress(Exception):
        wire.login(user, database, password).value("SELECT current_user")
        return True
    return False


def log_everybody_in(pooler):
    for user, password in PEOPLE.items():
        assert login(pooler, user, password)
        assert not login(pooler, user, f"{HIDDEN} wrong")
        login(pooler, user, password, "nowhere")
    assert not login(pooler, "nobody", f"{HIDDEN} nobody")
    with Wire(pooler.port) as wire:  # a message that is no answer, with a secret in it
        wire.send(messages.startup({"user": "scram_user", "database": "app"}))
        wire.read()
        wire.send(messages.password(f"{HIDDEN} " * 1000))
        wire.read_to_end()


@pytest.mark.parametrize("form", ["pgbouncer", "json"])
@pytest.mark.parametrize("method", ["plain", "md5", "scram-sha-256", "hba"])
def test_log_ins(start_headgate, postgres, secrets, method, form):
    rules = "host all plain_user all password\nhost all md5_user all md5\nhost all all all scram-sha-256\n"
    directory = processes.make_directory("hba")
    processes.write_file(f"{directory}/hba", rules)
    pooler = start_headgate(
        {"app": {"host": "127.0.0.1", "port": postgres.port, "dbname": "single"},
         "forced": {"host": "127.0.0.1", "port": postgres.port, "dbname": "single", "user": "scram_user",
                    "password": f"{HIDDEN} of the entry"}},
        userlist=PEOPLE, auth_type=method, log_format=form, auth_hba_file=f"{directory}/hba", **LOUD)  # fmt: skip
    log_everybody_in(pooler)
    assert not login(pooler, "plain_user", PEOPLE["plain_user"], "forced")  # the entry's is wrong
    check(pooler, secrets, "login failed", "server login failed")
    processes.remove_directory(directory)


@pytest.mark.parametrize("form", ["pgbouncer", "json"])
def test_secrets_from_the_server(start_headgate, postgres, secrets, form):
    def start(**settings):
        return start_headgate({"app": {"host": "127.0.0.1", "port": postgres.port, "dbname": "single"}},
                              userlist={"postgres": f"{HIDDEN} x"}, auth_type="scram-sha-256", auth_user="postgres",
                              server_login_retry=0, log_format=form, **LOUD, **settings)  # fmt: skip

    pooler = start()
    assert login(pooler, "scram_user", PEOPLE["scram_user"])
    assert not login(pooler, "scram_user", f"{HIDDEN} wrong")
    check(pooler, secrets, "SASL authentication failed")
    bad = start(auth_query=f"SELECT rolname, rolpassword, '{HIDDEN}' FROM pg_authid WHERE rolname = $1")
    assert not login(bad, "scram_user", PEOPLE["scram_user"])
    check(bad, secrets, "expected 2 columns")
    broken = start(auth_query=f"SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1 AND 1/0 > 1 -- {HIDDEN}")
    assert not login(broken, "scram_user", PEOPLE["scram_user"])
    check(broken, secrets, "error in auth_query")


@pytest.mark.skipif(not os.path.exists(SLAPD), reason="needs Debian's slapd")
def test_ldap(start_headgate, postgres, secrets):
    with Ldap(PEOPLE) as directory:
        pooler = start_headgate(
            {"app": {"host": "127.0.0.1", "port": postgres.port, "dbname": "single"}}, auth_type="ldap",
            auth_ldap_options=f'ldapserver=127.0.0.1 ldapport={directory.port} ldapbasedn="{BASE}" '
                              f'ldapbinddn="cn=searcher,{BASE}" ldapbindpasswd={HIDDEN}', **LOUD)  # fmt: skip
        for user, password in PEOPLE.items():
            assert not login(pooler, user, password)  # the searcher's is wrong
        check(pooler, secrets, "LDAP")


@pytest.mark.skipif(not PAM_MATRIX or is_sanitized(), reason="needs Debian's libpam-wrapper")
def test_pam(make_headgate, secrets):
    with Pam("auth required MATRIX passdb=DIRECTORY/passwords\naccount required MATRIX passdb=DIRECTORY/passwords\n") as pam:
        pam.write("passwords", "".join(f"{user}:{password}:pgbouncer\n" for user, password in PEOPLE.items()))
        pooler = make_headgate(auth_type="pam", **LOUD)
        pooler.start(environment=pam.environment)
        for user, password in PEOPLE.items():
            login(pooler, user, password)
            assert not login(pooler, user, f"{HIDDEN} wrong")
        check(pooler, secrets, "PAM")


STATEMENTS = [
    f"ALTER ROLE role_of_test PASSWORD '{HIDDEN}'",
    f"ALTER ROLE role_of_test WITH LOGIN PASSWORD $${HIDDEN}$$",
    f"ALTER USER role_of_test PASSWORD E'it\\'s {HIDDEN}'",
    f'ALTER ROLE role_of_test PASSWORD "{HIDDEN}"',
    f"ALTER ROLE role_of_test PASSWORD {HIDDEN}",
    f"ALTER ROLE role_of_test SET app.token = {HIDDEN}",
    f"SET app.token = {HIDDEN}",
    f"SET SESSION app.token TO '{HIDDEN}'",
    f"SELECT set_config('app.token', '{HIDDEN}', false)",
    f"SELECT '{HIDDEN}', \"no such column\"",
    f"SELECT 1; ALTER ROLE role_of_test PASSWORD '{HIDDEN}",
    f"DO $$ BEGIN RAISE EXCEPTION '{HIDDEN}'; END $$",
    f"SELECT 1 /* {HIDDEN} */ -- {HIDDEN}",
    "SELECT '" + "x" * 4090 + HIDDEN + "'",
]


@pytest.mark.parametrize("form", ["pgbouncer", "json"])
@pytest.mark.parametrize("mode", ["session", "transaction", "statement"])
def test_statements(start_headgate, postgres, mode, form):
    postgres.execute("DROP ROLE IF EXISTS role_of_test", "CREATE ROLE role_of_test")
    pooler = start_headgate({"app": {"host": "127.0.0.1", "port": postgres.port, "dbname": "single", "user": "postgres"}},
                            pool_mode=mode, log_format=form, **LOUD)  # fmt: skip
    with Wire(pooler.port) as client:
        client.login()
        for sql in STATEMENTS:
            client.send(messages.query(sql))
            client.read_until()
            client.send(messages.parse(sql), messages.bind(), messages.execute(), messages.sync())
            client.read_until()
            client.send(messages.parse(sql, "s"), messages.sync(), messages.close("S", "s"), messages.sync())
            client.read_until()
            client.read_until()
        client.send(messages.extended("SELECT $1::text", [HIDDEN.encode()]), messages.sync())
        client.read_until()
        client.query("SELECT 'last' AS one_of_all")
    check(pooler, [HIDDEN], "one_of_all", "ALTER ROLE role_of_test PASSWORD", "SET app.token")
    postgres.execute("DROP ROLE role_of_test")


QUOTING = {
    ("UTF8", "on"): [rb"SELECT 'a\' AS a, '%s' AS b", rb"SELECT E'a\\' AS a, '%s' AS b"],
    ("UTF8", "off"): [rb"SELECT 'a\'%s' AS a", rb"SELECT 'a\\' AS a, '%s' AS b"],
    ("LATIN1", "on"): [b"SELECT '\x83\\' AS a, '%s' AS b"],
    ("SJIS", "on"): [b"SELECT E'\x83\\' AS a, '%s' AS b", b"SELECT '\x83\\' AS a, '%s' AS b"],
    ("SJIS", "off"): [b"SELECT '\x83\\' AS a, '%s' AS b"],
}


@pytest.mark.parametrize(("encoding", "standard"), QUOTING)
def test_statements_in_other_encodings(start_headgate, encoding, standard):
    """A backslash that is the second half of a character, and one that quotes, or does not."""
    pooler = start_headgate(pool_mode="transaction", **LOUD)
    with Wire(pooler.port) as client:
        client.login(client_encoding=encoding, standard_conforming_strings=standard)
        for sql in QUOTING[encoding, standard]:
            text = sql.replace(b"%s", HIDDEN.encode())
            client.send(messages.message("Q", text + b"\0"))
            client.read_until()
            client.send(messages.message("P", b"\0" + text + b"\0\0\0"), messages.sync())
            client.read_until()
            assert client.value("SELECT 1") == "1"
    assert pooler.log().count("SELECT ?") == 0 if encoding == "SJIS" else pooler.log().count("SELECT ?") > 2
    check(pooler, [HIDDEN], "duration: ")


def test_the_console_and_the_files(start_headgate, postgres):
    pooler = start_headgate(**LOUD)
    for command in (f"ALTER ROLE app PASSWORD '{HIDDEN}'", f"SET http_password = '{HIDDEN}'", f"SET http_password {HIDDEN}",
                    f"SET auth_type = '{HIDDEN}", f"SHOW '{HIDDEN}' x"):  # fmt: skip
        with contextlib.suppress(psycopg.Error):
            pooler.admin(command)
    check(pooler, [HIDDEN], "invalid command")
    good = dict(pooler.databases)
    for entry in (f"host=127.0.0.1 password='{HIDDEN}", f"host=127.0.0.1 password={HIDDEN} port=x",
                  f"host=127.0.0.1 password={HIDDEN} nonsense=1", f"password='{HIDDEN}' {HIDDEN}"):  # fmt: skip
        pooler.databases = {**good, "other": entry}
        pooler.write_files()
        before = pooler.log().count(" ERROR ")
        pooler.send_signal(signal.SIGHUP)
        wait_until(lambda before=before: pooler.log().count(" ERROR ") > before, what="it is refused")
    with contextlib.suppress(psycopg.Error):
        pooler.admin("RELOAD")
    check(pooler, [HIDDEN])
