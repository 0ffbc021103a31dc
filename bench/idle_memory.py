#!/usr/bin/python3
"""The memory of one idle client, in clear and over TLS: Headgate beside PgBouncer.

Logs in so many clients, has each run one query, and compares the resident memory before and
after, when the allocators have had time to give back what the log-ins left.
"""

import argparse
import asyncio
import os
import shlex
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "tests", "e2e")]

from lib import processes  # noqa: E402
from lib.certificates import Authority, client_context  # noqa: E402
from lib.headgate import PROGRAM, Headgate  # noqa: E402
from lib.postgres import Postgres, User  # noqa: E402
from lib.wire_async import log_in_many  # noqa: E402

import report  # noqa: E402
from run import version_of  # noqa: E402

FIRST = 50  # clients that come before: what is made once counts for nobody
SETTLE_SECONDS = 20  # the allocators give back within ten
PEERS = {"headgate-1": (PROGRAM, {"workers": 1}), "headgate-2": (PROGRAM, {"workers": 2}),
         "pgbouncer": ("/usr/sbin/pgbouncer", {})}  # fmt: skip


async def bytes_for_each(pooler, count, context):
    first = await log_in_many(pooler.port, FIRST, context=context)
    await asyncio.gather(*(wire.query("SELECT 1") for wire in first))
    before = pooler.rss_bytes()
    wires = await log_in_many(pooler.port, count, context=context)
    for wire in wires:
        await wire.query("SELECT 1")
    await asyncio.sleep(SETTLE_SECONDS)
    after = pooler.rss_bytes()
    for wire in first + wires:
        wire.reset()
    return (after - before) / count


def measure(name, postgres, own, count, tls):
    program, extra = PEERS[name]
    database = {"host": "127.0.0.1", "port": postgres.port, "dbname": "app"}
    with Headgate(
        {"app": database}, program=program, pool_mode="transaction", max_client_conn=count + 2 * FIRST,
        client_tls_sslmode="prefer", client_tls_key_file=own.key, client_tls_cert_file=own.certificate,
        server_tls_sslmode="disable", log_connections=0, log_disconnections=0, **extra,
    ) as pooler:  # fmt: skip
        return asyncio.run(bytes_for_each(pooler, count, client_context() if tls else None))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", nargs="?", type=int, default=1000, help="clients (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="interleaved; the median counts")
    parser.add_argument("--write", metavar="FILE", help="write the table and how it came about")
    return parser.parse_args()


def section(rounds):
    """`rounds`: (tls, name) -> bytes for each client, round by round."""
    rows = [["clients", "peer", "bytes each", "/ pgbouncer", "rounds"]]
    for (tls, name), each in rounds.items():
        ratio = statistics.median(each) / statistics.median(rounds[tls, "pgbouncer"])
        rows.append(["TLS" if tls else "clear", name, f"{statistics.median(each):.0f}", f"{ratio:.2f}",
                     " ".join(f"{one:.0f}" for one in each)])  # fmt: skip
    return report.table(rows)


def document(table, options):
    command = " ".join(["bench/idle_memory.py", *(shlex.quote(word) for word in sys.argv[1:])])
    return "\n".join([
        "# Memory of an idle client", "",
        f"Resident memory for each of {options.count} logged-in clients that have run a query; medians of "
        f"{options.rounds} interleaved rounds.", "",
        f"- command: `{command}`",
        f"- machine: {report.machine()}",
        f"- headgate: {version_of([PROGRAM, '-V'])}",
        f"- pgbouncer: {version_of(['/usr/sbin/pgbouncer', '-V'])}",
        f"- OpenSSL of both: {version_of(['openssl', 'version'])}", "",
        table, "",
    ])  # fmt: skip


def main():
    options = parse_arguments()
    processes.raise_file_limit()
    processes.clean_up_on_sigterm()
    rounds = {(tls, name): [] for tls in (False, True) for name in PEERS}
    with Authority() as authority, Postgres.primary([User("app")]) as postgres:
        own = authority.issue("bench", "DNS:localhost")
        for _ in range(options.rounds):
            for tls, name in rounds:
                each = measure(name, postgres, own, options.count, tls)
                rounds[tls, name].append(each)
                print(f"{'TLS' if tls else 'clear':6} {name:11} {each:8.0f}", flush=True)
    table = section(rounds)
    print(table)
    if options.write:
        with open(options.write, "w", encoding="utf-8") as file:
            file.write(document(table, options))


if __name__ == "__main__":
    main()
