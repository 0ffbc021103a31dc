"""One pgbench run through one peer, and what it cost everybody."""

import contextlib
import glob
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from lib import processes
from lib.postgres import program

IDLE_CLIENTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "idle_clients.py")


@dataclass
class Sample:
    """One round of one peer. Latencies in ms, CPU in us for each unit (transaction or MB)."""

    tps: float = 0
    p50: float = 0
    p95: float = 0
    p99: float = 0
    cpu: float = 0
    postgres_cpu: float = 0
    rss_mb: float = 0
    failure: str = ""


def percentile(ordered, share):
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0


def read_latencies(directory):
    """pgbench --log: the third column is the latency in us."""
    latencies = []
    for path in glob.glob(os.path.join(directory, "latency*")):
        with open(path, encoding="ascii") as log:
            for line in log:
                latency = line.split(" ", 3)[2]
                if latency.isdigit():
                    latencies.append(int(latency) / 1000)
    return sorted(latencies)


def pgbench_command(peer, workload, options, seconds, directory):
    clients = workload.clients or options.clients
    command = [program("pgbench"), "-n", "-h", "127.0.0.1", "-p", str(peer.port), "-U", "app",
               "-c", str(clients), "-j", "1", "-T", str(seconds), "--log",
               f"--log-prefix={directory}/latency", *workload.flags]
    if workload.sampling < 1:
        command.append(f"--sampling-rate={workload.sampling}")
    if workload.script:
        path = os.path.join(directory, "script.sql")
        with open(path, "w", encoding="ascii") as script:
            script.write(workload.script)
        command += ["-f", path]
    return [*command, "app"]


def first_error(output):
    for line in output.splitlines():
        if "error:" in line or "FATAL" in line:
            return re.sub(r"^pgbench: ", "", line)[:160]
    return output[-160:]


def run(peer, postgres, workload, options, seconds):
    """A Sample; its `failure` is set if pgbench did not get through."""
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as directory:
        command = pgbench_command(peer, workload, options, seconds, directory)
        postmaster = postgres.process.pid
        cpu, postgres_cpu = peer.cpu_nanoseconds(), processes.family_cpu_nanoseconds(postmaster)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60,
                              env={**os.environ, "PGSSLMODE": "require" if workload.tls else "disable",
                                   "PGOPTIONS": workload.options})
        cpu = peer.cpu_nanoseconds() - cpu
        postgres_cpu = processes.family_cpu_nanoseconds(postmaster) - postgres_cpu
        count = re.search(r"transactions actually processed: (\d+)", done.stdout)
        if done.returncode != 0 or not count or count.group(1) == "0":
            return Sample(failure=first_error(done.stderr + done.stdout))
        units = int(count.group(1)) * workload.units_per_transaction
        latencies = read_latencies(directory)
        return Sample(
            tps=float(re.search(r"^tps = ([0-9.]+)", done.stdout, re.M).group(1)),
            p50=percentile(latencies, 0.50),
            p95=percentile(latencies, 0.95),
            p99=percentile(latencies, 0.99),
            cpu=cpu / 1000 / units,
            postgres_cpu=postgres_cpu / 1000 / units,
            rss_mb=peer.rss_bytes() / 1e6,
        )


@contextlib.contextmanager
def idle_clients(peer, count):
    """So many clients of a process of their own, logged in through the peer and silent."""
    if not count:
        yield
        return
    process = subprocess.Popen(
        [sys.executable, IDLE_CLIENTS, str(peer.port), str(count)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    try:
        answer = process.stdout.readline()
        if answer.strip() != "ready":
            raise RuntimeError(f"idle clients of {peer.name}: {answer}")
        yield
    finally:
        process.stdin.close()
        process.wait(60)
