"""Clients that stay: requests that wait for a lock, and readers of events."""

import collections
import http.client
import json
import re
import select
import socket
import struct
import threading
import time

import openapi
from harness import Answer, Failure, check, equal, wait_for

# ---- requests that wait ----


class Waiter:
    """One acquire that may take long. It is sent at once; its answer is read when somebody asks for it."""

    def __init__(self, node, schedule, holder="w", wait_ms=600000, ttl_ms=600000, key=None, **fields):
        self.node = node
        self.path = f"/locks/{schedule}"
        self.schedule = schedule
        self.holder = holder
        self.headers = {} if key is None else {"Idempotency-Key": key}
        body = {"holder": holder, "ttl_ms": ttl_ms, "wait_ms": wait_ms, **fields}
        self.body = json.dumps({name: value for name, value in body.items() if value is not None}).encode()
        head = f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(self.body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        self.began = time.monotonic()
        self.socket = socket.create_connection(("127.0.0.1", node.http_port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(head.encode() + b"\r\n" + self.body)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hang_up()

    @property
    def answered(self):
        """Something has come: an answer, or the end of the connection."""
        return bool(select.select([self.socket], [], [], 0)[0])

    def try_answer(self, seconds=20):
        """The answer, or None when the connection ended without one."""
        if not select.select([self.socket], [], [], seconds)[0]:
            raise Failure(f"{self.holder} waits for {self.schedule} through {self.node.name}, and wasn't answered")
        try:
            response = http.client.HTTPResponse(self.socket, method="POST")
            response.begin()
            answer = Answer(response.status, response.getheaders(), response.read())
        except (OSError, http.client.HTTPException):
            return None
        finally:
            self.hang_up()
        try:
            openapi.exchanged("POST", self.path, self.headers, self.body, answer)
        except openapi.Mismatch as mismatch:
            raise Failure(str(mismatch)) from None
        return answer

    def answer(self, seconds=20):
        answer = self.try_answer(seconds)
        check(answer is not None, f"{self.holder} through {self.node.name} was cut off")
        return answer

    def granted(self, seconds=20):
        """Its lock."""
        answer = self.answer(seconds)
        equal(answer.status, 201, f"{self.holder}, who waited, got {answer!r}")
        return answer.json

    def hang_up(self):
        self.socket.close()

    def reset(self):
        """Ends the connection with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)


def waiting(node, schedule):
    return node.status(schedule).json["waiting"]


def wait_waiting(node, schedule, n):
    """Until `n` requests wait for it."""
    wait_for(lambda: waiting(node, schedule) == n, f"{n} wait for {schedule}", nodes=[node])


def queue_up(ways, schedule, n, holder="w", **fields):
    """`n` requests (of w0, w1, …) that arrive one after the other, through each of the nodes `ways` in turn. Others may wait already."""
    before, waiters = waiting(ways[0], schedule), []
    for i in range(n):
        waiters.append(Waiter(ways[i % len(ways)], schedule, f"{holder}{before + i}", **fields))
        wait_waiting(ways[0], schedule, before + i + 1)
    return waiters


# ---- events ----

Event = collections.namedtuple("Event", "kind id data text")
EVENT_ID = re.compile(r"(\d+)-(\d+)-(\d+)")


def place(event_id):
    """(generation, index, number)"""
    found = EVENT_ID.fullmatch(event_id or "")
    check(found, f"an id of an event: {event_id!r}")
    return tuple(int(part) for part in found.groups())


class Reader(threading.Thread):
    """Reads GET /events of one node as it comes, until it is closed. `events` only grows, so that it may be looked at."""

    def __init__(self, node, query="", last_id=None, receive_bytes=None):
        super().__init__(daemon=True)
        self.node = node
        self.target = f"/events{query and '?'}{query}"
        self.headers = {} if last_id is None else {"Last-Event-ID": last_id}
        self.events, self.comments = [], []
        self.over = False  # the node has ended it
        self.error = None
        self.tail, self.seen_bytes = b"", 0
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", node.http_port))
        head = f"GET {self.target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        self.socket.sendall(head.encode() + b"\r\n")
        self.response = http.client.HTTPResponse(self.socket, method="GET")
        self.response.begin()
        equal(self.response.status, 200, f"{self.target} of {node.name}")
        self.socket.settimeout(None)
        openapi.exchanged("GET", self.target, self.headers, None, Answer(200, self.response.getheaders(), b""))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.close()

    def run(self):
        try:
            while part := self.read_some():
                self.take(part)
        except Exception as error:  # noqa: BLE001: shown by whoever looks
            self.error = error
        self.over = True

    def read_some(self):
        try:
            return self.response.read1(65536)
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            return b""  # cut off, or closed by us

    def take(self, part):
        self.seen_bytes += len(part)
        *blocks, self.tail = (self.tail + part).split(b"\n\n")
        for block in blocks:
            self.take_block(block.decode())

    def take_block(self, block):
        fields = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            if name == "":
                self.comments.append(time.monotonic())
                continue
            check(name in ("event", "id", "data", "retry") and name not in fields, f"a line of an event: {line!r}")
            fields[name] = value.removeprefix(" ")
        if fields:
            event = Event(fields["event"], fields.get("id"), json.loads(fields["data"]), fields["data"])
            openapi.told(event.kind, event.data)
            self.events.append(event)

    def of_log(self):
        """Those that have an id: the same on every node."""
        return [event for event in list(self.events) if event.id is not None]

    def kinds(self):
        return [event.kind for event in list(self.events)]

    def wait(self, condition, what, seconds=20):
        """Until `condition(events)`."""

        def so():
            if self.error is not None:
                raise self.error
            return condition(list(self.events))

        wait_for(so, f"{self.node.name}'s reader: {what}", seconds)

    def wait_kind(self, *kinds, seconds=20):
        """Until it has been told as many of each of these as are named; returns all events."""
        self.wait(lambda events: all([event.kind for event in events].count(kind) >= kinds.count(kind) for kind in kinds),
                  f"it was told {kinds}", seconds)  # fmt: skip
        return list(self.events)

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        if self.is_alive():
            self.join(20)
        self.response.close()
        self.socket.close()
