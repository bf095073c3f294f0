"""Takes as long to import as the test wants."""

import os

import gate

gate.wait({"QUERY_STRING": f"gate={os.environ['GATE']}"})


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"loaded"]
