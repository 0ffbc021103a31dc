#!/usr/bin/python3
"""The benchmark: pgbench through Headgate, PgBouncer, a bare relay, haproxy, and no proxy.

Rounds are interleaved (every peer once in each round, in an order that is shuffled anew, so that none
always follows the same other) because the machine is noisy: only ratios within a round mean anything,
which are told as their medians over all rounds. The rounds of one start can all err the same way:
two PgBouncers with the same settings came out up to 14 percent apart. --restarts is for that.
"""

import argparse
import contextlib
import os
import random
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "tests", "e2e")]

from lib import processes  # noqa: E402
from lib.headgate import PROGRAM  # noqa: E402
from lib.postgres import Postgres, User, program  # noqa: E402

import measure  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402
import workloads  # noqa: E402

RESULTS = os.path.join(HERE, "RESULTS.md")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workload", action="append", choices=list(workloads.BY_NAME), help="may be repeated")
    parser.add_argument("--peers", default=",".join(peers.USUAL), help="comma list of " + " ".join(peers.ALL))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--restarts", type=int, default=1,
                        help="start PostgreSQL and all peers anew so often, with these rounds each time")
    parser.add_argument("--seconds", type=int, default=5, help="length of one round of one peer")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--pool-size", type=int, default=20)
    parser.add_argument("--idle", type=int, default=10000, help="idle clients of that workload")
    parser.add_argument("--scale", type=int, default=20, help="pgbench's scale")
    parser.add_argument("--write", nargs="?", const=RESULTS, metavar="FILE", help="write bench/RESULTS.md, or FILE")
    options = parser.parse_args()
    options.peers = options.peers.split(",")
    unknown = set(options.peers) - set(peers.ALL)
    if unknown:
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}")
    return options


def say(text=""):
    print(text, flush=True)


def version_of(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "not found"
    return (done.stdout + done.stderr).strip().splitlines()[0]


def versions(options):
    commands = {
        "headgate": [PROGRAM, "-V"],
        "pgbouncer": ["/usr/sbin/pgbouncer", "-V"],
        "haproxy": ["/usr/sbin/haproxy", "-v"],
        "postgres": [program("postgres"), "--version"],
    }
    wanted = {"postgres"} | {name.split("-")[0] for name in options.peers}
    return {name: version_of(command) for name, command in commands.items() if name in wanted}


def shuffled(items, *seed):
    """In an order that looks random, and is the same in every run."""
    return random.Random(str(seed)).sample(items, len(items))


def run_workload(workload, running, postgres, options, restart):
    """peer name -> one Sample for each round."""
    able = [peer for peer in running if peer.is_pooler or not workload.poolers_only]
    results = {peer.name: [] for peer in able}
    idle = options.idle if workload.idle_clients else 0
    for number in range(options.rounds + 1):  # the first warms up and does not count
        for peer in shuffled(able, workload.name, restart, number):
            if any(sample.failure for sample in results[peer.name]):
                continue
            with measure.idle_clients(peer, idle):
                sample = measure.run(peer, postgres, workload, options, options.seconds if number else 1)
            if number or sample.failure:
                results[peer.name].append(sample)
                progress(workload, number, peer, sample)
    return results


def progress(workload, number, peer, sample):
    figures = sample.failure or f"{sample.tps:9.0f} tps {sample.cpu:8.2f} us/{workload.unit} p99 {sample.p99:.2f} ms"
    print(f"  {workload.name} round {number} {peer.name:11} {figures}", file=sys.stderr, flush=True)


def fill_tables(postgres, options):
    command = [program("pgbench"), "-i", "-q", "-s", str(options.scale), "-h", postgres.directory,
               "-p", str(postgres.port), "-U", "app", "app"]
    subprocess.run(command, check=True, capture_output=True)


def run_once(options, restart, take):
    """Starts everything; `take` is given each workload and its results."""
    with contextlib.ExitStack() as stack:
        postgres = stack.enter_context(Postgres.primary([User("app")], max_connections=400))
        fill_tables(postgres, options)
        running = []
        for name in options.peers:
            running.append(peers.ALL[name](postgres, options))
            stack.callback(running[-1].stop)
        for name in options.workload or workloads.BY_NAME:
            workload = workloads.BY_NAME[name]
            take(workload, run_workload(workload, running, postgres, options, restart))


def run_all(options):
    """The markdown section of each workload, of the rounds of all restarts."""
    collected, sections = {}, {}

    def take(workload, results):
        so_far = collected.setdefault(workload.name, {})
        for peer, samples in results.items():
            so_far.setdefault(peer, []).extend(samples)
        sections[workload.name] = report.workload_section(workload, so_far, options)
        say(sections[workload.name])

    for restart in range(options.restarts):
        run_once(options, restart, take)
    return list(sections.values())


def main():
    options = parse_arguments()
    processes.raise_file_limit()
    processes.clean_up_on_sigterm()
    sections = run_all(options)
    if options.write:
        command = " ".join(["./dev bench", *sys.argv[1:]])
        with open(options.write, "w", encoding="utf-8") as file:
            file.write(report.document(sections, options, command, versions(options)))
        say(f"written to {os.path.relpath(options.write)}")


if __name__ == "__main__":
    main()
