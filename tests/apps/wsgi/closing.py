"""Counts the calls of close() by path. `/count` tells, as JSON."""

import collections
import json

import gate

closed = collections.Counter()


class Blocks:
    """Yields what it is given, raises what is an exception, and counts its end."""

    def __init__(self, name, *blocks):
        self.name, self.blocks = name, iter(blocks)

    def __iter__(self):
        return self

    def __next__(self):
        block = next(self.blocks)
        if isinstance(block, Exception):
            raise block
        return block

    def close(self):
        closed[self.name] += 1


def endless(environ):
    yield b"first"
    gate.wait(environ)
    while True:
        yield b"x" * 65536


def application(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/count":
        return [json.dumps(closed).encode()]
    if path == "/raising":
        return Blocks(path, b"first", RuntimeError("in the middle"))
    if path == "/raising-first":
        return Blocks(path, RuntimeError("at once"))
    if path == "/not-bytes":
        return Blocks(path, "text")
    if path == "/endless":
        blocks = Blocks(path)
        blocks.blocks = endless(environ)
        return blocks
    return Blocks(path, b"one ", b"two")
