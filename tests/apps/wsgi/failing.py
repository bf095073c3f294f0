"""Fails in the way that the path names, with something to see in its variables."""

import time


class Raising:
    def __repr__(self):
        raise ValueError("no words for it")


class Endless:
    def __repr__(self):
        while True: pass


class Slow:
    """Its text is one call of some tenths of a second."""

    def __repr__(self):
        end = time.thread_time() + 0.4
        next(filter(end.__lt__, iter(time.thread_time, None)))
        return "slow, and shown"


class Huge:
    def __repr__(self):
        return "huge" * 10_000_000


class Keeper:
    """Its text is mostly one secret, which ends behind all that is shown."""

    def __repr__(self):
        return f"Keeper(token='{'told' * 1500}')"


class Settings(dict):
    """As Django's request.POST: more than a dictionary, and all of it in its repr()."""


def deepest(order):
    # What is marked begins behind letters of two bytes each.
    naïve = "äöü"; return naïve + order["<script>alert(1)</script>"]


def cause(environ):
    password = "hunter2"
    settings = Settings(SECRET_KEY="in-a-dictionary", debug=True)
    fields = [("Authorization", "in-a-field"), ("Accept", "text/plain-text")]
    address = "postgres://ann:in-an-address@db.example/shop"
    try:
        deepest({"number": 42})
    except KeyError as error:
        error.add_note("a note for whoever reads this")
        raise RuntimeError("outer <b>failure</b>") from error


def values(environ):
    before, raising, endless, huge, slow, keeper = "seen", Raising(), Endless(), Huge(), Slow(), Keeper()
    big, wide, number = list(range(1_000_000)), b"w" * 10_000_000, 1 << 100_000
    cycle = []
    cycle.append(cycle)
    raise RuntimeError("values")


def library(environ):
    import json

    json.loads("{")


def group(environ):
    raise ExceptionGroup("several", [ValueError("first of them"), ExceptionGroup("inner", [TypeError("second of them")])])


def recursion(environ):
    recursion(environ)


def spin(environ):
    while True:
        time.sleep(0.01)


def syntax(environ):
    compile("a =", "written.py", "exec")


def application(environ, start_response):
    path = environ["PATH_INFO"]
    fields = [("Content-Type", "text/plain"), ("X-Of-The-Application", "yes")]
    if path == "/text":
        start_response("200 OK", fields)
        return ["not bytes"]
    if path == "/no-start":
        return [b"nothing was started"]
    if path == "/twice":
        start_response("200 OK", fields)
        start_response("200 OK", fields)
    if path == "/bad-head":
        start_response(200, fields)
    if path == "/iterable":
        start_response("200 OK", fields)
        return (deepest({}) for _ in range(1))
    if path == "/late":
        start_response("200 OK", fields)(b"first")
        raise RuntimeError("too late")
    if path == "/":
        start_response("200 OK", fields + [("Server-Timing", "db;dur=1.5")])
        return [b"well"]
    if path == "/stream":
        start_response("200 OK", fields)
        return iter([b"one", b"two"])
    globals()[path[1:]](environ)
