"""Nobody gets another's answer, and nobody's answer is lost (see lib/ownership.py)."""

import pytest

from lib import ownership
from lib.headgate import is_sanitized
from lib.processes import wait_until
from lib.watch import PeakServers

pytestmark = pytest.mark.sanitizers

SEED = 1
SECONDS = 7
SERVERS = 3


@pytest.mark.headgate_only  # 1.18 fails: a client that vanishes in a message spoils the next one's
@pytest.mark.parametrize("workers", [1, 3])
def test_every_answer_is_its_asker_s(start_headgate, postgres, count_servers, workers):
    ownership.prepare(postgres, "single")
    pooler = start_headgate(
        pool_mode="transaction", default_pool_size=SERVERS, max_client_conn=2000, query_timeout=5,
        log_connections=0, log_disconnections=0, workers=workers,
    )  # fmt: skip
    with PeakServers(postgres, "single") as peak:
        tally = ownership.run(pooler.port, 60 if is_sanitized() else 200, SECONDS, SEED + workers)
    print(f"seed {SEED + workers}: {tally}")
    assert not tally.failures, f"seed {SEED + workers}: " + "\n".join(tally.failures[:20])
    assert tally.answers > 500
    assert min(tally.cancelled, tally.vanished) > 0
    assert peak.highest <= SERVERS
    wait_until(lambda: pooler.pool()["sv_active"] == 0, what="every server is free")
    assert count_servers() <= SERVERS
