"""Answers after the seconds that the query names."""

import time

import gate


def application(environ, start_response):
    time.sleep(float(gate.query(environ, "seconds", "1")))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"at last"]
