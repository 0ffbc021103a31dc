"""A configuration in TOML does what the same one does as an ini file."""

import os
import re
import subprocess

import psycopg
import pytest

from lib import processes
from lib.headgate import PROGRAM, ini_text

pytestmark = [pytest.mark.headgate_only, pytest.mark.sanitizers]

EXAMPLES = os.path.join(os.path.dirname(__file__), "examples")


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False, timeout=20)


def value(text):
    return str(text) if isinstance(text, int) else '"' + str(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def toml_text(pooler):
    """The pooler's configuration, as a person would write it in TOML."""
    lines = ["[headgate]"] + [f"{name} = {value(setting)}" for name, setting in pooler.settings.items()]
    for name, keys in pooler.databases.items():
        lines += [f"[databases.{name}]"] + [f"{key} = {value(part)}" for key, part in keys.items()]
    return "\n".join(lines) + "\n"


@pytest.fixture
def start(make_headgate):
    """start(text of the TOML file by the pooler, settings) -> a running pooler."""

    def start_one(text_of, **settings):
        pooler = make_headgate(**settings)
        pooler.write("headgate.toml", text_of(pooler))
        pooler.process = processes.spawn(
            [pooler._reachable_program(), pooler.path("headgate.toml")], pooler.path("log")
        )
        processes.wait_until(pooler._answers, what="it answers")
        return pooler

    return start_one


def shown(pooler):
    return {row["key"]: row["value"] for row in pooler.admin("SHOW CONFIG")}


def test_it_serves_and_is_read_again(start):
    pooler = start(toml_text, pool_mode="transaction", query_timeout="1min")
    with pooler.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert shown(pooler)["query_timeout"] == "60"
    assert shown(pooler)["conffile"] == pooler.path("headgate.toml")
    pooler.settings.update(query_timeout="250ms")
    pooler.write("headgate.toml", toml_text(pooler))
    pooler.admin("RELOAD")
    assert shown(pooler)["query_timeout"] == "0.25"
    with pooler.connect() as connection, pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute("SELECT pg_sleep(60)")


def test_a_reload_of_what_is_wrong_changes_nothing(start):
    pooler = start(toml_text, pool_mode="transaction")
    before = shown(pooler)
    pooler.write("headgate.toml", "[headgate]\npool_mode = transaction\n")
    with pytest.raises(psycopg.Error, match="RELOAD failed"):
        pooler.admin("RELOAD")
    assert f"syntax error in configuration ({pooler.path('headgate.toml')}:2), stopping loading" in pooler.log()
    assert shown(pooler) == before


def test_what_was_converted_runs_as_before(start):
    def converted(pooler):
        done = run("--convert", pooler.path("headgate.ini"))
        assert done.returncode == 0, done.stderr
        return done.stdout

    pooler = start(converted, pool_mode="transaction", server_lifetime="1.5", server_check_query="select 'x' # y")
    with pooler.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    config = shown(pooler)
    assert config["server_lifetime"] == "1.5"
    assert config["server_check_query"] == "select 'x' # y"
    for name, setting in pooler.settings.items():
        assert config[name] == str(setting)


@pytest.mark.parametrize("name", sorted(name for name in os.listdir(EXAMPLES) if name.endswith(".ini")))
def test_the_examples_say_the_same_as_toml(tmp_path, name):
    done = run("--convert", os.path.join(EXAMPLES, name))
    assert done.returncode == 0, done.stderr
    converted = tmp_path / "converted.toml"
    converted.write_text(done.stdout)

    def summary(path):
        said = run("--check", str(path))
        assert said.returncode == 0, said.stdout
        lines = [line for line in said.stdout.splitlines() if "old name" not in line and not line.endswith("is valid")]
        return [re.sub(r" in configuration \(.*\)$", "", line) for line in lines]

    assert summary(converted) == summary(os.path.join(EXAMPLES, name))


def test_nothing_is_converted_of_a_broken_file(tmp_path):
    broken = tmp_path / "x.ini"
    broken.write_text(ini_text({}, {"pool_mode": "sesion", "foo": 1}))
    done = run("--convert", str(broken))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("error: ") == 2


BROKEN = {
    "[headgate]\nquery_timeout = 5m\n": ["error: syntax error in configuration (PATH:2), stopping loading"],
    "[headgate]\nquery_timeout = '5m'\n": [
        'error: invalid value "5m" for parameter query_timeout in configuration (PATH:2)',
        "  hint: expected seconds, or a number with a unit (us, ms, s, min, h, d)",
    ],
    "[headgate]\nfoo = 1\n[databases.a]\nport = 0\n": [
        "error: unknown parameter: pgbouncer/foo",
        '  invalid value "1" for parameter foo in configuration (PATH:2)',
        "error: invalid port: 0",
        '  invalid value "***" for parameter a in configuration (PATH:3)',
    ],
    "[database.a]\n[headgate]\n": ['error: invalid section "database" in configuration (PATH:1)'],
}


@pytest.mark.parametrize("text", BROKEN)
def test_the_check_names_the_line(tmp_path, text):
    path = tmp_path / "x.toml"
    path.write_text(text)
    done = run("--check", str(path))
    assert done.returncode == 1
    said = [line.replace(str(path), "PATH") for line in done.stdout.splitlines()]
    assert said[: len(BROKEN[text])] == BROKEN[text]
    assert sum(line.startswith("error: ") for line in said) == sum(line.startswith("error: ") for line in BROKEN[text])
