"""The smallest application."""

from wsgiref.validate import validator


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"hello\n"]


application = validator(hello)
