"""Keeps what it is asked, by the port of the client's end, and tells and forgets it when asked for `/recorded/PORT`."""

import json
import threading

LOCK = threading.Lock()
CALLS = {}

VARIABLES = {
    "method": "REQUEST_METHOD",
    "target": "REQUEST_URI",
    "protocol": "SERVER_PROTOCOL",
    "path": "PATH_INFO",
    "query": "QUERY_STRING",
    "content_type": "CONTENT_TYPE",
    "content_length": "CONTENT_LENGTH",
}


def record(environ):
    call = {name: environ.get(variable) for name, variable in VARIABLES.items()}
    call["fields"] = {name: value for name, value in environ.items() if name.startswith("HTTP_")}
    call["body"] = environ["wsgi.input"].read().decode("latin-1")
    with LOCK:
        CALLS.setdefault(environ["REMOTE_PORT"], []).append(call)


def application(environ, start_response):
    start, _, port = environ["PATH_INFO"].rpartition("/")
    if start == "/recorded":
        with LOCK:
            answer = json.dumps(CALLS.pop(port, []))
    else:
        record(environ)
        answer = "recorded"
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
    return [answer.encode()]
