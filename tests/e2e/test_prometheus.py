"""What comes with Headgate for Prometheus and Grafana (deploy/): a real Prometheus scrapes a real pooler, keeps the
alerts and answers what the dashboard asks.
"""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import psycopg
import pytest

from lib import processes
from lib.headgate import REPOSITORY
from lib.processes import wait_until
from lib.scrape import Scrape
from lib.web import start_with_web

pytestmark = [
    pytest.mark.headgate_only,
    pytest.mark.skipif(not shutil.which("prometheus"), reason="prometheus is not installed"),
]

RULES = f"{REPOSITORY}/deploy/prometheus/headgate.rules.yml"
DASHBOARD = f"{REPOSITORY}/deploy/grafana/headgate.json"
METRIC = re.compile(r"\b(?:headgate|process)_[a-z_]+\b")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def expressions():
    """Everything that the dashboard asks, with its variables filled in."""
    panels = json.loads(read(DASHBOARD))["panels"]
    for panel in panels:
        for target in panel.get("targets", ()):
            text = re.sub(r"\$(job|instance|database|user)\b", ".*", target["expr"])
            yield panel["title"], text.replace("$__rate_interval", "10s")


class Prometheus:
    """A server of its own that reads one pooler every second."""

    def __init__(self, web, directory):
        self.port = processes.free_port()
        processes.write_file(f"{directory}/prometheus.yml", json.dumps({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [f"{directory}/rules.yml"],
            "scrape_configs": [{"job_name": "headgate", "static_configs": [{"targets": [f"127.0.0.1:{web.port}"]}]}],
        }))  # fmt: skip
        processes.write_file(f"{directory}/rules.yml", read(RULES))
        self.process = processes.spawn(
            ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], f"{directory}/prometheus.log")  # fmt: skip

    def ask(self, path, **query):
        address = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(address, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code >= 500:  # it is still starting
                return None
            raise AssertionError(f"{query}: {error.read().decode()}") from error
        except OSError:
            return None

    def query(self, expression):
        return self.ask("query", query=expression)["result"]

    def stop(self):
        processes.stop(self.process)


@pytest.fixture
def watched(start_headgate, postgres):
    """A pooler with a database whose server is gone, and a Prometheus that has read it a few times."""
    databases = {"app": {"host": "127.0.0.1", "port": postgres.port, "dbname": "app"},
                 "gone": {"host": "127.0.0.1", "port": processes.free_port(), "target_session_attrs": "primary"}}  # fmt: skip
    pooler, web = start_with_web(start_headgate, databases, pool_mode="transaction", default_pool_size=1,
                                 query_wait_timeout=1, monitor_user="app", server_login_retry=0.1)  # fmt: skip
    directory = processes.make_directory("prometheus")
    prometheus = Prometheus(web, directory)
    try:
        yield pooler, web, prometheus
    finally:
        prometheus.stop()
        processes.remove_directory(directory)


def test_everything_that_is_asked_for_is_there(start_headgate):
    pooler, web = start_with_web(start_headgate)
    with pooler.connect() as client:
        client.execute("SELECT 1")
    scrape = Scrape(web)
    there = {line.split()[2] for line in scrape.text.splitlines() if line.startswith("# TYPE ")}
    histograms = {family.name for family in scrape.families.values() if family.type == "histogram"}
    there |= {f"{name}_{part}" for name in histograms for part in ("bucket", "count", "sum")}
    for path in (RULES, DASHBOARD):
        asked = set(METRIC.findall(read(path)))
        assert len(asked) > 10
        assert asked <= there, path


def test_the_alerts_are_well_formed():
    done = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_dashboard_has_no_two_panels_in_one_place():
    panels = json.loads(read(DASHBOARD))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        where = panel["gridPos"]
        cells = {(where["x"] + x, where["y"] + y) for x in range(where["w"]) for y in range(where["h"])}
        assert not cells & taken and where["x"] + where["w"] <= 24, panel["title"]
        taken |= cells


def test_a_prometheus_reads_it_and_answers_the_dashboard(watched):
    pooler, _, prometheus = watched

    def traffic():
        with pooler.connect() as client:
            client.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            pooler.connect("gone").close()
        return True

    def target():
        found = prometheus.ask("targets")
        return found and found["activeTargets"] and found["activeTargets"][0]

    wait_until(lambda: traffic() and (found := target()) and found["health"] != "unknown" and found, 30, "it is scraped", 0.3)
    assert (target()["health"], target()["lastError"]) == ("up", "")
    wait_until(lambda: traffic() and prometheus.query("rate(headgate_database_queries_total{database='app'}[10s]) > 0"),
               30, "there are rates", 0.3)  # fmt: skip
    empty = [(title, expression) for title, expression in expressions() if not prometheus.query(expression)]
    # Hosts have a lag only where there is a standby.
    assert [expression for _, expression in empty if "host_lag" not in expression] == []


def test_a_prometheus_raises_the_alarm(watched):
    pooler, _, prometheus = watched

    def rules():
        found = prometheus.ask("rules")
        return found and found["groups"] and {rule["name"]: rule for rule in found["groups"][0]["rules"]}

    def raised():
        with pytest.raises(psycopg.OperationalError):
            pooler.connect("gone").close()
        return {name for name, rule in (rules() or {}).items() if rule["state"] in ("pending", "firing")}

    wanted = {"HeadgateHostDown", "HeadgateNoPrimary", "HeadgateServerLoginsFail"}
    wait_until(lambda: wanted <= raised(), 60, "the alarms are raised", 0.3)
    assert {rule["health"] for rule in rules().values()} == {"ok"}
    assert "HeadgateDown" not in raised() and "HeadgateDescriptorsNearlyUsedUp" not in raised()
