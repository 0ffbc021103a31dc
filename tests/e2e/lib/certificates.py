"""A certificate authority of the test's own: it signs certificates for servers and clients."""

import os
import ssl
from dataclasses import dataclass

from lib import processes

DAYS = "30"


def openssl(*arguments):
    return processes.run_tool(["openssl", *arguments])


def file_of(path, content):
    """A file that the pooler may read, and nobody else."""
    processes.write_file(path, content)
    os.chmod(path, 0o600)
    return path


@dataclass(frozen=True)
class Certificate:
    """Two files in PEM form."""

    certificate: str
    key: str

    def text(self):
        with open(self.certificate, encoding="ascii") as file:
            return file.read()

    def key_text(self):
        with open(self.key, encoding="ascii") as file:
            return file.read()


class Authority:
    """`issue` makes a key and a certificate; all files are in a directory that goes with it."""

    def __init__(self, name="Headgate test CA"):
        self.directory = processes.make_directory("certificates")
        self._count = 0
        self.root = self._signed_by_itself(name)

    @property
    def file(self):
        return self.root.certificate

    def path(self, name):
        return os.path.join(self.directory, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        processes.remove_directory(self.directory)

    def _signed_by_itself(self, name):
        pair = Certificate(self.path("ca.crt"), self.path("ca.key"))
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256",
                "-keyout", pair.key, "-out", pair.certificate, "-days", DAYS, "-subj", f"/CN={name}")  # fmt: skip
        return pair

    def issue(self, name, *others, key_type=("ec", "-pkeyopt", "ec_paramgen_curve:P-256")):
        """For this common name and others such as `DNS:localhost` and `IP:127.0.0.1`."""
        self._count += 1
        pair = Certificate(self.path(f"{self._count}.crt"), self.path(f"{self._count}.key"))
        request = self.path(f"{self._count}.csr")
        extensions = file_of(self.path(f"{self._count}.ext"),
                             f"subjectAltName={','.join(others)}\n" if others else "basicConstraints=CA:FALSE\n")
        openssl("req", "-newkey", *key_type, "-nodes", "-sha256", "-keyout", pair.key, "-out", request,
                "-subj", f"/CN={name}")  # fmt: skip
        openssl("x509", "-req", "-sha256", "-in", request, "-CA", self.root.certificate, "-CAkey", self.root.key,
                "-CAcreateserial", "-out", pair.certificate, "-days", DAYS, "-extfile", extensions)  # fmt: skip
        return pair


def client_context(authority=None, certificate=None):
    """How Python talks TLS; it verifies the server only if it is given an authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if authority else ssl.CERT_NONE
    if authority:
        context.load_verify_locations(authority.file)
    if certificate:
        context.load_cert_chain(certificate.certificate, certificate.key)
    return context
