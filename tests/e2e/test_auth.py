"""Who may log in: every method towards clients, with every kind of stored secret."""

import pytest

from lib import messages
from lib.headgate import as_pgbouncer, sqlstate
from lib.scram import md5_secret, scram_secret
from lib.wire import ServerError, Wire

pytestmark = pytest.mark.sanitizers

PASSWORD = "pass word ü"
SECRETS = {
    "has_plain": PASSWORD,
    "has_md5": md5_secret("has_md5", PASSWORD),
    "has_scram": scram_secret(PASSWORD),
    'odd "name"': PASSWORD,
}
CLEARTEXT, MD5, SASL = 3, 5, 10


@pytest.fixture(scope="module", params=["trust", "plain", "md5", "scram-sha-256"])
def pooler(request, module_headgates, postgres):
    forced = {"host": "127.0.0.1", "port": postgres.port, "dbname": "app", "user": "app"}
    return module_headgates({"app": forced}, userlist=SECRETS, auth_type=request.param, **as_pgbouncer())


def method_of(pooler):
    return pooler.settings["auth_type"]


def expected_request(method, user):
    if method == "plain":
        return CLEARTEXT
    return SASL if method == "scram-sha-256" or user == "has_scram" else MD5


def log_in(pooler, user="has_plain", password=PASSWORD, database="app"):
    with Wire(pooler.port) as wire:
        wire.login(user, database, password)
        assert wire.value("SELECT current_user") == "app"
        return wire.asked


def refusal(pooler, *arguments, **options):
    with pytest.raises(ServerError) as caught:
        log_in(pooler, *arguments, **options)
    return caught.value.fields


@pytest.mark.parametrize("user", list(SECRETS))
def test_the_right_password_opens(pooler, user):
    method = method_of(pooler)
    if (method, user) == ("scram-sha-256", "has_md5"):
        assert refusal(pooler, user)["M"] == "SASL authentication failed"
        return
    asked = log_in(pooler, user)
    assert asked[0] == (0 if method == "trust" else expected_request(method, user))


@pytest.mark.parametrize("user", list(SECRETS))
def test_the_wrong_password_does_not_open(pooler, user):
    if method_of(pooler) == "trust":
        log_in(pooler, user, "wrong")
        return
    fields = refusal(pooler, user, "wrong")
    sasl = expected_request(method_of(pooler), user) == SASL
    assert fields["M"] == ("SASL authentication failed" if sasl else "password authentication failed")
    assert (fields["S"], fields["C"]) == ("FATAL", sqlstate("28P01"))


def test_a_refusal_has_exactly_the_fields_pgbouncer_sends(pooler):
    fields = refusal(pooler, "nobody", "wrong")
    assert set(fields) == {"S", "C", "M"}


def test_an_unknown_user_is_told_no_more_than_one_with_a_wrong_password(pooler):
    method = method_of(pooler)
    texts = {
        "trust": '"trust" authentication failed',
        "scram-sha-256": "SASL authentication failed",
    }
    assert refusal(pooler, "nobody", "any")["M"] == texts.get(method, "password authentication failed")
    assert " no such user: nobody\n" in pooler.log()  # those who watch for break-ins are


def test_an_unknown_database_is_named_after_the_password_was_right(pooler):
    assert refusal(pooler, database="nowhere")["M"] == "no such database: nowhere"
    assert " login failed: db=nowhere user=has_plain\n" in pooler.log()


@pytest.mark.headgate_only  # 1.18 looks for the database first
def test_an_unknown_database_is_not_named_before_the_password_was_right(pooler):
    if method_of(pooler) == "trust":
        return
    assert "authentication failed" in refusal(pooler, "has_plain", "wrong", "nowhere")["M"]


def test_an_empty_password_never_opens(pooler):
    if method_of(pooler) == "trust":
        log_in(pooler, password="")
        return
    assert refusal(pooler, password="")["S"] == "FATAL"


def test_a_user_without_a_secret_never_gets_in_with_a_password(start_headgate, postgres):
    pooler = start_headgate(userlist={"empty": ""}, auth_type="md5")
    for password in ("", "guess"):
        assert refusal(pooler, "empty", password)["S"] == "FATAL"


def test_any_takes_every_name_when_the_database_has_a_user(start_headgate, postgres):
    server = {"host": "127.0.0.1", "port": postgres.port, "dbname": "single"}
    pooler = start_headgate({"app": {**server, "user": "app"}, "open": server}, auth_type="any")
    assert log_in(pooler, "whoever") == [0]
    assert refusal(pooler, "whoever", database="open")["M"] == "bouncer config error"


def test_a_changed_userlist_counts_after_reload(start_headgate, postgres):
    server = {"host": "127.0.0.1", "port": postgres.port, "dbname": "single", "user": "app"}
    pooler = start_headgate({"app": server}, userlist={"has_plain": "old", "admin": "a"}, auth_type="md5")
    log_in(pooler, password="old")
    pooler.userlist["has_plain"] = "newer"
    pooler.write_userlist()
    with pooler.console(password="a") as console:
        console.execute("RELOAD")
    log_in(pooler, password="newer")
    assert refusal(pooler, password="old")["M"] == "password authentication failed"


def test_ssl_and_gss_requests_are_declined_in_any_order(pooler):
    with Wire(pooler.port) as wire:
        for request in (messages.SSL_REQUEST, messages.GSS_REQUEST):
            wire.send(messages.special_request(request))
            assert wire.raw() == b"N"
        wire.login("has_plain", "app", PASSWORD)


def test_startup_parameters_that_are_not_known_are_refused_or_ignored(pooler):
    with Wire(pooler.port) as wire:
        wire.login("has_plain", "app", PASSWORD, extra_float_digits="3")
    with Wire(pooler.port) as wire, pytest.raises(ServerError, match="unsupported startup parameter: geqo"):
        wire.login("has_plain", "app", PASSWORD, geqo="off")


@pytest.mark.headgate_only  # newer than 1.18
@pytest.mark.parametrize("version, option", [(196610, {}), (196608, {"_pq_.fancy": "1"})])
def test_a_newer_protocol_is_negotiated_down(pooler, version, option):
    with Wire(pooler.port) as wire:
        wire.send(messages.startup({"user": "has_plain", "database": "app", **option}, version))
        first = wire.read()
        assert first.tag == "v"
        assert (first.number(0), first.number(4)) == (196608, len(option))
        assert all(name.encode() in first.body for name in option)
        wire.finish_login("has_plain", PASSWORD)
        assert wire.value("SELECT 'agreed'") == "agreed"


def test_no_user_name_is_refused(pooler):
    with Wire(pooler.port) as wire:
        wire.send(messages.startup({"database": "app"}))
        (error,) = wire.read_to_end()
        assert error.fields()["M"] == "no username supplied"
