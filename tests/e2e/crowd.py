"""Many connections to one node on one thread: crowds that idle, requests that pile up, and load that http.client is too
slow for."""

import collections
import re
import resource
import selectors
import socket
import time

from harness import Failure, check

_STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d\d\d) ")


def allow_files(count):
    """Lets this process, and what it starts, open `count` files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(count, hard)))


class _Client:
    def __init__(self, port, source):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.waits = 0  # answers that haven't come
        self.tail = b""


class Crowd:
    """`size` keep-alive connections. `source`: another address of loopback for each crowd, so that the ports of those
    that were closed a moment ago don't run out."""

    def __init__(self, port, size, source="127.0.0.1"):
        self.statuses = collections.Counter()
        self.closed = 0  # connections that the node has ended
        self.selector = selectors.DefaultSelector()
        self.clients = []
        for _ in range(size):
            client = _Client(port, source)
            self.clients.append(client)
            self.selector.register(client.socket, selectors.EVENT_READ, client)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self, count=None):
        """All of them, or the first `count`."""
        for client in self.clients[:count]:
            self._drop(client)
        del self.clients[:count]

    def _drop(self, client):
        if client.socket.fileno() >= 0:
            self.selector.unregister(client.socket)
            client.socket.close()

    def _give(self, client, requests):
        client.waits += len(requests)
        try:
            client.socket.sendall(b"".join(requests))
        except ConnectionError:
            pass  # its end is read, too

    def send(self, requests):
        """One to each connection that isn't closed; waits for nothing."""
        for client, request in zip(self.clients, requests):
            if client.socket.fileno() >= 0:
                self._give(client, [request])

    def _read(self, client):
        """True when all its answers are there."""
        try:
            data = client.socket.recv(1 << 18)
        except ConnectionError:
            data = b""
        if not data:
            self._drop(client)
            self.closed += 1
            return False
        data = client.tail + data
        end = max(0, len(data) - 12)
        for found in _STATUS_LINE.finditer(data):
            self.statuses[int(found[1])] += 1
            client.waits -= 1
            end = max(end, found.end())
        client.tail = data[end:]
        return client.waits == 0

    def read(self, seconds=0):
        """What came within `seconds`; the clients that have all their answers."""
        return [key.data for key, _ in self.selector.select(seconds) if self._read(key.data)]

    def read_until(self, condition, what, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            self.read(0.05)
            if time.monotonic() > deadline:
                raise Failure(f"after {seconds} s still not so: {what}; {dict(self.statuses)}, {self.closed} closed")

    def answers(self):
        return sum(self.statuses.values())

    def ask(self, requests, depth=1, seconds=60):
        """Sends all of `requests`, `depth` at a time on a connection, as fast as answers come; returns how often each
        status came. `seconds` without any answer are a failure."""
        before = collections.Counter(self.statuses)
        todo = iter(requests)

        def feed(client):
            batch = [request for _, request in zip(range(depth), todo)]
            if batch:
                self._give(client, batch)
            return bool(batch)

        busy = sum(feed(client) for client in self.clients)
        while busy > 0:
            events = self.selector.select(seconds)
            check(events, f"no answer for {seconds} s: {dict(self.statuses)}")
            for key, _ in events:
                if self._read(key.data):
                    busy -= not feed(key.data)
            check(self.closed == 0, "a connection was closed in the middle")
        return dict(self.statuses - before)
