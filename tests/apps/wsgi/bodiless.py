"""Sends a body with statuses and to methods that have none."""

from wsgiref.validate import validator

STATUS = {"/no-content": "204 No Content", "/not-modified": "304 Not Modified"}


def bare(environ, start_response):
    path = environ["PATH_INFO"]
    if path in STATUS:
        start_response(STATUS[path], [("ETag", '"x"')])
        return [b"must not be sent"]
    if path == "/length":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "12")])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [b"twelve bytes"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/generator":
        return (block for block in [b"twelve", b" bytes"])
    return [b"twelve bytes"]


application = validator(bare)
