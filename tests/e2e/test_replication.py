"""Replication connections: a server of their own for each, from the log-in to the end, beside ordinary
pools; with PostgreSQL's own tools and psycopg2."""

import contextlib
import os
import select
import signal

import psycopg2
import psycopg2.extras
import pytest

from conftest import connect_string
from lib import processes
from lib.messages import message, query, startup
from lib.postgres import Postgres, User, program
from lib.processes import wait_until
from lib.wire import Closed, ServerError, Wire, errors, send_cancel

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only]


@pytest.fixture(scope="module")
def source():
    """A primary that others may replicate from; `outsider` may log in, but not replicate."""
    users = [User("app", superuser=True), User("other"), User("outsider")]
    with Postgres.primary(users, databases=("app",), wal_level="logical", max_wal_senders=20,
                          max_replication_slots=20, wal_sender_timeout="10s") as server:  # fmt: skip
        with open(os.path.join(server.data, "pg_hba.conf"), "a", encoding="ascii") as file:
            file.write("host replication app 127.0.0.1/32 trust\n")
        server.execute("SELECT pg_reload_conf()")
        server.execute("CREATE TABLE item (number int PRIMARY KEY, text text)", database="app")
        yield server


@pytest.fixture
def start(source, start_headgate):
    """The pooler in front of `source`; what replicated through it has gone when the test begins."""
    wait_until(lambda: not senders(source), what="the WAL senders of the last test are gone")

    def start_pooler(database=None, **settings):
        address = {**connect_string(source, dbname="app"), **(database or {})}
        databases = {"app": address, "replication": address}  # what the tools for physical replication ask for
        return start_headgate(databases=databases, **{"pool_mode": "transaction", **settings})

    return start_pooler


def senders(source):
    return source.rows("SELECT pid, application_name, state FROM pg_stat_replication")


def backends(source):
    """Connections of clients, WAL senders among them."""
    return source.rows(
        "SELECT pid FROM pg_stat_activity WHERE backend_type IN ('client backend', 'walsender')"
        " AND usename = 'app' AND datname IS DISTINCT FROM 'postgres'"
    )


@contextlib.contextmanager
def running(command, log_path):
    process = processes.spawn(command, log_path)
    try:
        yield process
    finally:
        processes.stop(process)


def tool(name, pooler, *arguments):
    return [program(name), "-h", "127.0.0.1", "-p", str(pooler.port), "-U", "app", *arguments]


# --- the tools


@pytest.mark.parametrize("pool_mode", ["session", "transaction", "statement"])
def test_pg_receivewal_follows_and_ends_in_order(start, source, pool_mode):
    pooler = start(pool_mode=pool_mode)
    target = processes.make_directory("wal", pooler.directory)
    with running(tool("pg_receivewal", pooler, "-D", target, "-v", "--no-sync"),
                 pooler.path("receivewal.log")) as receiver:  # fmt: skip
        wait_until(lambda: [row for row in senders(source) if row["state"] == "streaming"], what="it streams")
        assert senders(source)[0]["application_name"] == "pg_receivewal"
        source.execute("SELECT pg_logical_emit_message(false, 'test', 'something')", "SELECT pg_switch_wal()")
        wait_until(lambda: [name for name in os.listdir(target) if not name.endswith(".partial")],
                   what="a whole segment has come")  # fmt: skip
        with pooler.connect() as connection:  # and ordinary work goes on beside it
            assert connection.execute("SELECT count(*) FROM pg_stat_replication").fetchone() == (1,)
        rows = {f"{row['type']} {row['replication']}"
                for row in pooler.admin("SHOW CLIENTS") + pooler.admin("SHOW SERVERS")}  # fmt: skip
        assert {"C physical", "S physical"} <= rows
        receiver.send_signal(signal.SIGINT)
        assert receiver.wait(20) == 0
    assert "login attempt: db=replication user=app tls=no replication=yes" in pooler.log()
    wait_until(lambda: not senders(source), what="the WAL sender is gone")
    assert "replication client disconnected" in pooler.log()


def test_pg_basebackup_makes_a_cluster_that_starts(start, source):
    pooler = start(default_pool_size=3)
    source.execute("INSERT INTO item SELECT i, repeat('x', 1000) FROM generate_series(1, 2000) i ON CONFLICT DO NOTHING",
                   database="app")  # fmt: skip
    copy = Postgres("copy", 100, {})
    try:
        processes.run_tool(tool("pg_basebackup", pooler, "-D", copy.data, "-X", "stream", "-c", "fast", "--no-sync"))  # fmt: skip
        processes.run_tool([program("pg_verifybackup"), copy.data])
        copy.start()
        assert copy.value("SELECT count(*) FROM item", database="app") >= 2000
    finally:
        copy.stop()
    wait_until(lambda: not senders(source), what="its connections are gone")


def test_pg_recvlogical_hears_of_changes(start, source):
    pooler = start()
    slot = "recvlogical"
    options = ["-d", "app", "--slot", slot]
    processes.run_tool(tool("pg_recvlogical", pooler, *options, "--create-slot", "--plugin", "test_decoding"))
    try:
        output = pooler.path("changes")
        with running(tool("pg_recvlogical", pooler, *options, "--start", "-f", output, "-F", "1"),
                     pooler.path("recvlogical.log")):  # fmt: skip
            wait_until(lambda: senders(source), what="it streams")
            source.execute("DELETE FROM item", "INSERT INTO item VALUES (7, 'seven')", database="app")
            wait_until(lambda: os.path.exists(output) and "'seven'" in open(output, encoding="utf-8").read(),
                       what="the change has come")  # fmt: skip
            assert "logical" in {row["replication"] for row in pooler.admin("SHOW CLIENTS")}
    finally:
        wait_until(lambda: not senders(source), what="the WAL sender is gone")
        processes.run_tool(tool("pg_recvlogical", pooler, *options, "--drop-slot"))
    assert "replication=database" in pooler.log()


def test_psycopg2_reads_a_stream_with_flow_control(start, source):
    """Far more than fits into all buffers, read by a client that stops now and then."""
    pooler = start()
    connection = psycopg2.connect(**pooler.address(), connection_factory=psycopg2.extras.LogicalReplicationConnection)
    with contextlib.closing(connection):
        cursor = connection.cursor()
        cursor.create_replication_slot("stream", output_plugin="test_decoding")
        try:
            cursor.start_replication(slot_name="stream", decode=True)
            source.execute("DELETE FROM item",
                           "INSERT INTO item SELECT i, repeat('y', 2000) FROM generate_series(1, 20000) i",
                           database="app")  # fmt: skip
            inserted, memory = 0, pooler.rss_bytes()
            while inserted < 20000:
                change = cursor.read_message()
                if change is None:
                    continue
                inserted += "INSERT" in change.payload
                if inserted % 1000 == 0:
                    cursor.send_feedback(flush_lsn=change.data_start)
            assert pooler.rss_bytes() < memory + (16 << 20)
        finally:
            connection.close()
            wait_until(lambda: not senders(source), what="the WAL sender is gone")
            source.execute("SELECT pg_drop_replication_slot('stream')")


def test_a_subscription_through_the_pooler(start, source):
    """A server that subscribes: libpqwalreceiver, with a slot, a snapshot and a COPY beside it."""
    pooler = start(default_pool_size=6, ignore_startup_parameters="extra_float_digits,options")
    with Postgres.primary(databases=("app",)) as subscriber:
        source.execute("DROP PUBLICATION IF EXISTS everything", "CREATE PUBLICATION everything FOR TABLE item",
                       "DELETE FROM item", "INSERT INTO item VALUES (1, 'one')", database="app")  # fmt: skip
        subscriber.execute("CREATE TABLE item (number int PRIMARY KEY, text text)", database="app")
        subscriber.execute(
            f"CREATE SUBSCRIPTION everything CONNECTION 'host=127.0.0.1 port={pooler.port} user=app dbname=app'"
            " PUBLICATION everything",
            database="app",
        )

        def texts():
            return [row["text"] for row in subscriber.rows("SELECT text FROM item ORDER BY 1", database="app")]

        wait_until(lambda: texts() == ["one"], 30, "the first copy is there")
        source.execute("INSERT INTO item VALUES (2, 'two')", database="app")
        wait_until(lambda: texts() == ["one", "two"], 30, "the change is there")
        subscriber.execute("DROP SUBSCRIPTION everything", database="app")


# --- one client, one server


def replicating(pooler, kind="database", **parameters):
    return Wire(pooler.port).login(replication=kind, **parameters)


def test_the_server_belongs_to_the_client_alone(start, source):
    pooler = start(default_pool_size=5)
    with replicating(pooler) as one, replicating(pooler) as other, Wire(pooler.port) as plain:
        pids = [wire.value("SELECT pg_backend_pid()") for wire in (one, other, plain.login())]
        assert len(set(pids)) == 3
        assert [one.value("SELECT pg_backend_pid()") for _ in range(3)] == pids[:1] * 3  # in transaction mode
        one.query("SET work_mem = '3MB'")
        assert one.value("SHOW work_mem") == "3MB"
        assert plain.value("SHOW work_mem") != "3MB"
        one.close()
        wait_until(lambda: pids[0] not in [str(row["pid"]) for row in backends(source)], what="its server is gone")
        assert other.value("SELECT pg_backend_pid()") == pids[1]
    assert "server_reset" not in pooler.log()


def test_parameters_and_options_reach_the_server_as_they_are(start):
    pooler = start()
    options = "-c work_mem=5MB --statement-timeout=12s"
    with replicating(pooler, options=options, application_name="standby 7", DateStyle="German") as wire:
        assert wire.value("SHOW work_mem") == "5MB"
        assert wire.value("SHOW statement_timeout") == "12s"
        assert wire.value("SHOW application_name") == "standby 7"
        assert wire.value("SHOW DateStyle").startswith("German")
    with Wire(pooler.port) as plain:  # and only that one
        plain.login()
        assert plain.value("SHOW DateStyle").startswith("ISO")


@pytest.mark.parametrize("value, kind", [("TRUE", "physical"), ("yes", "physical"), ("on", "physical"), ("1", "physical"),
                                         ("database", "logical"), ("off", "none"), ("false", "none")])  # fmt: skip
def test_the_values_of_the_parameter(start, value, kind):
    pooler = start()
    with replicating(pooler, value) as wire:
        assert [row["replication"] for row in pooler.admin("SHOW CLIENTS") if row["user"] == "app"] == [kind]
        if kind != "none":
            assert not errors(wire.query("IDENTIFY_SYSTEM"))


def test_another_value_is_refused(start):
    with pytest.raises(ServerError, match="unsupported startup parameter: replication"):
        replicating(start(), "Database")


def test_a_refusal_of_the_server_is_told_as_the_detail(start, source):
    pooler = start()
    pooler.userlist["outsider"] = ""
    pooler.write_userlist()
    pooler.admin("RELOAD")
    with Wire(pooler.port) as wire:
        wire.send(startup_of("outsider"))
        (error,) = errors(wire.read_to_end())
        assert (error["C"], error["M"]) in (("28000", "login failed"), ("42501", "login failed"))
    assert "no pg_hba.conf entry for replication connection" in error["D"] or "must be superuser" in error["D"]
    assert error["D"] in pooler.log()
    with Wire(pooler.port) as plain:  # it says nothing about ordinary connections
        assert plain.login("outsider").value("SELECT 1") == "1"


def startup_of(user):
    return startup({"user": user, "database": "app", "replication": "true"})


def test_a_server_that_is_not_there_fails_the_login(start):
    pooler = start(database={"port": processes.free_port()})
    with pytest.raises(ServerError, match="login failed"):
        replicating(pooler)


# --- limits


def test_an_idle_server_makes_room(start, source):
    pooler = start(default_pool_size=1)
    with pooler.connect() as plain:
        assert plain.execute("SELECT 1").fetchone() == (1,)  # and the pool is full, of an idle one
        with replicating(pooler) as wire:
            assert wire.value("SELECT 1") == "1"
            assert len(backends(source)) == 1
        assert plain.execute("SELECT 2").fetchone() == (2,)
    assert "closing because: evicted" in pooler.log()


@pytest.mark.parametrize("limit", ["max_db_connections", "max_user_connections"])
def test_an_idle_server_makes_room_under_the_other_limits(start, source, limit):
    pooler = start(**{limit: 1})
    with pooler.connect() as plain:
        assert plain.execute("SELECT 1").fetchone() == (1,)
        with replicating(pooler) as wire:
            assert wire.value("SELECT 1") == "1"
            assert len(backends(source)) == 1


def test_it_waits_for_room_and_gets_the_next(start, source):
    """Clients keep the only server busy: it is not theirs for ever."""
    pooler = start(default_pool_size=1)
    with Wire(pooler.port) as busy, Wire(pooler.port) as waiting, Wire(pooler.port) as wire:
        busy.login().query("BEGIN")
        waiting.login().send(query("SELECT 'after it'"))
        wait_until(lambda: pooler.pool()["cl_waiting"] == 1, what="an ordinary client waits")
        wire.send(startup_with_replication())
        wait_until(lambda: pooler.pool()["cl_waiting"] == 2, what="it waits as well")
        busy.query("COMMIT")
        wire.finish_login("app")
        assert wire.value("SELECT 1") == "1"
        assert pooler.pool()["sv_active"] == 1
        assert len(backends(source)) == 1
        wire.close()
        assert not errors(waiting.read_until())


def startup_with_replication():
    return startup({"user": "app", "database": "app", "replication": "database"})


def test_who_waits_in_vain_is_told(start):
    pooler = start(default_pool_size=1, query_wait_timeout=1)
    with Wire(pooler.port) as busy, Wire(pooler.port) as wire:
        busy.login().query("BEGIN")
        with pytest.raises(ServerError, match="query_wait_timeout"):
            wire.login(replication="database")
        assert busy.value("SELECT 1") == "1"
        busy.query("COMMIT")
        assert busy.value("SELECT 'the place is free again'") == "the place is free again"


def test_who_leaves_while_waiting_leaves_the_place_to_others(start):
    pooler = start(default_pool_size=1)
    with Wire(pooler.port) as busy, Wire(pooler.port) as other:
        busy.login().query("BEGIN")
        with Wire(pooler.port) as wire:
            wire.send(startup_with_replication())
            wait_until(lambda: pooler.pool()["cl_waiting"] == 1, what="it waits")
        wait_until(lambda: pooler.pool()["cl_waiting"] == 0, what="it is gone")
        busy.query("COMMIT")
        assert other.login().value("SELECT 1") == "1"


def test_many_at_once_never_exceed_the_pool(start, source):
    pooler = start(default_pool_size=3)
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(pooler.port)) for _ in range(10)]
        for wire in wires:
            wire.send(startup_with_replication())
        while wires:
            ready, _, _ = select.select([wire.socket for wire in wires], [], [], 10)
            assert ready, "nobody is served any more"
            wire = next(wire for wire in wires if wire.socket in ready)
            wires.remove(wire)
            wire.finish_login("app")
            assert wire.value("SELECT 1") == "1"
            assert len(backends(source)) <= 3
            wire.close()


# --- how it ends


def test_a_reload_with_another_address_closes_it_at_once(start, source):
    pooler = start()
    with replicating(pooler) as wire, Wire(pooler.port) as plain:
        assert wire.value("SELECT 1") == "1"
        plain.login().query("BEGIN")
        pooler.databases["app"]["host"] = "localhost"
        pooler.reload()
        assert errors(wire.read_to_end())[-1]["M"] == "database configuration changed"
        assert not errors(plain.query("COMMIT"))  # an ordinary transaction ends in peace


def test_a_client_that_vanishes_mid_stream_takes_its_sender_with_it(start, source):
    pooler = start()
    with replicating(pooler, "true") as wire:
        start_at = [column for column in wire.query("IDENTIFY_SYSTEM") if column.tag == "D"]
        assert start_at
        wire.send(query("START_REPLICATION PHYSICAL 0/1000000"))
        wire.read_until("WE")
        wire.reset()
    wait_until(lambda: not senders(source), what="the WAL sender is gone")


def test_a_client_that_vanishes_in_a_base_backup(start, source):
    pooler = start()
    wire = replicating(pooler, "true")
    wire.send(query("BASE_BACKUP (CHECKPOINT 'fast')"))
    wire.read_until("d")
    wire.reset()
    wait_until(lambda: not senders(source), what="the WAL sender is gone")


def test_copy_both_ends_from_the_clients_side_and_the_session_goes_on(start, source):
    pooler = start()
    with replicating(pooler) as wire:
        wire.query("CREATE_REPLICATION_SLOT both TEMPORARY LOGICAL test_decoding")
        for _ in range(3):
            wire.send(query("START_REPLICATION SLOT both LOGICAL 0/0"))
            assert wire.read_until("WE")[-1].tag == "W"
            wire.send(message("d", b"r" + bytes(8 * 4 + 1)), message("c", b""))
            answer = wire.read_until()
            assert not errors(answer)
            assert wire.value("SELECT 'in step'") == "in step"


def test_a_server_that_dies_takes_the_client_with_it(start, source):
    pooler = start()
    with replicating(pooler) as wire, pooler.connect() as plain:
        pid = int(wire.value("SELECT pg_backend_pid()"))
        source.execute(f"SELECT pg_terminate_backend({pid})")
        assert "terminating connection" in errors(wire.read_to_end())[0]["M"]
        assert plain.execute("SELECT 1").fetchone() == (1,)


def test_a_query_is_cancelled(start, source):
    pooler = start()
    with replicating(pooler) as wire:
        wire.send(query("SELECT pg_sleep(60)"))
        wait_until(lambda: source.rows("SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND pid <> "
                                          "pg_backend_pid() AND state = 'active'"), what="it runs")  # fmt: skip
        send_cancel(pooler.port, wire.key)
        assert errors(wire.read_until())[0]["C"] == "57014"
        assert wire.value("SELECT 1") == "1"


def test_timeouts_of_queries_and_transactions_do_not_touch_it(start, source):
    pooler = start(query_timeout=1, idle_transaction_timeout=1, transaction_timeout=1)
    with replicating(pooler) as wire:
        assert not errors(wire.query("SELECT pg_sleep(1.5)"))
        wire.query("BEGIN")
        with pytest.raises(TimeoutError):
            wire.read(1.5)
        assert not errors(wire.query("COMMIT"))


def test_sigterm_waits_for_it_and_kill_ends_it(start, source):
    pooler = start()
    with replicating(pooler) as wire:
        pooler.admin("KILL app")
        with contextlib.suppress(Closed):
            wire.read_to_end()
        pooler.admin("RESUME app")
    with replicating(pooler) as wire:
        pooler.send_signal(signal.SIGTERM)
        wait_until(lambda: "got SIGTERM" in pooler.log(), what="it is told")
        assert wire.value("SELECT 'to the end'") == "to the end"
    pooler.wait_ended()
