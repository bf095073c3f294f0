"""Raises at the point that the query names."""

import sys

import gate


class Refused(BaseException):
    """An exception that `except Exception` does not catch."""


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no words for it")


KINDS = {
    "runtime": RuntimeError("raised on purpose"),
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
    "generator-exit": GeneratorExit(),
    "stop": StopIteration("not an end"),
    "refused": Refused("raised on purpose"),
    "unprintable": Unprintable(),
    "surrogate": RuntimeError("\udc80 is no text"),
    "group": ExceptionGroup("several", [ValueError("one"), TypeError("two")]),
}


class Blocks:
    def __init__(self, point, fail):
        self.point, self.fail, self.number = point, fail, 0

    def __iter__(self):
        if self.point == "iter":
            self.fail()
        return self

    def __next__(self):
        self.number += 1
        if self.point == f"next-{self.number}":
            self.fail()
        if self.number > 3:
            raise StopIteration
        return b"block"

    def close(self):
        if self.point == "close":
            self.fail()


def application(environ, start_response):
    point = gate.query(environ, "at")
    kind = gate.query(environ, "kind", "runtime")

    def fail():
        if kind == "recursion":
            fail()
        if kind == "memory":
            bytearray(1 << 60)
        if kind == "exit-call":
            sys.exit("leaving")
        raise KINDS[kind]

    if point == "call":
        fail()
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    if point == "after-start-response":
        fail()
    if point == "after-write":
        write(b"written")
        fail()
    return Blocks(point, fail)
