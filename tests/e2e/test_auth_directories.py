"""Passwords that PAM or an LDAP directory checks; the typed one opens the server, too."""

import contextlib
import os

import pytest

from lib import messages, processes
from lib.directories import BASE, PAM_MATRIX, SLAPD, Ldap, Pam, Silence
from lib.headgate import Headgate, is_sanitized
from lib.wire import ServerError, Wire

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only]

PEOPLE = {"plain_user": "plain secret", "md5_user": "md5 secret", "scram_user": "scram secret"}
needs_ldap = pytest.mark.skipif(not os.path.exists(SLAPD), reason="needs Debian's slapd")
needs_pam = pytest.mark.skipif(
    not PAM_MATRIX or is_sanitized(), reason="needs Debian's libpam-wrapper, which sanitizers do not like")


@pytest.fixture
def server(postgres):
    return {"host": "127.0.0.1", "port": postgres.port, "dbname": "single"}


@pytest.fixture(scope="module")
def directory():
    with Ldap({**PEOPLE, "nobody_here": "password"}) as ldap:
        yield ldap


@contextlib.contextmanager
def running(server, files=None, environment=None, userlist=None, **settings):
    pooler = Headgate({"app": server}, userlist=userlist, **settings)
    for name, text in (files or {}).items():
        pooler.write(name, text)
    if "hba" in (files or {}):
        pooler.settings["auth_hba_file"] = pooler.path("hba")
    try:
        yield pooler.start(environment=environment)
    finally:
        pooler.remove()


def whoami(pooler, user, password):
    with Wire(pooler.port) as wire:
        return wire.login(user, "app", password).value("SELECT current_user")


def refusal(pooler, user, password):
    with pytest.raises(ServerError) as caught:
        whoami(pooler, user, password)
    return caught.value.fields["M"]


def check_people(pooler, words):
    for name, password in PEOPLE.items():
        assert whoami(pooler, name, password) == name
    assert refusal(pooler, "scram_user", "wrong") == words
    assert refusal(pooler, "not_there", "wrong") == words
    assert refusal(pooler, "scram_user", "") == "empty password returned by client"


# --- LDAP

OPTIONS = [
    f'ldapserver=127.0.0.1 ldapport=PORT ldapprefix="uid=" ldapsuffix=",{BASE}"',
    f'ldapserver="127.0.0.1 127.0.0.1" ldapport=PORT ldapbasedn="{BASE}"',
    f'ldapserver=127.0.0.1 ldapport=PORT ldapbasedn="{BASE}" ldapsearchattribute=cn',
    f'ldapserver=127.0.0.1 ldapport=PORT ldapbasedn="{BASE}" ldapsearchfilter="(|(uid=$username)(mail=$username))"',
    f'ldapserver=127.0.0.1 ldapport=PORT ldapbasedn="{BASE}" ldapbinddn="cn=searcher,{BASE}" ldapbindpasswd=searching',
    f'ldapurl="ldap://127.0.0.1:PORT/{BASE}?uid?sub"',
    f'ldapurl="ldap://127.0.0.1:PORT/{BASE}?uid?one" ldaptls=1',
    f'ldapurl="ldaps://127.0.0.1:TLS/{BASE}?uid?one"',
]


@needs_ldap
@pytest.mark.parametrize("options", OPTIONS)
def test_ldap_checks_the_password(server, directory, options):
    options = options.replace("PORT", str(directory.port)).replace("TLS", str(directory.tls_port))
    with running(server, environment=directory.environment, auth_type="ldap", auth_ldap_options=options) as pooler:
        check_people(pooler, "LDAP authentication failed")


@needs_ldap
@pytest.mark.parametrize("user", ["*", "scram*", "scram_user)(uid=*", "a/b", "scram_user\\2a"])
def test_names_that_mean_something_to_ldap_are_refused(server, directory, user):
    options = f'ldapurl="ldap://127.0.0.1:{directory.port}/{BASE}?uid?sub"'
    with running(server, auth_type="ldap", auth_ldap_options=options) as pooler:
        assert refusal(pooler, user, "scram secret") == "LDAP authentication failed"


@needs_ldap
def test_a_certificate_that_nobody_vouches_for_gets_no_password(server, directory):
    options = f'ldapurl="ldaps://127.0.0.1:{directory.tls_port}/{BASE}?uid?one"'
    with running(server, environment={"LDAPTLS_CACERT": "/dev/null"}, auth_type="ldap",
                 auth_ldap_options=options) as pooler:
        assert refusal(pooler, "scram_user", "scram secret") == "LDAP authentication failed"


@needs_ldap
def test_ldap_by_a_rule_with_options_of_its_own(server, directory):
    rule = f'host all all 127.0.0.1/32 ldap ldapurl="ldap://127.0.0.1:{directory.port}/{BASE}?uid?sub" # people\n'
    with running(server, {"hba": rule}, auth_type="hba") as pooler:
        check_people(pooler, "LDAP authentication failed")


@needs_ldap
def test_a_silent_directory_holds_up_nobody_else(server, directory):
    with Silence() as silence:
        rules = (f'host all stuck 127.0.0.1/32 ldap ldapserver=127.0.0.1 ldapport={silence.port} ldapprefix="cn="\n'
                 f'host all md5_user 127.0.0.1/32 scram-sha-256\n'
                 f'host all all 127.0.0.1/32 ldap ldapurl="ldap://127.0.0.1:{directory.port}/{BASE}?uid?sub"\n')
        with running(server, {"hba": rules}, userlist={"md5_user": "md5 secret"}, auth_type="hba",
                     client_login_timeout=5, max_client_conn=500, workers=2) as pooler:
            stuck = [Wire(pooler.port) for _ in range(100)]
            for wire in stuck:
                wire.send(messages.startup({"user": "stuck", "database": "app"}))
                assert wire.read().number() == 3
                wire.send(messages.password("x"))
            assert whoami(pooler, "scram_user", "scram secret") == "scram_user"
            assert whoami(pooler, "md5_user", "md5 secret") == "md5_user"
            assert all(wire.read_to_end()[-1].fields()["M"] in ("client_login_timeout", "LDAP authentication failed")
                       for wire in stuck)
            assert whoami(pooler, "plain_user", "plain secret") == "plain_user"


@needs_ldap
def test_the_process_ends_although_a_directory_is_silent(server):
    with Silence() as silence:
        options = f'ldapserver=127.0.0.1 ldapport={silence.port} ldapprefix="cn="'
        with running(server, auth_type="ldap", auth_ldap_options=options) as pooler:
            with Wire(pooler.port) as wire:
                wire.send(messages.startup({"user": "stuck", "database": "app"}))
                wire.read()
                wire.send(messages.password("x"))
                pooler.stop()


# --- PAM

MATRIX = "auth required MATRIX passdb=DIRECTORY/people\naccount required MATRIX passdb=DIRECTORY/people\n"
SCRIPT = "auth required pam_exec.so expose_authtok DIRECTORY/check\naccount required pam_permit.so\n"


def people_of_matrix():
    return "".join(f"{name}:{password}:pgbouncer\n" for name, password in PEOPLE.items())


@needs_pam
def test_pam_checks_the_password(server):
    with Pam(MATRIX) as pam:
        pam.write("people", people_of_matrix())
        with running(server, environment=pam.environment, auth_type="pam") as pooler:
            check_people(pooler, "PAM authentication failed")


@needs_pam
def test_an_account_that_pam_has_closed(server):
    with Pam("auth required pam_permit.so\naccount required pam_deny.so\n") as pam:
        with running(server, environment=pam.environment, auth_type="pam") as pooler:
            assert refusal(pooler, "scram_user", "scram secret") == "PAM authentication failed"


@needs_pam
def test_pam_hears_where_the_client_comes_from(server):
    with Pam(SCRIPT) as pam:
        pam.write("check", f"#!/bin/sh\necho $PAM_SERVICE $PAM_USER $PAM_RHOST `cat` > {pam.directory}/seen\n", 0o755)
        with running(server, environment=pam.environment, auth_type="pam") as pooler:
            assert whoami(pooler, "scram_user", "scram secret") == "scram_user"
            with open(f"{pam.directory}/seen", encoding="utf-8") as seen:
                assert seen.read() == "pgbouncer scram_user 127.0.0.1 scram secret\n"


@needs_pam
def test_slow_pam_holds_up_nobody_else(server, postgres):
    """The script waits until somebody writes to its pipe; meanwhile others log in to the console."""
    with Pam(SCRIPT) as pam:
        os.mkfifo(f"{pam.directory}/pipe")
        processes.own(f"{pam.directory}/pipe")
        pam.write("check", f"#!/bin/sh\nread go < {pam.directory}/pipe\n", 0o755)
        with running(server, environment=pam.environment, auth_type="pam", workers=1) as pooler:
            with Wire(pooler.port) as slow:
                slow.send(messages.startup({"user": "scram_user", "database": "app"}))
                slow.read()
                slow.send(messages.password("scram secret"))
                with Wire(pooler.port) as other:  # the loop and its threads are free
                    other.send(messages.startup({"user": "md5_user", "database": "app"}))
                    assert other.read().number() == 3
                with open(f"{pam.directory}/pipe", "w", encoding="utf-8") as pipe:
                    pipe.write("go\n")
                slow.finish_login("scram_user", "scram secret")
                assert slow.value("SELECT current_user") == "scram_user"
