"""--health: what a container's HEALTHCHECK runs, which has neither a shell nor curl."""

import os
import signal
import socket
import subprocess
import threading

import pytest

from lib import processes
from lib.frozen import frozen
from lib.headgate import PROGRAM, REPOSITORY
from lib.processes import wait_until
from lib.web import start_with_web

pytestmark = [pytest.mark.headgate_only, pytest.mark.sanitizers]


def health(*arguments, environment=None):
    """(exit status, what it says)"""
    ran = subprocess.run([PROGRAM, "--health", *arguments], capture_output=True, text=True, timeout=60, check=False,
                         env={"PATH": os.environ["PATH"], **(environment or {})})  # fmt: skip
    assert not (ran.stdout and ran.stderr)
    return ran.returncode, (ran.stdout or ran.stderr).strip()


def of(pooler):
    return health(pooler.path("headgate.ini"))


def test_by_http(start_headgate):
    pooler, web = start_with_web(start_headgate)
    assert of(pooler) == (0, f"http://127.0.0.1:{web.port}/healthz: ok")
    with frozen(pooler.pid):
        assert of(pooler) == (1, f"http://127.0.0.1:{web.port}/healthz: 503 Service Unavailable: worker 0 does not answer")
    assert of(pooler)[0] == 0
    pooler.send_signal(signal.SIGQUIT)
    pooler.wait_ended()
    assert of(pooler) == (1, f"http://127.0.0.1:{web.port}/healthz: Connection refused")


@pytest.mark.parametrize("http_addr", ["*", "::1", "localhost"])
def test_by_http_wherever_it_listens(start_headgate, http_addr):
    pooler, _ = start_with_web(start_headgate, http_addr=http_addr)
    assert of(pooler)[0] == 0


def test_a_password_of_the_dashboard_is_not_needed(start_headgate):
    pooler, _ = start_with_web(start_headgate, http_password="secret")
    assert of(pooler)[0] == 0


def test_a_url_is_asked_as_it_is(start_headgate):
    pooler, web = start_with_web(start_headgate)
    ready = f"http://127.0.0.1:{web.port}/readyz"
    assert health(ready) == (0, f"{ready}: ok")
    with pooler.console() as console:
        console.execute("PAUSE")
        assert health(ready) == (1, f"{ready}: 503 Service Unavailable: paused")
        assert of(pooler)[0] == 0  # it lives
        console.execute("RESUME")
    assert health(f"http://localhost:{web.port}")[0] == 0
    for bad in ("http://", "http://:1", "http://x:0/", "http://x:99999", "http://a b:1"):
        assert health(bad) == (1, f"not http://HOST:PORT/PATH: {bad}")


@pytest.mark.parametrize("settings", [{}, {"listen_addr": "*"}, {"listen_addr": "127.0.0.1, ::1"}, {"max_client_conn": 0}])
def test_by_the_port_for_clients(start_headgate, settings):
    pooler = start_headgate(**settings)
    assert of(pooler) == (0, f"127.0.0.1:{pooler.port}: ok")
    pooler.send_signal(signal.SIGQUIT)
    pooler.wait_ended()
    assert of(pooler) == (1, f"127.0.0.1:{pooler.port}: Connection refused")


def test_by_the_unix_socket(make_headgate):
    pooler = make_headgate(listen_addr="127.0.0.1")
    pooler.start()
    socket_path = pooler.path(f".s.PGSQL.{pooler.port}")
    pooler.settings["listen_addr"] = ""
    pooler.write_files()
    assert of(pooler) == (0, f"{socket_path}: ok")


def test_a_file_that_has_become_wrong_says_nothing_about_the_process(start_headgate):
    pooler = start_headgate()
    pooler.settings["pool_mode"] = "nonsense"
    pooler.write_files()
    assert of(pooler) == (0, f"127.0.0.1:{pooler.port}: ok")


@pytest.mark.parametrize(("answer", "says"), [
    (b"", "closes the connection"), (b"x", "answers otherwise"), (None, "no answer in time"),
])  # fmt: skip
def test_what_is_no_pooler(make_headgate, answer, says):
    pooler = make_headgate()
    pooler.write_files()
    with socket.create_server(("127.0.0.1", pooler.port)) as listening:
        def serve():
            connection, _ = listening.accept()
            with connection:
                connection.recv(100)
                if answer is None:
                    connection.recv(100)  # until it has given up
                elif answer:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert of(pooler) == (1, f"127.0.0.1:{pooler.port}: {says}")
        thread.join()


def test_by_the_environment_alone():
    port, web = processes.free_port(), processes.free_port()
    environment = {"DATABASES_HOST": "127.0.0.1", "HEADGATE_LISTEN_PORT": str(port), "HEADGATE_HTTP_PORT": str(web),
                   "HEADGATE_UNIX_SOCKET_DIR": "", "HEADGATE_AUTH_TYPE": "any", "DATABASES_USER": "app"}  # fmt: skip
    process = subprocess.Popen([PROGRAM], env=environment, stderr=subprocess.DEVNULL, **as_service_user())
    try:
        wait_until(lambda: health(environment=environment)[0] == 0, what="it is healthy")
        assert health(environment=environment) == (0, f"http://127.0.0.1:{web}/healthz: ok")
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(10)
    assert health(environment=environment)[0] == 1


def as_service_user():
    user = processes.service_user()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}


def test_in_a_container_the_file_of_process_1_counts(make_headgate):
    """As HEALTHCHECK does: no argument, beside a process 1 that has one."""
    pooler = make_headgate(http_port=processes.free_port())
    pooler.write_files()
    program = pooler._reachable_program()
    inside = ["unshare", "--pid", "--fork", "--mount-proc"]
    if os.geteuid() != 0 or subprocess.run([*inside, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("needs a process namespace")
    user = processes.service_user()
    become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    process = subprocess.Popen([*inside, *become, program, "-q", pooler.path("headgate.ini")])
    children = f"/proc/{process.pid}/task/{process.pid}/children"

    def first():
        with open(children, encoding="ascii") as file:
            return file.read().split()[0]

    try:
        wait_until(lambda: of(pooler)[0] == 0, what="it is up")
        ran = subprocess.run(["nsenter", "-t", first(), "-p", "-m", *become, program, "--health"], capture_output=True, text=True, check=False, timeout=60, env={})  # fmt: skip
        assert (ran.returncode, ran.stdout) == (0, f"http://127.0.0.1:{pooler.settings['http_port']}/healthz: ok\n"), ran.stderr
    finally:
        os.kill(int(first()), signal.SIGKILL)  # process 1: unshare ends with it
        process.wait(10)


def test_the_image_asks_so():
    with open(f"{REPOSITORY}/Dockerfile", encoding="utf-8") as file:
        text = file.read()
    assert 'CMD ["/usr/bin/headgate", "--health"]' in text
