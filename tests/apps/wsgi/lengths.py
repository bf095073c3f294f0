"""Promises ten bytes and sends as many as the path says."""

import gate


def application(environ, start_response):
    kind, count = environ["PATH_INFO"].strip("/").split("-")
    write = start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "10")])
    body = b"x" * int(count)
    if kind == "list":
        return [body]
    if kind == "blocks":
        return (body[index : index + 1] for index in range(len(body)))
    if kind == "write":
        write(body)
        return []
    raise LookupError(kind)


def file(environ, start_response):
    """A file of three bytes."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", gate.query(environ, "length"))])
    return environ["wsgi.file_wrapper"](open(__file__.replace("lengths.py", "three-bytes.txt"), "rb"))
