#!/usr/bin/python3
"""The memory of one idle client, in clear and over TLS: Headgate beside PgBouncer.

Logs in so many clients, has each run one query, and compares the resident memory before and
after, when the allocators have had time to give back what the log-ins left.
"""

import asyncio
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "tests", "e2e")]

from lib import processes  # noqa: E402
from lib.certificates import Authority, client_context  # noqa: E402
from lib.headgate import PROGRAM, Headgate  # noqa: E402
from lib.postgres import Postgres, User  # noqa: E402
from lib.wire_async import log_in_many  # noqa: E402

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


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    processes.raise_file_limit()
    processes.clean_up_on_sigterm()
    print(f"bytes for each of {count} idle clients")
    with Authority() as authority, Postgres.primary([User("app")]) as postgres:
        own = authority.issue("bench", "DNS:localhost")
        for tls in (False, True):
            for name in PEERS:
                each = measure(name, postgres, own, count, tls)
                print(f"{'tls' if tls else 'clear':6} {name:11} {each:8.0f}", flush=True)


if __name__ == "__main__":
    main()
