"""The program under test: writes its ini and userlist, starts it, watches it, ends it.

HEADGATE_PROGRAM names the program; Debian's pgbouncer takes the same files, so most
tests can be checked against it too.
"""

import os
import shutil
import signal
import socket
import stat

import psycopg
from psycopg.rows import dict_row

from lib import VARIABLES, processes

REPOSITORY = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
PROGRAM = VARIABLES.get("HEADGATE_PROGRAM") or os.path.join(REPOSITORY, "build/release/headgate")
WORKERS = VARIABLES.get("HEADGATE_WORKERS")  # run the tests with so many workers
SANITIZER_WORDS = ("Sanitizer", "runtime error:")


def is_headgate(program=PROGRAM):
    """False for Debian's pgbouncer, against which the tests themselves are checked."""
    return os.path.basename(program) != "pgbouncer"


def as_pgbouncer(program=PROGRAM):
    """The settings with which Headgate cares for sessions as little as PgBouncer does."""
    return {"session_state": "pgbouncer"} if is_headgate(program) else {}


def sqlstate(code, program=PROGRAM):
    """The SQLSTATE of an error of the pooler's own: PgBouncer has one for all."""
    return code if is_headgate(program) else "08P01"


def quick_end(program):
    """The signal that ends it at once, and the exit status that follows."""
    # PgBouncer 1.18 dies by SIGQUIT without a handler, and exits with 1 after SIGTERM.
    return (signal.SIGQUIT, 0) if is_headgate(program) else (signal.SIGTERM, 1)


def is_sanitized(program=PROGRAM):
    """Whether the build is instrumented: memory and CPU figures mean nothing then."""
    return any(word in program for word in ("asan", "tsan"))


def quoted(field):
    return '"' + field.replace('"', '""') + '"'


def ini_text(databases, settings, users=None):
    """The text of an ini file; a connection string may be given as a dict."""

    def connect_string(value):
        if not isinstance(value, dict):
            return value
        return " ".join(f"{key}='{str(part).replace(chr(39), chr(39) * 2)}'" for key, part in value.items())

    lines = ["[databases]"]
    lines += [f"{name} = {connect_string(value)}" for name, value in databases.items()]
    if users:
        lines += ["[users]"] + [f"{name} = {connect_string(value)}" for name, value in users.items()]
    lines += ["[pgbouncer]"] + [f"{name} = {value}" for name, value in settings.items()]
    return "\n".join(lines) + "\n"


class Headgate:
    """One process of the pooler. Settings given as keywords go to [pgbouncer]; None removes one."""

    def __init__(self, databases, users=None, userlist=None, program=PROGRAM, **settings):
        self.program = program
        self.directory = processes.make_directory("pooler")
        self.port = processes.free_port()
        self.databases = databases
        self.users = users
        self.userlist = {"admin": "", "stats": "", "app": "", **(userlist or {})}
        self.settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": self.directory,
            "auth_type": "trust",
            "auth_file": self.path("userlist.txt"),
            "admin_users": "admin",
            "stats_users": "stats",
            "ignore_startup_parameters": "extra_float_digits",
            **({"workers": WORKERS} if WORKERS and is_headgate(program) else {}),
            **settings,
        }
        self.process = None

    def path(self, name):
        return os.path.join(self.directory, name)

    def write_files(self):
        settings = {name: value for name, value in self.settings.items() if value is not None}
        self.write("headgate.ini", ini_text(self.databases, settings, self.users))
        self.write_userlist()

    def write_userlist(self):
        lines = [f"{quoted(name)} {quoted(secret)}" for name, secret in self.userlist.items()]
        self.write("userlist.txt", "\n".join(lines) + "\n")

    def write(self, name, text):
        processes.write_file(self.path(name), text)

    def start(self, arguments=(), environment=None, seconds=10):
        if not os.path.exists(self.path("headgate.ini")):
            self.write_files()
        self.process = processes.spawn(
            [self._reachable_program(), *arguments, self.path("headgate.ini")],
            self.path("log"),
            environment,
        )
        processes.wait_until(self._answers, seconds, f"{self.program} answers on port {self.port}")
        return self

    def start_successor(self, *arguments):
        """Another process with the same files and -R, which may take over; (the old process, the new one)."""
        old, self.process = self.process, processes.spawn(
            [self._reachable_program(), "-R", *arguments, self.path("headgate.ini")], self.path("log")
        )
        return old, self.process

    def restart_online(self, seconds=30):
        """A new process takes over; returns when the old one has ended, as it should."""
        old, new = self.start_successor()
        processes.wait_until(lambda: old.poll() is not None or new.poll() is not None, seconds, "the old process ends")
        assert (old.poll(), new.poll()) == (0, None), self.log()[-4000:]
        processes.wait_until(lambda: "this process serves alone" in self.log_of(new), seconds, "the new one is alone")

    def log_of(self, process):
        """The lines of one of several processes that have written the log."""
        return "\n".join(line for line in self.log().splitlines() if f" [{process.pid}] " in line)

    def _reachable_program(self):
        """A program below a directory closed to the service user is copied to where it can run."""
        directory = os.path.dirname(self.program)
        while processes.service_user() and directory not in ("/", ""):
            if not os.stat(directory).st_mode & stat.S_IXOTH:
                copy = self.path(os.path.basename(self.program))
                shutil.copy2(self.program, copy)
                processes.own(copy)
                return copy
            directory = os.path.dirname(directory)
        return self.program

    def _answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.program} ended ({self.process.returncode}):\n{self.log()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            # The unix socket comes last.
            return self.settings["unix_socket_dir"] != self.directory or processes.listens_on(
                self.path(f".s.PGSQL.{self.port}")
            )
        except OSError:
            return False

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def send_signal(self, number):
        self.process.send_signal(number)

    def reload(self, **settings):
        """Write the files anew with these settings changed, and RELOAD."""
        self.settings.update(settings)
        self.write_files()
        self.admin("RELOAD")

    def stop(self):
        """End it; fail if it ended badly, before (unless expected, see wait_ended) or just now."""
        if self.process is None:
            return
        signal_number, expected = quick_end(self.program)
        expected = expected if self.running else 0
        self.check_end(processes.stop(self.process, signal_number), expected)

    def wait_ended(self, seconds=10, status=0):
        """Wait until it has ended on its own (after a signal or SHUTDOWN) with this status."""
        processes.wait_until(lambda: not self.running, seconds, f"{self.program} ends")
        self.check_end(self.process.returncode, status)

    def check_end(self, status, expected):
        """A crash or a sanitizer's report fails the test, whatever else it checked."""
        self.process = None
        log = self.log()
        if status != expected or any(word in log for word in SANITIZER_WORDS):
            raise AssertionError(f"{self.program} ended with {status}:\n{log[-4000:]}")

    def leaks(self):
        """What clients have left in servers, where those were looked at (session_audit)."""
        lines = self.log().splitlines() if os.path.exists(self.path("log")) else []
        return [line for line in lines if "session audit: " in line]

    def remove(self):
        try:
            self.stop()
        finally:
            processes.remove_directory(self.directory)

    def __enter__(self):
        return self if self.process else self.start()

    def __exit__(self, *_):
        self.remove()

    def connect(self, database="app", user="app", password=None, autocommit=True, **options):
        options = {"connect_timeout": 10, **options}
        return psycopg.connect(
            **{**self.address(database, user, password), **options}, autocommit=autocommit, prepare_threshold=None,
        )

    def address(self, database="app", user="app", password=None):
        """Keywords that psycopg and psycopg2 connect with."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "dbname": database,
            "user": user,
            **({"password": password} if password is not None else {}),
        }

    def console(self, user="admin", **options):
        """A connection to the admin console; rows are dicts."""
        if str(self.settings.get("client_tls_sslmode")).startswith("verify"):
            options["host"] = self.directory  # only there nobody needs a certificate
        return self.connect("pgbouncer", user, row_factory=dict_row, **options)

    def admin(self, command, user="admin"):
        """Run one console command; its rows as dicts, or an empty list."""
        with self.console(user) as connection:
            cursor = connection.execute(command)
            return cursor.fetchall() if cursor.description else []

    def pool(self, database="app", user="app"):
        """The SHOW POOLS row of one pool, or None."""
        for row in self.admin("SHOW POOLS"):
            if (row["database"], row["user"]) == (database, user):
                return row
        return None

    def log(self):
        with open(self.path("log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def rss_bytes(self):
        return processes.rss_bytes(self.pid)

    def cpu_nanoseconds(self):
        return processes.cpu_nanoseconds(self.pid)


def only_headgate(**settings):
    """Settings that PgBouncer would refuse: none of them when it is under test."""
    return settings if is_headgate() else {}
