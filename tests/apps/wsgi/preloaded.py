"""Says where it was imported, how often, and where it runs."""

import os

IMPORTED_IN = os.getpid()

with open(os.environ["IMPORTS"], "a") as imports:
    imports.write(f"{IMPORTED_IN}\n")


def application(environ, start_response):
    if environ["PATH_INFO"] == "/exit":
        os._exit(3)
    start_response("200 OK", [("X-Imported-In", str(IMPORTED_IN)), ("X-Pid", str(os.getpid()))])
    return [b""]
