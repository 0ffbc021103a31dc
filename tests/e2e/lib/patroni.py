"""A PostgreSQL cluster that Patroni runs: etcd, and nodes at 127.0.0.1, 127.0.0.2, ... on the same port. A write
that is acknowledged is on a standby (synchronous_mode), so no failover may lose it."""

import json
import os
import signal
import urllib.error
import urllib.request

import psycopg
from psycopg.rows import dict_row

from lib import processes
from lib.postgres import BIN_DIRECTORIES
from lib.processes import wait_until

PASSWORD = "secret of patroni"
DCS = {
    "ttl": 8, "loop_wait": 1, "retry_timeout": 3, "maximum_lag_on_failover": 1048576, "synchronous_mode": True,
    "primary_start_timeout": 0,
    "postgresql": {
        "use_pg_rewind": True,
        "parameters": {"max_connections": 100, "wal_log_hints": "on", "fsync": "off", "autovacuum": "off",
                       "shared_buffers": "32MB", "wal_retrieve_retry_interval": "200ms"},
    },
}  # fmt: skip


class Etcd:
    def __init__(self, directory):
        client, peer = (f"http://127.0.0.1:{processes.free_port()}" for _ in range(2))
        self.address = client.removeprefix("http://")
        command = ["etcd", "--name", "one", "--data-dir", os.path.join(directory, "etcd"),
                   "--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
                   "--initial-advertise-peer-urls", peer, "--initial-cluster", f"one={peer}",
                   "--unsafe-no-fsync"]  # fmt: skip
        self.process = processes.spawn(command, os.path.join(directory, "etcd.log"))


class Node:
    """Patroni and the PostgreSQL that it starts."""

    def __init__(self, directory, number, etcd, ports):
        self.name, self.address = f"node{number}", f"127.0.0.{number}"
        self.port, self.api = ports["postgres"], f"http://{self.address}:{ports['api']}"
        self.sockets = os.path.join(directory, self.name)
        self.process = None
        self._log = os.path.join(directory, f"{self.name}.log")
        self._file = os.path.join(directory, f"{self.name}.yml")
        superuser = {"username": "postgres", "password": PASSWORD}
        hba = ["local all all trust", "host all all 127.0.0.0/8 trust", "host replication all 127.0.0.0/8 trust"]
        config = {
            "scope": "headgate", "name": self.name, "etcd3": {"host": etcd.address},
            "restapi": {"listen": f"{self.address}:{ports['api']}", "connect_address": f"{self.address}:{ports['api']}"},
            "bootstrap": {"dcs": DCS, "initdb": [{"encoding": "UTF8"}, "data-checksums", "no-sync"]},
            "postgresql": {
                "listen": f"{self.address}:{self.port}", "connect_address": f"{self.address}:{self.port}",
                "data_dir": os.path.join(self.sockets, "data"), "bin_dir": BIN_DIRECTORIES[0], "pg_hba": hba,
                "authentication": {"superuser": superuser, "replication": superuser, "rewind": superuser},
                "parameters": {"unix_socket_directories": self.sockets},
                "pgpass": os.path.join(self.sockets, "pgpass"),
            },
        }  # fmt: skip
        os.mkdir(self.sockets)
        processes.own(self.sockets)
        processes.write_file(self._file, json.dumps(config))  # which is YAML, too

    def start(self):
        self.process = processes.spawn(["patroni", self._file], self._log, {"LC_ALL": "C"}, signal.SIGTERM)

    def kill(self):
        """As if its machine had lost power."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
        with open(os.path.join(self.sockets, "data", "postmaster.pid"), encoding="ascii") as file:
            postmaster = int(file.readline())
        for pid in [postmaster, *processes.children(postmaster)]:
            os.kill(pid, signal.SIGKILL)

    def stop(self):
        if self.process:
            processes.stop(self.process, signal.SIGTERM, 60)
            self.process = None

    def role(self):
        """primary, replica or None."""
        try:
            with urllib.request.urlopen(f"{self.api}/patroni", timeout=2) as answer:
                state = json.load(answer)
        except urllib.error.HTTPError as error:
            state = json.load(error)
        except OSError:
            return None
        role = {"master": "primary"}.get(state["role"], state["role"])
        return role if state["state"] == "running" else None

    def connect(self, database="postgres"):
        return psycopg.connect(host=self.sockets, port=self.port, dbname=database, user="postgres", autocommit=True)

    def execute(self, *statements, database="postgres"):
        with self.connect(database) as connection:
            for statement in statements:
                connection.execute(statement)

    def rows(self, query, database="postgres"):
        with self.connect(database) as connection:
            cursor = connection.cursor(row_factory=dict_row)
            return cursor.execute(query).fetchall()

    def log(self):
        with open(self._log, encoding="utf-8", errors="replace") as file:
            return file.read()


class PatroniCluster:
    def __init__(self, nodes=3, users=("app", "monitor")):
        self.directory = processes.make_directory("patroni")
        self.nodes = []
        try:
            self.etcd = Etcd(self.directory)
            ports = {"postgres": processes.free_port(), "api": processes.free_port()}
            for number in range(1, nodes + 1):
                self.nodes.append(Node(self.directory, number, self.etcd, ports))
                self.nodes[-1].start()
                wait_until(lambda: self.nodes[-1].role() is not None, 90, f"node {number} runs")
            self.wait_healthy()
            self.primary.execute(*(f"CREATE ROLE {user} LOGIN" for user in users), "GRANT pg_monitor TO monitor",
                                 "CREATE DATABASE app")  # fmt: skip
            self.primary.execute("GRANT ALL ON SCHEMA public TO public", database="app")
        except BaseException:
            print("".join(node.log()[-3000:] for node in self.nodes))
            self.remove()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()

    def remove(self):
        for node in self.nodes:
            node.stop()
        processes.stop(self.etcd.process)
        processes.remove_directory(self.directory)

    @property
    def primary(self):
        return next(node for node in self.nodes if node.role() == "primary")

    @property
    def hosts(self):
        return ",".join(node.address for node in self.nodes)

    def wait_healthy(self):
        """One primary, all others stream from it, and one of these may take its place."""
        whole = ["primary"] + ["replica"] * (len(self.nodes) - 1)
        streaming = "SELECT count(*) AS n FROM pg_stat_replication WHERE state = 'streaming'"

        def healthy():
            if sorted(str(node.role()) for node in self.nodes) != whole:
                return False
            with urllib.request.urlopen(f"{self.primary.api}/cluster", timeout=5) as answer:
                roles = [member["role"] for member in json.load(answer)["members"]]
            return "sync_standby" in roles and self.primary.rows(streaming) == [{"n": len(self.nodes) - 1}]

        wait_until(healthy, 90, "the cluster is whole", every=0.2)

    def switchover(self, to):
        leader = self.primary.name
        order = json.dumps({"leader": leader, "candidate": to.name}).encode()
        request = urllib.request.Request(f"{to.api}/switchover", order, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 200
