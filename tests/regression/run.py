#!/usr/bin/python3
"""PostgreSQL's own regression tests, through Headgate and directly.

    tests/regression/run.py [--way direct|session|transaction] [--state track|strict] [--pool N] [TEST...]

tests/regression/fetch brings the tests. Each way gets a server of its own. A test that passes directly and
not through Headgate is a difference, and is listed with the place of its diff.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.join(HERE, "..", "..")
sys.path[:0] = [os.path.join(HERE, "..", "e2e")]

from lib import processes  # noqa: E402
from lib.headgate import Headgate  # noqa: E402
from lib.postgres import Postgres, User  # noqa: E402

SUITE = os.path.join(REPOSITORY, "build", "regress")
PG_REGRESS = "/usr/lib/postgresql/15/lib/pgxs/src/test/regress/pg_regress"
BINARIES = "/usr/lib/postgresql/15/bin"


def prepare(server):
    with open(os.path.join(server.data, "pg_hba.conf"), "a", encoding="ascii") as rules:
        rules.write("host all all 127.0.0.1/32 trust\n")  # the tests make users of their own
    with server.connect() as db:
        db.execute("SELECT pg_reload_conf()")
        db.execute("CREATE DATABASE regression TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
        for name, value in (("lc_messages", "C"), ("lc_monetary", "C"), ("lc_numeric", "C"), ("lc_time", "C"),
                            ("bytea_output", "hex"), ("timezone_abbreviations", "Default")):  # fmt: skip
            db.execute(f"ALTER DATABASE regression SET {name} TO '{value}'")


def headgate(server, options):
    databases = {"*": {"host": "127.0.0.1", "port": server.port}}
    return Headgate(databases, userlist={"postgres": ""}, auth_user="postgres", auth_dbname="postgres",
                    pool_mode=options.way, session_state=options.state, default_pool_size=options.pool,
                    max_client_conn=500, ignore_startup_parameters="", log_connections=0, log_disconnections=0,
                    query_wait_timeout=300)  # fmt: skip


def run_suite(port, options, output):
    shutil.rmtree(output, ignore_errors=True)
    for directory in ("", "results", "testtablespace", "sql", "expected"):
        os.makedirs(os.path.join(output, directory), exist_ok=True)
        os.chmod(os.path.join(output, directory), 0o777)
    arguments = [
        PG_REGRESS, "--use-existing", "--dbname=regression", "--host=127.0.0.1", f"--port={port}", "--user=postgres",
        f"--bindir={BINARIES}", f"--dlpath={SUITE}", f"--inputdir={SUITE}", f"--outputdir={output}",
        "--max-concurrent-tests=20",
    ]  # fmt: skip
    arguments += options.tests or [f"--schedule={SUITE}/parallel_schedule"]
    environment = {**os.environ, "PGOPTIONS": "-c intervalstyle=postgres_verbose"}
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment, cwd=output, check=False)
    sys.stderr.write(done.stderr[-2000:] if not options.quiet else "")
    return done.stdout


def verdicts(text):
    """Test -> whether it passed."""
    found = {}
    for line in text.splitlines():
        row = re.match(r"(?:test |     )?\s*(\S+)\s+\.\.\. (ok|FAILED|failed \(ignored\))", line)
        if row:
            found[row[1]] = row[2] == "ok"
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way", choices=["direct", "session", "transaction"], default="direct")
    parser.add_argument("--state", choices=["track", "strict", "pgbouncer"], default="track")
    parser.add_argument("--pool", type=int, default=8)
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    processes.clean_up_on_sigterm()
    name = options.way if options.way == "direct" else f"{options.way}-{options.state}"
    output = os.path.join("/tmp", f"headgate-regress-{name}")
    with Postgres.primary([User("app")], max_connections=100) as server:
        prepare(server)
        if options.way == "direct":
            text = run_suite(server.port, options, output)
        else:
            with headgate(server, options) as pooler:
                text = run_suite(pooler.port, options, output)
    if not options.quiet:
        print(text)
    found = verdicts(text)
    failed = sorted(test for test, passed in found.items() if not passed)
    print(f"{name}: {len(found) - len(failed)} of {len(found)} tests passed")
    print(f"failed: {' '.join(failed)}\n{output}/regression.diffs" if failed else "")


if __name__ == "__main__":
    main()
