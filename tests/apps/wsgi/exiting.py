"""Leaves a mark for each interpreter when it ends: a file from atexit, and one from a thread that is waited for."""

import atexit
import os
import threading
import uuid

name = uuid.uuid4().hex
stopping = threading.Event()


def mark(kind):
    with open(os.path.join(os.environ["MARKS"], f"{kind}-{name}"), "w") as file:
        file.write("left")


def wait_for_the_end():
    stopping.wait()
    mark("thread")


atexit.register(mark, "atexit")
threading._register_atexit(stopping.set)
threading.Thread(target=wait_for_the_end).start()


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [name.encode()]
