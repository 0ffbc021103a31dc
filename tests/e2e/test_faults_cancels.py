"""A storm of cancels: for those who want them, and with stale and wrong keys for nobody.

HEADGATE_FAULTS_SCALE (default 1) multiplies the clients.
"""

import asyncio
import random

import pytest

from lib import VARIABLES
from lib.headgate import is_sanitized
from lib.messages import query
from lib.processes import wait_until
from lib.wire import errors
from lib.wire_async import AsyncWire, send_cancel

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only]
SCALE = float(VARIABLES.get("HEADGATE_FAULTS_SCALE", "1"))
SEED = int(VARIABLES.get("HEADGATE_FAULTS_SEED", "99"))


class Storm:
    """Clients that are cancelled now and then, clients that never are, and cancels that mean nobody."""

    def __init__(self, pooler, dice):
        self._port = pooler.port
        self._dice = dice
        self._done = asyncio.Event()
        self._stale = []  # keys of connections that are gone
        self._living = []
        self.hits = self.misses = self.answers = self.stray = 0

    async def run(self, seconds, cancelled, innocent, strays):
        asyncio.get_running_loop().call_later(seconds, self._done.set)
        await asyncio.gather(*(self._be_cancelled() for _ in range(cancelled)),
                             *(self._be_innocent() for _ in range(innocent)),
                             *(self._send_strays() for _ in range(strays)))  # fmt: skip

    async def _open(self):
        wire = await (await AsyncWire.open(self._port)).login()
        self._living.append(wire.key)
        return wire

    def _close(self, wire):
        self._living.remove(wire.key)
        self._stale.append(wire.key)
        wire.close()

    async def _be_cancelled(self):
        while not self._done.is_set():
            wire = await self._open()
            for _ in range(self._dice.randint(1, 10)):
                wire.send(query(f"SELECT pg_sleep({self._dice.choice([0.003, 0.03, 0.3])})"))
                await asyncio.sleep(self._dice.uniform(0, 0.01))
                times = self._dice.randint(1, 3)
                cancels = [asyncio.create_task(send_cancel(self._port, wire.key)) for _ in range(times)]
                codes = [error["C"] for error in errors(await wire.read_until())]
                await asyncio.gather(*cancels)
                assert codes in ([], ["57014"]), codes
                self.hits += len(codes)
                self.misses += not codes
                assert not errors(await wire.query("SELECT 'sent behind the cancels'"))
            self._close(wire)

    async def _be_innocent(self):
        while not self._done.is_set():
            wire = await self._open()
            for _ in range(self._dice.randint(1, 30)):
                answer = await wire.query(f"SELECT pg_sleep({self._dice.choice([0, 0.001, 0.01])})")
                assert not errors(answer)
                self.answers += 1
            self._close(wire)

    async def _send_strays(self):
        """Keys of nobody: of the dead, with one bit wrong, halves of two living ones, anything."""
        while not self._done.is_set():
            if not self._stale or not self._living:
                await asyncio.sleep(0.01)
                continue
            process, secret = self._dice.choice(self._living)
            key = self._dice.choice([
                self._dice.choice(self._stale),
                (process, secret ^ (1 << self._dice.randrange(31))),
                (process ^ (1 << self._dice.randrange(31)), secret),
                (process, self._dice.choice(self._living)[1] ^ 1),
                (self._dice.randrange(-(2**31), 2**31), self._dice.randrange(-(2**31), 2**31)),
            ])  # fmt: skip
            await send_cancel(self._port, key)
            self.stray += 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_storm_of_right_stale_and_wrong_cancels(start_headgate, count_servers, capsys, workers):
    pooler = start_headgate(
        pool_mode="transaction", default_pool_size=4, max_client_conn=2000, workers=workers, listen_backlog=1024,
        log_connections=0, log_disconnections=0,
    )  # fmt: skip
    crowd = 0.3 if is_sanitized() else SCALE

    async def story():
        storm = Storm(pooler, random.Random(SEED + workers))
        await storm.run(4, int(20 * crowd), int(40 * crowd), int(20 * crowd))
        return storm

    storm = asyncio.run(story())
    with capsys.disabled():
        print(f"\nseed {SEED + workers}: cancels with {workers} workers: {storm.hits} hit, {storm.misses} too late,"
              f" {storm.stray} for nobody; {storm.answers} answers to those who were not meant")  # fmt: skip
    assert min(storm.hits, storm.stray, storm.answers) > 0
    wait_until(lambda: pooler.pool()["sv_active"] == 0, 20, "every server is free")
    assert count_servers() <= 4
