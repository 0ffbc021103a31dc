"""SIGTERM with drain_timeout: clients are closed between two transactions, a few at a time, and the process ends in
time. HEADGATE_CLIENTS sets how many leave at once; 1,000 without."""

import asyncio
import os
import signal
import time

import pytest

from lib import VARIABLES, messages
from lib.headgate import is_sanitized
from lib.messages import query
from lib.processes import wait_until
from lib.web import start_with_web
from lib.wire import Closed, ServerError, Wire, errors, first_value, tags
from lib.wire_async import log_in_many

pytestmark = [pytest.mark.headgate_only, pytest.mark.sanitizers]

MANY = int(VARIABLES.get("HEADGATE_CLIENTS", "1000"))
GOODBYE = {"S": "FATAL", "C": "57P01", "M": "terminating connection due to administrator command"}
LONG = 60  # no test waits for all of that


def start(start_headgate, **settings):
    return start_headgate(**{"pool_mode": "transaction", "default_pool_size": 2, "drain_timeout": LONG, **settings})


def terminate(pooler):
    pooler.send_signal(signal.SIGTERM)
    wait_until(lambda: "got SIGTERM, draining" in pooler.log(), what="it drains")


def is_goodbye(message):
    fields = message.fields()
    return message.tag == "E" and {name: fields[name] for name in GOODBYE} == GOODBYE


def is_sent_away(wire, timeout=LONG):
    """All that comes before the end of the stream is the goodbye."""
    said = wire.read_to_end(timeout)
    assert len(said) == 1 and is_goodbye(said[0]), said
    return True


def test_idle_clients_are_told_and_the_process_ends(start_headgate):
    pooler = start(start_headgate, drain_timeout=2)
    with Wire(pooler.port) as first, Wire(pooler.port) as second:
        first.login().query("SELECT 1")
        second.login()
        terminate(pooler)
        assert is_sent_away(first) and is_sent_away(second)
    pooler.wait_ended(20)
    assert "draining: 2 clients left, 0 in a transaction" in pooler.log()
    assert "drained: 2 clients have left" in pooler.log()


def test_nobody_is_waited_for_where_nobody_is(start_headgate):
    pooler = start(start_headgate)
    terminate(pooler)
    pooler.wait_ended(20)


def test_without_it_sigterm_waits_for_clients(start_headgate):
    pooler = start(start_headgate, drain_timeout=0)
    with Wire(pooler.port) as wire:
        wire.login()
        pooler.send_signal(signal.SIGTERM)
        wait_until(lambda: "waiting for all clients disconnect" in pooler.log(), what="it waits")
        assert wire.value("SELECT 'stays'") == "stays"
    pooler.wait_ended()


def test_the_console_ends_it_the_same_way(start_headgate):
    pooler = start(start_headgate, drain_timeout=2)
    with Wire(pooler.port) as wire:
        wire.login()
        pooler.admin("SHUTDOWN WAIT_FOR_CLIENTS")
        assert is_sent_away(wire)
    pooler.wait_ended(20)


def test_pidfile_and_unix_socket_are_removed(start_headgate):
    pooler = start(start_headgate, drain_timeout=2)
    pooler.settings["pidfile"] = pooler.path("pid")
    pooler.stop()
    pooler.write_files()
    pooler.start()
    wait_until(lambda: os.path.exists(pooler.path("pid")), what="the pidfile is written")
    with Wire(pooler.port) as wire:
        wire.login()
        terminate(pooler)
        assert is_sent_away(wire)
    pooler.wait_ended(20)
    left = [name for name in os.listdir(pooler.directory) if name == "pid" or name.startswith(".s.")]
    assert not left


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_transaction_goes_on_to_its_end(start_headgate, postgres, mode):
    postgres.execute("CREATE TABLE IF NOT EXISTS drained (id text)", "TRUNCATE drained", "GRANT ALL ON drained TO PUBLIC",
                     database="single")  # fmt: skip
    pooler = start(start_headgate, pool_mode=mode, drain_timeout=4)
    with Wire(pooler.port) as busy, Wire(pooler.port) as idle:
        busy.login().query("BEGIN")
        busy.query("CREATE TEMP TABLE mine (id text)")
        busy.query(f"INSERT INTO drained VALUES ('{mode}')")
        idle.login()
        terminate(pooler)
        assert is_sent_away(idle)
        assert busy.value("SELECT 'goes on'") == "goes on"
        assert tags(busy.query("COMMIT"))[-1] == "Z"
        assert is_sent_away(busy)
    pooler.wait_ended(20)
    assert postgres.value(f"SELECT count(*) FROM drained WHERE id = '{mode}'", database="single") == 1


def test_one_without_an_end_is_closed_at_the_deadline(start_headgate, postgres):
    pooler = start(start_headgate, drain_timeout=2)
    with Wire(pooler.port) as idles, Wire(pooler.port) as works:
        idles.login().query("BEGIN")
        idles.query("SELECT 'in a transaction'")
        works.login().send(query("SELECT pg_sleep(600)"))
        wait_until(lambda: pooler.pool()["cl_active"] == 2, what="both have servers")
        terminate(pooler)
        assert is_sent_away(idles) and is_sent_away(works)
    pooler.wait_ended(20)
    assert "drain_timeout is over: 2 clients are closed, 2 of them in a transaction" in pooler.log()
    wait_until(
        lambda: postgres.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)'"
                               " AND pid <> pg_backend_pid() AND state = 'active'") == 0,
        what="the query was cancelled",
    )  # fmt: skip


def test_a_session_between_transactions_is_at_a_boundary(start_headgate):
    pooler = start(start_headgate, pool_mode="session", drain_timeout=2)
    with Wire(pooler.port) as wire:
        wire.login().query("SET work_mem = '7MB'")
        wire.query("SELECT 1")
        terminate(pooler)
        assert is_sent_away(wire)
    pooler.wait_ended(20)


def test_a_pinned_client_is_closed_at_its_boundary(start_headgate):
    pooler = start(start_headgate, drain_timeout=2)
    with Wire(pooler.port) as wire:
        wire.login().query("CREATE TEMP TABLE mine (id int)")
        wait_until(lambda: pooler.admin("SHOW CLIENTS")[0]["pinned"], what="it is pinned")
        terminate(pooler)
        assert is_sent_away(wire)
    pooler.wait_ended(20)


def test_prepared_statements_work_to_the_end(start_headgate):
    pooler = start(start_headgate, drain_timeout=4)
    with Wire(pooler.port) as wire:
        wire.login().send(messages.parse("SELECT $1::text", "say"), messages.sync())
        wire.read_until()
        wire.query("BEGIN")
        wire.query("SELECT 1")
        terminate(pooler)
        for number in range(5):
            wire.send(messages.bind([str(number)], "say"), messages.execute(), messages.sync())
            assert first_value(wire.read_until()) == str(number)
        wire.send(messages.parse("COMMIT"), messages.bind(), messages.execute(), messages.sync())
        assert "C" in tags(wire.read_until())
        assert is_sent_away(wire)
    pooler.wait_ended(20)


def test_an_answered_begin_is_a_transaction(start_headgate):
    pooler = start(start_headgate, defer_begin=1, drain_timeout=6)
    with Wire(pooler.port) as thinks, Wire(pooler.port) as gives_up, Wire(pooler.port) as idle:
        thinks.login().query("BEGIN")
        gives_up.login().query("BEGIN")
        idle.login()
        terminate(pooler)
        assert is_sent_away(idle)
        assert thinks.value("SELECT 'kept'") == "kept"
        thinks.query("COMMIT")
        gives_up.query("ROLLBACK")
        assert is_sent_away(thinks) and is_sent_away(gives_up)
    pooler.wait_ended(20)


def test_who_waits_in_the_queue_gets_the_answer_first(start_headgate):
    pooler = start(start_headgate, default_pool_size=1, drain_timeout=6)
    with Wire(pooler.port) as holder, Wire(pooler.port) as waiting:
        holder.login().query("BEGIN")
        holder.query("SELECT 1")
        waiting.login().send(query("SELECT 'answered'"))
        wait_until(lambda: pooler.pool()["cl_waiting"] == 1, what="the client waits")
        terminate(pooler)
        holder.query("COMMIT")
        assert is_sent_away(holder)
        assert first_value(waiting.read_until()) == "answered"
        assert is_sent_away(waiting)
    pooler.wait_ended(20)


def test_a_pipeline_is_answered_as_a_whole(start_headgate):
    pooler = start(start_headgate, drain_timeout=4)
    with Wire(pooler.port) as wire:
        wire.login().send(query("SELECT pg_sleep(1)"), *(query(f"SELECT {number}") for number in range(20)))
        wait_until(lambda: pooler.pool()["cl_active"] == 1, what="it runs")
        terminate(pooler)
        said = wire.read_to_end(LONG)
    assert tags(said) == "TDCZ" * 21 + "E" and is_goodbye(said[-1])
    pooler.wait_ended(20)


def test_new_clients_learn_why_and_cancels_still_work(start_headgate):
    pooler = start(start_headgate)
    with Wire(pooler.port) as busy:
        busy.login().send(query("SELECT pg_sleep(600)"))
        wait_until(lambda: pooler.pool()["cl_active"] == 1, what="it runs")
        terminate(pooler)
        for host in ("127.0.0.1", pooler.directory):
            with Wire(pooler.port, host) as late:
                with pytest.raises(ServerError, match="pooler is shutting down") as refused:
                    late.login()
                assert refused.value.fields["C"] == "57P03"
        assert pooler.admin("SHOW CLIENTS")[0]["state"] == "active"  # the console is open
        busy.cancel()
        said = busy.read_to_end(LONG)
    assert said[-1].tag == "E" and is_goodbye(said[-1])
    assert [fields["C"] for fields in errors(said)] == ["57014", "57P01"]
    pooler.wait_ended(20)


def test_the_port_is_left_to_others_who_share_it(start_headgate):
    pooler = start(start_headgate, so_reuseport=1)

    def refused():
        try:
            Wire(pooler.port).close()
            return False
        except OSError:
            return True

    with Wire(pooler.port) as busy:
        busy.login().query("BEGIN")
        busy.query("SELECT 1")
        terminate(pooler)
        wait_until(refused, what="it no longer listens")
        busy.query("ROLLBACK")
    pooler.wait_ended(40)


def test_it_is_not_ready_at_once_and_says_why(start_headgate):
    pooler, web = start_with_web(start_headgate, pool_mode="transaction", drain_timeout=LONG)
    with Wire(pooler.port) as busy:
        busy.login().query("BEGIN")
        busy.query("SELECT 1")
        assert web.status("/readyz") == 200
        terminate(pooler)
        status, _, text = web.ask("/readyz")
        assert status == 503 and "draining: " in text
        assert web.status("/healthz") == 200
        wait_until(lambda: "draining: 1 clients left, 1 in a transaction" in web.ask("/readyz")[2], what="it counts")
        busy.query("ROLLBACK")
    pooler.wait_ended(40)


def test_a_second_sigterm_ends_at_once(start_headgate):
    pooler = start(start_headgate)
    with Wire(pooler.port) as busy:
        busy.login().query("BEGIN")
        terminate(pooler)
        pooler.send_signal(signal.SIGTERM)
        assert busy.read_to_end() == []
        pooler.wait_ended()


def test_a_reload_changes_it(start_headgate):
    pooler = start(start_headgate, drain_timeout=0)
    pooler.reload(drain_timeout=2)
    with Wire(pooler.port) as wire:
        wire.login()
        terminate(pooler)
        assert is_sent_away(wire)
    pooler.wait_ended(20)


def test_many_leave_one_after_the_other(start_headgate, capsys):
    """Over half of drain_timeout, without a herd: clients that come back do so one by one, too."""
    many = 200 if is_sanitized() else MANY
    seconds = 6 if many <= 1000 else 20
    pooler = start(
        start_headgate, drain_timeout=seconds, max_client_conn=many + 100, listen_backlog=4096, log_connections=0,
        log_disconnections=0, default_pool_size=20,
    )  # fmt: skip

    async def leave(wire):
        messages_seen = []
        while True:
            try:
                messages_seen.append(await wire.read(LONG))
            except Closed:
                assert len(messages_seen) == 1 and is_goodbye(messages_seen[0])
                wire.close()
                return time.monotonic()

    async def story():
        wires = await log_in_many(pooler.port, many)
        started = time.monotonic()
        pooler.send_signal(signal.SIGTERM)
        return started, await asyncio.gather(*(leave(wire) for wire in wires))

    started, left_at = asyncio.run(story())
    pooler.wait_ended(60)
    ended = time.monotonic()
    tenths = {int((at - started) * 10) for at in left_at}
    herd = max(sum(int((at - started) * 10) == tenth for at in left_at) for tenth in tenths)
    with capsys.disabled():
        print(f"\n{many} clients: the last had left after {max(left_at) - started:.1f} s of {seconds}, at most {herd} "
              f"in a tenth of a second; the process ended after {ended - started:.1f} s")  # fmt: skip
    assert len(tenths) > 5, "they leave one after the other"
