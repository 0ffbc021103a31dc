"""What the tests of online restarts share."""

from lib.processes import listens_on, wait_until


def private_socket(pooler):
    """Where another process finds it; the last that it opens."""
    return f"{pooler.settings['unix_socket_dir']}/.s.HEADGATE.{pooler.port}"


def start(start_headgate, **settings):
    pooler = start_headgate(**{"pool_mode": "transaction", "default_pool_size": 4, **settings})
    wait_until(lambda: listens_on(private_socket(pooler)), what="another may take over")
    return pooler


def clients_of(pooler):
    return [row for row in pooler.admin("SHOW CLIENTS") if row["database"] != "pgbouncer"]


def ended_well(process, seconds=20):
    wait_until(lambda: process.poll() is not None, seconds, "the old process ends")
    assert process.returncode == 0
    return True


def run_to_its_end(process, seconds=20):
    wait_until(lambda: process.poll() is not None, seconds, "it ends")
    return process.returncode
