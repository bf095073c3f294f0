"""Has a daemon thread that works in the background, as agents and schedulers do."""

import itertools
import queue
import threading

work, done = queue.Queue(), itertools.count()
total = [0]


def background():
    while True:
        work.get()
        total[0] = next(done) + 1


def busy():
    while True:
        sum(range(1000))


threading.Thread(target=background, daemon=True).start()
threading.Thread(target=busy, daemon=True).start()


def application(environ, start_response):
    if environ["PATH_INFO"] == "/work":
        work.put(None)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(total[0]).encode()]
