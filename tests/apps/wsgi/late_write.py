"""Has a thread that is still writing when its request is over, which no application should do."""

import threading
import time

LARGE = b"late " * 4_000_000


def application(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/late":
        begun = threading.Event()

        def go_on():
            begun.set()
            try:
                write(LARGE)
            except (OSError, RuntimeError):
                pass  # what it is told

        threading.Thread(target=go_on).start()
        begun.wait()
        time.sleep(0.002)
        return []
    return [b"plain"]
