"""Reads a body in pieces and answers with its length and checksum."""

import json
import zlib
from wsgiref.validate import validator


def upload(environ, start_response):
    body, length, checksum = environ["wsgi.input"], 0, 1
    while piece := body.read(65536):
        length += len(piece)
        checksum = zlib.adler32(piece, checksum)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"length": length, "adler32": checksum}).encode()]


application = validator(upload)
