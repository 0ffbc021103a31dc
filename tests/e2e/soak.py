#!/usr/bin/python3
"""Mixed traffic with faults for so many seconds, in rounds of different settings and seeds.

Ends with one line that counts rounds, answers and failures; exit status 1 if there were any.
"""

import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lib import ownership, processes  # noqa: E402
from lib.headgate import Headgate, only_headgate  # noqa: E402
from lib.postgres import Postgres, User  # noqa: E402
from lib.processes import wait_until  # noqa: E402
from lib.watch import PeakServers  # noqa: E402

ROUND_SECONDS = 20


def one_round(postgres, seed, seconds):
    """The Tally of one round with a pooler of its own, drawn from the seed."""
    dice = random.Random(seed)
    servers = dice.choice([1, 2, 3, 5, 10])
    settings = {
        "pool_mode": "transaction",
        "default_pool_size": servers,
        "max_client_conn": 5000,
        "query_timeout": 10,
        "server_lifetime": dice.choice([1, 3600]),
        "server_round_robin": dice.choice([0, 1]),
        "log_connections": 0,
        "log_disconnections": 0,
        **only_headgate(workers=dice.choice([1, 2, 3, 4])),
    }
    clients = dice.choice([20, 100, 300])
    postgres.end_backends("app")
    databases = {"app": {"host": "127.0.0.1", "port": postgres.port, "dbname": "app"}}
    with Headgate(databases, **settings).start() as pooler, PeakServers(postgres, "app") as peak:
        tally = ownership.run(pooler.port, clients, seconds, seed)
        wait_until(lambda: pooler.pool()["sv_active"] == 0, 30, "every server is free")
        rss_mb = pooler.rss_bytes() / 1e6
    if peak.highest > servers:
        tally.failures.append(f"{peak.highest} servers where {servers} are allowed")
    workers = settings.get("workers", 1)
    print(f"seed {seed}: {clients} clients, {servers} servers, {workers} workers, {rss_mb:.0f} MB: {tally}", flush=True)
    for failure in tally.failures[:10]:
        print(f"    {failure}", flush=True)
    return tally


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seconds", type=int)
    parser.add_argument("--seed", type=int, default=None, help="repeat from this round on")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else int(time.time()) % 1_000_000
    processes.raise_file_limit()
    processes.clean_up_on_sigterm()
    total, rounds, end = ownership.Tally(), 0, time.monotonic() + options.seconds
    with Postgres.primary([User("app")], max_connections=100) as postgres:
        ownership.prepare(postgres, "app")
        while rounds == 0 or time.monotonic() < end:
            seconds = max(1, min(ROUND_SECONDS, end - time.monotonic()))
            try:
                total.add(one_round(postgres, seed + rounds, seconds))
            except (AssertionError, RuntimeError) as problem:
                total.failures.append(str(problem))
                print(f"seed {seed + rounds}: {problem}", flush=True)
            rounds += 1
    print(f"soak: {rounds} rounds, {total}")
    raise SystemExit(1 if total.failures else 0)


if __name__ == "__main__":
    main()
