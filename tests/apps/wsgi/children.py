"""Starts another process in the way that the path names, and answers with what that said."""

import multiprocessing
import os
import subprocess
import sys

DOUBLE = "import sys; print(int(sys.argv[1]) * 2)"


def double(number):
    return number * 2


def fork():
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writer, b"42")
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with open(reader) as said:
        return said.read()


def pool(method):
    with multiprocessing.get_context(method).Pool(2) as workers:
        return str(max(workers.map(double, range(22))))


WAYS = {
    "/fork": fork,
    "/multiprocessing-fork": lambda: pool("fork"),
    "/multiprocessing-spawn": lambda: pool("spawn"),
    "/subprocess": lambda: subprocess.check_output([sys.executable, "-c", DOUBLE, "21"], text=True).strip(),
    "/shell": lambda: os.popen("echo $((21 * 2))").read().strip(),
}


def application(environ, start_response):
    answer = WAYS[environ["PATH_INFO"]]()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer.encode()]
