"""Commands of the console that wait, and what ends them: SUSPEND, WAIT_CLOSE, KILL_CLIENT, cancel requests."""

import signal
import threading

import psycopg
import pytest

from lib.faulty import Fault, Faulty
from lib.messages import query
from lib.processes import wait_until
from lib.wire import Closed, ServerError, Wire, errors, first_value

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only]  # 1.18 has a part of it, and other texts


@pytest.fixture
def pooler(start_headgate):
    return start_headgate(pool_mode="transaction", default_pool_size=2)


@pytest.fixture
def console(pooler):
    with Wire(pooler.port) as wire:
        yield wire.login("admin", "pgbouncer")


@pytest.fixture
def client(pooler):
    with Wire(pooler.port) as wire:
        wire.login().query("SELECT 1")
        yield wire


def state(pooler_console):
    rows = [message.values() for message in pooler_console.query("SHOW STATE") if message.tag == "D"]
    return {key.decode(): value.decode() for key, value in rows}


def logged(pooler, text):
    return wait_until(lambda: text in pooler.log(), what=f"the log says {text}")


# --- SUSPEND


def test_suspend_holds_everybody_and_resume_goes_on(pooler, console, client):
    with Wire(pooler.port) as busy:
        busy.login().query("BEGIN")
        assert console.query("SUSPEND")[0].text() == "SUSPEND"
        assert state(console) == {"active": "no", "paused": "no", "suspended": "yes"}
        client.send(query("SELECT 'idle'"))
        busy.send(query("SELECT 'linked'"))
        arrived = []  # nobody is let in: a new connection waits in the backlog
        thread = threading.Thread(target=lambda: arrived.append(psycopg.connect(**pooler.address()).close()))
        thread.start()
        assert client.silent_for(0.3) and busy.silent_for(0.1) and not arrived
        console.query("RESUME")
        assert first_value(client.read_until()) == "idle"
        assert first_value(busy.read_until()) == "linked"
        thread.join(10)
        assert arrived == [None]


def test_suspend_waits_for_those_who_wait_for_a_server(pooler, console, client):
    with Wire(pooler.port) as second, Wire(pooler.port) as third:
        second.login().query("BEGIN")
        client.send(query("SELECT pg_sleep(0.5)"))
        wait_until(lambda: pooler.pool()["sv_active"] == 2, what="both servers are taken")
        third.login().send(query("SELECT 'served'"))
        wait_until(lambda: pooler.pool()["cl_waiting"] == 1, what="the third waits")
        console.send(query("SUSPEND"))
        assert first_value(third.read_until()) == "served"
        assert console.read_until()[0].text() == "SUSPEND"


def test_what_does_not_come_to_rest_is_closed_after_suspend_timeout(start_headgate):
    pooler = start_headgate(pool_mode="transaction", suspend_timeout=1)
    with Wire(pooler.port) as wire, Wire(pooler.port) as console:
        wire.login().send(query("SELECT 'never complete'")[:-5])
        console.login("admin", "pgbouncer")
        wait_until(lambda: pooler.admin("SHOW ACTIVE_SOCKETS"), what="half a message has come")
        assert console.query("SUSPEND")[0].text() == "SUSPEND"
        (fields,) = errors(wire.read_to_end())
        assert fields["M"] == "suspend_timeout"
        console.query("RESUME")
        with pooler.connect() as other:
            assert other.execute("SELECT 1").fetchone() == (1,)


def test_nobody_stays_suspended_when_the_last_console_leaves(pooler, console, client):
    console.query("SUSPEND")
    client.send(query("SELECT 'resumed'"))
    console.close()
    assert first_value(client.read_until()) == "resumed"
    logged(pooler, "admin disappeared when suspended, doing RESUME")


def test_sigusr2_ends_a_suspension(pooler, console, client):
    console.query("SUSPEND")
    client.send(query("SELECT 'resumed'"))
    pooler.send_signal(signal.SIGUSR1)
    logged(pooler, "got SIGUSR1, but already paused/suspended")
    assert client.silent_for(0.1)
    pooler.send_signal(signal.SIGUSR2)
    assert first_value(client.read_until()) == "resumed"


def test_time_stands_still_for_the_suspended(start_headgate):
    pooler = start_headgate(pool_mode="transaction", client_idle_timeout=1, server_idle_timeout=1)
    with Wire(pooler.port) as client, Wire(pooler.port) as console:
        client.login().query("SELECT 1")
        console.login("admin", "pgbouncer").query("SUSPEND")
        assert client.silent_for(1.5)
        console.query("RESUME")
        (fields,) = errors(client.read_to_end())
        assert fields["M"] == "client_idle_timeout"


# --- KILL_CLIENT


def client_ids(pooler):
    return {row["id"] for row in pooler.admin("SHOW CLIENTS") if row["database"] == "app"}


def test_kill_client_closes_that_client_alone(pooler, client, count_servers):
    with Wire(pooler.port) as other:
        before = client_ids(pooler)
        other.login().query("BEGIN")
        (number,) = client_ids(pooler) - before
        pooler.admin(f"KILL_CLIENT {number}")
        (fields,) = errors(other.read_to_end())
        assert (fields["S"], fields["C"], fields["M"]) == ("FATAL", "57P01", "admin forced disconnect")
    assert client.value("SELECT 'still here'") == "still here"
    with pytest.raises(psycopg.Error, match="client not found"):
        pooler.admin(f"KILL_CLIENT {number}")


def test_kill_client_in_a_query_frees_its_server(pooler, client, postgres):
    client.send(query("SELECT pg_sleep(60)"))
    wait_until(lambda: pooler.pool()["sv_active"] == 1, what="it runs")
    (number,) = client_ids(pooler)
    pooler.admin(f"KILL_CLIENT {number}")
    (fields,) = errors(client.read_to_end())
    assert fields["M"] == "admin forced disconnect"
    wait_until(
        lambda: not [one for one in postgres.backends("single") if one["state"] == "active"],
        what="its query is cancelled",
    )


# --- WAIT_CLOSE


def test_wait_close_waits_for_servers_that_are_to_be_closed(pooler, console, client):
    assert console.query("WAIT_CLOSE")[0].text() == "WAIT_CLOSE"
    client.query("BEGIN")
    console.query("RECONNECT app")
    console.send(query("WAIT_CLOSE app"))
    assert console.silent_for(0.3)
    assert client.value("SELECT 1") == "1"
    client.query("COMMIT")
    assert console.read_until()[0].text() == "WAIT_CLOSE"
    assert not [row for row in pooler.admin("SHOW SERVERS") if row["close_needed"]]


# --- cancel requests


def canceled(console):
    (fields,) = errors(console.read_until())
    return (fields["S"], fields["C"])


def test_a_cancelled_pause_is_no_pause(pooler, console, client):
    client.query("BEGIN")
    console.send(query("PAUSE"))
    logged(pooler, "PAUSE command issued")
    console.cancel()
    assert canceled(console) == ("ERROR", "57014")
    logged(pooler, "cancel request for console client")
    client.query("COMMIT")
    assert client.value("SELECT 'not paused'") == "not paused"
    assert state(console)["active"] == "yes"


def test_a_cancelled_pause_of_a_database_is_no_pause(pooler, console, client):
    client.query("BEGIN")
    console.send(query("PAUSE app"))
    logged(pooler, "PAUSE 'app' command issued")
    console.cancel()
    assert canceled(console) == ("ERROR", "57014")
    client.query("COMMIT")
    assert client.value("SELECT 'not paused'") == "not paused"


def test_a_cancelled_suspend_resumes(pooler, console, client):
    with Wire(pooler.port) as half:
        half.login().send(query("SELECT 1")[:-2])
        wait_until(lambda: pooler.admin("SHOW ACTIVE_SOCKETS"), what="half a message has come")
        console.send(query("SUSPEND"))
        logged(pooler, "SUSPEND command issued")
        # No new connection is accepted, not even one that cancels: as with PgBouncer, a cancel
        # request that came before would do. The signal does the same.
        pooler.send_signal(signal.SIGUSR2)
        assert console.read_until()[0].text() == "SUSPEND"
        assert client.value("SELECT 'resumed'") == "resumed"


def test_a_cancelled_wait_close_waits_no_longer(pooler, console, client):
    client.query("BEGIN")
    console.query("RECONNECT")
    console.send(query("WAIT_CLOSE"))
    logged(pooler, "WAIT_CLOSE command issued")
    console.cancel()
    assert canceled(console) == ("ERROR", "57014")
    assert client.value("SELECT 'undisturbed'") == "undisturbed"


def test_a_cancel_for_a_console_that_waits_for_nothing_does_nothing(pooler, console):
    console.query("PAUSE")
    console.cancel()
    logged(pooler, "cancel request for console client")
    assert state(console)["paused"] == "yes"
    console.query("RESUME")


def test_cancel_requests_are_seen_on_their_way(start_headgate, postgres):
    with Faulty(postgres.port) as proxy:
        target = {"host": "127.0.0.1", "port": proxy.port, "dbname": "single"}
        pooler = start_headgate({"app": target}, pool_mode="transaction")
        with Wire(pooler.port) as client:
            client.login().send(query("SELECT pg_sleep(60)"))
            wait_until(lambda: pooler.pool()["sv_active"] == 1, what="it runs")
            proxy.befall_next(asked=Fault(cut_after=8, end="black_hole"))
            canceling = threading.Thread(target=client.cancel)
            canceling.start()
            row = wait_until(lambda: (row := pooler.pool())["cl_active_cancel_req"] and row, what="it is on its way")
            assert (row["sv_active_cancel"], row["cl_waiting_cancel_req"], row["sv_active"]) == (1, 0, 1)
            states = {row["state"]: row for row in pooler.admin("SHOW CLIENTS")}
            assert states["active_cancel_req"]["database"] == "app"
            assert [row["state"] for row in pooler.admin("SHOW SERVERS")] == ["active", "active_cancel"]
            proxy.reset(proxy.lines[-1:])
            canceling.join(10)
            assert not canceling.is_alive()


# --- a console that leaves, and shutdown


def test_a_console_that_leaves_in_pause_leaves_the_pause(pooler, console, client):
    client.query("BEGIN")
    console.send(query("PAUSE"))
    logged(pooler, "PAUSE command issued")
    console.close()
    client.query("COMMIT")
    client.send(query("SELECT 'after'"))
    wait_until(lambda: pooler.pool()["cl_waiting"] == 1, what="it waits")
    pooler.admin("RESUME")
    assert first_value(client.read_until()) == "after"


def test_resume_of_one_database_does_not_answer_for_another(pooler, console, client):
    pooler.databases["two"] = pooler.databases["app"]
    pooler.reload()
    client.query("BEGIN")
    console.send(query("PAUSE app"))
    logged(pooler, "PAUSE 'app' command issued")
    pooler.admin("PAUSE two")
    pooler.admin("RESUME two")
    assert console.silent_for(0.1)
    client.query("COMMIT")
    assert console.read_until()[0].text() == "PAUSE"


def test_resume_cannot_undo_a_shutdown(pooler, console, client):
    client.query("BEGIN")
    assert console.query("SHUTDOWN WAIT_FOR_SERVERS")[0].text() == "SHUTDOWN"
    console.send(query("RESUME"))
    (fields,) = errors(console.read_until())
    assert fields["M"] == "pooler is shutting down"
    client.query("COMMIT")
    with pytest.raises((Closed, ServerError, OSError)):
        client.query("SELECT 1")
    pooler.wait_ended()
