"""What the benchmark compares: each peer is something pgbench can connect to.

All peers run side by side for the whole benchmark and lead to the same PostgreSQL; an idle
one costs nothing, so rounds can be interleaved without starting anything anew.
"""

import itertools
import os
import shutil
import signal
import socket

from lib import VARIABLES, processes
from lib.certificates import Authority
from lib.headgate import PROGRAM, REPOSITORY, Headgate
from lib.postgres import Postgres
from lib.processes import free_port, wait_until

RELAY = os.path.join(REPOSITORY, "build/release/bench/relay")
HAPROXY_CONFIG = """
global
    nbthread 1
    maxconn 2000
defaults
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h
listen postgres
    bind 127.0.0.1:{port}
    server primary 127.0.0.1:{server_port}
"""


class Peer:
    """`pid` is None where there is no process between client and server."""

    is_pooler = False  # can hold more clients than servers

    def __init__(self, name, port, pid=None):
        self.name = name
        self.port = port
        self.pid = pid

    def cpu_nanoseconds(self):
        return processes.cpu_nanoseconds(self.pid) if self.pid else 0

    def rss_bytes(self):
        return processes.rss_bytes(self.pid) if self.pid else 0

    def stop(self):
        """Nothing to end."""


class Program(Peer):
    """A plain program (relay, haproxy) with a log file in a directory of its own."""

    def __init__(self, name, port, command, directory):
        self._process = processes.spawn(command, os.path.join(directory, "log"))
        self._directory = directory
        super().__init__(name, port, self._process.pid)
        wait_until(self._answers, 10, f"{name} answers")

    def _answers(self):
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.name} ended, see {self._directory}/log")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        processes.stop(self._process, signal.SIGTERM)
        processes.remove_directory(self._directory)


class Pooler(Peer):
    """Headgate or PgBouncer, with the same settings."""

    is_pooler = True

    def __init__(self, name, program, postgres, options, database=None, **extra):
        self._authority = Authority()
        own = self._authority.issue("bench", "DNS:localhost")
        self._pooler = Headgate(
            {"app": {"host": "127.0.0.1", "port": postgres.port, "dbname": "app", **(database or {})}},
            program=program,
            **{"pool_mode": "transaction", "default_pool_size": options.pool_size, **extra},
            max_client_conn=options.idle + 1000,
            listen_backlog=4096,
            client_tls_sslmode="prefer",
            client_tls_key_file=own.key,
            client_tls_cert_file=own.certificate,
            server_tls_sslmode="disable",
            log_connections=0,
            log_disconnections=0,
        ).start()
        super().__init__(name, self._pooler.port, self._pooler.pid)

    def stop(self):
        self._pooler.remove()
        processes.remove_directory(self._authority.directory)


def direct(postgres, _options):
    return Peer("direct", postgres.port)


def relay_with(threads):
    name = "relay" if threads == 1 else f"relay-{threads}"

    def start(postgres, _options):
        port = free_port()
        binary = VARIABLES.get("HEADGATE_RELAY", RELAY)
        command = [binary, str(port), str(postgres.port), str(threads)]
        return Program(name, port, command, processes.make_directory(name))

    return start


def haproxy(postgres, _options):
    directory, port = processes.make_directory("haproxy"), free_port()
    config = os.path.join(directory, "haproxy.cfg")
    processes.write_file(config, HAPROXY_CONFIG.format(port=port, server_port=postgres.port))
    program = shutil.which("haproxy") or "/usr/sbin/haproxy"
    return Program("haproxy", port, [program, "-db", "-f", config], directory)


BY_SESSION = {"pool_mode": "session", "default_pool_size": 150}


def pgbouncer_with(name, **settings):
    def start(postgres, options):
        program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
        return Pooler(name, program, postgres, options, **settings)

    return start


class Replicated(Pooler):
    """Headgate in front of two replicas of its own as well."""

    _addresses = (f"127.0.0.{number}" for number in itertools.count(2))

    def __init__(self, name, postgres, options, entry, **settings):
        addresses = list(itertools.islice(self._addresses, 2))
        self._replicas = [
            Postgres.replica_of(postgres, listen_addresses=address, port=postgres.port) for address in addresses
        ]
        database = {"host": ",".join(["127.0.0.1", *addresses]), **entry}
        super().__init__(name, PROGRAM, postgres, options, database, workers=1, monitor_user="app", **settings)

    def stop(self):
        super().stop()
        for replica in self._replicas:
            replica.remove()


def routed(postgres, options):
    """Plain reads go to the replicas."""
    return Replicated("routed", postgres, options, {"read_routing": "auto"})


def spread(postgres, options):
    """Its servers are at the primary and the replicas in turn, whatever is asked, and as many as the replicas of
    `routed` have together: for reads alone."""
    return Replicated("spread", postgres, options, {}, default_pool_size=2 * options.pool_size)


def headgate_with(workers, name=None, **settings):
    def start(postgres, options):
        return Pooler(name or f"headgate-{workers}", PROGRAM, postgres, options, workers=workers, **settings)

    return start


ALL = {
    "headgate-1": headgate_with(1),
    "headgate-2": headgate_with(2),
    "pgbouncer": pgbouncer_with("pgbouncer"),
    "pgbouncer-again": pgbouncer_with("pgbouncer-again"),  # how far two equal ones are apart
    "relay": relay_with(1),
    "relay-2": relay_with(2),
    "haproxy": haproxy,
    "direct": direct,
    "untracked": headgate_with(1, "untracked", session_state="pgbouncer"),
    "unnamed": headgate_with(1, "unnamed", prepare_unnamed=1),
    "deferred": headgate_with(1, "deferred", defer_begin=1),
    "routed": routed,
    "spread": spread,
    "session": headgate_with(1, "session", **BY_SESSION),
    "pgbouncer-session": pgbouncer_with("pgbouncer-session", **BY_SESSION),
}
SPECIAL = ("pgbouncer-again", "untracked", "unnamed", "deferred", "routed", "spread", "session", "pgbouncer-session")
USUAL = [name for name in ALL if name not in SPECIAL]
