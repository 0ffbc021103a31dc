"""Reads within a database go to its replicas (read_routing): what is declared to read, and with `auto` plain reads;
everything else, and everything in doubt, to the primary. What a replica refuses runs on the primary, unseen."""

import subprocess
import urllib.request

import psycopg
import pytest

from lib.cluster import Cluster
from lib.headgate import PROGRAM, Headgate
from lib.messages import bind, describe, execute, extended, flush, parse, query, sync
from lib.processes import free_port, wait_until
from lib.wire import Wire, errors, first_value, tags

pytestmark = pytest.mark.headgate_only

# The text does not tell that it asks a server for its address: a plain read, to all that can be seen.
WHERE = "SELECT host FROM whereabouts"
SETUP = (
    "CREATE TABLE notes (id int PRIMARY KEY, body text)",
    "INSERT INTO notes SELECT n, 'note ' || n FROM generate_series(1, 100) n",
    "CREATE TABLE written (id serial, body text)",
    "CREATE UNLOGGED TABLE scratch (id int)",
    "CREATE TABLE secrets AS SELECT n % 6 + 1 AS tenant FROM generate_series(1, 60) n",
    "ALTER TABLE secrets ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY own ON secrets USING (tenant = current_setting('app.tenant')::int)",
    "CREATE SEQUENCE numbers",
    "CREATE VIEW whereabouts AS SELECT host(inet_server_addr()) AS host",
    "CREATE VIEW next_number AS SELECT nextval('numbers') AS number",
    "CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql STABLE RETURN $1 * 2",
    "CREATE FUNCTION place() RETURNS text LANGUAGE sql STABLE RETURN host(inet_server_addr())",
    "CREATE FUNCTION write_it(text) RETURNS text LANGUAGE sql VOLATILE AS "
    "$$ INSERT INTO written (body) VALUES ($1) RETURNING body $$",
    "GRANT ALL ON ALL TABLES IN SCHEMA public TO app",
    "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO app",
)
PRIMARY, REPLICAS = "127.0.0.1", {"127.0.0.2", "127.0.0.3"}
SETTINGS = {"pool_mode": "transaction", "default_pool_size": 5, "monitor_user": "monitor", "monitor_interval": 0.05,
            "query_wait_timeout": 30, "server_lifetime": 3600, "workers": 2}  # fmt: skip


@pytest.fixture(scope="module")
def shared_cluster(many_files):
    with Cluster() as cluster:
        cluster.primary.execute(*SETUP, database="app")
        cluster.wait_replayed()
        yield cluster


@pytest.fixture
def cluster(shared_cluster):
    yield shared_cluster
    for node in shared_cluster.nodes:
        shared_cluster.resume(node)
        if not node.process:
            node.start()
        node.execute("SELECT pg_wal_replay_resume() WHERE pg_is_in_recovery()")
    shared_cluster.wait_replayed()


@pytest.fixture
def start_pooler(cluster):
    started = []

    def start(routing="auto", target="primary", **settings):
        where = {"host": cluster.hosts, "port": cluster.primary.port, "dbname": "app", "read_routing": routing}
        if target:
            where["target_session_attrs"] = target
        started.append(Headgate({"app": where}, **{**SETTINGS, **settings}))
        pooler = started[-1].start()
        if routing in ("auto", "explicit"):
            wait_until(lambda: readable(pooler) == REPLICAS, 20, "the replicas are found")
        return pooler

    yield start
    for pooler in started:
        pooler.stop()
        pooler.remove()


def readable(pooler):
    rows = pooler.admin("SHOW HOSTS")
    return {row["host"] for row in rows if row["role"] == "standby" and row["read"]}


def places(client, sql=WHERE, times=8):
    return {client.execute(sql).fetchone()[0] for _ in range(times)}


def wait_until_read(client):
    """What a client has written, or what may have, is on the replicas."""
    wait_until(lambda: places(client) == REPLICAS, 20, "it reads replicas")


def batch(sql):
    return extended(sql) + sync()


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


# --- the safety net


@pytest.mark.parametrize("read", [
    "SELECT number IS NOT NULL FROM next_number",  # 25006
    "SELECT count(*) >= 0 FROM scratch",  # 0A000: unlogged
])  # fmt: skip
@pytest.mark.parametrize("prepared", [None, False, True])
def test_what_a_replica_refuses_runs_on_the_primary(start_pooler, read, prepared):
    pooler = start_pooler()
    with pooler.connect() as client:
        for _ in range(5):
            assert client.execute(read, prepare=prepared).fetchone() == (True,)
        rows = [row for row in pooler.admin("SHOW ROUTES") if row["statement"] == shape(read)]
        assert sum(row["repeated"] for row in rows) == 1 and rows[0]["reason"].startswith("refused by a replica")
        wait_until_read(client)


def shape(sql):
    return sql.replace("0", "?")


def test_a_batch_that_is_refused_is_repeated_whole(start_pooler):
    """With names that it gives, and one that is answered before the refusal comes."""
    pooler = start_pooler()
    with Wire(pooler.port) as wire:
        wire.login()
        for number in range(3):
            wire.send(parse("SELECT body FROM notes WHERE id = $1", f"note{number}"),
                      bind(["5"], statement=f"note{number}"), execute(),
                      parse(f"SELECT number > 0 AS at_{number} FROM next_number", f"next{number}"),
                      bind(statement=f"next{number}"), describe(), execute(), sync())  # fmt: skip
            answer = wire.read_until()
            assert tags(answer) == "12DC12TDCZ", errors(answer)
        for number in range(3):
            wire.send(bind(["6"], statement=f"note{number}"), execute(), bind(statement=f"next{number}"), execute(),
                      sync())  # fmt: skip
            assert tags(wire.read_until()) == "2DC2DCZ"


def test_a_table_that_is_not_there_yet(cluster, start_pooler):
    pooler = start_pooler(read_consistency="eventual")
    for node in cluster.replicas:
        node.execute("SELECT pg_wal_replay_pause()")
    try:
        cluster.primary.execute("CREATE TABLE late AS SELECT 'late' AS word", "GRANT SELECT ON late TO app",
                                database="app")  # fmt: skip
        with pooler.connect() as client:
            assert client.execute("SELECT word FROM late").fetchone() == ("late",)
    finally:
        cluster.primary.execute("DROP TABLE late", database="app")


def test_a_role_that_is_not_there_yet(cluster, start_pooler):
    """The client's session cannot be had on a replica: it is served on the primary, and hears nothing of it."""
    pooler = start_pooler(read_consistency="eventual")
    for node in cluster.replicas:
        node.execute("SELECT pg_wal_replay_pause()")
    cluster.primary.execute("CREATE ROLE newcomer", "GRANT newcomer TO app", "GRANT SELECT ON notes TO newcomer",
                            database="app")  # fmt: skip
    try:
        with pooler.connect() as client:
            client.execute("SET ROLE newcomer")
            for prepared in (False, True):
                for _ in range(3):
                    sql = "SELECT body FROM notes WHERE id = 3"
                    assert client.execute(sql, prepare=prepared).fetchone() == ("note 3",)
    finally:
        cluster.primary.execute("REVOKE ALL ON notes FROM newcomer", "DROP ROLE newcomer", database="app")


def test_errors_of_the_statement_itself_are_told_once(start_pooler):
    with start_pooler().connect() as client:
        with pytest.raises(psycopg.errors.DivisionByZero):
            client.execute("SELECT 1 / (id - id) FROM notes")
        with pytest.raises(psycopg.errors.UndefinedTable):
            client.execute("SELECT * FROM nowhere")
        wait_until_read(client)


def test_statements_that_were_read_are_read_by_the_same_plan_after_a_change(cluster, start_pooler):
    """"cached plan must not change result type" on a replica is healed there."""
    pooler = start_pooler()
    with pooler.connect() as client:
        cluster.primary.execute("CREATE TABLE grows (a int)", "INSERT INTO grows VALUES (1)",
                                "GRANT SELECT ON grows TO app", database="app")  # fmt: skip
        cluster.wait_replayed()
        for _ in range(6):
            client.execute("SELECT * FROM grows", prepare=True)
        cluster.primary.execute("ALTER TABLE grows ADD b int", database="app")
        cluster.wait_replayed()
        for _ in range(6):
            assert client.execute("SELECT * FROM grows", prepare=True).fetchone() == (1, None)
        cluster.primary.execute("DROP TABLE grows", database="app")


def test_settings_follow_their_clients_to_the_replicas(start_pooler):
    """Row-level security trusts a setting: each client sees its own rows, on whatever server, after whomever."""
    pooler = start_pooler(default_pool_size=2)
    clients = {tenant: pooler.connect() for tenant in range(1, 7)}
    for tenant, client in clients.items():
        client.execute(f"SET app.tenant = '{tenant}'")
    for _ in range(20):
        for tenant, client in clients.items():
            found = client.execute("SELECT DISTINCT tenant, host FROM secrets, whereabouts").fetchall()
            assert [row[0] for row in found] == [tenant]
    asked = {host for client in clients.values() for host in places(client, "SELECT host FROM secrets, whereabouts")}
    assert asked == REPLICAS
    for client in clients.values():
        client.close()


# --- hosts that come and go


@pytest.mark.parametrize("how", ["stop", "freeze", "kill"])
def test_a_replica_that_goes_takes_no_reads_with_it(cluster, start_pooler, how):
    pooler = start_pooler(monitor_timeout=0.5)
    first, second = cluster.replicas
    gone, left = cluster.host_of(first), cluster.host_of(second)
    clients = [pooler.connect() for _ in range(6)]
    for client in clients:
        assert places(client) == REPLICAS
    if how == "freeze":
        cluster.freeze(first)
        wait_until(lambda: readable(pooler) == {left}, 10, "it is out of rotation")
    elif how == "stop":
        first.stop()
    else:
        cluster.kill(first)
    for client in clients:
        assert places(client) <= {left, PRIMARY}
    wait_until(lambda: readable(pooler) == {left}, 10, "it is out of rotation")
    for client in clients:
        assert places(client) == {left}
    if how == "freeze":
        cluster.resume(first)
    else:
        first.start()
    wait_until(lambda: readable(pooler) == REPLICAS, 20, "it is back")
    wait_until(lambda: gone in places(clients[0]), 20, "it is read again")
    for client in clients:
        client.close()


def test_without_replicas_the_primary_is_read(cluster, start_pooler):
    pooler = start_pooler()
    with pooler.connect() as client:
        for node in cluster.replicas:
            node.stop()
        assert places(client) == {PRIMARY}
        wait_until(lambda: readable(pooler) == set(), 10, "none is in rotation")
        assert places(client) == {PRIMARY}


def test_clients_that_wait_for_a_replica_are_served_elsewhere_when_it_goes(cluster, start_pooler):
    pooler = start_pooler(default_pool_size=1, workers=1, monitor_timeout=0.5)
    busy = [pooler.connect(autocommit=True) for _ in range(2)]
    for client in busy:
        client.execute("BEGIN READ ONLY")
    assert {places(client, times=1).pop() for client in busy} == REPLICAS
    waits = pooler.connect()
    waits.pgconn.send_query(WHERE.encode())
    wait_until(lambda: pooler.pool()["cl_waiting"] == 1, 10, "it waits")
    for node in cluster.replicas:
        cluster.freeze(node)
    while waits.pgconn.is_busy():
        waits.pgconn.consume_input()
    assert waits.pgconn.get_result().get_value(0, 0) == PRIMARY.encode()
    for client in [*busy, waits]:
        client.close()


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
