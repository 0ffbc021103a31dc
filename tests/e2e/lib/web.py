"""What a browser, a Prometheus or an orchestrator asks of the pooler by HTTP."""

import http.client
import socket

from lib.processes import free_port


class Web:
    """The HTTP door of a pooler that was started with `settings(port)`."""

    def __init__(self, port, address="127.0.0.1"):
        self.port = port
        self.address = address  # where the questions come from

    def ask(self, path, method="GET", body=None, **headers):
        """The whole answer: (status, headers, text)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20, source_address=(self.address, 0))
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, names)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def status(self, path, **headers):
        return self.ask(path, **headers)[0]

    def text(self, path, **headers):
        status, _, text = self.ask(path, **headers)
        assert status == 200, (status, text)
        return text

    def connect(self):
        """A connection that has said nothing yet."""
        return socket.create_connection(("127.0.0.1", self.port), 20)


def start_with_web(start_headgate, *arguments, **settings):
    """start_headgate with HTTP: (the pooler, its Web)."""
    port = free_port()
    return start_headgate(*arguments, http_port=port, **settings), Web(port)


def read_all(connection):
    """What comes until the other side closes."""
    said = b""
    while part := connection.recv(65536):
        said += part
    return said.decode()
