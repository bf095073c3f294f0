"""Forks a child that stays at the gate, and ends its own process."""

import os

import gate


def application(environ, start_response):
    if gate.query(environ, "gate"):
        if os.fork() == 0:
            gate.wait(environ)
            os._exit(0)
        os._exit(3)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"here"]
