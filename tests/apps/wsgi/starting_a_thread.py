"""Starts a thread while it is imported. Answers with whether that, and the thread that answers, are daemons."""

import threading

started = threading.Thread(target=int)
started.start()


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{started.daemon} {threading.current_thread().daemon}".encode()]
