"""Sends `size` bytes in blocks of 64 KiB. `/state` counts blocks, and how far the responses got."""

import json
import threading

import gate

BLOCK = bytes(range(256)) * 256
lock = threading.Lock()
state = {"started": 0, "blocks": 0, "finished": 0, "closed": 0}


def count(what):
    with lock:
        state[what] += 1


class Blocks:
    def __init__(self, size):
        self.left = size

    def __iter__(self):
        return self

    def __next__(self):
        if self.left <= 0:
            count("finished")
            raise StopIteration
        block = BLOCK[: self.left]
        self.left -= len(block)
        count("blocks")
        return block

    def close(self):
        count("closed")


def application(environ, start_response):
    if environ["PATH_INFO"] == "/state":
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(state).encode()]
    count("started")
    headers = [("Content-Type", "application/octet-stream")]
    if gate.query(environ, "unbuffered"):
        headers.append(("X-Accel-Buffering", "no"))
    start_response("200 OK", headers)
    return Blocks(int(gate.query(environ, "size", "1000000")))
