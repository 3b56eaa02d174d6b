"""The frames between nodes, from outside: enough to cut a stream into frames, to seal one, and to say hello. What a
frame looks like is in server/peer (header and seal) and in server/codec/frame.proto (bodies)."""

import ctypes
import ctypes.util
import os
import socket
import struct
import threading
import time

HELLO, APPEND_ENTRIES, OPERATIONS, OUTCOMES = 1, 7, 11, 12
KINDS = 18

_xxhash = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
_xxhash.XXH3_64bits.restype = ctypes.c_uint64
_xxhash.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def seal(kind, body, length=None):
    """One frame with a checksum; `length` may lie."""
    head = struct.pack("<IB", len(body) if length is None else length, kind)
    head += struct.pack("<Q", _xxhash.XXH3_64bits(head, len(head)))[:3]
    return head + struct.pack("<Q", _xxhash.XXH3_64bits(head + body, len(head + body))) + body


def split_frame(pending, sealed_bytes):
    """(frame, rest) or (None, pending)."""
    if len(pending) < 8:
        return None, pending
    whole = 8 + sealed_bytes + struct.unpack_from("<I", pending)[0]
    return (None, pending) if len(pending) < whole else (pending[:whole], pending[whole:])


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field_bytes(number, value):
    return varint(number << 3 | 2) + varint(len(value)) + value


def field_varint(number, value):
    return varint(number << 3) + varint(value)


def field_fixed64(number, value):
    return varint(number << 3 | 1) + struct.pack("<Q", value)


def each_field(body):
    """(number, value) of each field of a flat message."""
    at = 0

    def read_varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = body[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(body):
        tag = read_varint()
        if tag & 7 == 0:
            yield tag >> 3, read_varint()
        elif tag & 7 == 1:
            yield tag >> 3, struct.unpack_from("<Q", body, at)[0]
            at += 8
        else:
            length = read_varint()
            yield tag >> 3, body[at : at + length]
            at += length


def parse_fields(body):
    """{number: value} of a flat message, the last one of each number."""
    return dict(each_field(body))


def entry_lengths(frame):
    """Bytes of each log entry in an AppendEntries frame (without a cluster key)."""
    body = frame[16:]
    message = body[4 : 4 + struct.unpack_from("<I", body)[0]]
    return [parse_fields(value)[3] for number, value in each_field(message) if number == 5]


def hello_body(name, to, cluster_id, incarnation, run_id=None, number=1):
    """A member's hello: of a new run of its process, or of the one with `run_id`, as its connection `number`."""
    return b"".join([
        field_varint(1, 1), field_varint(2, 1), field_varint(3, 1), field_varint(4, 1), field_varint(5, 0),
        field_varint(6, 0), field_bytes(7, cluster_id), field_bytes(8, incarnation), field_bytes(9, run_id or os.urandom(16)),
        field_bytes(10, os.urandom(32)), field_fixed64(11, number), field_bytes(12, name.encode()),
        field_bytes(13, to.encode()), field_bytes(14, b"127.0.0.1:1"), field_varint(15, 1), field_varint(16, 1),
    ])  # fmt: skip


def overhear_hello(port, wanted, seconds=20):
    """Listens in the place of a node that is down until the node `wanted` dials it; returns its hello's fields."""
    deadline = time.monotonic() + seconds
    with socket.create_server(("127.0.0.1", port), reuse_port=False) as server:
        server.settimeout(seconds)
        while time.monotonic() < deadline:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(5)
                pending, frame = b"", None
                while frame is None:
                    part = connection.recv(65536)
                    if not part:
                        break
                    frame, pending = split_frame(pending + part, 8)
                if frame is not None and frame[4] == HELLO:
                    fields = parse_fields(frame[16:])
                    if fields.get(12) == wanted.encode() and not fields.get(5):
                        return fields
    raise TimeoutError(f"{wanted} didn't dial")


class Back(bytes):
    """A frame that goes back to its sender."""


class Proxy:
    """Stands before a node's Raft port and hands every frame behind the handshake to `mutate(proxy, forward, frame)`,
    which returns the frames to send instead. `target` is set when the node's real port is known. `mutations` counts."""

    def __init__(self, port, keyed, mutate=None):
        self.port = port
        self.target = None
        self.keyed = keyed
        self.mutate = mutate
        self.mutations = 0
        self.next_at = 0.0
        self.old = []  # frames of this and earlier connections, for replays
        self.server = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def due(self, pause=0.25):
        """True at most once in `pause` seconds, so that the link lives long enough to carry something."""
        if time.monotonic() < self.next_at:
            return False
        self.next_at = time.monotonic() + pause
        self.mutations += 1
        return True

    def close(self):
        self.mutate = None
        self.server.close()

    def _accept(self):
        while True:
            try:
                near, _ = self.server.accept()
                far = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                if self.server.fileno() < 0:
                    return
                near.close()
                continue
            far.settimeout(None)
            for connection in (near, far):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink, forward in ((near, far, True), (far, near, False)):
                threading.Thread(target=self._pump, args=(source, sink, forward), daemon=True).start()

    def _pump(self, source, sink, forward):
        pending, number = b"", 0
        try:
            while part := source.recv(65536):
                pending += part
                while True:
                    frame, pending = split_frame(pending, 16 if self.keyed and number >= 2 else 8)
                    if frame is None:
                        break
                    number += 1
                    mutate = self.mutate
                    for out in mutate(self, forward, frame) if mutate and number > 2 else [frame]:
                        (source if isinstance(out, Back) else sink).sendall(out)
        except OSError:
            pass
        for connection in (source, sink):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.close()
