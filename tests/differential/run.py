#!/usr/bin/python3
"""Random programs of protocol messages, each directly and through Headgate: the answers must be equal.

Ends with one line that counts programs, messages, runs and differences; exit status 1 if there were any.
"""

import argparse
import itertools
import multiprocessing
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]

from campaign import CLIENTS, Campaign, Tally, poolers_for  # noqa: E402
from generate import program  # noqa: E402
from lane import prepare  # noqa: E402
from lib import processes  # noqa: E402
from lib.postgres import Postgres, User  # noqa: E402
from steps import Program  # noqa: E402

STRIDE = 10_000_000  # far more seeds than one job can use


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=float, help="go on for so long")
    length.add_argument("--programs", type=int, help="so many programs")
    length.add_argument("--seed", type=int, help="show this program and repeat it")
    parser.add_argument("--repeat", type=int, default=20, help="how often, with --seed (default: 20)")
    parser.add_argument("--mode", choices=Program.MODES, help="only this pool mode")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the poolers")
    parser.add_argument("--start-seed", type=int, default=None, help="default: drawn from the clock")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    return parser.parse_args()


def work(job, postgres, chosen, modes, results):
    """One process of the run: its poolers, its clients, its seeds. Whatever happens, it reports."""
    processes.clean_up_on_sigterm()
    tally = Tally()
    try:
        settings = dict(each.split("=", 1) for each in chosen.set)
        with poolers_for(postgres, modes, **settings) as ports:
            until = time.monotonic() + chosen.seconds if chosen.seconds else float("inf")
            Campaign(postgres.port, ports, seeds_of(job, chosen), until, job * CLIENTS, tally=tally).run()
    except BaseException as problem:
        tally.differences.append(f"job {job}: {type(problem).__name__} {problem}")
        raise
    finally:
        results.put(tally)


def seeds_of(job, chosen):
    if chosen.seed is not None:
        return iter([chosen.seed] * chosen.repeat)
    if chosen.programs:
        return iter(range(chosen.start_seed + job, chosen.start_seed + chosen.programs, chosen.jobs))
    return itertools.count(chosen.start_seed + job * STRIDE)


def run_jobs(chosen, modes):
    total = Tally()
    with Postgres.primary([User("app")], max_connections=200) as postgres:
        prepare(postgres, chosen.jobs * CLIENTS)
        results = multiprocessing.Queue()
        jobs = [multiprocessing.Process(target=work, args=(job, postgres, chosen, modes, results))
                for job in range(chosen.jobs)]  # fmt: skip
        for job in jobs:
            job.start()
        for _ in jobs:
            total.add(results.get())
        for job in jobs:
            job.join()
    return total


def main():
    chosen = options()
    if chosen.start_seed is None:
        chosen.start_seed = int(time.time()) % 1_000_000 * 1000
    if chosen.seed is not None:
        chosen.jobs = 1
        print(f"seed {chosen.seed}, for {', '.join(program(chosen.seed).modes)} mode:\n{program(chosen.seed)}")
    elif not chosen.programs and not chosen.seconds:
        chosen.seconds = 60
    processes.clean_up_on_sigterm()
    start = time.monotonic()
    total = run_jobs(chosen, (chosen.mode,) if chosen.mode else Program.MODES)
    for text in total.differences:
        print(text, flush=True)
    seconds = time.monotonic() - start
    print(f"differential: {total} in {seconds:.0f} s, from seed {chosen.start_seed}")
    raise SystemExit(1 if total.differences else 0)


if __name__ == "__main__":
    main()
