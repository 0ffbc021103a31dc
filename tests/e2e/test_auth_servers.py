"""How the pooler logs in to PostgreSQL, and what clients hear when it cannot."""

import pytest

from lib.headgate import is_headgate, sqlstate
from lib.scram import md5_secret, scram_secret
from lib.wire import ServerError, Wire

pytestmark = pytest.mark.sanitizers


PASSWORDS = {"plain_user": "plain secret", "md5_user": "md5 secret", "scram_user": "scram secret"}


@pytest.fixture
def server(postgres):
    return {"host": "127.0.0.1", "port": postgres.port, "dbname": "single"}


def whoami(pooler, user="app", password=""):
    with Wire(pooler.port) as wire:
        return wire.login(user, "app", password).value("SELECT current_user")


def refusal(pooler, *arguments):
    with pytest.raises(ServerError) as caught:
        whoami(pooler, *arguments)
    return caught.value.fields


@pytest.mark.parametrize("user", list(PASSWORDS))
def test_with_the_password_of_the_database_entry(start_headgate, server, user):
    pooler = start_headgate({"app": {**server, "user": user, "password": PASSWORDS[user]}})
    assert whoami(pooler) == user


@pytest.mark.parametrize("user", list(PASSWORDS))
def test_with_the_forced_user_s_secret_from_the_userlist(start_headgate, server, user):
    pooler = start_headgate({"app": {**server, "user": user}}, userlist={user: PASSWORDS[user]})
    assert whoami(pooler) == user


@pytest.mark.parametrize("auth_type", ["plain", "md5", "scram-sha-256"])
@pytest.mark.parametrize("user", list(PASSWORDS))
def test_with_the_client_s_own_plain_secret(start_headgate, server, user, auth_type):
    pooler = start_headgate({"app": server}, userlist=PASSWORDS, auth_type=auth_type)
    assert whoami(pooler, user, PASSWORDS[user]) == user


def test_with_an_md5_secret_where_the_server_asks_md5(start_headgate, server):
    secret = md5_secret("md5_user", PASSWORDS["md5_user"])
    pooler = start_headgate({"app": server}, userlist={"md5_user": secret}, auth_type="md5")
    assert whoami(pooler, "md5_user", PASSWORDS["md5_user"]) == "md5_user"


def test_scram_pass_through(start_headgate, server, postgres):
    """The userlist has the very secret of the server: the client's keys open the server too."""
    pooler = start_headgate(
        {"app": server}, userlist={"scram_user": postgres.secret("scram_user")}, auth_type="scram-sha-256"
    )
    for _ in range(3):
        assert whoami(pooler, "scram_user", PASSWORDS["scram_user"]) == "scram_user"


def test_scram_pass_through_needs_the_server_s_own_secret(start_headgate, server):
    pooler = start_headgate(
        {"app": server}, userlist={"scram_user": scram_secret(PASSWORDS["scram_user"])}, auth_type="scram-sha-256"
    )
    fields = refusal(pooler, "scram_user", PASSWORDS["scram_user"])
    wanted = "wrong password type" if is_headgate() else "password authentication failed"  # it compares the salts
    assert wanted in fields["M"]


@pytest.mark.headgate_only  # 1.18 only says "bouncer config error"
def test_a_secret_of_the_wrong_kind_is_named(start_headgate, server):
    secret = md5_secret("scram_user", PASSWORDS["scram_user"])
    pooler = start_headgate({"app": server}, userlist={"scram_user": secret}, auth_type="md5")
    fields = refusal(pooler, "scram_user", PASSWORDS["scram_user"])
    assert "server login failed: wrong password type" in fields["M"]


@pytest.mark.parametrize("user", list(PASSWORDS))
def test_the_client_hears_the_server_s_own_refusal(start_headgate, server, user):
    pooler = start_headgate({"app": {**server, "user": user, "password": "wrong"}})
    fields = refusal(pooler)
    assert (fields["S"], fields["C"]) == ("FATAL", sqlstate("28P01"))
    assert fields["M"] == f'password authentication failed for user "{user}"'


def test_a_database_that_the_server_does_not_have(start_headgate, server):
    pooler = start_headgate({"app": {**server, "dbname": "not_there"}})
    fields = refusal(pooler)
    assert (fields["C"], fields["M"]) == (sqlstate("3D000"), 'database "not_there" does not exist')


def test_a_user_that_pg_hba_refuses(start_headgate, server):
    pooler = start_headgate({"app": {**server, "user": "stranger"}})
    assert refusal(pooler)["C"] == sqlstate("28000")


def test_users_do_not_share_servers(start_headgate, server, postgres):
    pooler = start_headgate({"app": server}, userlist={"other": ""}, pool_mode="transaction")
    for user in ("app", "other") * 3:
        assert whoami(pooler, user) == user
    assert sorted(backend["usename"] for backend in postgres.backends("single")) == ["app", "other"]
