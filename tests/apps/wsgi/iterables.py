"""Answers with the kind of iterable that the path names."""

import array
from wsgiref.validate import validator


class Sequence:
    """Has only the old iteration protocol."""

    def __getitem__(self, index):
        return [b"old ", b"style"][index]


class Blocks:
    def __init__(self, blocks):
        self.blocks = iter(blocks)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.blocks)


class Text(bytes):
    """A subclass of bytes, which PEP 3333 does not ask a server to take, and every server takes."""


KINDS = {
    "/one": lambda: [b"one block"],
    "/list": lambda: [b"one ", b"two ", b"three"],
    "/tuple": lambda: (b"one ", b"two"),
    "/nothing": lambda: [],
    "/empty-block": lambda: [b""],
    "/empty-between": lambda: [b"", b"one ", b"", b"two", b""],
    "/generator": lambda: (block for block in (b"one ", b"two ", b"three")),
    "/iterator": lambda: Blocks([b"one ", b"two"]),
    "/sequence": Sequence,
    "/large": lambda: [b"x" * 3_000_000],
    "/many": lambda: (b"%06d\n" % number for number in range(20_000)),
    "/subclass": lambda: [Text(b"sub"), Text(b"class")],
    # What is not allowed:
    "/str": lambda: ["text"],
    "/str-later": lambda: iter([b"bytes", "text"]),
    "/int": lambda: [1],
    "/bytearray": lambda: [bytearray(b"x")],
    "/array": lambda: [array.array("b", [1])],
    "/none": lambda: None,
    "/no-iterable": lambda: 42,
}


def bare(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return KINDS[environ["PATH_INFO"]]()


application = validator(bare)


def late(environ, start_response):
    """Calls start_response only when it is iterated (PEP 3333 "The start_response() Callable")."""
    yield b""
    start_response("202 Accepted", [("Content-Type", "text/plain")])
    yield b""
    yield b"late "
    yield b"start"


def never(environ, start_response):
    """Yields a block without a head."""
    yield b"no head"


def silent(environ, start_response):
    """Never calls start_response and yields nothing."""
    return []
