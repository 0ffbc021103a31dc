"""What pgbench does through each peer, and in which unit its cost is told."""

from dataclasses import dataclass, field

FIVE_MB = "SELECT repeat('x', 5 * 1024 * 1024);\n"
THINK = """\\set account random(1, 100000)
BEGIN;
\\sleep 5 ms
SELECT abalance FROM pgbench_accounts WHERE aid = :account;
COMMIT;
"""
PIPELINE = "".join(
    ["\\startpipeline\n"]
    + [f"\\set account{n} random(1, 100000)\n" for n in range(10)]
    + [f"SELECT abalance FROM pgbench_accounts WHERE aid = :account{n};\n" for n in range(10)]
    + ["\\endpipeline\n"]
)
FORTY_MB = "SELECT repeat('x', 40 * 1024 * 1024);\n"


@dataclass(frozen=True)
class Workload:
    name: str
    title: str
    flags: list = field(default_factory=list)
    script: str = ""  # a pgbench script of our own
    clients: int = 0  # 0: as asked on the command line
    sampling: float = 0.2  # part of the transactions whose latency is logged
    megabytes: float = 0  # per transaction: cost is then told per MB
    idle_clients: bool = False
    poolers_only: bool = False
    options: str = ""  # PGOPTIONS: settings that pgbench's connections begin with
    tls: bool = False  # between pgbench and the peer; that is for poolers only

    @property
    def unit(self):
        return "MB" if self.megabytes else "tx"

    @property
    def units_per_transaction(self):
        return self.megabytes or 1


ALL = [
    Workload("select-simple", "select-only, simple protocol", ["-S", "-M", "simple"]),
    Workload("select-extended", "select-only, extended protocol", ["-S", "-M", "extended"]),
    Workload("select-prepared", "select-only, prepared statements", ["-S", "-M", "prepared"]),
    Workload("pipeline-prepared", "a pipeline of ten prepared selects", ["-M", "prepared"], script=PIPELINE),
    Workload("select-settings", "select-only, simple protocol, by clients that have 5 settings of their own",
             ["-S", "-M", "simple"],
             options="-c app.a=1 -c app.b=2 -c work_mem=5MB -c lock_timeout=30s -c search_path=public"),
    Workload("tpcb", "TPC-B, simple protocol", ["-M", "simple"], sampling=1),
    Workload("think", "a transaction that thinks for 5 ms before its only statement", script=THINK, clients=64,
             sampling=1, poolers_only=True),
    Workload("connect", "a connection for each transaction (-C), select-only", ["-S", "-C"], sampling=1),
    Workload("result-5mb", "one row of 5 MB", script=FIVE_MB, clients=4, sampling=1, megabytes=5),
    Workload("result-40mb", "one row of 40 MB", script=FORTY_MB, clients=2, sampling=1, megabytes=40,
             poolers_only=True),
    Workload("result-40mb-tls", "one row of 40 MB, over TLS", script=FORTY_MB, clients=2, sampling=1, megabytes=40,
             poolers_only=True, tls=True),
    Workload("select-tls", "select-only, simple protocol, over TLS", ["-S", "-M", "simple"],
             poolers_only=True, tls=True),
    Workload("connect-tls", "a connection over TLS for each transaction (-C), select-only", ["-S", "-C"],
             sampling=1, poolers_only=True, tls=True),
    Workload(
        "idle-clients",
        "select-only simple, beside many logged-in idle clients",
        ["-S", "-M", "simple"],
        idle_clients=True,
        poolers_only=True,
    ),
]
BY_NAME = {workload.name: workload for workload in ALL}
