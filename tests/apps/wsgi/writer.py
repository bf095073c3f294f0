"""Uses the write() callable, then an iterable (PEP 3333 "The write() Callable")."""

from wsgiref.validate import validator

import gate


def bare(environ, start_response):
    length = [("Content-Length", "29")] if environ["PATH_INFO"] == "/length" else []
    write = start_response("200 OK", [("Content-Type", "text/plain"), *length])
    write(b"written ")
    if gate.query(environ, "gate"):
        gate.wait(environ)
    write(b"")
    write(b"in two, ")
    if environ["PATH_INFO"] == "/str":
        write("text")
    return [b"then ", b"iterated"]


application = validator(bare)
