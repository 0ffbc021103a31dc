"""Medians over the rounds, of figures and of their ratios to PgBouncer's and the relay's, as markdown tables."""

import dataclasses
import os
import statistics

from measure import Sample

NUMBERS = [field.name for field in dataclasses.fields(Sample) if field.name != "failure"]


def median(samples):
    """The median of each number; a Sample with a failure if any round failed."""
    for sample in samples:
        if sample.failure:
            return sample
    return Sample(**{name: statistics.median(getattr(s, name) for s in samples) for name in NUMBERS})


def ratio(results, name, of, field="cpu"):
    """The median of the ratios within each round; a dash where there is none."""
    ratios = []
    for own, base in zip(results[name], results.get(of, [])):
        if own.failure or base.failure or not getattr(own, field) or not getattr(base, field):
            return "-"
        ratios.append(getattr(own, field) / getattr(base, field))
    return f"{statistics.median(ratios):.2f}" if ratios else "-"


def latency(value):
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def pgbouncer_of(medians):
    """Where it cannot do the work by the transaction, it does it by the session."""
    by_transaction = medians.get("pgbouncer")
    cannot = not by_transaction or by_transaction.failure
    return "pgbouncer-session" if cannot and "pgbouncer-session" in medians else "pgbouncer"


def row_of(name, medians, results):
    sample = medians[name]
    pgbouncer = pgbouncer_of(medians)
    if sample.failure:
        return [name, f"fails: {sample.failure}"] + [""] * 9
    has_process = sample.rss_mb > 0
    return [
        name,
        f"{sample.tps:.0f}",
        latency(sample.p50),
        latency(sample.p95),
        latency(sample.p99),
        f"{sample.cpu:.2f}" if has_process else "-",
        ratio(results, name, pgbouncer),
        ratio(results, name, "relay"),
        ratio(results, name, pgbouncer, "p99"),
        f"{sample.postgres_cpu:.1f}",
        f"{sample.rss_mb:.1f}" if has_process else "-",
    ]


def table(rows):
    widths = [max(len(row[i]) for row in rows if len(row[i]) < 40) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def workload_section(workload, results, options):
    """`results`: peer name -> list of Samples. The section of one workload, as markdown."""
    medians = {name: median(samples) for name, samples in results.items() if samples}
    unit = workload.unit
    head = ["peer", "TPS", "p50 ms", "p95 ms", "p99 ms", f"CPU us/{unit}", "CPU / pgbouncer",
            "CPU / relay", "p99 / pgbouncer", f"PostgreSQL us/{unit}", "RSS MB"]
    title = f"## {workload.name}: {workload.title}"
    clients = workload.clients or options.clients
    idle = f", {options.idle} idle clients beside them" if workload.idle_clients else ""
    return "\n".join([title, "", f"{clients} clients{idle}", "",
                      table([head] + [row_of(name, medians, results) for name in medians]), ""])


def machine():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        for line in cpuinfo:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{os.cpu_count()} x {model}, Linux {os.uname().release}"


def document(sections, options, command, versions):
    restarts = f", of {options.restarts} starts of all peers" if options.restarts > 1 else ""
    rounds = options.rounds * options.restarts
    return "\n".join([
        "# Benchmark results",
        "",
        f"Medians of {rounds} interleaved rounds of {options.seconds} s each{restarts}. The machine is shared and"
        " noisy: only ratios count, and they are medians of the ratios within each round.",
        "CPU is user and system time of all threads of the peer; PostgreSQL's that of all its processes.",
        "",
        f"- command: `{command}`",
        f"- machine: {machine()}",
        *[f"- {name}: {version}" for name, version in versions.items()],
        f"- transaction mode, {options.pool_size} servers; relay and haproxy: one server for each client",
        "",
        *sections,
    ])
