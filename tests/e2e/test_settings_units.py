"""Times and sizes are written with units, wherever a configuration has one; SHOW CONFIG has plain numbers."""

import psycopg
import pytest

pytestmark = pytest.mark.headgate_only

WRITTEN = {
    "server_lifetime": ("1d", "86400"),
    "server_idle_timeout": ("5min", "300"),
    "query_wait_timeout": ("2min", "120"),
    "client_login_timeout": ("250s", "250"),
    "monitor_interval": ("500ms", "0.5"),
    "cancel_wait_timeout": ("1h", "3600"),
    "tcp_keepidle": ("2min", "120"),
    "tcp_keepintvl": ("30s", "30"),
    "tcp_user_timeout": ("10s", "10000"),
    "tcp_socket_buffer": ("256kB", "262144"),
    "max_packet_size": ("256MB", "268435456"),
}


def shown(pooler):
    return {row["key"]: row["value"] for row in pooler.admin("SHOW CONFIG")}


def test_units_in_the_file(start_headgate):
    pooler = start_headgate(**{name: value for name, (value, _) in WRITTEN.items()})
    config = shown(pooler)
    assert {name: config[name] for name in WRITTEN} == {name: plain for name, (_, plain) in WRITTEN.items()}
    with pooler.connect() as connection:  # through sockets with these options
        assert connection.execute("SELECT repeat('x', 1000000)").fetchone() == ("x" * 1000000,)


@pytest.mark.parametrize("name", WRITTEN)
def test_units_in_set(start_headgate, name):
    pooler = start_headgate()
    written, plain = WRITTEN[name]
    pooler.admin(f"SET {name} = '{written}'")
    assert shown(pooler)[name] == plain


def test_units_of_databases_and_users(make_headgate):
    pooler = make_headgate(users={"app": "query_timeout=200ms query_wait_timeout=1min"}, pool_mode="transaction")
    pooler.databases["app"] = {**pooler.databases["app"], "server_lifetime": "1d", "query_wait_timeout": "90s"}
    pooler.write_files()
    pooler.start()
    (row,) = [row for row in pooler.admin("SHOW DATABASES") if row["name"] == "app"]
    assert str(row["server_lifetime"]) == "86400"
    with pooler.connect(autocommit=True) as connection:
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(60)")
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    "name, value, units",
    [("query_timeout", "5m", "us, ms, s, min, h, d"), ("max_packet_size", "5k", "B, kB, MB, GB, TB")],
)
def test_an_unknown_unit_is_refused_with_the_known_ones(start_headgate, name, value, units):
    pooler = start_headgate()
    before = shown(pooler)
    with pytest.raises(psycopg.Error):
        pooler.admin(f"SET {name} = '{value}'")
    assert f'invalid value "{value}" for parameter {name}' in pooler.log()
    assert units in pooler.log()
    assert shown(pooler) == before
