"""Signals and the command line, as scripts and service managers use them."""

import os
import signal
import subprocess

import pytest

from lib.headgate import PROGRAM, is_headgate
from lib.messages import query
from lib.processes import wait_until
from lib.wire import ServerError, Wire, errors, first_value

pytestmark = pytest.mark.sanitizers


@pytest.fixture
def pooler(start_headgate):
    return start_headgate(pool_mode="transaction", default_pool_size=2)


@pytest.fixture
def client(pooler):
    with Wire(pooler.port) as wire:
        wire.login().query("SELECT 1")
        yield wire


def listening(pooler):
    try:
        Wire(pooler.port).close()
        return True
    except OSError:
        return False


def test_sighup_reloads(pooler, client):
    pooler.settings["default_pool_size"] = 9
    pooler.write_files()
    pooler.send_signal(signal.SIGHUP)

    def pool_size():
        rows = {row["key"]: row["value"] for row in pooler.admin("SHOW CONFIG")}
        return rows["default_pool_size"]

    wait_until(lambda: pool_size() == "9", what="the new setting is in force")
    assert "got SIGHUP, re-reading config" in pooler.log()
    assert client.value("SELECT 'undisturbed'") == "undisturbed"


@pytest.mark.headgate_only  # 1.18 ends by SIGQUIT without a handler
def test_sigquit_ends_at_once(pooler, client):
    client.query("BEGIN")
    pooler.send_signal(signal.SIGQUIT)
    assert client.read_to_end() == []
    pooler.wait_ended()
    assert "got SIGQUIT, fast exit" in pooler.log()


def test_sigint_lets_running_transactions_finish(pooler, client):
    client.query("BEGIN")
    pooler.send_signal(signal.SIGINT)
    wait_until(lambda: "got SIGINT" in pooler.log(), what="it is shutting down")
    assert client.value("SELECT 'goes on'") == "goes on"
    if is_headgate():  # 1.18 goes on listening
        wait_until(lambda: not listening(pooler), what="it no longer listens")
    assert pooler.running
    client.query("COMMIT")
    pooler.wait_ended()


@pytest.mark.headgate_only  # newer than 1.18
def test_sigint_turns_waiting_clients_away(start_headgate):
    pooler = start_headgate(pool_mode="transaction", default_pool_size=1)
    with Wire(pooler.port) as holder, Wire(pooler.port) as waiting:
        holder.login().query("BEGIN")
        waiting.login().send(query("SELECT 1"))
        wait_until(lambda: pooler.pool()["cl_waiting"] == 1, what="the client waits")
        pooler.send_signal(signal.SIGINT)
        assert errors(waiting.read_to_end())[-1]["M"] == "server shutting down"
        holder.query("COMMIT")
    pooler.wait_ended()


@pytest.mark.headgate_only  # newer than 1.18
def test_sigterm_waits_for_all_clients(pooler, client):
    pooler.send_signal(signal.SIGTERM)
    wait_until(lambda: not listening(pooler), what="it no longer listens")
    assert client.value("SELECT 'served to the end'") == "served to the end"
    with Wire(pooler.port, pooler.directory) as late:
        with pytest.raises(ServerError, match="pooler is shutting down"):
            late.login()
    client.close()
    pooler.wait_ended()


@pytest.mark.headgate_only
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(pooler, client, number):
    client.query("BEGIN")
    pooler.send_signal(number)
    wait_until(lambda: not listening(pooler), what="it is shutting down")
    pooler.send_signal(number)
    assert client.read_to_end() == []
    pooler.wait_ended()


@pytest.mark.headgate_only  # 1.18 has another text
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_end_while_suspended_is_a_failure(pooler, client, number):
    with pooler.console() as console:
        console.execute("SUSPEND")
        pooler.send_signal(number)
        pooler.wait_ended(status=1)
    assert "FATAL suspend was in progress, going down" in pooler.log()


@pytest.mark.headgate_only  # newer than 1.18
def test_sigterm_while_paused_waits_for_all_clients(pooler, client):
    pooler.send_signal(signal.SIGUSR1)
    wait_until(lambda: "got SIGUSR1" in pooler.log(), what="it is paused")
    pooler.send_signal(signal.SIGTERM)
    wait_until(lambda: not listening(pooler), what="it no longer listens")
    assert pooler.running
    client.close()
    pooler.wait_ended()


def test_sigusr1_pauses_and_sigusr2_resumes(pooler, client):
    pooler.send_signal(signal.SIGUSR1)
    wait_until(lambda: "got SIGUSR1, pausing all activity" in pooler.log(), what="it is paused")
    client.send(query("SELECT 'later'"))
    wait_until(lambda: pooler.pool()["cl_waiting"] == 1, what="the client waits")
    pooler.send_signal(signal.SIGUSR2)
    assert first_value(client.read_until()) == "later"


def run(*arguments, **options):
    return subprocess.run(
        [PROGRAM, *arguments], capture_output=True, text=True, check=False, timeout=20, cwd="/", **options
    )


def test_version_and_help():
    version = run("-V")
    assert version.returncode == 0
    assert version.stdout.lower().startswith("headgate " if is_headgate() else "pgbouncer ")
    shown = run("--help")
    assert shown.returncode == 0
    assert "CONFIG" in shown.stdout.upper()


def test_without_a_configuration_it_says_so():
    done = run()
    assert done.returncode == 1
    assert "--help" in done.stdout + done.stderr


@pytest.mark.headgate_only
@pytest.mark.parametrize(
    "line, words",
    [
        ("pool_mod = session", ["pool_mod", "pool_mode"]),
        ("default_pool_size = many", ["default_pool_size", "many"]),
        ("pool_mode = sesion", ["pool_mode", "sesion"]),
    ],
)
def test_a_bad_setting_is_named_with_its_place(tmp_path, line, words):
    path = tmp_path / "bad.ini"
    path.write_text(f"[databases]\n[pgbouncer]\nlisten_port = 1\n{line}\n")
    done = run(str(path))
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert all(word in said for word in [f"{path}:4", *words]), said


def test_a_port_in_use_is_told(pooler):
    text = open(pooler.path("headgate.ini"), encoding="utf-8").read()
    path = pooler.path("second.ini")
    pooler.write("second.ini", "\n".join(line for line in text.splitlines() if "unix_socket_dir" not in line)
                 + "\nunix_socket_dir =\n")  # fmt: skip
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    done = run(path, **user)
    assert done.returncode == 1
    assert str(pooler.port) in done.stdout + done.stderr


def test_a_pidfile_is_written_and_removed(start_headgate):
    pooler = start_headgate(before_start=lambda pooler: pooler.settings.update(pidfile=pooler.path("pid")))
    path = pooler.path("pid")
    wait_until(lambda: os.path.exists(path) and open(path, encoding="ascii").read().strip() == str(pooler.pid),
               what="the pid is written")  # fmt: skip
    pooler.stop()
    assert not os.path.exists(path)


def test_a_logfile_gets_the_lines_and_stderr_too(start_headgate):
    pooler = start_headgate(before_start=lambda pooler: pooler.settings.update(logfile=pooler.path("own.log")))
    with Wire(pooler.port) as wire:
        wire.login()
    line = "login attempt: db=app user=app tls=no"
    wait_until(lambda: line in open(pooler.path("own.log"), encoding="utf-8").read(), what="the line is there")
    assert line in pooler.log()
