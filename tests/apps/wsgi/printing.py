"""Writes to everything that a log line can come from."""

import logging
import sys
import threading

import gate

logging.basicConfig(format="%(levelname)s:%(name)s:%(message)s")
print("printed at import")


def application(environ, start_response):
    {"/print": prints, "/errors": errors, "/logging": logs, "/threads": threads}[environ["PATH_INFO"]](environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]


def prints(environ):
    sys.stdout.write("in ")
    sys.stdout.write("two pieces\n")
    print("several\nlines at once")
    print("to stderr", file=sys.stderr)
    print("caf\xe9 \u20ac \U0001f40d")
    sys.stderr.write("\udc80 half a character\n")
    sys.stdout.write("without an end")
    sys.stdout.flush()
    sys.stdout.write("\n")


def errors(environ):
    out = environ["wsgi.errors"]
    out.write("written to wsgi.errors\n")
    out.writelines(["first of several\n", "second of several\n"])
    print("printed to wsgi.errors", file=out)
    out.write("not ended by a newline")
    out.flush()


def logs(environ):
    logging.getLogger("shop").warning("basket %s is empty", 7)
    try:
        raise LookupError("logged on purpose")
    except LookupError:
        logging.getLogger("shop").exception("it went wrong")


def threads(environ):
    def chatter(number):
        for line in range(100):
            print(f"<thread {number} line {line} {'.' * 200}>")

    several = [threading.Thread(target=chatter, args=(number,)) for number in range(int(gate.query(environ, "count")))]
    for thread in several:
        thread.start()
    for thread in several:
        thread.join()
