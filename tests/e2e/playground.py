#!/usr/bin/python3
"""A playground: a primary, a streaming replica and Headgate in front of both.

Sends a short pgbench run through Headgate, shows the pools and the hosts, prints how to
connect with psql, and goes on with a little traffic, for the dashboard to show, until Ctrl-C
or SIGTERM; then everything is gone again.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lib import processes  # noqa: E402
from lib.headgate import PROGRAM, Headgate  # noqa: E402
from lib.postgres import Postgres, User, program  # noqa: E402

APP = User("app", "app-secret", "scram-sha-256")
ADMIN_PASSWORD = "admin-secret"
SHOWN = {
    "SHOW POOLS": ["database", "user", "cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_used", "maxwait",
                   "pool_mode"],
    "SHOW HOSTS": ["database", "host", "port", "role", "in_use", "lsn", "lag_us"],
}  # fmt: skip


def say(text=""):
    print(text, flush=True)


def start_headgate(primary, replica, port):
    """Both databases list both hosts: which of them is the primary is found out."""
    hosts = ",".join(server.settings["listen_addresses"] for server in (primary, replica))
    where = {"host": hosts, "port": primary.port, "dbname": "app"}
    headgate = Headgate(
        {"app": {**where, "target_session_attrs": "primary"},
         "app_ro": {**where, "target_session_attrs": "prefer-standby"}},
        monitor_user=APP.name,
        userlist={APP.name: APP.password, "admin": ADMIN_PASSWORD},
        auth_type="scram-sha-256",
        pool_mode="transaction",
        max_client_conn=1000,
        default_pool_size=20,
        http_port=processes.free_port(preferred=9127),
    )
    headgate.port = headgate.settings["listen_port"] = processes.free_port(preferred=port)
    return headgate.start()


def pgbench(headgate, *arguments):
    command = [program("pgbench"), "-h", "127.0.0.1", "-p", str(headgate.port), "-U", APP.name, *arguments]
    done = subprocess.run(
        command, env={**os.environ, "PGPASSWORD": APP.password}, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    if done.returncode != 0:
        raise SystemExit(f"pgbench failed:\n{done.stdout}")
    return done.stdout


def show_traffic(headgate, seconds):
    for database, flags in (("app", []), ("app_ro", ["-S"])):
        say(f"pgbench with 32 clients on {database} for {seconds} s ...")
        report = pgbench(headgate, "-n", "-c", "32", "-j", "2", "-T", str(seconds), *flags, database)
        for line in report.splitlines():
            if line.startswith(("tps", "latency average", "number of failed")):
                say("    " + line)


# A transaction in which the application thinks: it holds its server meanwhile.
THINKING = """\\set account random(1, 100000)
BEGIN;
SELECT abalance FROM pgbench_accounts WHERE aid = :account;
\\sleep :pause ms
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :account;
COMMIT;
"""


class Traffic:
    """pgbench in the background, at a rate that leaves the machine to its owner; ended with the stack."""

    def __init__(self, headgate, stack):
        self.headgate, self.stack = headgate, stack
        self.script = headgate.path("thinking.sql")
        processes.write_file(self.script, THINKING)

    def send(self, database, name, *arguments):
        command = [program("pgbench"), "-h", "127.0.0.1", "-p", str(self.headgate.port), "-U", APP.name, "-n",
                   "-T", "1000000", *arguments, database]  # fmt: skip
        process = processes.spawn(command, self.headgate.path(f"pgbench-{name}.log"),
                                  {"PGPASSWORD": APP.password, "PGAPPNAME": name})  # fmt: skip
        self.stack.callback(processes.stop, process)
        return process

    def a_little(self):
        self.send("app", "shop", "-c", "16", "-R", "150")
        self.send("app", "checkout", "-c", "8", "-R", "40", "-f", self.script, "-D", "pause=60")
        self.send("app_ro", "reports", "-S", "-c", "8", "-R", "250")


def show(headgate, command):
    columns = SHOWN[command]
    with headgate.console(password=ADMIN_PASSWORD) as console:
        rows = console.execute(command).fetchall()
    table = [columns] + [[str(row[column] or 0) for column in columns] for row in rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
    say("\n" + command)
    for row in table:
        say("    " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)))


def dashboard(headgate):
    return f"http://127.0.0.1:{headgate.settings['http_port']}/"


def print_how_to_connect(headgate, primary, replica):
    def command(user, password, database):
        return f"PGPASSWORD={password} psql -h 127.0.0.1 -p {headgate.port} -U {user} {database}"

    say(f"""
Dashboard: {dashboard(headgate)}   (metrics: {dashboard(headgate)}metrics)

Headgate (pid {headgate.pid}) listens on 127.0.0.1:{headgate.port}, unix socket in {headgate.directory}
    user app, password {APP.password}; configuration {headgate.path("headgate.ini")}, log {headgate.path("log")}
    primary (database app):    {command(APP.name, APP.password, "app")}
    replica (database app_ro): {command(APP.name, APP.password, "app_ro")}
    admin console:             {command("admin", ADMIN_PASSWORD, "pgbouncer")}
Behind it, directly: primary at 127.0.0.1, replica at 127.0.0.2, port {primary.port} (same user and password)
A failover, to be watched with SHOW HOSTS: kill {primary.process.pid}, then
    psql -h {replica.directory} -p {replica.port} -U postgres -c "SELECT pg_promote()"
""")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--once", action="store_true", help="end after the traffic")
    parser.add_argument("--seconds", type=int, default=3, help="length of each pgbench run")
    parser.add_argument("--scale", type=int, default=5, help="pgbench's scale")
    parser.add_argument("--port", type=int, default=6432, help="where to listen if it is free")
    options = parser.parse_args()

    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: (done.set(), sys.exit(0)))

    processes.raise_file_limit()
    say(f"starting a primary, a replica and {PROGRAM} ...")
    with contextlib.ExitStack() as stack:
        primary = stack.enter_context(Postgres.primary([APP], max_connections=100))
        replica = stack.enter_context(
            Postgres.replica_of(primary, listen_addresses="127.0.0.2", port=primary.port))
        with start_headgate(primary, replica, options.port) as headgate:
            say(f"dashboard: {dashboard(headgate)}")
            say("filling pgbench's tables through Headgate ...")
            pgbench(headgate, "-i", "-q", "-s", str(options.scale), "app")
            if not options.once:
                Traffic(headgate, stack).a_little()
            show_traffic(headgate, options.seconds)
            for command in SHOWN:
                show(headgate, command)
            print_how_to_connect(headgate, primary, replica)
            if options.once:
                return
            say("A little traffic goes on. Ctrl-C ends it and cleans up.")
            while headgate.running and not done.wait(0.5):
                pass
            raise SystemExit("Headgate ended on its own: see above")


if __name__ == "__main__":
    main()
