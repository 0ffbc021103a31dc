"""auth_type = cert, certificates by rule and map, and SCRAM bound to the channel: what needs TLS towards clients."""

import subprocess

import psycopg
import pytest

from lib import processes
from lib.headgate import Headgate

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only]


class Authority:
    """A certificate authority of our own: DIRECTORY/NAME.pem and NAME.key for each name."""

    def __init__(self):
        self.directory = processes.make_directory("certificates")
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=authority",
                      "-keyout", self.path("ca.key"), "-out", self.path("ca.pem"))

    def path(self, name):
        return f"{self.directory}/{name}"

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    def certify(self, name, others="DNS:localhost"):
        self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
                      "-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.csr"))
        processes.write_file(self.path(f"{name}.cnf"), f"subjectAltName={others}\n")
        self._openssl("x509", "-req", "-in", self.path(f"{name}.csr"), "-days", "2", "-CA", self.path("ca.pem"),
                      "-CAkey", self.path("ca.key"), "-CAcreateserial", "-extfile", self.path(f"{name}.cnf"),
                      "-out", self.path(f"{name}.pem"))
        processes.own(self.path(f"{name}.key"))
        return self


@pytest.fixture(scope="module")
def authority():
    made = Authority()
    made.certify("server", "IP:127.0.0.1,DNS:localhost").certify("bob").certify("robert", "DNS:bob2,DNS:robert.net")
    yield made
    processes.remove_directory(made.directory)


@pytest.fixture
def start(postgres, authority):
    started = []

    def start(hba=None, ident=None, **settings):
        server = {"host": "127.0.0.1", "port": postgres.port, "dbname": "single", "user": "app"}
        pooler = Headgate(
            {"app": server}, userlist={"bob": "secret", "bob2": "secret", "carl": "secret"},
            client_tls_cert_file=authority.path("server.pem"), client_tls_key_file=authority.path("server.key"),
            client_tls_ca_file=authority.path("ca.pem"), **settings)
        started.append(pooler)
        for name, text in (("hba", hba), ("ident", ident)):
            if text is not None:
                pooler.write(name, text)
                pooler.settings[f"auth_{name}_file"] = pooler.path(name)
        return pooler.start()

    yield start
    for pooler in started:
        pooler.remove()


def enter(pooler, authority, user, certificate=None, **options):
    if certificate:
        options |= {"sslcert": authority.path(f"{certificate}.pem"), "sslkey": authority.path(f"{certificate}.key")}
    with pooler.connect(user=user, sslmode="require", **options) as client:
        return client.execute("SELECT current_user").fetchone()[0]


def refusal(*arguments, **options):
    with pytest.raises(psycopg.OperationalError) as caught:
        enter(*arguments, **options)
    return str(caught.value)


FULL = {"client_tls_sslmode": "verify-full"}


def test_a_certificate_opens_for_the_names_in_it(start, authority):
    pooler = start(auth_type="cert", **FULL)
    assert enter(pooler, authority, "bob", "bob") == "app"
    assert enter(pooler, authority, "bob2", "robert") == "app"
    assert "certificate authentication failed" in refusal(pooler, authority, "carl", "bob")
    assert "certificate authentication failed" in refusal(pooler, authority, "robert", "robert")  # not in auth_file


def test_certificates_by_rule_and_map(start, authority):
    pooler = start("hostssl all bob all cert\nhostssl all carl all cert map=m\nhostssl all all all md5\n",
                   "m robert carl\n", auth_type="hba", **FULL)
    assert enter(pooler, authority, "bob", "bob") == "app"
    assert enter(pooler, authority, "carl", "robert") == "app"
    assert "certificate authentication failed" in refusal(pooler, authority, "carl", "bob")
    assert "ident map: m does not have a match" in pooler.log()
    assert enter(pooler, authority, "bob2", "bob", password="secret") == "app"


def test_rules_tell_tls_from_none(start, authority):
    pooler = start("hostnossl all all all reject\nhostssl all all all md5\n", auth_type="hba",
                   client_tls_sslmode="allow")
    assert enter(pooler, authority, "bob", password="secret") == "app"
    with pytest.raises(psycopg.OperationalError, match="login rejected"):
        pooler.connect(user="bob", password="secret", sslmode="disable")


def test_scram_is_bound_to_the_channel(start, authority):
    pooler = start(auth_type="scram-sha-256", client_tls_sslmode="allow")
    assert enter(pooler, authority, "bob", password="secret", channel_binding="require") == "app"
    assert enter(pooler, authority, "bob", password="secret", channel_binding="disable") == "app"
    with pytest.raises(psycopg.OperationalError, match="channel binding required"):
        pooler.connect(user="bob", password="secret", sslmode="disable", channel_binding="require")
