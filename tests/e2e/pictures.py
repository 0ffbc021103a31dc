#!/usr/bin/python3
"""Takes the pictures of the dashboard in docs/images: a pooler that idles, one that works, and one whose primary has
gone. With PostgreSQL, a replica, Headgate and traffic as ./dev run has them.

    HEADGATE_PROGRAM=build/release/headgate /usr/bin/python3 tests/e2e/pictures.py [DIRECTORY]
"""

import contextlib
import os
import sys
import time

import psycopg

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import playground  # noqa: E402
from lib import processes  # noqa: E402
from lib.browser import Browser  # noqa: E402
from lib.headgate import REPOSITORY  # noqa: E402
from lib.postgres import Postgres  # noqa: E402

DESK, PHONE = (1100, 1000), (390, 900)
IDLE_SECONDS, BUSY_SECONDS, BROKEN_SECONDS = 8, 75, 25


def refused(headgate, database, user):
    """An error for the list of them."""
    with contextlib.suppress(psycopg.OperationalError):
        headgate.connect(database, user, "a wrong password").close()


def hold(headgate, stack, name, *statements):
    """A client that keeps its server, and why."""
    client = headgate.connect(password=playground.APP.password, application_name=name)
    stack.callback(client.close)
    for statement in statements:
        client.execute(statement)


def busy(headgate, stack):
    traffic = playground.Traffic(headgate, stack)
    traffic.a_little()
    traffic.send("app", "nightly-export", "-c", "6", "-R", "30", "-f", traffic.script, "-D", "pause=110")
    hold(headgate, stack, "admin-shell", "BEGIN", "SELECT 1")
    hold(headgate, stack, "cron", "SELECT pg_advisory_lock(7)")
    time.sleep(BUSY_SECONDS / 2)
    refused(headgate, "app", "app")
    refused(headgate, "shop_test", "app")
    bursts = traffic.send("app", "import", "-c", "40", "-R", "240", "-f", traffic.script, "-D", "pause=60")
    time.sleep(BUSY_SECONDS / 4)
    processes.stop(bursts)
    time.sleep(BUSY_SECONDS / 4)


def main():
    directory = sys.argv[1] if len(sys.argv) > 1 else f"{REPOSITORY}/docs/images"
    processes.raise_file_limit()
    with contextlib.ExitStack() as stack:
        primary = stack.enter_context(Postgres.primary([playground.APP], max_connections=100))
        replica = stack.enter_context(Postgres.replica_of(primary, listen_addresses="127.0.0.2", port=primary.port))
        headgate = stack.enter_context(playground.start_headgate(primary, replica, 6432))
        browser = stack.enter_context(Browser())
        url = playground.dashboard(headgate)

        idle = browser.open(url, *DESK)
        time.sleep(IDLE_SECONDS)
        browser.picture(idle, f"{directory}/dashboard-idle.png", "#holders")

        playground.pgbench(headgate, "-i", "-q", "-s", "5", "app")
        light, dark = browser.open(url, *DESK), browser.open(url, *DESK, scheme="dark")
        phone = browser.open(url, *PHONE, scheme="dark")
        busy(headgate, stack)
        browser.picture(light, f"{directory}/dashboard.png", "#holders")
        browser.picture(phone, f"{directory}/dashboard-phone.png", "#hosts")

        primary.process.kill()
        time.sleep(BROKEN_SECONDS)
        browser.picture(dark, f"{directory}/dashboard-broken.png", "#errors")


if __name__ == "__main__":
    main()
