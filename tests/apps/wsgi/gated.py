"""Waits at a gate where the query names one. Answers with how many requests ran before this one."""

import itertools
import threading
from wsgiref.validate import validator

import gate

started = itertools.count()


def gated(environ, start_response):
    number = next(started)
    if gate.query(environ, "gate"):
        gate.wait(environ)
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Thread", str(threading.get_native_id()))])
    return [str(number).encode()]


application = validator(gated)
