"""Wrong input: each item gets its documented code and changes nothing."""

import os
import random
import socket
import time

from harness import Cluster, check, equal, leader_and_follower, raw_exchange, shared_cluster, unique, wait_for
from test_contract import problem

GOOD = {"holder": "h", "ttl_ms": 60000}


def refused(method, path, body, status, code, field=None, headers=None):
    """Through leader and follower: the code, and that the schedule (if the path names a sound one) is as it was."""
    for node in leader_and_follower():
        answer = node.request(method, path, body, headers)
        found = problem(answer, status, code)
        if field is not None:
            equal(found.get("field"), field, f"the place, in {answer!r}")


def refused_body(body, status, code, field=None):
    schedule = unique("wrong")
    refused("POST", f"/locks/{schedule}", body, status, code, field)
    equal(shared_cluster().leader().status(schedule).json["held"], False, f"held after {body!r}")


def test_broken_json():
    for body in (
        b"", b"{", b"[]", b"null", b"1", b'"x"', b'{"holder": "h", "ttl_ms": 60000', b'{"holder": "h",, "ttl_ms": 1}',
        b"{'holder': 'h'}", b'{"holder": "h", "ttl_ms": 60000} x', b'{"holder": "h", "ttl_ms": 60000}{}',
        b'\xef\xbb\xbf{"holder": "h", "ttl_ms": 60000}', b'{"holder": "\xff", "ttl_ms": 60000}',
        b'{"holder": "a\\u0000b", "ttl_ms": 60000}',
        b'{"holder": "h", "ttl_ms": 60000, "metadata": ' + b'{"a":' * 40 + b"1" + b"}" * 41,
        b'{"holder": "h", "ttl_ms": 060000}', b'{"holder": "h", "ttl_ms": NaN}', b"\x00", b"\xff\xfe{}",
    ):  # fmt: skip
        schedule = unique("json")
        for node in leader_and_follower():
            answer = node.request("POST", f"/locks/{schedule}", body)
            check(answer.status == 400 and answer.code in ("malformed_json", "invalid_field"), f"{body!r}: {answer!r}")
        equal(shared_cluster().leader().status(schedule).json["held"], False, f"held after {body!r}")


def test_unknown_and_duplicate_fields_and_parameters():
    refused_body({**GOOD, "ttl": 1}, 400, "unknown_field", "ttl")
    refused_body({**GOOD, "Holder": "x"}, 400, "unknown_field", "Holder")
    for node in leader_and_follower():
        schedule = unique("twice")
        for body in ('{"holder": "h", "ttl_ms": 60000, "ttl_ms": 60000}', '{"holder": "h", "holder": "h", "ttl_ms": 60000}'):
            answer = node.request("POST", f"/locks/{schedule}", body)
            equal(answer.status, 400, f"{body}: {answer!r}")
        for query in ("?x=1", "?consistency=stale&consistency=stale", "?consistency=", "?consistency=fast", "?consistency"):
            answer = node.request("GET", f"/locks/{schedule}{query}")
            check(answer.status == 400 and answer.code in ("unknown_field", "invalid_field"), f"{query}: {answer!r}")
        for query in ("?wait=1", "?ttl_ms=60000"):
            problem(node.request("POST", f"/locks/{schedule}{query}", GOOD), 400, "unknown_field")
        token = node.acquire(schedule).json["token"]
        for query in ("", f"?token={token}&token={token}", f"?token={token}&x=1", "?token=", "?token=-1", "?token=1.5",
                      "?token=x", f"?token={2**63}", f"?token={token}&outcome=done", f"?token={token}&outcome=running"):
            answer = node.request("DELETE", f"/locks/{schedule}{query}")
            check(answer.status == 400, f"DELETE {query}: {answer!r}")
        equal(node.status(schedule).json["holders"][0]["token"], token, "it is still held")


def test_a_body_one_byte_too_long():
    for node in leader_and_follower():
        schedule = unique("long")
        text = '{"holder": "h", "ttl_ms": 60000}'
        equal(node.request("POST", f"/locks/{schedule}", text + " " * (65536 - len(text))).status, 201, "64 KiB are taken")
        other = unique("long")
        problem(node.request("POST", f"/locks/{other}", text + " " * (65537 - len(text))), 413, "body_too_large")
        chunks = b"10001\r\n" + (text + " " * (65537 - len(text))).encode() + b"\r\n0\r\n\r\n"
        head = f"POST /locks/{other} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        received = raw_exchange(node.http_port, head + chunks)
        check(received is not None and b" 413 " in received.split(b"\r\n", 1)[0], f"in chunks: {received!r}")
        announced = f"POST /locks/{other} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n".encode()
        received = raw_exchange(node.http_port, announced)
        check(received is not None and b" 413 " in received.split(b"\r\n", 1)[0], f"as announced: {received!r}")
        equal(node.status(other).json["held"], False, "nothing was changed")


def test_names_out_of_the_alphabet():
    for name in ("-a", ".a", "_a", "%20a", "a%20b", "a%2Fb", "a%00b", "%C3%A4", "a" * 257, "a%0Ab", "a%", "a%zz", "a+b",
                 "a,b", "a;b", "a%3Fb", "a%22b", "%00", "a*"):  # fmt: skip
        for node in leader_and_follower():
            answer = node.request("POST", f"/locks/{name}", GOOD)
            check((answer.status, answer.code) in ((400, "invalid_name"), (400, "invalid_field")), f"{name}: {answer!r}")
    for holder in ("", "a b", "a\tb", "ä", "x" * 257, "\u007f"):
        refused_body({**GOOD, "holder": holder}, 400, "invalid_field", "holder")
    for occurrence in ("", "a b", "x" * 129, "ü"):
        refused_body({**GOOD, "occurrence": occurrence}, 400, "invalid_field", "occurrence")
    for key in ("", "a b", "x" * 129):
        for node in leader_and_follower():
            answer = node.request("POST", f"/locks/{unique('key')}", GOOD, {"Idempotency-Key": key})
            equal(answer.status, 400, f"Idempotency-Key {key!r}: {answer!r}")


def test_the_longest_names_are_taken():
    for node in leader_and_follower():
        schedule = unique("n") + "." * 240
        schedule += "x" * (256 - len(schedule))
        answer = node.acquire(schedule, holder="h" * 256, occurrence="o" * 128, key="k" * 128)
        equal(answer.status, 201, repr(answer))
        equal(node.status(schedule).json["holders"][0]["holder"], "h" * 256, "holder")


def test_numbers_that_are_none():
    for field in ("ttl_ms", "estimated_duration_ms"):
        wrong = ["-1", "1.5", "60000.0", "6e4", str(2**63), str(2**64), str(2**53), '"60000"', "true", "null", "[]", "{}",
                 "-9223372036854775809", "1e400"]  # fmt: skip
        if field == "ttl_ms":
            wrong.append("0")
        for number in wrong:
            schedule = unique("number")
            ttl = "" if field == "ttl_ms" else '"ttl_ms": 60000, '
            body = f'{{"holder": "h", {ttl}"{field}": {number}}}'
            for node in leader_and_follower():
                answer = node.request("POST", f"/locks/{schedule}", body)
                check(answer.status == 400 and answer.code in ("invalid_field", "malformed_json"), f"{body}: {answer!r}")
            equal(shared_cluster().leader().status(schedule).json["held"], False, f"held after {body}")
    for token in ("-1", "0", "1.5", str(2**63), '"1"', "null"):
        for node in leader_and_follower():
            answer = node.request("POST", f"/locks/{unique('number')}/renew", f'{{"token": {token}}}')
            check(answer.status == 400 and answer.code in ("invalid_field", "malformed_json"), f"{token}: {answer!r}")


def test_wrong_types_and_sizes():
    for body, field in (
        ({**GOOD, "holder": 1}, "holder"), ({"ttl_ms": 60000}, "holder"), ({**GOOD, "holder": None}, "holder"),
        ({**GOOD, "metadata": []}, "metadata"), ({**GOOD, "metadata": "x"}, "metadata"),
        ({**GOOD, "metadata": {"x": "y" * 1024}}, "metadata"), ({**GOOD, "occurrence": 1}, "occurrence"),
    ):  # fmt: skip
        refused_body(body, 400, "invalid_field", field)


def test_unknown_methods_and_paths():
    for method, path, status, code in (
        ("GET", "/", 404, "not_found"), ("GET", "/nothing", 404, "not_found"), ("GET", "/locks/a/b/c", 404, "not_found"),
        ("POST", "/locks/a/renews", 404, "not_found"), ("GET", "//locks/a", 404, "not_found"),
        ("PATCH", "/locks/a", 405, "method_not_allowed"), ("PUT", "/locks/a", 405, "method_not_allowed"),
        ("BREW", "/locks/a", 405, "method_not_allowed"), ("head", "/health", 405, "method_not_allowed"), ("GET", "/locks/a/renew", 405, "method_not_allowed"),
        ("POST", "/health", 405, "method_not_allowed"), ("DELETE", "/health/live", 405, "method_not_allowed"),
    ):  # fmt: skip
        for node in leader_and_follower():
            answer = node.request(method, path)
            problem(answer, status, code)
            equal("allow" in answer.headers, status == 405, f"Allow of {method} {path}")


def test_half_a_request_and_silence():
    """Closed without an answer after --request-timeout; others are served meanwhile."""
    with Cluster(size=1, flags=["--request-timeout", "500"]) as cluster:
        node = cluster.start().nodes[0]
        halves = (b"", b"POST /locks/half HT", b"POST /locks/half HTTP/1.1\r\nHost: x\r\nContent-Le",
                  b'POST /locks/half HTTP/1.1\r\nHost: x\r\nContent-Length: 32\r\n\r\n{"holder": "h"')
        for half in halves:
            began = time.monotonic()
            with socket.create_connection(("127.0.0.1", node.http_port), timeout=20) as connection:
                connection.sendall(half)
                equal(node.request("GET", "/health/live").status, 200, "others are served")
                received = connection.recv(100)
            equal(received, b"", f"the answer to {half!r}")
            check(0.3 < time.monotonic() - began < 10, "closed by the time-out")
        equal(node.status("half").json["held"], False, "nothing was changed")


def garbage(seed):
    random.seed(seed)
    first = [b"", b"\x00" * 64, b"\xff" * 64, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"POST "]
    return first[seed % len(first)] + random.randbytes(random.choice((1, 40, 4096, 300000)))


def test_random_bytes_on_both_ports():
    cluster = shared_cluster()
    leader = cluster.leader()
    term = leader.health()["term"]
    for seed in range(60):
        node = cluster.nodes[seed % 3]
        for port in (node.http_port, node.raft_port):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                try:
                    connection.sendall(garbage(seed))
                except OSError:
                    pass  # closed in the middle: as it should be
    for node in cluster.nodes:
        check(node.running, f"{node.name} ended: {node.log[-300:]}")
        equal(node.acquire(unique("after-garbage")).status, 201, f"{node.name} still serves")
    equal(leader.health()["term"], term, "nobody had to be elected")


def test_a_stranger_that_connects_and_says_nothing_is_sent_away():
    cluster = shared_cluster()
    connections = [socket.create_connection(("127.0.0.1", cluster.nodes[0].raft_port), timeout=30) for _ in range(50)]
    try:
        equal(cluster.nodes[0].acquire(unique("beside")).status, 201, "the node serves meanwhile")
        wait_for(lambda: True, "", 1)
        for connection in connections[:3]:
            while connection.recv(65536):  # its hello may come first
                pass
    finally:
        for connection in connections:
            connection.close()


def test_many_connections_that_send_a_byte_at_a_time_do_not_disturb_others():
    node = shared_cluster().leader()
    slow = [socket.create_connection(("127.0.0.1", node.http_port), timeout=20) for _ in range(100)]
    try:
        for byte in b"POST /locks/slow HTTP/1.1\r\n":
            for connection in slow:
                connection.send(bytes([byte]))
        for _ in range(10):
            equal(node.acquire(unique("beside-slow")).status, 201, "others are served")
    finally:
        for connection in slow:
            connection.close()
    check(os.path.exists(f"/proc/{node.process.pid}"), "it lives")
