"""Answers with its environ as JSON. What JSON can not hold is named by its type."""

import json
from wsgiref.validate import validator


def dump(environ, start_response):
    shown = {}
    for key, value in environ.items():
        assert type(key) is str, f"{key!r} is not a str"
        shown[key] = value if isinstance(value, (str, bool, int, tuple)) else type(value).__name__
        if key.isupper():
            assert type(value) is str, f"{key} is not a str"
            value.encode("latin-1")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(shown).encode()]


application = validator(dump)
