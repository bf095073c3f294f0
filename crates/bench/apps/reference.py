"""Runs an application once without any server, and writes what it answers: every server has to send the same bytes.

    python reference.py MODULE:CALLABLE [BODY_FILE]
    python reference.py --rounds              # how many rounds of plain.total make two milliseconds here
"""

import importlib
import io
import sys
import time
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator


def rounds(seconds=0.002):
    import plain

    fastest, tried = float("inf"), 20_000
    # The fastest of many is what the code takes; the others are what else the machine does.
    for _ in range(25):
        started = time.perf_counter()
        plain.total(tried)
        fastest = min(fastest, time.perf_counter() - started)
    return round(tried * seconds / fastest)


def answer(name, body):
    module, _, attribute = name.partition(":")
    application = getattr(importlib.import_module(module), attribute)
    environ = {"REQUEST_METHOD": "POST" if body else "GET", "SCRIPT_NAME": "", "PATH_INFO": "/"}
    environ |= {"HTTP_HOST": "localhost", "QUERY_STRING": "", "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    setup_testing_defaults(environ)
    status = []
    iterable = validator(application)(environ, lambda line, fields, error=None: status.append(line) or (lambda data: None))
    try:
        result = b"".join(iterable)
    finally:
        iterable.close()
    if not status[0].startswith("200"):
        sys.exit(f"{name} answers {status[0]} without a server")
    return result


if sys.argv[1] == "--rounds":
    print(rounds())
else:
    sent = open(sys.argv[2], "rb").read() if len(sys.argv) > 2 else b""
    sys.stdout.buffer.write(answer(sys.argv[1], sent))
