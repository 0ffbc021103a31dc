"""`./dev run` brings up everything, sends traffic, and leaves nothing behind."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request

import psycopg

from lib import VARIABLES
from lib.processes import wait_until

ENVIRONMENT = {**os.environ, **VARIABLES}  # it is a program of the tests
SHORT = ["--seconds", "1", "--scale", "1"]
PLAYGROUND = os.path.join(os.path.dirname(os.path.abspath(__file__)), "playground.py")


def transactions(dashboard):
    with urllib.request.urlopen(f"{dashboard}stats.json", timeout=20) as answer:
        return json.load(answer)["totals"]["transactions"]


def test_once_shows_traffic_and_ends():
    done = subprocess.run(
        [sys.executable, PLAYGROUND, "--once", *SHORT],
        capture_output=True, text=True, check=False, timeout=100, env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"^ +tps = [0-9.]+", done.stdout, re.M)) == 2
    assert re.search(r"^ +app +app .*transaction", done.stdout, re.M)
    assert re.search(r"^ +app +127\.0\.0\.1 .*primary +1", done.stdout, re.M)
    assert re.search(r"^ +app_ro +127\.0\.0\.2 .*standby +1", done.stdout, re.M)


def test_it_can_be_used_as_it_says_until_a_signal_ends_it():
    process = subprocess.Popen(
        [sys.executable, PLAYGROUND, *SHORT], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=ENVIRONMENT,
    )
    giving_up = threading.Timer(100, process.kill)
    giving_up.start()
    try:
        said = ""
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        commands = re.findall(r"PGPASSWORD=(\S+) psql -h (\S+) -p (\d+) -U (\S+) (\S+)$", said, re.M)
        assert [command[4] for command in commands] == ["app", "app_ro", "pgbouncer"]
        for password, host, port, user, database in commands[:2]:
            with psycopg.connect(host=host, port=port, user=user, dbname=database, password=password) as connection:
                in_recovery = connection.execute("SELECT pg_is_in_recovery()").fetchone()[0]
                assert in_recovery == (database == "app_ro")
        dashboard = re.search(r"^dashboard: (http://\S+/)$", said, re.M).group(1)
        with urllib.request.urlopen(dashboard, timeout=20) as page:
            assert b"<title>Headgate</title>" in page.read()
        assert f"Dashboard: {dashboard} " in said  # once more, where a reader looks last
        before = transactions(dashboard)
        wait_until(lambda: transactions(dashboard) > before + 100, 60, "traffic goes on, to be seen there")
        directory = re.search(r"unix socket in (\S+)", said).group(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert not os.path.exists(directory)
    finally:
        giving_up.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
