"""Yields numbered blocks. With a gate, it waits there after the first one."""

from wsgiref.validate import validator

import gate


def stream(environ, start_response):
    headers = [("Content-Type", "text/plain")]
    if gate.query(environ, "unbuffered"):
        headers.append(("X-Accel-Buffering", "no"))
    start_response("200 OK", headers)
    return blocks(environ, int(gate.query(environ, "blocks", "3")))


def blocks(environ, count):
    for number in range(count):
        yield b"block %d\n" % number
        if number == 0 and gate.query(environ, "gate"):
            gate.wait(environ)


application = validator(stream)
