"""auth_type = hba: rules by address, database and user; peer and maps; what a reload does to all that."""

import os
import pwd

import psycopg
import pytest

from lib.scram import scram_secret
from lib.wire import ServerError, Wire

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only]

ME = pwd.getpwuid(os.geteuid()).pw_name  # who the tests run as: the peer of a unix socket


@pytest.fixture
def start(start_headgate, postgres):
    def start(hba, ident=None, users=(), **settings):
        def write(pooler):
            pooler.write("hba", hba)
            pooler.settings["auth_hba_file"] = pooler.path("hba")
            if ident is not None:
                pooler.write("ident", ident)
                pooler.settings["auth_ident_file"] = pooler.path("ident")

        server = {"host": "127.0.0.1", "port": postgres.port, "dbname": "single", "user": "app"}
        userlist = {"bob": "secret", "carl": scram_secret("secret"), "admin": "secret", ME: "secret", **dict(users)}
        pooler = start_headgate({"app": server, "other": server}, userlist=userlist, auth_type="hba",
                                before_start=write, **settings)
        return pooler

    return start


def enter(pooler, user="bob", password="secret", database="app", local=False):
    with Wire(pooler.port, pooler.directory if local else "127.0.0.1") as wire:
        wire.login(user, database, password)
        return wire.asked[0]


def refusal(pooler, **how):
    with pytest.raises(ServerError) as caught:
        enter(pooler, **how)
    return caught.value.fields["M"]


def test_each_rule_has_its_method(start):
    pooler = start("host app bob 127.0.0.0/8 password\nhost app carl 127.0.0.1/32 scram-sha-256\n"
                   "host other bob all reject\nhost other all 127.0.0.1 255.255.255.255 md5\nlocal app bob trust\n")
    assert enter(pooler) == 3
    assert enter(pooler, "carl") == 10
    assert enter(pooler, "carl", database="other") == 10  # md5 with a SCRAM secret
    assert enter(pooler, local=True, password="any") == 0
    assert refusal(pooler, password="wrong") == "password authentication failed"
    assert refusal(pooler, database="other") == "login rejected"
    assert refusal(pooler, user="carl", local=True) == "no authentication method is found"
    assert refusal(pooler, user="stranger") == "no authentication method is found"
    assert refusal(pooler, user="stranger", database="other") == "password authentication failed"
    assert refusal(pooler, user="admin", database="pgbouncer") == "no authentication method is found"


def test_peers_are_who_they_are(start):
    pooler = start("local all all peer\nhost all all all peer\n")
    assert enter(pooler, ME, local=True) == 0
    assert refusal(pooler, user="bob", local=True) == "unix socket login rejected"
    assert refusal(pooler, user=ME) == "unix socket login rejected"  # no unix socket


def test_peers_of_a_map(start):
    pooler = start("local app all peer map=mine\nlocal other all peer map=everybody\n",
                   f"mine {ME} bob\nmine somebody carl\neverybody {ME} all\n")
    assert enter(pooler, "bob", local=True) == 0
    assert refusal(pooler, user="carl", local=True) == "unix socket login rejected"
    assert "ident map mine cannot be matched" in pooler.log()
    for user in ("bob", "carl", ME):
        assert enter(pooler, user, database="other", local=True) == 0
    assert refusal(pooler, user="stranger", database="other", local=True) == "unix socket login rejected"


def test_certificates_need_tls(start):
    assert refusal(start("host all all all cert\n")) == "certificate authentication failed"


@pytest.mark.parametrize("name, bad, what", [
    ("hba", "host all all all md5\nhost all all nowhere md5\n", 'expected an address: all, or a number with /bits'
     ' or a mask, found "nowhere"'),
    ("ident", "mine\n", "expected a system name, found the end of the line"),
    ("hba", None, "No such file or directory"),
])
def test_a_bad_file_changes_nothing_at_a_reload(start, name, bad, what):
    pooler = start("host all all all md5\n", "mine a b\n", admin_users="admin")
    if bad is None:
        os.unlink(pooler.path(name))
    else:
        pooler.write(name, bad)
    with pooler.console(password="secret") as console, pytest.raises(psycopg.errors.Error) as caught:
        console.execute("RELOAD")
    assert "RELOAD failed, see logs" in str(caught.value)
    assert what in pooler.log() and pooler.path(name) in pooler.log()
    assert enter(pooler) == 5
    pooler.write(name, "host all all all password\n" if name == "hba" else "mine b c\n")
    with pooler.console(password="secret") as console:
        console.execute("RELOAD")
    assert enter(pooler) == (3 if name == "hba" else 5)


def test_a_start_goes_on_without_bad_lines(start):
    pooler = start("host all all all gss\nhost all all all md5\n")
    assert "could not parse hba config line 1" in pooler.log()
    assert enter(pooler) == 5


def test_a_start_without_the_file_lets_nobody_in(start):
    pooler = start("host all all all md5\n")
    pooler.stop()
    pooler.settings["auth_hba_file"] = "/nonexistent/hba"
    pooler.write_files()
    pooler.start()
    assert "could not open auth_hba_file /nonexistent/hba" in pooler.log()
    assert refusal(pooler) == "no authentication method is found"


def test_rejected_addresses_never_ask_the_server(start, postgres):
    pooler = start("host all stranger all reject\nhost all all all md5\n", auth_user="postgres",
                   users={"postgres": "x"})
    assert refusal(pooler, user="stranger") == "login rejected"
    assert postgres.count_backends("single", "postgres") == 0
    assert refusal(pooler, user="another") == "no such user"
    assert postgres.count_backends("single", "postgres") == 1


# --- umlauts

UMLAUT = "Gr\u00fc\u00dfe \u2168"


@pytest.mark.parametrize("typed", [UMLAUT, "Gru\u0308\u00dfe IX"])
def test_passwords_with_umlauts_open_by_scram(start_headgate, postgres, typed):
    """Headgate normalises as libpq and PostgreSQL do: towards the client and towards the server."""
    postgres.execute("SET password_encryption = 'scram-sha-256'", f"CREATE ROLE greeter LOGIN PASSWORD '{UMLAUT}'")
    with open(f"{postgres.data}/pg_hba.conf", "a", encoding="utf-8") as file:
        file.write("host all greeter 127.0.0.1/32 scram-sha-256\n")
    postgres.execute("SELECT pg_reload_conf()")
    server = {"host": "127.0.0.1", "port": postgres.port, "dbname": "single"}
    try:
        for secret in (typed, postgres.secret("greeter")):
            for auth_type in ("scram-sha-256", "plain"):
                if secret != typed and auth_type == "plain":
                    continue  # no keys are learnt then
                pooler = start_headgate({"app": server}, userlist={"greeter": secret}, auth_type=auth_type)
                with pooler.connect(user="greeter", password=typed if auth_type == "plain" else UMLAUT) as client:
                    assert client.execute("SELECT current_user").fetchone()[0] == "greeter"
                pooler.stop()
    finally:
        postgres.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'greeter'",
                         "DROP ROLE greeter")


def test_a_rule_for_replication_does_not_open_the_console(start):
    pooler = start("host replication all all trust\nhost app all all trust\nhost all all all reject\n")
    for kind in ("no", "yes", "database"):
        with Wire(pooler.port) as wire, pytest.raises(ServerError, match="login rejected"):
            wire.login("admin", "pgbouncer", replication=kind)
