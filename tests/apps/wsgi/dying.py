"""Ends its process in the way that `die` names. Each request that names a `mark` leaves a file of that name in MARKS, with a
number; with `times`, it does not die with more of them. Takes the `seconds` that are named. Answers with its process and
with what its body was."""

import ctypes
import json
import os
import signal
import time
import zlib

import gate


def read_a_null_pointer():
    ctypes.string_at(0)


WAYS = {
    "segfault": read_a_null_pointer,
    "abort": os.abort,
    "exit": lambda: os._exit(3),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


def leave_mark(name):
    number = 1
    while True:
        try:
            open(os.path.join(os.environ["MARKS"], f"{name}-{number}"), "x").close()
            return number
        except FileExistsError:
            number += 1


def application(environ, start_response):
    mark = gate.query(environ, "mark")
    number = leave_mark(mark) if mark else 1
    body = environ["wsgi.input"].read()
    if gate.query(environ, "gate"):
        gate.wait(environ)
    time.sleep(float(gate.query(environ, "seconds", "0")))
    way = gate.query(environ, "die")
    if way and number <= int(gate.query(environ, "times", "1000")):
        WAYS[way]()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"pid": os.getpid(), "length": len(body), "adler32": zlib.adler32(body)}).encode()]
