"""The same log-ins through Headgate and through Debian's PgBouncer: let in or refused in the same words."""

import os

import pytest

from lib import processes
from lib.headgate import Headgate
from lib.scram import md5_secret, scram_secret
from lib.wire import Closed, ServerError, Wire

PGBOUNCER = "/usr/sbin/pgbouncer"
pytestmark = [
    pytest.mark.headgate_only,
    pytest.mark.skipif(not os.path.exists(PGBOUNCER), reason="needs Debian's pgbouncer"),
]

PASSWORD = "open sesame"
SECRETS = {
    "has_plain": PASSWORD,
    "has_md5": md5_secret("has_md5", PASSWORD),
    "has_scram": scram_secret(PASSWORD),
    "has_none": "",
}
USERS = [*SECRETS, "nobody_knows"]
PASSWORDS = [PASSWORD, "wrong", ""]


def outcome(pooler, user, database="app", password=PASSWORD, host="127.0.0.1"):
    """The user that the server sees, or the words of the refusal."""
    with Wire(pooler.port, host) as wire:
        try:
            return wire.login(user, database, password).value("SELECT current_user")
        except ServerError as error:
            return f"{error.fields['S']} {error.fields['C']} {error.fields['M']}"
        except Closed:
            return "closed"


# Where PgBouncer 1.18 is on another way: newer ones say it as we do, or what it does is not to be followed.
REWORDED = {
    # Before 1.19 the server's own SQLSTATE was lost, and before 1.21 the reason of a missing rule.
    "FATAL 28P01": "FATAL 08P01",
    "FATAL 28000": "FATAL 08P01",
    "no authentication method is found": "login rejected",
}
# A stored hash is not sent to a server that asks for the password in clear; PgBouncer sends it, in vain.
SERVER_REFUSALS = ("server login failed: wrong password type", "password authentication failed for user")


def leveled(text):
    for ours, theirs in REWORDED.items():
        text = text.replace(ours, theirs)
    return "the server refuses" if any(words in text for words in SERVER_REFUSALS) else text


def known_difference(log_in, theirs):
    """1.18 lets a user without a secret in with an empty password, by SCRAM (mended in 1.19)."""
    return log_in["user"] == "has_none" and log_in.get("password") == "" and "failed" not in theirs


class Beside:
    """Both programs with the same files."""

    def __init__(self, databases, files=None, **settings):
        self.poolers = []
        for program in ({"error_codes": "pgbouncer"}, {"program": PGBOUNCER}):
            pooler = Headgate(databases, **program, **settings)
            for name, text in (files or {}).items():
                pooler.write(name, text)
            for name, value in pooler.settings.items():
                if isinstance(value, str):
                    pooler.settings[name] = value.replace("DIRECTORY", pooler.directory)
            self.poolers.append(pooler)

    def __enter__(self):
        for pooler in self.poolers:
            pooler.start()
        return self

    def __exit__(self, *_):
        for pooler in self.poolers:
            pooler.remove()

    def compare(self, log_ins):
        """Each log-in is a dict of outcome()'s arguments; returns what happened, for more checks."""
        ours, theirs = (
            [outcome(pooler, **(log_in | ({"host": pooler.directory} if log_in.get("host") else {})))
             for log_in in log_ins]
            for pooler in self.poolers
        )
        rows = list(zip(log_ins, ours, theirs))
        different = [row for row in rows if leveled(row[1]) != leveled(row[2])]
        assert [row for row in different if not known_difference(row[0], row[2])] == []
        return ours


def everybody(**more):
    return [{"user": user, "password": password, **more} for user in USERS for password in PASSWORDS]


@pytest.fixture
def server(postgres):
    return {"host": "127.0.0.1", "port": postgres.port, "dbname": "single"}


@pytest.fixture
def forced(server):
    return {"app": {**server, "user": "app"}}


@pytest.mark.parametrize("auth_type", ["any", "trust", "plain", "md5", "scram-sha-256"])
def test_methods(forced, auth_type):
    with Beside(forced, userlist=SECRETS, auth_type=auth_type) as both:
        outcomes = both.compare(everybody())
    assert "app" in outcomes


@pytest.mark.parametrize("auth_type", ["trust", "plain", "md5", "scram-sha-256"])
def test_unknown_databases(forced, auth_type):
    with Beside(forced, userlist=SECRETS, auth_type=auth_type) as both:
        both.compare(everybody(database="nowhere"))


@pytest.mark.parametrize("auth_type", ["any", "trust", "plain", "md5", "scram-sha-256"])
def test_the_console(forced, auth_type):
    with Beside(forced, userlist=SECRETS, auth_type=auth_type, admin_users="has_plain, nobody_knows") as both:
        for pooler in both.poolers:
            pooler.outcomes = []
            for user in USERS:
                for password in PASSWORDS:
                    with Wire(pooler.port) as wire:
                        try:
                            wire.login(user, "pgbouncer", password)
                            pooler.outcomes.append((user, password, "in"))
                        except ServerError as error:
                            pooler.outcomes.append((user, password, error.fields["M"]))
        ours, theirs = (pooler.outcomes for pooler in both.poolers)
        assert ours == theirs


RULES = [
    "host all all 127.0.0.1/32 md5",
    "host all all 127.0.0.1/32 password",
    "host all all 127.0.0.1/32 scram-sha-256",
    "host all all 127.0.0.1/32 trust",
    "host all all 127.0.0.1/32 reject",
    "host all all 127.0.0.1/32 cert",
    "host all all 127.0.0.1/32 peer",
    "host all all 127.0.0.1 255.255.255.255 trust",
    "host all all 127.0.0.0/8 trust",
    "host all all 127.0.0.1/8 trust",
    "host all all 0.0.0.0/0 trust",
    "host all all ::1/128 trust",
    "hostssl all all 127.0.0.1/32 trust",
    "hostnossl all all 127.0.0.1/32 trust",
    "local all all trust",
    "host sameuser all 127.0.0.1/32 trust",
    "host all sameuser 127.0.0.1/32 trust",
    "host replication all 127.0.0.1/32 trust",
    "host app has_plain,has_md5 127.0.0.1/32 trust",
    "host app , other has_plain , has_md5 127.0.0.1/32 trust",
    'host "app" "has_plain" 127.0.0.1/32 trust',
    'host "all" all 127.0.0.1/32 trust',
    "host app @names 127.0.0.1/32 trust",
    "host app @missing 127.0.0.1/32 trust",
    "host all +group 127.0.0.1/32 trust",
    "host samerole all 127.0.0.1/32 trust",
    "host all all localhost trust",
    "host all all samehost trust",
    "host all all 127.0.0.1/33 trust",
    "host all all 127.0.0.1/32 pam",
    "host all all 127.0.0.1/32 gss",
    "host all all 127.0.0.1/32",
    "host all all",
    "hosts all all 127.0.0.1/32 trust",
    "# host all all 127.0.0.1/32 trust",
    "host all all 127.0.0.1/32 trust # why not",
    "host all has_plain 127.0.0.1/32 reject\nhost all all 127.0.0.1/32 trust",
    "rubbish\nhost all all 127.0.0.1/32 trust",
    "",
]


def test_hba_rules(server):
    files = {"hba": "", "names": "has_plain\nhas_scram, has_none\n"}
    databases = {"app": {**server, "user": "app"}, "has_md5": {**server, "user": "app"}}
    log_ins = [
        {"user": user, "database": database, "password": password}
        for user in ("has_plain", "has_md5", "nobody_knows")
        for database in ("app", "has_md5") for password in (PASSWORD, "wrong")
    ] + [{"user": "has_plain", "host": "unix"}]
    with Beside(databases, files, userlist=SECRETS, auth_type="hba", auth_hba_file="DIRECTORY/hba") as both:
        for rule in RULES:
            for pooler in both.poolers:  # a reload with a bad line is refused by Headgate
                pooler.stop()
                pooler.write("hba", rule + "\n")
                pooler.start()
            both.compare(log_ins)


# --- auth_query

QUERY = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1"


@pytest.mark.parametrize("auth_type", ["trust", "plain", "md5", "scram-sha-256"])
def test_auth_query(server, auth_type):
    # Not has_none: that an empty secret asks the query is newer than 1.18.
    users = ["plain_user", "md5_user", "scram_user", "has_plain", "nobody_knows", "postgres"]
    passwords = ["plain secret", "md5 secret", "scram secret", PASSWORD, ""]
    log_ins = [{"user": user, "password": password} for user in users for password in passwords]
    log_ins += [{"user": user, "password": PASSWORD, "database": "nowhere"} for user in users]
    with Beside({"app": server}, userlist={**SECRETS, "postgres": "x"}, auth_type=auth_type,
                auth_user="postgres", auth_query=QUERY, server_login_retry=0) as both:
        both.compare(log_ins)


ODD_QUERIES = [
    "SELECT rolname FROM pg_authid WHERE rolname = $1",
    "SELECT rolname, rolpassword, 1 FROM pg_authid WHERE rolname = $1",
    "SELECT rolname, NULL::text FROM pg_authid WHERE rolname = $1",
    "SELECT NULL::text, rolpassword FROM pg_authid WHERE rolname = $1",
    "SELECT 'app'::text, rolpassword FROM pg_authid WHERE rolname = $1",
    "SELECT $1::text, 'in the open'::text",
    "SELECT * FROM (VALUES ('app', 'first'), ('app', 'second')) v WHERE $1 <> ''",
    "SELECT nothing",
    "SELECT 1/0, $1",
    "SET timezone TO 'UTC'",
]


@pytest.mark.parametrize("auth_type", ["plain", "md5"])
@pytest.mark.parametrize("query", ODD_QUERIES)
def test_odd_auth_queries(server, query, auth_type):
    passwords = ["md5 secret", "in the open", "first", "second", "wrong"]
    with Beside({"app": server}, userlist={"postgres": "x"}, auth_type=auth_type, auth_user="postgres",
                auth_query=query, server_login_retry=0) as both:
        both.compare([{"user": "md5_user", "password": password} for password in passwords])


def test_a_password_belongs_to_the_user_of_the_entry(server):
    with Beside({"app": {**server, "password": "plain secret"}}, userlist={"plain_user": "other"},
                auth_type="md5") as both:
        both.compare([{"user": "plain_user", "password": "other"}])
    with Beside({"app": {**server, "user": "plain_user", "password": "plain secret"}},
                userlist={"plain_user": "other"}, auth_type="md5") as both:
        assert both.compare([{"user": "plain_user", "password": "other"}]) == ["plain_user"]


def test_users_entries_do_not_open(server):
    """A [users] line makes a user known, without a secret."""
    with Beside({"app": {**server, "user": "app"}}, users={"listed": "pool_mode=session"}, auth_type="md5") as both:
        both.compare([{"user": "listed", "password": password} for password in ("", "x")])
