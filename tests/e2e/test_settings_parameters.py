"""Parameters that follow a client from server to server (track_extra_parameters), and its name."""

import os

import pytest

from lib.processes import wait_until
from lib.wire import ServerError, Wire, errors

pytestmark = [pytest.mark.sanitizers, pytest.mark.headgate_only, pytest.mark.audited]  # newer than 1.18
READ_ONLY = "default_transaction_read_only"
AS_PGBOUNCER = {"session_state": "pgbouncer"}


@pytest.fixture
def tracking(start_headgate):
    def start(names, **settings):
        return start_headgate(
            pool_mode="transaction", default_pool_size=1, track_extra_parameters=names, **settings
        )

    return start


def test_a_tracked_parameter_follows_its_client(tracking):
    pooler = tracking(f"IntervalStyle, {READ_ONLY}")
    with Wire(pooler.port) as one, Wire(pooler.port) as two:
        one.login(**{READ_ONLY: "on", "intervalstyle": "iso_8601"})
        two.login()
        for _ in range(3):
            assert one.value(f"SHOW {READ_ONLY}") == "on"
            assert two.value(f"SHOW {READ_ONLY}") == "off"
            assert one.value("SHOW intervalstyle") == "iso_8601"
            assert two.value("SHOW intervalstyle") == "postgres"
        two.query(f"SET {READ_ONLY} = on")
        one.query(f"SET {READ_ONLY} = off")
        assert (one.value(f"SHOW {READ_ONLY}"), two.value(f"SHOW {READ_ONLY}")) == ("off", "on")


def test_a_client_is_told_its_own_value_at_login(tracking):
    pooler = tracking(READ_ONLY)
    with Wire(pooler.port) as first, Wire(pooler.port) as second:
        first.login()
        second.login(**{READ_ONLY: "on"})
        assert (first.parameters[READ_ONLY], second.parameters[READ_ONLY]) == ("off", "on")


def test_a_parameter_that_is_not_tracked_is_refused(tracking):
    pooler = tracking("IntervalStyle", **AS_PGBOUNCER)
    with Wire(pooler.port) as wire, pytest.raises(ServerError, match=f"unsupported startup parameter: {READ_ONLY}"):
        wire.login(**{READ_ONLY: "on"})
    with Wire(pooler.port) as wire, pytest.raises(ServerError, match="unsupported startup parameter in options"):
        wire.login(options=f"-c {READ_ONLY}=on")


def test_an_empty_list_tracks_the_usual_five_only(tracking):
    pooler = tracking("", **AS_PGBOUNCER)
    with Wire(pooler.port) as wire, pytest.raises(ServerError, match="unsupported startup parameter: IntervalStyle"):
        wire.login(IntervalStyle="iso_8601")
    with Wire(pooler.port) as wire:
        assert wire.login(TimeZone="Asia/Tokyo").value("SHOW timezone") == "Asia/Tokyo"


def test_what_the_server_never_reports_is_not_sent(tracking):
    """PostgreSQL 15 says nothing of its search_path."""
    pooler = tracking("search_path", **AS_PGBOUNCER)
    with Wire(pooler.port) as wire:
        assert wire.login(search_path="elsewhere").value("SHOW search_path") == '"$user", public'


@pytest.mark.headgate_only
def test_what_the_server_never_reports_is_a_setting_of_the_session(tracking):
    pooler = tracking("search_path")
    with Wire(pooler.port) as wire, Wire(pooler.port) as other:
        assert wire.login(search_path="elsewhere").value("SHOW search_path") == "elsewhere"
        assert other.login().value("SHOW search_path") == '"$user", public'
        wire.query("SET search_path = a, b")
        assert other.value("SHOW search_path") == '"$user", public'
        assert wire.value("SHOW search_path") == "a, b"


REFUSALS = [
    (AS_PGBOUNCER, ("FATAL", "22023", "invalid server parameter")),
    ({}, ("FATAL", "22023", f'parameter "{READ_ONLY}" requires a Boolean value')),
]


@pytest.mark.parametrize("settings, refusal", REFUSALS)
def test_a_value_that_the_server_refuses_ends_client_and_server(tracking, count_servers, settings, refusal):
    pooler = tracking(READ_ONLY, **settings)
    with Wire(pooler.port) as wire, Wire(pooler.port) as other:
        other.login().query("SELECT 1")
        wire.login(**{READ_ONLY: "perhaps"}).send(b"Q\0\0\0\x0dSELECT 1\0")
        (fields,) = errors(wire.read_to_end())
        assert (fields["S"], fields["C"], fields["M"]) == refusal
        assert other.value("SELECT 'undisturbed'") == "undisturbed"
    assert refusal[2] in pooler.log()


def test_a_restart_is_needed_to_track_others(tracking):
    pooler = tracking("IntervalStyle", **AS_PGBOUNCER)
    pooler.reload(track_extra_parameters=READ_ONLY)
    with Wire(pooler.port) as wire, pytest.raises(ServerError, match="unsupported startup parameter"):
        wire.login(**{READ_ONLY: "on"})


@pytest.mark.parametrize("name, shown", [({}, "app"), ({"application_name": "shop"}, "shop")])
def test_application_name_add_host(start_headgate, name, shown):
    pooler = start_headgate(pool_mode="transaction", application_name_add_host=1)
    with Wire(pooler.port) as wire:
        wire.login(**name)
        port = wire.socket.getsockname()[1]
        assert wire.value("SHOW application_name") == f"{shown} - 127.0.0.1:{port}"
        wire.query("SET application_name = 'changed'")  # the host is added at the login only
        assert wire.value("SHOW application_name") == "changed"


def test_application_name_add_host_over_a_unix_socket(start_headgate):
    pooler = start_headgate(pool_mode="transaction", application_name_add_host=1)
    with Wire(pooler.port, pooler.directory) as wire:
        assert wire.login().value("SHOW application_name") == f"app - unix({os.getpid()}):{pooler.port}"


def test_without_application_name_add_host_nothing_is_added(start_headgate):
    pooler = start_headgate(pool_mode="transaction")
    with Wire(pooler.port) as wire:
        wire.login(application_name="shop")
        wait_until(lambda: wire.value("SHOW application_name") == "shop", what="the client's own name")
