"""`/wait` waits without the GIL. `/hold` keeps the GIL of its interpreter, in C, until the test hangs up. Everything else answers at once."""

import ctypes

import gate


def application(environ, start_response):
    if environ["PATH_INFO"] == "/hold":
        with gate.enter(environ) as connection:
            # PyDLL, unlike CDLL, calls with the GIL held.
            ctypes.PyDLL(None).recv(connection.fileno(), ctypes.create_string_buffer(1), 1, 0)
    if environ["PATH_INFO"] == "/wait":
        gate.wait(environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"free"]
