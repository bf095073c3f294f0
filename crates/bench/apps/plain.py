"""The applications without a framework: one for each thing that a server does for an application."""

import os
import time

# What a loop of one round costs depends on the machine: the benchmark counts how many make two milliseconds.
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "20000"))
LARGE = bytes(range(256)) * 400


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [b"Hello, world\n"]


def echo(environ, start_response):
    """Sends the body of the request back."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(body)))])
    return [body]


def wait(environ, start_response):
    """Waits as for a database, ten milliseconds."""
    time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "7")])
    return [b"waited\n"]


def burn(environ, start_response):
    """Computes for about two milliseconds."""
    body = b"%d\n" % total(ROUNDS)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def total(rounds):
    result = 0
    for number in range(rounds):
        result = (result * 31 + number) % 1_000_003
    return result


def large(environ, start_response):
    """100 KB (102,400 bytes), made anew for each request as a rendered page is."""
    body = bytearray(LARGE)
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(body)))])
    return [bytes(body)]
