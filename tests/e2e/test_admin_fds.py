"""SHOW FDS passes connections to another process of the same user, as PgBouncer's restart takes them over."""

import array
import os
import socket

import pytest

from lib.messages import MessageReader, query
from lib.processes import as_service_user
from lib.wire import Wire, first_value

pytestmark = [pytest.mark.sanitizers]

FD, TASK, LINK = 0, 1, 7


def rows_and_descriptors(wire):
    """The rows of an answer, each with the descriptor that came with it, if any."""
    reader, rows, descriptors = MessageReader(), [], []
    while True:
        data, control, _, _ = wire.socket.recvmsg(1 << 16, socket.CMSG_SPACE(4))
        assert data
        for level, kind, content in control:
            assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            numbers = array.array("i")
            numbers.frombytes(content)
            descriptors.extend(numbers)
        reader.feed(data)
        while message := reader.next():
            if message.tag == "D":
                rows.append([value and value.decode() for value in message.values()])
            if message.tag == "Z":
                return rows, descriptors


@pytest.fixture
def pooler(start_headgate):
    return start_headgate(pool_mode="transaction")


def owner(pooler):
    with as_service_user():
        return Wire(pooler.port, pooler.directory).login("pgbouncer", "pgbouncer")


@pytest.mark.headgate_only  # 1.18 reads on after SUSPEND where a transaction is open
def test_the_owner_gets_connections_that_work(pooler):
    with Wire(pooler.port) as client, owner(pooler) as console:
        client.login().query("BEGIN")
        console.query("SUSPEND")
        console.send(query("SHOW FDS"))
        rows, descriptors = rows_and_descriptors(console)
        assert len(descriptors) == len(rows)
        assert [row[TASK] for row in rows] == ["pooler", "pooler", "client", "server"]
        passed = {row[FD]: socket.socket(fileno=number) for row, number in zip(rows, descriptors)}
        for one in passed.values():
            one.settimeout(10)
        try:
            client_row, server_row = rows[2:]
            assert (client_row[LINK], server_row[LINK]) == (server_row[FD], client_row[FD])
            assert client_row[6] == str(client.key[0] << 32 | client.key[1] & 0xFFFFFFFF)
            taken_client, taken_server = passed[client_row[FD]], passed[server_row[FD]]
            assert taken_client.getpeername() == client.socket.getsockname()
            # We are the pooler now: what the client asks is carried to the server, and its answer back.
            client.send(query("SELECT 'carried'"))
            taken_server.sendall(taken_client.recv(1 << 16))
            taken_client.sendall(taken_server.recv(1 << 16))
            assert first_value(client.read_until()) == "carried"
        finally:
            for one in passed.values():
                one.close()
        console.query("RESUME")
        client.query("COMMIT")


@pytest.mark.headgate_only
def test_more_rows_than_the_socket_takes_at_once_all_come(start_headgate):
    pooler = start_headgate(pool_mode="transaction", max_client_conn=400)
    clients = [Wire(pooler.port).login() for _ in range(300)]
    with owner(pooler) as console:
        console.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        before = len(os.listdir("/proc/self/fd"))
        console.send(query("SHOW FDS"))
        rows, descriptors = rows_and_descriptors(console)
        for number in descriptors:
            os.close(number)
        assert sum(row[TASK] == "client" for row in rows) == 300
        assert len(descriptors) == len(rows)
        assert len(os.listdir("/proc/self/fd")) == before
        # Nothing of the copies stays behind.
        wanted = len(os.listdir(f"/proc/{pooler.pid}/fd"))
        console.send(query("SHOW FDS"))
        for number in rows_and_descriptors(console)[1]:
            os.close(number)
        assert len(os.listdir(f"/proc/{pooler.pid}/fd")) == wanted
    for wire in clients:
        wire.close()


def test_others_get_rows_alone(pooler):
    with Wire(pooler.port) as client, Wire(pooler.port, pooler.directory) as console:
        client.login().query("BEGIN")
        console.login("admin", "pgbouncer").send(query("SHOW FDS"))
        rows, descriptors = rows_and_descriptors(console)
        assert descriptors == []
        assert [row[TASK] for row in rows] == ["pooler", "pooler", "client", "server"]
        client.query("COMMIT")


@pytest.mark.headgate_only
def test_the_connection_that_listens_is_shown_but_not_passed(pooler):
    """It is nobody's alone: whoever took it for an idle server would lend out what is notified there."""
    with Wire(pooler.port) as client, owner(pooler) as console:
        client.login().query("LISTEN news")
        servers = len(pooler.admin("SHOW SERVERS"))
        assert servers == 2
        assert [row["task"] for row in pooler.admin("SHOW FDS")].count("server") == servers
        console.send(query("SHOW FDS"))
        rows, descriptors = rows_and_descriptors(console)
        for number in descriptors:
            os.close(number)
        assert len(descriptors) == len(rows)
        assert [row[TASK] for row in rows].count("server") == servers - 1


def test_a_row_may_be_read_with_any_driver(pooler):
    rows = pooler.admin("SHOW FDS")
    assert {row["task"] for row in rows} == {"pooler"}
