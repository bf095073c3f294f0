"""Requests that do not end, each in a way of its own: `/spin`, `/sleep`, `/gil`, `/lock`, `/swallow`; anything else answers at
once. `/stream/spin` and the like do so behind the first block of a response. `/marks` tells what ran on the way out."""

import ctypes
import sys
import threading
import time

marks = []
never = threading.Lock()
never.acquire()
# Unlike CDLL it keeps the GIL.
holding_gil = ctypes.PyDLL(None)


def spin():
    while True:
        pass


def sleep():
    time.sleep(3600)


def hold_gil():
    holding_gil.sleep(3600)


def hold_gil_for_a_while():
    # Both in one call: what Python code says it says before it has the GIL for good.
    holding_gil.system(b"echo the GIL is held >&2; exec sleep 4")


def wait_for_lock():
    never.acquire()


def swallow():
    while True:
        try:
            while True:
                pass
        except Exception as error:
            marks.append(f"swallowed {type(error).__qualname__}")


WAYS = {
    "/spin": spin,
    "/sleep": sleep,
    "/gil": hold_gil,
    "/gil-for-a-while": hold_gil_for_a_while,
    "/lock": wait_for_lock,
    "/swallow": swallow,
}


def go_on():
    for _ in range(10):
        time.sleep(0.25)
        yield b"block\n"


def much():
    for _ in range(32):
        yield bytes(1 << 20)


class Blocks:
    """The response's iterable, whose `close()` leaves a mark."""

    def __init__(self, way):
        self.way = way

    def __iter__(self):
        yield b"block\n"
        yield from self.way() or ()

    def close(self):
        marks.append("closed")


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path in WAYS:
        try:
            WAYS[path]()
        except TimeoutError as error:
            import stack

            assert isinstance(error, stack.RequestTimeout), error
            marks.append(f"{path} caught {type(error).__module__}.{type(error).__qualname__}: {error}")
            raise
        finally:
            marks.append(f"{path} finally")
    if path.startswith("/stream"):
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Accel-Buffering", "no")])
        way = path.removeprefix("/stream") or "/spin"
        return Blocks({"/go-on": go_on, "/much": much, **WAYS}[way])
    body = "\n".join(marks).encode() if path == "/marks" else b"ok"
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Version", sys.version.split()[0])])
    return [body]
