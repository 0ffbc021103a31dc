"""Reads within a database go to its replicas (read_routing): what is declared to read, and with `auto` plain reads;
everything else, and everything in doubt, to the primary. What a replica refuses runs on the primary, unseen."""

import collections
import re
import subprocess
import urllib.request

import psycopg
import pytest

from lib.headgate import PROGRAM
from lib.messages import bind, describe, execute, flush, parse, query, sync
from lib.processes import free_port, wait_until
from lib.read_routing import PRIMARY, REPLICAS, WHERE, batch, places, readable, wait_until_read
from lib.wire import Wire, errors, first_value, tags

pytestmark = [pytest.mark.headgate_only, pytest.mark.sanitizers]


# --- automatic routing


def test_plain_reads_go_to_the_replicas_in_turn(start_pooler):
    with start_pooler().connect() as client:
        assert places(client) == REPLICAS


def test_everything_else_goes_to_the_primary(start_pooler):
    with start_pooler().connect() as client:
        client.execute("INSERT INTO written (body) VALUES ('x')")
        assert places(client, "SELECT host FROM whereabouts FOR UPDATE", 1) == {PRIMARY}
        assert places(client, "SELECT host(inet_server_addr())") == {PRIMARY}
        assert places(client, "WITH w AS (INSERT INTO written (body) VALUES ('w') RETURNING id) "
                              "SELECT host FROM whereabouts, w", 2) == {PRIMARY}  # fmt: skip
        with client.transaction():
            assert places(client) == {PRIMARY}


def test_hosts_in_a_list_are_enough(start_pooler):
    with start_pooler(target=None).connect() as client:
        assert places(client) == REPLICAS
        client.execute("INSERT INTO written (body) VALUES ('x')")


def test_batches_of_the_extended_protocol(start_pooler):
    pooler = start_pooler()
    with Wire(pooler.port) as wire:
        wire.login()
        for _ in range(4):
            wire.send(batch(WHERE))
            assert first_value(wire.read_until()) in REPLICAS
        wire.send(parse(WHERE, "where"), sync())
        assert tags(wire.read_until()) == "1Z"
        for _ in range(4):
            wire.send(describe("S", "where"), bind(statement="where"), execute(), sync())
            answer = wire.read_until()
            assert tags(answer) == "tT2DCZ" and first_value(answer) in REPLICAS
        wire.send(parse("SELECT host, nextval('numbers') FROM whereabouts", "next"), sync())
        wire.read_until()
        wire.send(bind(statement="next"), execute(), sync())
        assert first_value(wire.read_until()) == PRIMARY


def test_a_batch_that_waits_in_between_is_for_the_primary(start_pooler):
    pooler = start_pooler()
    with Wire(pooler.port) as wire:
        wire.login()
        wire.send(parse(WHERE), flush())
        assert tags(wire.read_until("1")) == "1"
        wire.send(bind(), execute(), sync())
        assert first_value(wire.read_until()) == PRIMARY


def test_a_batch_in_pieces_is_one(start_pooler):
    pooler = start_pooler()
    with Wire(pooler.port) as wire:
        wire.login()
        whole = batch(WHERE)
        for at in range(1, len(whole)):
            wire.send(whole[:at])
            wire.silent_for(0.001)
            wire.send(whole[at:])
            assert first_value(wire.read_until()) in REPLICAS


def test_a_batch_of_which_one_part_writes_is_for_the_primary(start_pooler):
    pooler = start_pooler()
    with Wire(pooler.port) as wire:
        wire.login()
        wire.send(parse(WHERE), bind(), execute(), parse("INSERT INTO written (body) VALUES ('b')"), bind(), execute(),
                  sync())  # fmt: skip
        answer = wire.read_until()
        assert first_value(answer) == PRIMARY and not errors(answer)


def test_each_request_of_a_pipeline_finds_its_own_way(start_pooler):
    pooler = start_pooler()
    write = "INSERT INTO written (body) VALUES ('{}') RETURNING body"
    with Wire(pooler.port) as wire:
        wire.login()
        for round_ in range(20):
            wire.send(batch(WHERE), batch(write.format(round_)), query(WHERE), query(write.format("q")),
                      batch("SELECT body FROM notes WHERE id = 7"))  # fmt: skip
            found = [first_value(wire.read_until()) for _ in range(5)]
            assert found[0] in REPLICAS | {PRIMARY} and found[1] == str(round_) and found[3:] == ["q", "note 7"]


def test_functions_of_the_database(start_pooler):
    pooler = start_pooler()
    with pooler.connect() as client:
        wait_until(lambda: places(client, "SELECT place()", 4) == REPLICAS, 10, "functions are known")
        assert places(client, "SELECT place() WHERE twice(2) = 4") == REPLICAS
        assert client.execute("SELECT write_it('by a function')").fetchone()[0] == "by a function"
        rows = {row["statement"]: row for row in pooler.admin("SHOW ROUTES")}
        assert rows["SELECT place()"]["reason"] == "plain read"
        assert rows["SELECT write_it(?)"]["reason"] == "calls write_it"
        assert rows["SELECT write_it(?)"]["repeated"] == 0


def test_a_function_in_front_of_one_of_postgresql(cluster, start_pooler):
    cluster.primary.execute("CREATE FUNCTION public.lower(int) RETURNS text LANGUAGE sql VOLATILE AS "
                            "$$ INSERT INTO public.written (body) VALUES ('low') RETURNING body $$",
                            database="app")  # fmt: skip
    try:
        pooler = start_pooler()
        with pooler.connect() as client:
            reason = "calls lower"

            def known():
                client.execute("SELECT lower(1)")
                rows = {row["statement"]: row["reason"] for row in pooler.admin("SHOW ROUTES")}
                return rows.get("SELECT lower(?)") == reason

            wait_until(known, 10, "it is known")
    finally:
        cluster.primary.execute("DROP FUNCTION public.lower(int)", database="app")


@pytest.fixture
def asked(cluster):
    """What monitors ask the primary from now on, in order."""
    cluster.primary.execute("ALTER ROLE monitor SET log_statement = 'all'")
    before = len(cluster.primary.log())
    words = {"r,": "role", "n.nspname,": "functions"}
    yield lambda: [words[first] for first in re.findall(r"statement: SELECT (\S+)", cluster.primary.log()[before:])
                   if first in words]  # fmt: skip
    cluster.primary.execute("ALTER ROLE monitor RESET log_statement")


def test_a_primary_is_asked_for_functions_when_the_answer_of_another_host_elects_it(cluster, start_monitoring, asked):
    last = cluster.replicas[0]
    cluster.freeze(last)
    where = {"host": cluster.hosts, "port": cluster.primary.port, "dbname": "app", "read_routing": "auto"}
    pooler = start_monitoring({"app": where}, monitor_interval=20, monitor_timeout=60)
    heard = {PRIMARY, *REPLICAS} - {cluster.host_of(last)}
    wait_until(lambda: {row["host"] for row in pooler.admin("SHOW HOSTS") if row["role"] != "unknown"} == heard,
               20, "the others are heard")  # fmt: skip
    assert asked() == ["role"]
    cluster.resume(last)
    wait_until(lambda: "functions" in asked(), 60, "it is asked for functions")
    assert asked()[:2] == ["role", "functions"]


def test_functions_that_come_and_go_take_nothing_from_the_counts(cluster, start_pooler):
    pooler = start_pooler()

    def routes():
        return {row["statement"]: row for row in pooler.admin("SHOW ROUTES")}

    with pooler.connect() as client:
        for _ in range(10):
            client.execute(WHERE)
        cluster.primary.execute("CREATE FUNCTION later() RETURNS int LANGUAGE sql STABLE RETURN 7", database="app")
        try:

            def known():
                client.execute("SELECT later()")
                return routes()["SELECT later()"]["reason"] == "plain read"

            wait_until(known, 30, "it is known")
            client.execute(WHERE)
            assert routes()[WHERE]["reads"] == 11
            assert routes()["SELECT later()"]["reads"] == 1
        finally:
            cluster.primary.execute("DROP FUNCTION later()", database="app")


@pytest.fixture
def many_schemas(cluster):
    """With a function of the same name in each."""
    names = [f"tenant{number}" for number in range(20)]
    for name in names:
        cluster.primary.execute(f"CREATE SCHEMA {name}", f"CREATE FUNCTION {name}.f() RETURNS int LANGUAGE sql "
                                "STABLE RETURN 7", database="app")  # fmt: skip
    yield
    for name in names:
        cluster.primary.execute(f"DROP SCHEMA {name} CASCADE", database="app")


@pytest.fixture
def plan_of_monitors(cluster):
    """plan_of_monitors(setting): their queries do without that way of planning, those of open connections too."""

    def plan(*settings):
        cluster.primary.execute("ALTER ROLE monitor RESET enable_sort", "ALTER ROLE monitor RESET enable_hashagg",
                                *(f"ALTER ROLE monitor SET {setting} = off" for setting in settings),
                                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'monitor'"
                                )  # fmt: skip

    yield plan
    plan()


@pytest.mark.usefixtures("many_schemas")
def test_the_same_functions_in_another_order_are_the_same(start_pooler, plan_of_monitors, asked):
    """What a replica has refused is remembered until there are others."""
    plan_of_monitors("enable_sort")
    pooler = start_pooler()
    with pooler.connect() as client:
        wait_until(lambda: places(client, "SELECT place()", 4) == REPLICAS, 10, "functions are known")
        client.execute("SELECT number > 0 FROM next_number")
        plan_of_monitors("enable_hashagg")
        known = asked().count("functions")
        wait_until(lambda: asked()[-1] == "role" and asked().count("functions") > known, 30, "they are asked for again")
        wait_until_read(client)
        client.execute("SELECT number > 0 FROM next_number")
        rows = {row["statement"]: row for row in pooler.admin("SHOW ROUTES")}
        assert rows["SELECT number > ? FROM next_number"]["repeated"] == 1


# --- what is declared


def test_transactions_that_are_declared_to_read(start_pooler):
    with start_pooler("explicit").connect(autocommit=True) as client:
        assert places(client) == {PRIMARY}
        for begin in ("BEGIN READ ONLY", "START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"):
            client.execute(begin)
            assert len(places(client)) == 1 and places(client) < REPLICAS
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                client.execute("INSERT INTO written (body) VALUES ('no')")
            client.execute("ROLLBACK")
        for begin in ("BEGIN", "BEGIN READ WRITE", "BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY"):
            client.execute(begin)
            assert places(client) == {PRIMARY}
            client.execute("COMMIT")


def test_psycopg_that_is_told_to_read(start_pooler):
    with start_pooler("explicit").connect(autocommit=False) as client:
        client.read_only = True
        assert places(client) < REPLICAS
        client.rollback()
        client.read_only = False
        assert places(client) == {PRIMARY}
        client.rollback()


def test_settings_that_declare_it(start_pooler):
    with start_pooler("explicit").connect() as client:
        for declare, undo in (
            ("SET headgate.route = 'replica'", "SET headgate.route = 'auto'"),
            ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "RESET default_transaction_read_only"),
            ("SET default_transaction_read_only = on", "SET default_transaction_read_only = off"),
        ):
            client.execute(declare)
            assert places(client) == REPLICAS, declare
            with client.transaction():
                assert places(client) < REPLICAS
            client.execute(undo)
            assert places(client) == {PRIMARY}, undo


def test_a_start_up_option_declares_it(start_pooler):
    pooler = start_pooler("explicit", ignore_startup_parameters="")
    with pooler.connect(options="-c default_transaction_read_only=on") as client:
        assert places(client) == REPLICAS


def test_clients_of_the_read_port(start_pooler):
    """What they ask goes to a replica first; a driver's own target_session_attrs tells the ports apart."""
    read_port = free_port()
    pooler = start_pooler("explicit", read_port=read_port)
    with pooler.connect(port=read_port) as client, pooler.connect() as other:
        assert places(client) == REPLICAS
        assert places(other) == {PRIMARY}
        client.execute("INSERT INTO written (body) VALUES ('x')")  # which only the primary can do
        client.execute("SET headgate.route TO 'primary'")
        assert places(client) == {PRIMARY}
    ports = f"{pooler.port},{read_port}"
    for attrs, port in (("standby", read_port), ("prefer-standby", read_port), ("read-only", read_port),
                        ("primary", pooler.port), ("read-write", pooler.port)):  # fmt: skip
        with pooler.connect(host="127.0.0.1,127.0.0.1", port=ports, target_session_attrs=attrs) as client:
            assert client.info.port == port


def test_a_host_is_read_as_often_as_it_weighs(start_pooler):
    pooler = start_pooler(entry={"host_weights": "1,3,1"})
    with pooler.connect() as client:
        counts = collections.Counter(client.execute(WHERE).fetchone()[0] for _ in range(40))
        assert counts == {"127.0.0.2": 30, "127.0.0.3": 10}
    assert {row["host"]: row["weight"] for row in pooler.admin("SHOW HOSTS")}["127.0.0.2"] == 3


def test_a_host_without_weight_is_not_read(start_pooler):
    pooler = start_pooler(entry={"host_weights": "1,0,1"})
    wait_until(lambda: readable(pooler) == {"127.0.0.3"}, 20, "the other is found")
    with pooler.connect() as client:
        assert places(client) == {"127.0.0.3"}


def test_comments_that_declare_it(start_pooler):
    with start_pooler().connect() as client:
        assert places(client, f"/* headgate:route=primary */ {WHERE}") == {PRIMARY}
        assert places(client, "/* headgate:route=replica */ SELECT host(inet_server_addr())") == REPLICAS
        client.execute("SET headgate.route = 'primary'")
        assert places(client) == {PRIMARY}
        assert places(client, f"/*headgate:route=replica*/ {WHERE}") == REPLICAS


def test_what_is_serializable_is_for_the_primary(start_pooler):
    with start_pooler().connect() as client:
        client.execute("SET default_transaction_isolation = 'serializable'")
        assert places(client) == {PRIMARY}


def test_with_defer_begin_a_transaction_is_routed_when_it_begins_in_earnest(start_pooler):
    with start_pooler("auto", defer_begin=1).connect() as client:
        client.execute("BEGIN READ ONLY")
        assert places(client) < REPLICAS
        client.execute("COMMIT")
        client.execute("BEGIN")
        assert places(client) == {PRIMARY}
        client.execute("COMMIT")


# --- read your writes


def read_back(writer, reader, pairs):
    """How many reads did not see what was written right before."""
    stale = 0
    writer.execute("TRUNCATE written")
    for number in range(pairs):
        writer.execute(f"INSERT INTO written (id, body) VALUES ({number}, 'w')")
        stale += reader.execute(f"SELECT count(*) FROM written WHERE id = {number}").fetchone()[0] == 0
    return stale


def test_a_client_reads_what_it_has_written(cluster, start_pooler):
    pooler = start_pooler()
    for node in cluster.replicas:
        node.execute("SELECT pg_wal_replay_pause()")
    with pooler.connect() as client:
        assert read_back(client, client, 200) == 0
        assert places(client) == {PRIMARY}
        for node in cluster.replicas:
            node.execute("SELECT pg_wal_replay_resume()")
        wait_until_read(client)
        assert read_back(client, client, 200) == 0


def test_eventual_reads_may_be_stale(cluster, start_pooler):
    pooler = start_pooler(read_consistency="eventual")
    for node in cluster.replicas:
        node.execute("SELECT pg_wal_replay_pause()")
    with pooler.connect() as client:
        client.execute("INSERT INTO written (id, body) VALUES (-1, 'w')")
        assert client.execute("SELECT count(*) FROM written WHERE id = -1").fetchone()[0] == 0
        assert places(client) == REPLICAS


def test_reads_that_are_bounded_in_lag(cluster, start_pooler):
    pooler = start_pooler(read_consistency="lag:300ms")
    with pooler.connect() as client:
        assert places(client) == REPLICAS
        for node in cluster.replicas:
            node.execute("SELECT pg_wal_replay_pause()")
        client.execute("INSERT INTO written (body) VALUES ('lag')")
        wait_until(lambda: places(client) == {PRIMARY}, 10, "they are too far behind")


def test_clients_that_share_a_key_read_what_either_has_written(cluster, start_pooler):
    pooler = start_pooler(read_consistency_key="app.user_id")
    with pooler.connect() as writer, pooler.connect() as reader, pooler.connect() as other:
        for client, user in ((writer, 7), (reader, 7), (other, 8)):
            client.execute(f"SET app.user_id = '{user}'")
            wait_until_read(client)
        for node in cluster.replicas:
            node.execute("SELECT pg_wal_replay_pause()")
        assert read_back(writer, reader, 50) == 0
        assert places(reader) == {PRIMARY}
        assert places(other) == REPLICAS


# --- what an operator sees


def test_a_report_tells_what_could_go_to_a_replica(cluster, start_pooler):
    pooler = start_pooler("report")
    with pooler.connect() as client:
        for number in range(5):
            assert places(client, times=1) == {PRIMARY}
            client.execute(f"SELECT body FROM notes WHERE id IN ({number}, {number + 1})")
            client.execute(f"UPDATE notes SET body = body WHERE id = {number}")
    rows = {row["statement"]: row for row in pooler.admin("SHOW ROUTES")}
    read = rows["SELECT body FROM notes WHERE id IN (?)"]
    assert (read["database"], read["route"], read["reads"], read["replica"]) == ("app", "replica", 5, 0)
    write = rows["UPDATE notes SET body = body WHERE id = ?"]
    assert (write["route"], write["reason"], write["reads"], write["primary"]) == ("primary", "writes: UPDATE", 0, 5)


def test_two_replicas_share_the_load(cluster, start_pooler):
    pooler = start_pooler()
    counts = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'app'"
    with pooler.connect() as client:
        for number in range(300):
            client.execute(f"SELECT body FROM notes WHERE id = {number}")
        rows = {row["statement"]: row for row in pooler.admin("SHOW ROUTES")}
        assert rows["SELECT body FROM notes WHERE id = ?"]["replica"] == 300

    def shared():
        return all(node.value(counts) >= 140 for node in cluster.replicas)

    wait_until(shared, 20, "each has had its half")


def test_metrics_count_what_replicas_have_served(start_pooler):
    pooler = start_pooler(http_port=(port := free_port()))
    with pooler.connect() as client:
        assert places(client, times=6) == REPLICAS
        assert client.execute("SELECT number IS NOT NULL FROM next_number").fetchone() == (True,)
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    pool = '{database="app",user="app"}'
    assert float(lines[f"headgate_pool_replica_reads_total{pool}"]) == 7
    assert float(lines[f"headgate_pool_replica_reads_repeated_total{pool}"]) == 1
    read = {name: value for name, value in lines.items() if name.startswith("headgate_host_read")}
    assert sorted(map(float, read.values())) == [0, 1, 1]


def test_a_check_logs_in_to_hosts_of_either_role(cluster, start_pooler):
    pooler = start_pooler(auth_user="app")
    done = subprocess.run([PROGRAM, "--check", "--connect", pooler.path("headgate.ini")], capture_output=True, text=True,
                          timeout=30, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert [line.endswith("as app: logged in") for line in done.stdout.splitlines()].count(True) == 3, done.stdout
