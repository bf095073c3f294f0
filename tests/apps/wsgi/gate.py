"""Lets a test hold an application: it connects to the test's port and waits until the test hangs up."""

import socket
from urllib.parse import parse_qs


def query(environ, name, default=None):
    return parse_qs(environ["QUERY_STRING"]).get(name, [default])[0]


def enter(environ):
    """Tells the test that the application got here. The answer is the socket: read from it to wait."""
    return socket.create_connection(("127.0.0.1", int(query(environ, "gate"))))


def wait(environ):
    with enter(environ) as connection:
        try:
            connection.recv(1)
        except ConnectionResetError:
            pass
