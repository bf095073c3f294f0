"""Reads its input in the way that the path names, and answers with the pieces that it got, as JSON."""

import json
from wsgiref.validate import validator


def until_empty(read):
    pieces = []
    while piece := read():
        pieces.append(piece)
    return pieces


READ = {
    "/read-all": lambda body: [body.read(-1)],
    "/read-5": lambda body: until_empty(lambda: body.read(5)),
    "/read-64k": lambda body: until_empty(lambda: body.read(65536)),
    "/read-0": lambda body: [body.read(0), body.read(0), body.read(3)],
    "/read-none": lambda body: [body.read(None)],
    "/readline": lambda body: until_empty(lambda: body.readline(-1)),
    "/readline-4": lambda body: until_empty(lambda: body.readline(4)),
    "/readlines": lambda body: body.readlines(),
    "/readlines-hint": lambda body: [*body.readlines(1), b"--", *body.readlines()],
    "/iterate": lambda body: list(body),
    "/iterate-then-read": lambda body: [next(iter(body)), body.read(-1)],
    "/past-the-end": lambda body: [body.read(1 << 20), body.read(1), body.readline(1), body.read(1)],
    "/nothing": lambda body: [],
    # Without the argument that wsgiref's validator insists on.
    "/bare-read": lambda body: [body.read(), body.read()],
    "/bare-readline": lambda body: until_empty(lambda: body.readline()),
}


def bare(environ, start_response):
    pieces = READ[environ["PATH_INFO"]](environ["wsgi.input"])
    assert all(type(piece) is bytes for piece in pieces), pieces
    answer = {
        "pieces": [piece.decode("latin-1") for piece in pieces],
        "content_length": environ.get("CONTENT_LENGTH"),
        "input_terminated": environ.get("wsgi.input_terminated"),
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


application = validator(bare)
