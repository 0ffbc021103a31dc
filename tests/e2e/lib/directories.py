"""Directories of passwords for the tests: an LDAP server of OpenLDAP's, and PAM services of our own."""

import glob
import os
import signal
import socket

from lib import processes

BASE = "dc=example,dc=net"
MANAGER, MANAGER_PASSWORD = f"cn=manager,{BASE}", "managing"
SLAPD, SLAPADD = "/usr/sbin/slapd", "/usr/sbin/slapadd"
PAM_WRAPPER = next(iter(glob.glob("/usr/lib/*/libpam_wrapper.so")), None)
PAM_MATRIX = next(iter(glob.glob("/usr/lib/*/pam_wrapper/pam_matrix.so")), None)

CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {directory}/pid
TLSCACertificateFile {directory}/cert.pem
TLSCertificateFile {directory}/cert.pem
TLSCertificateKeyFile {directory}/key.pem
database mdb
suffix "{base}"
rootdn "{manager}"
rootpw {password}
directory {directory}/data
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=searcher,{base}" read by users none by anonymous {anonymous}
"""


class Ldap:
    """One slapd with people in it: {name: password}. `anonymous` is what a stranger may do."""

    def __init__(self, people, anonymous="read"):
        self.directory = processes.make_directory("ldap")
        self.port, self.tls_port = processes.free_port(), processes.free_port()
        os.mkdir(f"{self.directory}/data")
        processes.own(f"{self.directory}/data")
        processes.run_tool(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
             "-keyout", f"{self.directory}/key.pem", "-out", f"{self.directory}/cert.pem"])
        self._write("slapd.conf", CONFIGURATION.format(
            directory=self.directory, base=BASE, manager=MANAGER, password=MANAGER_PASSWORD, anonymous=anonymous))
        entries = [f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: example\ndc: example\n",
                   f"dn: cn=searcher,{BASE}\nobjectClass: person\ncn: searcher\nsn: x\nuserPassword: searching\n"]
        entries += [f"dn: uid={name},{BASE}\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: x\n"
                    f"mail: {name}@example.net\nuserPassword: {password}\n" for name, password in people.items()]
        self._write("people.ldif", "\n".join(entries))
        processes.run_tool([SLAPADD, "-f", f"{self.directory}/slapd.conf", "-l", f"{self.directory}/people.ldif"])
        self.process = processes.spawn(
            [SLAPD, "-f", f"{self.directory}/slapd.conf", "-d", "0",
             "-h", f"ldap://127.0.0.1:{self.port}/ ldaps://127.0.0.1:{self.tls_port}/"], f"{self.directory}/log")
        processes.wait_until(self._listens, 20, "slapd listens")

    def _write(self, name, text):
        processes.write_file(f"{self.directory}/{name}", text)

    def _listens(self):
        if self.process.poll() is not None:
            with open(f"{self.directory}/log", encoding="utf-8") as log:
                raise RuntimeError(f"slapd ended:\n{log.read()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    @property
    def environment(self):
        """What lets libldap trust its certificate."""
        return {"LDAPTLS_CACERT": f"{self.directory}/cert.pem"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        processes.stop(self.process, signal.SIGTERM)
        processes.remove_directory(self.directory)


class Silence:
    """A server that accepts connections and never says a word."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self.socket.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


class Pam:
    """The PAM service `pgbouncer` for whoever is started with `environment`."""

    def __init__(self, lines):
        self.directory = processes.make_directory("pam")
        os.mkdir(f"{self.directory}/services")  # the wrapper copies all that is in it
        processes.own(f"{self.directory}/services")
        self.write("services/pgbouncer", lines.replace("DIRECTORY", self.directory).replace("MATRIX", PAM_MATRIX or ""))

    def write(self, name, text, mode=0o644):
        processes.write_file(f"{self.directory}/{name}", text)
        os.chmod(f"{self.directory}/{name}", mode)

    @property
    def environment(self):
        return {"LD_PRELOAD": PAM_WRAPPER, "PAM_WRAPPER": "1", "PAM_WRAPPER_SERVICE_DIR": f"{self.directory}/services"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        processes.remove_directory(self.directory)
