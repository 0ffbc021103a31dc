"""A throw-away PostgreSQL 15: a primary on a free port, and replicas that stream from it.

Nothing is durable (fsync off) and everything lives below one temporary directory.
"""

import glob
import os
import shutil
import signal
from dataclasses import dataclass

import psycopg
from psycopg.rows import dict_row

from lib import processes

BIN_DIRECTORIES = ["/usr/lib/postgresql/15/bin", *sorted(glob.glob("/usr/lib/postgresql/*/bin"))[::-1]]


def program(name):
    for directory in BIN_DIRECTORIES:
        if os.path.exists(os.path.join(directory, name)):
            return os.path.join(directory, name)
    found = shutil.which(name)
    if not found:
        raise RuntimeError(f"{name} not found: is postgresql installed?")
    return found


@dataclass
class User:
    """A role, how pg_hba.conf lets it in over TCP, and how its password is stored."""

    name: str
    password: str = ""
    method: str = "trust"  # trust | password | md5 | scram-sha-256
    superuser: bool = False

    def create_statements(self):
        encryption = "md5" if self.method == "md5" else "scram-sha-256"
        yield f"SET password_encryption = '{encryption}'"
        password = f"PASSWORD '{self.password}'" if self.password else ""
        yield f"CREATE ROLE {self.name} LOGIN {'SUPERUSER' if self.superuser else ''} {password}"


class Postgres:
    """One server process; `primary()` and `replica_of()` make and start one."""

    def __init__(self, name, max_connections, settings):
        self.port = settings.get("port") or processes.free_port()
        self.directory = processes.make_directory(name)
        self.data = os.path.join(self.directory, "data")
        self.log_path = os.path.join(self.directory, "log")
        self.process = None
        self.settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.directory,
            "max_connections": max_connections,
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "shared_buffers": "128MB",
            "max_wal_senders": 10,
            "hot_standby": "on",
            "logging_collector": "off",
            "autovacuum": "off",
            **settings,
        }

    @classmethod
    def primary(cls, users=(), databases=("app",), max_connections=200, **settings):
        server = cls("primary", max_connections, settings)
        processes.run_tool(
            [program("initdb"), "-D", server.data, "-U", "postgres", "--auth=trust",
             "--no-sync", "--encoding=UTF8", "--locale=C"]
        )
        server._write_hba(users)
        server.start()
        for user in users:
            server.execute(*user.create_statements())
        for database in databases:
            server.execute(f"CREATE DATABASE {database}")
            server.execute("GRANT ALL ON SCHEMA public TO public", database=database)
        return server

    @classmethod
    def replica_of(cls, primary, **settings):
        server = cls("replica", primary.settings["max_connections"], settings)
        processes.run_tool(
            [program("pg_basebackup"), "-D", server.data, "-R", "-X", "stream", "-c", "fast",
             "--no-sync", "-h", primary.directory, "-p", str(primary.port), "-U", "postgres"]
        )
        server.start()
        return server

    def _write_hba(self, users):
        lines = ["local all all trust", "local replication all trust"]
        lines += [f"host all {user.name} 127.0.0.1/32 {user.method}" for user in users]
        lines += ["host all postgres 127.0.0.1/32 trust"]
        processes.write_file(os.path.join(self.data, "pg_hba.conf"), "\n".join(lines) + "\n")

    def forbid(self, user):
        """It refuses its log-ins over TCP, until allow()."""
        self._change_hba(lambda text: f"host all {user} all reject\n{text}")

    def allow(self, user):
        self._change_hba(lambda text: text.replace(f"host all {user} all reject\n", ""))

    def _change_hba(self, change):
        path = os.path.join(self.data, "pg_hba.conf")
        with open(path) as file:
            text = file.read()
        processes.write_file(path, change(text))
        self.execute("SELECT pg_reload_conf()")

    def start(self):
        command = [program("postgres"), "-D", self.data]
        for name, value in self.settings.items():
            command += ["-c", f"{name}={value}"]
        self.process = processes.spawn(
            command, self.log_path, {"LC_ALL": "C"}, signal_when_we_die=signal.SIGQUIT
        )
        processes.wait_until(self._accepts, 60, f"PostgreSQL on port {self.port} accepts")

    def _accepts(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended:\n{self.log()}")
        try:
            with self.connect():
                return True
        except psycopg.OperationalError:
            return False

    def stop(self):
        """Stop, keeping the data (see remove)."""
        if self.process:
            processes.stop(self.process, signal.SIGINT)
            self.process = None

    def remove(self):
        self.stop()
        processes.remove_directory(self.directory)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()

    def connect(self, database="postgres", user="postgres", **options):
        """Directly, past the pooler, over the unix socket (always trusted)."""
        return psycopg.connect(
            host=self.directory, port=self.port, dbname=database, user=user, autocommit=True, **options
        )

    def execute(self, *statements, database="postgres"):
        with self.connect(database) as connection:
            for statement in statements:
                connection.execute(statement)

    def rows(self, query, parameters=None, database="postgres"):
        with self.connect(database, row_factory=dict_row) as connection:
            return connection.execute(query, parameters).fetchall()

    def value(self, query, parameters=None, database="postgres"):
        (row,) = self.rows(query, parameters, database)
        return next(iter(row.values()))

    def backends(self, database=None, user=None):
        """Client connections as pg_stat_activity shows them, our own excepted."""
        return self.rows(
            "SELECT pid, datname, usename, state, query, application_name FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            " AND (%(database)s::text IS NULL OR datname = %(database)s)"
            " AND (%(user)s::text IS NULL OR usename = %(user)s) ORDER BY pid",
            {"database": database, "user": user},
        )

    def count_backends(self, database=None, user=None):
        return len(self.backends(database, user))

    def end_backends(self, database):
        """End what is still connected to a database, a query that nobody waits for included."""
        self.rows(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", (database,)
        )

    def secret(self, user):
        """What pg_authid stores for a user, as it would stand in a userlist.txt."""
        return self.value("SELECT rolpassword FROM pg_authid WHERE rolname = %s", (user,))

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()
