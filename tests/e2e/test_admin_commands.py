"""What an operator can do from the admin console."""

import threading

import psycopg
import pytest

from lib.headgate import is_headgate
from lib.messages import query
from lib.processes import wait_until
from lib.wire import Closed, ServerError, Wire, errors, first_value

pytestmark = pytest.mark.sanitizers
PID = "SELECT pg_backend_pid()"


@pytest.fixture
def pooler(start_headgate):
    return start_headgate(pool_mode="transaction", default_pool_size=2)


@pytest.fixture
def client(pooler):
    with Wire(pooler.port) as wire:
        wire.login().query("SELECT 1")
        yield wire


class Background:
    """A console command that may take its time."""

    def __init__(self, pooler, command):
        self._thread = threading.Thread(target=pooler.admin, args=(command,))
        self._thread.start()

    @property
    def running(self):
        return self._thread.is_alive()

    def wait(self):
        self._thread.join(10)
        assert not self.running, "the command has not come back"


def refused(pooler, command, text):
    with pytest.raises(psycopg.Error) as caught:
        pooler.admin(command)
    assert str(caught.value).strip() == text
    return caught.value


@pytest.mark.parametrize("database", ["", "app"])
def test_pause_waits_for_the_busy_and_resume_goes_on(pooler, client, count_servers, database):
    client.query("BEGIN")
    pause = Background(pooler, f"PAUSE {database}")
    with Wire(pooler.port) as other:
        wait_until(lambda: paused(pooler, database), what="it is paused")
        other.login().send(query("SELECT 'after the pause'"))
        wait_until(lambda: pooler.pool()["cl_waiting"] == 1, what="new queries wait")
        assert pause.running
        client.query("COMMIT")
        pause.wait()
        assert count_servers() == 0
        assert pooler.pool()["cl_waiting"] == 1
        pooler.admin(f"RESUME {database}")
        assert first_value(other.read_until()) == "after the pause"


def paused(pooler, database):
    if database:
        return any(row["name"] == database and row["paused"] for row in pooler.admin("SHOW DATABASES"))
    if not is_headgate():  # 1.18 has no SHOW STATE
        return "PAUSE command issued" in pooler.log()
    return any(row["key"] == "paused" and row["value"] == "yes" for row in pooler.admin("SHOW STATE"))


def test_pause_and_resume_say_when_there_is_nothing_to_do(pooler):
    refused(pooler, "RESUME", "pooler is not paused/suspended")
    pooler.admin("PAUSE")
    refused(pooler, "PAUSE", "already suspended/paused")
    pooler.admin("RESUME")
    refused(pooler, "RESUME app", "database app is not paused")
    refused(pooler, "PAUSE nowhere", "no such database: nowhere")
    refused(pooler, "PAUSE pgbouncer", "cannot pause admin db: pgbouncer")


def test_reconnect_replaces_servers_once_they_are_free(pooler, client, count_servers):
    client.query("BEGIN")
    pid = client.value(PID)
    pooler.admin("RECONNECT")
    assert client.value(PID) == pid
    client.query("COMMIT")
    assert client.value(PID) != pid
    wait_until(lambda: count_servers() == 1, what="the old server is gone")


def test_reload_applies_changed_settings(pooler, client):
    pooler.reload(default_pool_size=7, query_wait_timeout=3)
    settings = {row["key"]: row["value"] for row in pooler.admin("SHOW CONFIG")}
    assert (settings["default_pool_size"], settings["query_wait_timeout"]) == ("7", "3")
    assert client.value("SELECT 'undisturbed'") == "undisturbed"


def test_reload_adds_and_removes_databases(pooler, client):
    pooler.databases = {"added": pooler.databases["app"]}
    pooler.reload()
    with Wire(pooler.port) as wire:
        assert wire.login(database="added").value("SELECT 'new'") == "new"
    (fields,) = errors(client.read_to_end())
    assert fields["M"] == "database removed"


def test_reload_of_a_bad_file_changes_nothing(pooler, client):
    pooler.write("headgate.ini", "[pgbouncer]\nno_such_setting = 1\n")
    if is_headgate():
        error = refused(pooler, "RELOAD", "RELOAD failed, see logs for additional details")
        assert error.sqlstate == "F0000"
    else:
        pooler.admin("RELOAD")
    assert "no_such_setting" in pooler.log()
    assert client.value("SELECT 'undisturbed'") == "undisturbed"


def test_a_changed_connection_string_moves_to_new_servers(pooler, client, postgres):
    pooler.databases["app"]["dbname"] = "app"
    assert client.value("SELECT current_database()") == "single"
    pooler.reload()
    assert client.value("SELECT current_database()") == "app"


def test_disable_and_enable(pooler, client):
    pooler.admin("DISABLE app")
    with Wire(pooler.port) as wire, pytest.raises(ServerError, match='database "app" is disabled'):
        wire.login()
    assert client.value("SELECT 'already in'") == "already in"
    pooler.admin("ENABLE app")
    with Wire(pooler.port) as wire:
        assert wire.login().value("SELECT 1") == "1"
    refused(pooler, "DISABLE", "a database is required")
    refused(pooler, "DISABLE nowhere", "no such database: nowhere")


def test_kill_closes_everybody_and_pauses(pooler, client, count_servers):
    client.query("BEGIN")
    pooler.admin("KILL app")
    wait_until(lambda: count_servers() == 0, what="no server is left")
    if is_headgate():  # 1.18 closes without a word to a client in a transaction
        assert errors(client.read_to_end())[-1]["M"] == "database removed"
    with pytest.raises((Closed, OSError)):
        client.read_to_end()
        client.query("SELECT 1")
    assert paused(pooler, "app")
    assert pooler.pool() is None
    if is_headgate():  # PgBouncer forgets what it has counted
        assert "app" in {row["database"] for row in pooler.admin("SHOW STATS")}
    pooler.admin("RESUME app")
    with Wire(pooler.port) as wire:
        assert wire.login().value("SELECT 'again'") == "again"
    refused(pooler, "KILL pgbouncer", "cannot kill admin db: pgbouncer")


def test_set_changes_a_setting_at_once(pooler):
    with pooler.console() as console:
        for command in ("SET query_wait_timeout = 7", "SET query_wait_timeout TO '7'"):
            cursor = console.execute(command)
            assert cursor.statusmessage.startswith("SET")
        settings = {row["key"]: row["value"] for row in console.execute("SHOW CONFIG").fetchall()}
        assert settings["query_wait_timeout"] == "7"
        with pytest.raises(psycopg.Error, match="SET failed"):
            console.execute("SET no_such_setting = 1")
        with pytest.raises(psycopg.Error, match="SET failed"):
            console.execute("SET pool_mode = 'no such mode'")


def test_set_pool_size_works_for_running_pools(pooler, client, count_servers):
    with pooler.console() as console:
        console.execute("SET default_pool_size = 4")
    clients = [Wire(pooler.port).login() for _ in range(4)]
    for wire in clients:
        wire.query("BEGIN")
    assert count_servers() == 4
    for wire in clients:
        wire.close()


def test_shutdown_ends_the_program(pooler, client):
    with Wire(pooler.port) as wire:
        wire.login("admin", "pgbouncer").send(query("SHUTDOWN"))
        assert wire.read_to_end() == []
    pooler.wait_ended()
