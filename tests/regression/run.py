#!/usr/bin/python3
"""PostgreSQL's own regression suite: directly, and through Headgate.

    ./dev regress [--ways direct session transaction-track ...] [--pool N] [--keep DIRECTORY]

Each way gets a server of its own. What passes directly has to pass through Headgate, but for the tests in
CANNOT; what fails directly, as where psql is newer than the suite, has to fail with the same differences.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.abspath(os.path.join(HERE, "..", ".."))
sys.path[:0] = [os.path.join(HERE, "..", "e2e")]

from lib import processes  # noqa: E402
from lib.headgate import Headgate  # noqa: E402
from lib.postgres import Postgres, User  # noqa: E402

SUITE = os.path.join(REPOSITORY, "build", "regress")
POSTGRESQL = "/usr/lib/postgresql/15"
WAYS = ["direct", "session", "transaction-track", "transaction-strict"]
HOLDS_STATE = "asks for the last value of a sequence that the session has used (currval, lastval)"
CANNOT = {  # way -> test -> why
    "session": {
        "guc": "needs a server that has not run plpgsql yet",
        "stats": "looks for counters that a server reports when it ends",
        "temp": "needs a server that has no temporary schema yet",
    },
    "transaction": {
        "constraints": HOLDS_STATE,
        "sequence": HOLDS_STATE,
        "triggers": "a library of the suite remembers something in a variable of its own",
    },
}


def known(way):
    """The tests that cannot pass that way."""
    reasons = dict(CANNOT["session"]) if way != "direct" else {}
    return {**reasons, **(CANNOT["transaction"] if way.startswith("transaction") else {})}


# --- the suite and its server


def build_library():
    include = subprocess.check_output(["pg_config", "--includedir-server"], text=True).strip()
    library = os.path.join(SUITE, "regress.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", f"-I{include}", f"{SUITE}/regress.c", "-o", library], check=True)
    for name in ("refint.so", "autoinc.so"):
        shutil.copy(os.path.join(POSTGRESQL, "lib", name), SUITE)


def prepare(server):
    with open(os.path.join(server.data, "pg_hba.conf"), "a", encoding="ascii") as rules:
        rules.write("host all all 127.0.0.1/32 trust\n")  # the tests make users of their own
    with server.connect() as db:
        db.execute("SELECT pg_reload_conf()")
        db.execute("CREATE DATABASE regression TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
        for name, value in (("lc_messages", "C"), ("lc_monetary", "C"), ("lc_numeric", "C"), ("lc_time", "C"),
                            ("bytea_output", "hex"), ("timezone_abbreviations", "Default")):  # fmt: skip
            db.execute(f"ALTER DATABASE regression SET {name} TO '{value}'")


def headgate(server, way, pool):
    mode, _, state = way.partition("-")
    databases = {"*": {"host": "127.0.0.1", "port": server.port}}
    return Headgate(databases, userlist={"postgres": ""}, auth_user="postgres", auth_dbname="postgres",
                    pool_mode=mode, session_state=state or "track", default_pool_size=pool, max_client_conn=500,
                    ignore_startup_parameters="", log_connections=0, log_disconnections=0,
                    query_wait_timeout=300)  # fmt: skip


# --- one run


def run_suite(port, output):
    for directory in ("results", "testtablespace", "sql", "expected"):
        os.makedirs(os.path.join(output, directory))
        os.chmod(os.path.join(output, directory), 0o777)  # the server writes there too
    command = [
        f"{POSTGRESQL}/lib/pgxs/src/test/regress/pg_regress", "--use-existing", "--dbname=regression",
        "--host=127.0.0.1", f"--port={port}", "--user=postgres", f"--bindir={POSTGRESQL}/bin", f"--dlpath={SUITE}",
        f"--inputdir={SUITE}", f"--outputdir={output}", f"--schedule={SUITE}/parallel_schedule",
    ]  # fmt: skip
    environment = {**os.environ, "PGOPTIONS": "-c intervalstyle=postgres_verbose"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=output, check=False).stdout


def verdicts(text):
    """Test -> whether it passed."""
    rows = re.findall(r"(?m)^(?:test|    )\s+(\S+)\s+\.\.\. (ok|FAILED|failed \(ignored\))", text)
    return {test: verdict == "ok" for test, verdict in rows}


def differences(output):
    """Test -> how its result differs from what is expected, without names of files and places."""
    path, found = os.path.join(output, "regression.diffs"), {}
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            for part in re.split(r"(?m)^diff .*/expected/(?=\S+?\.out )", file.read())[1:]:
                lines = [line for line in part.splitlines()[1:] if not line.startswith(("---", "+++"))]
                found[re.sub(r"(_\d+)?\.out .*", "", part.splitlines()[0])] = "\n".join(lines)
    return found


def run(way, pool, output):
    shutil.rmtree(output, ignore_errors=True)
    os.makedirs(output)
    os.chmod(output, 0o777)
    with Postgres.primary([User("app")], max_connections=100) as server:
        prepare(server)
        if way == "direct":
            text = run_suite(server.port, output)
        else:
            with headgate(server, way, pool) as pooler:
                text = run_suite(pooler.port, output)
    return verdicts(text), differences(output)


def report(way, results, directly):
    """Prints what one way has shown; whether that is as it should be."""
    passed, diffs = results
    bad = []
    print(f"{way}: {sum(passed.values())} of {len(passed)} passed", flush=True)
    for test in sorted(set(passed) | set(directly[0])):
        if passed.get(test) or diffs.get(test, "?") == directly[1].get(test):
            continue
        reason = known(way).get(test)
        print(f"  {test}: {reason or 'DIFFERS'}")
        bad += [] if reason else [test]
    return not bad and len(passed) == len(directly[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--pool", type=int, default=8, help="servers of each pool")
    parser.add_argument("--keep", default=os.path.join(REPOSITORY, "build", "regress-results"))
    options = parser.parse_args()
    processes.raise_file_limit()
    processes.clean_up_on_sigterm()
    build_library()
    good, directly = True, None
    for way in dict.fromkeys(["direct", *options.ways]):
        results = run(way, options.pool, os.path.join(options.keep, way))
        directly = directly or results
        good &= report(way, results, directly)
    print(f"results and differences: {options.keep}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
