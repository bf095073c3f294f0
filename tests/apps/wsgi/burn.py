"""Keeps one CPU busy with Python code for a fixed amount of work."""

import gate


def application(environ, start_response):
    total = 0
    for number in range(int(gate.query(environ, "rounds", "1000000"))):
        total = (total * 31 + number) % 1_000_003
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(total).encode()]
