"""Row-level security by settings: many clients of many tenants over few servers.

The policies trust `app.current_tenant` and `app.current_user_id`, which clients set in all the ways
there are. HEADGATE_TENANT_QUERIES sets how many looks there are in all.
"""

import asyncio
import random

import pytest

from lib import VARIABLES
from lib.messages import bind, execute, extended, parse, query, sync
from lib.wire import Wire, ServerError, raise_error
from lib.wire_async import log_in_many

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only, pytest.mark.audited]

CLIENTS, TENANTS, SERVERS = 200, 50, 5
QUERIES = int(VARIABLES.get("HEADGATE_TENANT_QUERIES", "10000"))

SCHEMA = [
    "DROP TABLE IF EXISTS documents",
    "CREATE TABLE documents (tenant text, owner int, body text)",
    f"INSERT INTO documents SELECT 't' || n % {TENANTS}, n, 'secret' FROM generate_series(0, {CLIENTS - 1}) n",
    "ALTER TABLE documents ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE documents FORCE ROW LEVEL SECURITY",
    "CREATE POLICY tenants ON documents USING (tenant = current_setting('app.current_tenant', true)"
    " AND owner::text = current_setting('app.current_user_id', true))",
    "CREATE OR REPLACE FUNCTION become(tenant text, id text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN"
    " PERFORM set_config('app.current_tenant', tenant, false);"
    " PERFORM set_config('app.current_user_id', id, false); END $$",
]
LOOK = "SELECT coalesce(string_agg(tenant || '/' || owner, ','), '') FROM documents"


class Tenant:
    """One client: who it is, and whether Headgate can know that it has said so."""

    def __init__(self, wire, number, dice, hidden_ways):
        self.wire, self.dice = wire, dice
        self.tenant, self.id = f"t{number % TENANTS}", str(number)
        self.mine = f"{self.tenant}/{number}"
        self.known = False  # it has set itself in a way that is tracked
        self.ways = [self.by_set, self.by_set_config, self.by_bound, self.by_do]
        self.hidden = [self.by_function, self.by_dynamic_do] if hidden_ways else []
        self.looks = self.seen = self.foreign = self.missed = 0

    # --- ways to say who one is

    async def by_set(self, tenant):
        await self.say(f"SET app.current_tenant = '{tenant}'; SET SESSION app.current_user_id TO {self.id}")

    async def by_set_config(self, tenant):
        await self.say(f"SELECT set_config('app.current_tenant', '{tenant}', false),"
                       f" set_config('app.current_user_id', '{self.id}', false)")  # fmt: skip

    async def by_bound(self, tenant):
        for name, value in (("app.current_tenant", tenant), ("app.current_user_id", self.id)):
            self.wire.send(parse("SELECT set_config($1, $2, $3)"), bind([name, value, "f"]), execute(), sync())
            raise_error(await self.wire.read_until())

    async def by_do(self, tenant):
        await self.say(f"DO $$ BEGIN PERFORM set_config('app.current_tenant', '{tenant}', false);"
                       f" PERFORM set_config('app.current_user_id', '{self.id}', false); END $$")  # fmt: skip

    async def by_function(self, tenant):
        await self.say(f"SELECT become('{tenant}', '{self.id}')")

    async def by_dynamic_do(self, tenant):
        await self.say(f"DO $$ BEGIN EXECUTE 'SET app.current' || '_tenant = ''{tenant}'''; END $$")

    async def say(self, sql):
        self.wire.send(query(sql))
        raise_error(await self.wire.read_until())

    # --- what it does

    async def set_itself(self):
        way = self.dice.choice(self.ways + self.hidden)
        if self.dice.random() < 0.5:
            await way(self.tenant)
        else:
            await self.say("BEGIN")
            await way(self.tenant)
            await self.say("COMMIT")
        self.known = way not in self.hidden if self.hidden else True

    async def in_vain(self):
        """Somebody else, in a transaction that comes to nothing."""
        await self.say("BEGIN")
        await self.dice.choice(self.ways)("nobody")
        if self.dice.random() < 0.5:
            with pytest.raises(ServerError):
                await self.say("SELECT 1/0")
        await self.say("ROLLBACK")

    async def for_a_moment(self):
        await self.say("BEGIN")
        await self.say(f"SET LOCAL app.current_tenant = '{self.tenant}'; SET LOCAL app.current_user_id = {self.id}")
        await self.look(certain=True)
        await self.say("COMMIT")

    async def look(self, certain=None):
        self.wire.send(query(LOOK) if self.dice.random() < 0.5 else extended(LOOK) + sync())
        answer = await self.wire.read_until()
        raise_error(answer)
        row = next(message for message in answer if message.tag == "D").body[6:].decode()
        self.looks += 1
        self.seen += row == self.mine
        self.foreign += bool(set(row.split(",")) - {self.mine, ""})
        self.missed += row == "" and (self.known if certain is None else certain)

    async def live(self, looks):
        try:
            while self.looks < looks:
                act = self.dice.choices([self.look, self.set_itself, self.in_vain, self.for_a_moment], [6, 2, 1, 1])[0]
                await act()
        finally:
            self.wire.close()


async def run(pooler, seed, hidden_ways):
    wires = await log_in_many(pooler.port, CLIENTS)
    tenants = [Tenant(wire, n, random.Random(f"{seed} {n}"), hidden_ways) for n, wire in enumerate(wires)]
    await asyncio.gather(*(tenant.live(QUERIES // CLIENTS) for tenant in tenants))
    return {name: sum(getattr(tenant, name) for tenant in tenants) for name in ("looks", "seen", "foreign", "missed")}


def tenants_over(start_headgate, policy, hidden_ways, capsys):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=SERVERS, max_client_conn=CLIENTS + 10,
                            session_state=policy, session_audit="sample:20")  # fmt: skip
    with Wire(pooler.port).login() as wire:
        for sql in SCHEMA:
            wire.query(sql)
    seed = random.randrange(1 << 32)
    sums = asyncio.run(run(pooler, seed, hidden_ways))
    with capsys.disabled():
        print(f"\n{policy}: {sums['looks']} looks, {sums['seen']} saw their own row, {sums['foreign']} another's,"
              f" {sums['missed']} missed their own (seed {seed})")  # fmt: skip
    return sums


def test_no_tenant_sees_another_and_each_sees_its_own(start_headgate, capsys):
    sums = tenants_over(start_headgate, "track", False, capsys)
    assert sums["foreign"] == 0 and sums["missed"] == 0 and sums["seen"] > QUERIES / 2


def test_no_tenant_sees_another_whatever_functions_do_where_that_is_strict(start_headgate, capsys):
    sums = tenants_over(start_headgate, "strict", True, capsys)
    assert sums["foreign"] == 0 and sums["seen"] > QUERIES / 10


def test_that_this_can_fail(start_headgate, capsys):
    assert tenants_over(start_headgate, "pgbouncer", False, capsys)["foreign"] > 0
