"""Certificates and other settings of TLS change under connections that go on."""

import os
import signal
import ssl

import psycopg
import pytest

from lib.certificates import Authority, client_context, file_of
from lib.processes import wait_until
from lib.wire import Wire

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only]


@pytest.fixture(scope="module")
def authority():
    with Authority() as authority:
        yield authority


class Files:
    """The pooler's own key and certificate, at paths that stay the same."""

    def __init__(self, authority):
        self.key, self.certificate = authority.path("own.key"), authority.path("own.crt")
        self._authority = authority

    def renew(self, name):
        pair = self._authority.issue(name, "DNS:localhost")
        file_of(self.key, pair.key_text())
        file_of(self.certificate, pair.text())


@pytest.fixture
def files(authority):
    files = Files(authority)
    files.renew("first")
    return files


@pytest.fixture
def pooler(start_headgate, files):
    return start_headgate(client_tls_sslmode="require", client_tls_key_file=files.key,
                          client_tls_cert_file=files.certificate, pool_mode="transaction")  # fmt: skip


def name_shown(pooler, authority):
    """The common name of the certificate that a new client is shown."""
    with Wire(pooler.port) as wire:
        wire.start_tls(client_context(authority))
        subject = wire.socket.getpeercert()["subject"]
        assert wire.login().value("SELECT 1") == "1"
    return subject[0][0][1]


def reload_refused(pooler):
    with pytest.raises(psycopg.Error) as refused:
        pooler.admin("RELOAD")
    assert "RELOAD failed" in str(refused.value)


def test_a_new_certificate_is_for_new_clients(pooler, files, authority):
    with Wire(pooler.port) as before:
        before.start_tls(client_context(authority)).login().query("SELECT 1")
        files.renew("second")
        assert name_shown(pooler, authority) == "first"
        pooler.admin("RELOAD")
        assert name_shown(pooler, authority) == "second"
        assert before.value("SELECT 'still here'") == "still here"


def test_sighup_brings_it_too(pooler, files, authority):
    files.renew("second")
    pooler.send_signal(signal.SIGHUP)
    wait_until(lambda: name_shown(pooler, authority) == "second", what="the new certificate is shown")


def break_key(files):
    file_of(files.key, "-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n")


def break_certificate(files):
    file_of(files.certificate, "nothing of the kind\n")


def lose_certificate(files):
    os.unlink(files.certificate)


def swap_key(files):
    file_of(files.key, files._authority.issue("another").key_text())


BROKEN = {
    "a key that is none": (break_key, 'client_tls_key_file "{key}": it holds no key in PEM form'),
    "a certificate that is none": (break_certificate,
                                   'client_tls_cert_file "{certificate}": it holds no certificate in PEM form'),
    "no certificate": (lose_certificate, 'client_tls_cert_file "{certificate}": No such file or directory'),
    "the key of another": (swap_key, 'client_tls_key_file "{key}": it does not fit client_tls_cert_file'),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_change_nothing(pooler, files, authority, name):
    damage, reason = BROKEN[name]
    damage(files)
    pooler.settings["client_idle_timeout"] = 77
    pooler.write_files()
    reload_refused(pooler)
    assert "cannot use " + reason.format(key=files.key, certificate=files.certificate) in pooler.log()
    assert name_shown(pooler, authority) == "first"
    shown = {row["key"]: row["value"] for row in pooler.admin("SHOW CONFIG")}
    assert shown["client_idle_timeout"] == "0"


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_stop_the_start(start_headgate, files, name):
    damage, reason = BROKEN[name]
    damage(files)
    made = []
    with pytest.raises(RuntimeError) as refused:
        start_headgate(client_tls_sslmode="prefer", client_tls_key_file=files.key,
                       client_tls_cert_file=files.certificate, before_start=made.append)  # fmt: skip
    made[0].wait_ended(status=1)
    assert "FATAL cannot use " + reason.format(key=files.key, certificate=files.certificate) in str(refused.value)


@pytest.mark.parametrize("setting, value", [
    ("client_tls_ciphers", "NO-SUCH-CIPHER"), ("client_tls13_ciphers", "NONE_SUCH"),
    ("client_tls_ecdhcurve", "secp1"), ("client_tls_protocols", "sslv3"), ("client_tls_dheparams", "legacy"),
    ("server_tls_ciphers", "nothing"), ("server_tls_protocols", "tlsv9"),
])  # fmt: skip
def test_an_unknown_word_is_named(pooler, authority, setting, value):
    pooler.settings[setting] = value
    pooler.write_files()
    reload_refused(pooler)
    assert f'invalid value "{value}" for parameter {setting}' in pooler.log()
    assert name_shown(pooler, authority) == "first"


def test_set_changes_files_one_by_one(pooler, authority):
    """What does not fit yet leaves TLS as it was; the setting itself is changed."""
    second = authority.issue("second", "DNS:localhost")
    pooler.admin(f"SET client_tls_key_file = '{second.key}'")
    assert name_shown(pooler, authority) == "first"
    file_of(second.key, second.key_text())
    file_of(second.certificate, second.text())
    pooler.admin(f"SET client_tls_cert_file = '{second.certificate}'")
    assert name_shown(pooler, authority) == "second"


def test_tls_may_become_a_must_and_go_away(pooler, authority):
    with Wire(pooler.port) as secure:
        secure.start_tls(client_context()).login().query("SELECT 1")
        pooler.reload(client_tls_sslmode="disable")
        with Wire(pooler.port) as clear:
            assert clear.login().value("SELECT 1") == "1"
            pooler.reload(client_tls_sslmode="require", client_tls_protocols="tlsv1.3")
            assert clear.value("SELECT 'in clear'") == "in clear"
        assert secure.value("SELECT 'secret'") == "secret"
    old = client_context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with Wire(pooler.port) as wire, pytest.raises(ssl.SSLError, match="protocol version"):
        wire.start_tls(old)
