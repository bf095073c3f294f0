"""Requests of every kind, for the search for leaks. `/blocks` tells how much the interpreter's allocator holds."""

import gc
import sys


def plain(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Path", environ["PATH_INFO"])])
    return [b"plain"]


def stream(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    for number in range(5):
        yield b"block %d\n" % number


def file(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](open(__file__, "rb"))


def write(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])(b"written")
    return ()


def lines(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    body = environ["wsgi.input"]
    return [str(len(body.read(10)) + len(body.readline()) + sum(map(len, body))).encode()]


def errors(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    environ["wsgi.errors"].flush()
    return [b"errors"]


def replaced(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        raise LookupError
    except LookupError:
        start_response("200 OK", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"replaced"]


def blocks(environ, start_response):
    gc.collect()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(sys.getallocatedblocks()).encode()]


KINDS = {"/stream": stream, "/file": file, "/write": write, "/lines": lines, "/errors": errors, "/replaced": replaced}
KINDS["/blocks"] = blocks


def application(environ, start_response):
    return KINDS.get(environ["PATH_INFO"], plain)(environ, start_response)
