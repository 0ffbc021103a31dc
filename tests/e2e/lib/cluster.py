"""A primary and its streaming replicas, each at an address of its own (127.0.0.1, 127.0.0.2, ...) and all on
the same port, so that one `host` list names them."""

import contextlib
import os
import signal

from lib import processes
from lib.postgres import Postgres, User
from lib.processes import wait_until

SETTINGS = {"synchronous_commit": "on", "wal_retrieve_retry_interval": "200ms", "wal_receiver_status_interval": "1s"}


class Cluster:
    def __init__(self, replicas=2, users=(User("app"), User("monitor")), **settings):
        self._settings = {**SETTINGS, **settings}
        self._frozen = []
        first = Postgres.primary(users, max_connections=100, listen_addresses="127.0.0.1", **self._settings)
        self.nodes = [first]
        try:
            for _ in range(replicas):
                self.nodes.append(self._replica_of(first))
        except BaseException:
            self.remove()
            raise
        self.primary = first

    def _replica_of(self, node):
        address = f"127.0.0.{len(self.nodes) + 1}"
        return Postgres.replica_of(node, listen_addresses=address, port=node.port, **self._settings)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()

    def remove(self):
        for node in self.nodes:
            self.resume(node)
            node.remove()

    @property
    def replicas(self):
        return [node for node in self.nodes if node is not self.primary]

    @property
    def hosts(self):
        return ",".join(self.host_of(node) for node in self.nodes)

    @staticmethod
    def host_of(node):
        return node.settings["listen_addresses"]

    def databases(self, **extra):
        """`app` at the primary, `app_ro` at standbys, `app_any` at standbys if there are any."""
        where = {"host": self.hosts, "port": self.primary.port, "dbname": "app", **extra}
        targets = {"app": "primary", "app_ro": "standby", "app_any": "prefer-standby"}
        return {name: {**where, "target_session_attrs": target} for name, target in targets.items()}

    # --- what befalls it

    def freeze(self, node):
        """Every process of it."""
        self._frozen.append(node)
        for pid in _family(node):
            os.kill(pid, signal.SIGSTOP)

    def resume(self, node):
        if node in self._frozen:
            self._frozen.remove(node)
            # A child that had ended is gone as soon as its parent goes on.
            for pid in _family(node):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    @staticmethod
    def kill(node):
        """As if its machine had lost power."""
        for pid in _family(node):
            os.kill(pid, signal.SIGKILL)
        node.process.wait()
        node.process = None

    def promote(self, node):
        """It is the primary now, and the others that run follow it."""
        node.execute("SELECT pg_promote()")
        self.primary = node
        conninfo = f"host={node.directory} port={node.port} user=postgres"
        for other in self.replicas:
            if other.process and other not in self._frozen and other.value("SELECT pg_is_in_recovery()"):
                other.execute(f"ALTER SYSTEM SET primary_conninfo = '{conninfo}'", "SELECT pg_reload_conf()")

    def heal(self):
        """All run, hear and replay again; whoever was the primary still is."""
        for node in self.nodes:
            self.resume(node)
            if not node.process:
                node.start()
            node.execute("SELECT pg_wal_replay_resume() WHERE pg_is_in_recovery()")
        self.wait_replayed()

    def wait_replayed(self):
        lsn = self.primary.value("SELECT pg_current_wal_lsn()::text")
        for node in self.replicas:
            wait_until(lambda node=node: node.value(f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'"), 20, "replayed")


def _family(node):
    return [node.process.pid, *processes.children(node.process.pid)]
