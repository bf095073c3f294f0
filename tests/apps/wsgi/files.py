"""Answers with wsgi.file_wrapper around the kind of file that the path names. `/closed` counts the closed ones."""

import io
import json
import os

import gate

closed = []


class Descriptor:
    """Wraps a real file, as tempfile's and Django's files do. Its position tells at the end whether Python read it: the
    server must send from the descriptor."""

    def __init__(self, path, start):
        self.file = open(path, "rb")
        self.file.seek(start)
        self.start = start
        self.fileno, self.tell, self.seek, self.read = self.file.fileno, self.file.tell, self.file.seek, self.file.read

    def close(self):
        closed.append("descriptor" if self.file.tell() == self.start else "read through Python")
        self.file.close()


class Like:
    """Has read() and nothing else that a file has."""

    def __init__(self, content):
        self.content = io.BytesIO(content)

    def read(self, size):
        return self.content.read(size)

    def close(self):
        closed.append("like")


class Bare:
    """Has only read()."""

    def __init__(self, content):
        self.read = io.BytesIO(content).read


class Wrong(Like):
    def fileno(self):
        raise io.UnsupportedOperation("fileno")


def piped(content):
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    return open(reader, "rb")


def application(environ, start_response):
    path, wrapper = environ["PATH_INFO"], environ["wsgi.file_wrapper"]
    headers = [("Content-Type", "application/octet-stream")]
    if length := gate.query(environ, "length"):
        headers.append(("Content-Length", length))
    start_response("200 OK", headers)
    if path == "/closed":
        return [json.dumps(closed).encode()]
    if path == "/descriptor":
        return wrapper(Descriptor(os.environ["BIG_FILE"], int(gate.query(environ, "from", "0"))), 8192)
    if path == "/opened":
        file = open(os.environ["BIG_FILE"], "rb")
        # Moves the position of the descriptor further than that of the file object, which is the one that counts.
        file.read(10)
        return wrapper(file)
    if path == "/text":
        return wrapper(open(__file__, "rb"))
    if path == "/pipe":
        return wrapper(piped(b"through a pipe"))
    if path == "/iterated":
        return (block for block in wrapper(Like(b"0123456789"), 4))
    kind = {"/like": Like, "/bare": Bare, "/wrong": Wrong, "/memory": io.BytesIO}[path]
    return wrapper(kind(b"like a file " * 1000), 100)
