"""Clients that check every response, each on a connection that it keeps as long as the server does."""

import socket
import threading
import time

import soak

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
HUNG = 60


class Client(threading.Thread):
    """Counts what became of its requests, and remembers the longest time that one took."""

    def __init__(self, port, expected, kept=True):
        super().__init__(daemon=True)
        self.port, self.expected, self.kept = port, expected, kept
        self.stop = threading.Event()
        self.counts = dict.fromkeys(["requests", "wrong", "closed", "hung", "refused"], 0)
        self.longest = 0.0

    def run(self):
        while not self.stop.is_set():
            try:
                connection = socket.create_connection(("127.0.0.1", self.port), timeout=HUNG)
            except OSError:
                self.counts["refused"] += 1
                time.sleep(0.01)
                continue
            with connection, connection.makefile("rb") as reader:
                self.use(connection, reader)

    def use(self, connection, reader):
        while not self.stop.is_set():
            begun = time.monotonic()
            try:
                connection.sendall(REQUEST)
                status, last, body = read(reader)
            except TimeoutError:
                self.counts["hung"] += 1
                return
            except (OSError, ValueError, IndexError):
                self.counts["closed"] += 1
                return
            finally:
                self.longest = max(self.longest, time.monotonic() - begun)
            self.counts["requests"] += 1
            self.judge(status, body)
            if last or not self.kept:
                return


    def judge(self, status, body):
        self.counts["wrong"] += status != 200 or body not in self.expected


def read(reader):
    """A response with a Content-Length: its status, whether it is the last, and its body."""
    status, length, last = int(reader.readline().split()[1]), None, False
    while line := reader.readline().strip().lower():
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
        last = last or line == b"connection: close"
    body = reader.read(length)
    if len(body) != length:
        raise ValueError("cut")
    return status, last, body


class Load:
    """So many clients; those with an odd number use each connection once."""

    def __init__(self, port, expected, clients):
        self.clients = [Client(port, expected, kept=number % 2 == 0) for number in range(clients)]
        for client in self.clients:
            client.start()

    def end(self):
        for client in self.clients:
            client.stop.set()
        for client in self.clients:
            client.join(2 * HUNG)
        names = self.clients[0].counts
        return {name: sum(client.counts[name] for client in self.clients) for name in names}

    def longest(self):
        """The longest that any request has taken since this was asked last, in seconds."""
        longest = max(client.longest for client in self.clients)
        for client in self.clients:
            client.longest = 0.0
        return longest
