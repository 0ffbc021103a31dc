"""--check: what is wrong with a configuration, all at once and in words that help, without starting anything."""

import os
import subprocess

import pytest

from lib.headgate import PROGRAM, REPOSITORY

pytestmark = [pytest.mark.headgate_only, pytest.mark.sanitizers]

EXAMPLES = os.path.join(os.path.dirname(__file__), "examples")
TIMES = "us, ms, s, min, h, d"


def check(directory, *arguments, environment=None):
    """Its exit status and its lines, run where the file is."""
    done = subprocess.run(
        [PROGRAM, "--check", *arguments], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False, timeout=20, env={**os.environ, **(environment or {})},
    )  # fmt: skip
    return done.returncode, done.stdout.splitlines()


# name: (the file, every line about errors)
BROKEN = {
    "empty": ("", ["error: main section missing from config file"]),
    "no main section": ("[databases]\na =\n", ["error: main section missing from config file"]),
    "unknown setting": (
        "[pgbouncer]\npool_mdoe = session\n",
        ["error: unknown parameter: pgbouncer/pool_mdoe",
         '  invalid value "session" for parameter pool_mdoe in configuration (x.ini:2)',
         "  hint: did you mean pool_mode?"],
    ),
    "word": (
        "[pgbouncer]\npool_mode = sesion\n",
        ['error: invalid value "sesion" for parameter pool_mode in configuration (x.ini:2)',
         "  hint: expected one of session, transaction, statement"],
    ),
    "integer": (
        "[pgbouncer]\ndefault_pool_size = many\n",
        ['error: invalid value "many" for parameter default_pool_size in configuration (x.ini:2)',
         "  hint: expected an integer from 0 on"],
    ),
    "range": (
        "[pgbouncer]\nlisten_port = 70000\n",
        ['error: invalid value "70000" for parameter listen_port in configuration (x.ini:2)',
         "  hint: expected an integer from 0 to 65535"],
    ),
    "unit of time": (
        "[pgbouncer]\nquery_timeout = 5m\n",
        ['error: invalid value "5m" for parameter query_timeout in configuration (x.ini:2)',
         f"  hint: expected seconds, or a number with a unit ({TIMES})"],
    ),
    "unit of size": (
        "[pgbouncer]\nmax_packet_size = 64k\n",
        ['error: invalid value "64k" for parameter max_packet_size in configuration (x.ini:2)',
         "  hint: expected bytes, or a number with a unit (B, kB, MB, GB, TB)"],
    ),
    "switch": (
        "[pgbouncer]\nlog_stats = maybe\n",
        ['error: invalid value "maybe" for parameter log_stats in configuration (x.ini:2)',
         "  hint: expected 1 or 0 (yes or no, true or false, on or off)"],
    ),
    "section": ("[pgbouncer]\n[pools]\na = 1\n", ['error: invalid section "pools" in configuration (x.ini:2)']),
    "section that does not end": (
        "[pgbouncer]\n[databases\n", ["error: syntax error in configuration (x.ini:2), stopping loading"]
    ),
    "line": ("[pgbouncer]\npool_mode\n", ["error: syntax error in configuration (x.ini:2), stopping loading"]),
    "double quotes": (
        '[pgbouncer]\n[databases]\n"a" = host=x\n',
        ["error: syntax error in configuration (x.ini:3), stopping loading",
         "  hint: names are put in single quotes"],
    ),
    "before all sections": (
        "pool_mode = session\n[pgbouncer]\n",
        ["error: value without section: pool_mode",
         '  invalid value "session" for parameter pool_mode in configuration (x.ini:1)'],
    ),
    "key of a database": (
        "[databases]\na = host=x pasword=hunter2\n[pgbouncer]\n",
        ["error: unrecognized connection parameter: pasword",
         '  invalid value "***" for parameter a in configuration (x.ini:2)',
         "  hint: did you mean password?"],
    ),
    "connection string": (
        "[databases]\na = host=x password='hunter2\n[pgbouncer]\n",
        ["error: syntax error in connection string",
         '  invalid value "***" for parameter a in configuration (x.ini:2)',
         "  hint: expected key=value pairs; a value with blanks stands in single quotes"],
    ),
    "reserved name": (
        "[databases]\npgbouncer = host=x\n[pgbouncer]\n",
        ['error: database name "pgbouncer" is reserved',
         '  invalid value "***" for parameter pgbouncer in configuration (x.ini:2)'],
    ),
    "key of a user": (
        "[users]\nu = query_timout=3\n[pgbouncer]\n",
        ["error: unrecognized user parameter: query_timout",
         '  invalid value "***" for parameter u in configuration (x.ini:2)',
         "  hint: did you mean query_timeout?"],
    ),
    "time of a user": (
        "[users]\nu = query_timeout=soon\n[pgbouncer]\n",
        ["error: invalid query_timeout: soon",
         '  invalid value "***" for parameter u in configuration (x.ini:2)',
         f"  hint: expected seconds, or a number with a unit ({TIMES})"],
    ),
    "peer": (
        "[peers]\n1 = port=1\n[pgbouncer]\n",
        ["error: a peer needs a host", '  invalid value "***" for parameter 1 in configuration (x.ini:2)'],
    ),
    "include": (
        "[pgbouncer]\n%include more.ini\n",
        ['error: could not load file "more.ini": No such file or directory',
         "  error processing include file in configuration (x.ini:2), stopping loading"],
    ),
    "TLS without a certificate": (
        "[pgbouncer]\nclient_tls_sslmode = require\n",
        ["error: To allow TLS connections from clients, client_tls_key_file and client_tls_cert_file must be set. "
         "in configuration (x.ini:2)"],
    ),
    "certificate that is not there": (
        "[pgbouncer]\nclient_tls_sslmode = require\nclient_tls_key_file = k\nclient_tls_cert_file = c\n",
        ['error: cannot use client_tls_key_file "k": No such file or directory'],
    ),
    "certificates for clients": (
        "[pgbouncer]\nauth_type = cert\n",
        ["error: auth_type=cert requires client_tls_sslmode=SSLMODE_VERIFY_FULL in configuration (x.ini:2)"],
    ),
    "LDAP without options": (
        "[pgbouncer]\nauth_type = ldap\n", ["error: auth_ldap_options is null in configuration (x.ini:2)"]
    ),
    "roles without a user": (
        "[databases]\na = host=x target_session_attrs=primary\n[pgbouncer]\n",
        ["error: database a: target_session_attrs needs a user who asks its hosts for their roles",
         "  hint: set monitor_user, or user or auth_user of the database"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file(tmp_path, name):
    text, expected = BROKEN[name]
    (tmp_path / "x.ini").write_text(text)
    status, lines = check(tmp_path, "x.ini")
    assert lines == [*expected, "x.ini has 1 error"]
    assert status == 1


def test_every_error_is_told_at_once(tmp_path):
    (tmp_path / "x.ini").write_text("".join(text for text, _ in BROKEN.values()) + "[pgbouncer]\n")
    status, lines = check(tmp_path, "x.ini")
    assert status == 1
    assert sum(line.startswith("error: ") for line in lines) > 15
    assert not any("hunter2" in line for line in lines)


def test_a_file_that_is_not_there(tmp_path):
    status, lines = check(tmp_path, "x.ini")
    assert (status, lines) == (
        1, ['error: could not load file "x.ini": No such file or directory', "x.ini has 1 error"]
    )  # fmt: skip


@pytest.mark.parametrize("name", sorted(name for name in os.listdir(EXAMPLES) if name.endswith(".ini")))
def test_the_examples_have_no_errors(name):
    status, lines = check(EXAMPLES, name)
    assert status == 0, lines
    assert f"{name} is valid" in lines
    assert all(line.startswith("warning: ") for line in lines[: lines.index(f"{name} is valid")])
    # Their databases are elsewhere, and nothing says that they are who they claim to be.
    assert any("verify-full prevents it" in line for line in lines)


def test_the_other_files_are_read_too(tmp_path):
    (tmp_path / "x.ini").write_text(
        "[pgbouncer]\nauth_type = hba\nauth_hba_file = hba\nauth_file = users\nadmin_users = a\n"
    )
    (tmp_path / "hba").write_text("host all all 10.0.0.0/8 md6\n")
    (tmp_path / "users").write_text('"a" "b"\n"c\n')
    status, lines = check(tmp_path, "x.ini")
    assert status == 0, "a start goes on without these lines"
    warnings = [line for line in lines if line.startswith("warning: ")]
    assert any("(hba:1)" in line for line in warnings)
    assert any("users:2" in line for line in warnings)


def test_risky_values_are_explained(tmp_path):
    (tmp_path / "x.ini").write_text(
        "[databases]\napp = host=db.example password=hunter2 user=u\n[pgbouncer]\nlisten_addr = *\nauth_type = trust\n"
        "max_client_conn = 100000000\nquery_timeout = 60\ntransaction_timeout = 30\nidle_timeout = 5min\n"
        "pkt_buf = 8192\n"
    )
    status, lines = check(tmp_path, "x.ini")
    assert status == 0
    assert "hunter2" not in "\n".join(lines)
    for told in (
        "warning: idle_timeout is an old name of client_idle_timeout in configuration (x.ini:9)",
        "warning: pkt_buf has no effect in Headgate in configuration (x.ini:10)",
        "warning: auth_type = trust with listen_addr = *: whoever reaches this port is in, under any name of auth_file, "
        "without a password in configuration (x.ini:5)",
        "warning: query_timeout = 60 is more than transaction_timeout = 30, which always comes first in configuration "
        "(x.ini:7)",
    ):
        assert told in lines
    assert any(line.startswith("warning: max_client_conn = 100000000: 100000052 file descriptors") for line in lines)


def test_the_settings_are_those_of_the_page():
    done = subprocess.run([PROGRAM, "--print-settings"], capture_output=True, text=True, check=True, timeout=20)
    with open(os.path.join(REPOSITORY, "docs", "settings.md"), encoding="utf-8") as page:
        assert done.stdout == page.read()


def test_nothing_is_started(tmp_path):
    """The port of a running service is no trouble, and no file is made."""
    (tmp_path / "x.ini").write_text(
        "[pgbouncer]\nlisten_addr = 127.0.0.1\npidfile = pid\nlogfile = log\nunix_socket_dir = .\n"
    )
    assert check(tmp_path, "x.ini")[0] == 0
    assert sorted(os.listdir(tmp_path)) == ["x.ini"]
