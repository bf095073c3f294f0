"""Counts SIGUSR1 in a Python handler; that of SIGUSR2 raises. `/alarm` computes without an end, until SIGALRM ends it; `/terminate` sends SIGTERM to
the process itself."""

import os
import signal
import threading

seen = []


class TimeIsUp(Exception):
    pass


def ring(number, frame):
    raise TimeIsUp


def fail(number, frame):
    raise LookupError("raised by a handler")


signal.signal(signal.SIGUSR2, fail)
signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(threading.current_thread() is threading.main_thread()))


def alarm():
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        while True:
            sum(range(1000))
    except TimeIsUp:
        return "time is up"
    finally:
        signal.signal(signal.SIGALRM, before)


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)
    return "still here"


def application(environ, start_response):
    answer = {"/": lambda: repr(seen), "/alarm": alarm, "/terminate": terminate}[environ["PATH_INFO"]]()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer.encode()]
