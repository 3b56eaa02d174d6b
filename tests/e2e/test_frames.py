"""What stands between two nodes may alter, repeat, reorder and reflect frames; a member's name may be taken by somebody
else. Nothing acknowledged is lost, nothing is granted twice, and the cluster lives on."""

import os
import random
import signal
import socket
import struct
import threading

from harness import Cluster, check, check_held, end_load, equal, free_port, run_load, unique, wait_for
from peerwire import (
    APPEND_ENTRIES, HELLO, KINDS, OPERATIONS, OUTCOMES, Back, Proxy, field_bytes, field_fixed64, field_varint,
    hello_body, overhear_hello, parse_fields, seal, split_frame,
)  # fmt: skip


def duplicate(proxy, _forward, frame):
    return [frame, frame] if proxy.due() else [frame]


def replay(proxy, forward, frame):
    proxy.old.append((forward, frame))
    del proxy.old[:-200]
    old = [past for way, past in proxy.old if way == forward]
    return [frame, random.choice(old)] if proxy.due() else [frame]


def alter(proxy, _forward, frame):
    if not proxy.due():
        return [frame]
    changed = bytearray(frame)
    changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return [bytes(changed)]


def reorder(proxy, forward, frame):
    held = getattr(proxy, f"held_{forward}", None)
    if held is not None:
        setattr(proxy, f"held_{forward}", None)
        return [frame, held]
    if proxy.due():
        setattr(proxy, f"held_{forward}", frame)
        return []
    return [frame]


def reflect(proxy, _forward, frame):
    """Sent on, and back to its sender."""
    return [frame, Back(frame)] if proxy.due() else [frame]


def disturb(mutate, keyed, seconds=3):
    proxies = {name: Proxy(free_port(), keyed) for name in ("n1", "n2", "n3")}
    try:
        with Cluster(proxies=proxies, key=keyed) as cluster:
            for name, proxy in proxies.items():
                proxy.target = cluster[name].raft_port
            cluster.start()
            for proxy in proxies.values():
                proxy.mutate = mutate
            loads = run_load(cluster.nodes, threads=3)
            wait_for(lambda: all(proxy.mutations >= 4 * seconds for proxy in proxies.values()), "frames were disturbed", 60)
            for proxy in proxies.values():
                proxy.mutate = None
            granted = end_load(loads)
            cluster.wait_ready()
            check(len(granted) > 10, f"only {len(granted)} grants while frames were disturbed")
            for node in cluster.nodes:
                check_held(node, granted)
            count = sum(proxy.mutations for proxy in proxies.values())
            return f"{count} disturbed frames, {len(granted)} grants meanwhile"
    finally:
        for proxy in proxies.values():
            proxy.close()


def test_duplicated_frames():
    return disturb(duplicate, keyed=False)


def test_replayed_frames():
    return disturb(replay, keyed=False)


def test_altered_frames():
    return disturb(alter, keyed=False)


def test_duplicated_frames_with_a_key():
    return disturb(duplicate, keyed=True)


def test_replayed_frames_with_a_key():
    return disturb(replay, keyed=True)


def test_altered_frames_with_a_key():
    return disturb(alter, keyed=True)


def test_reordered_frames_with_a_key():
    return disturb(reorder, keyed=True)


def test_reflected_frames_with_a_key():
    return disturb(reflect, keyed=True)


def hostile_frames():
    """(what it is, bytes): what a member with a valid hello may send."""
    yield "an unknown kind", seal(KINDS, b"")
    yield "kind 0", seal(0, b"")
    yield "kind 255", seal(255, b"x" * 100)
    yield "a length of 4 GiB", seal(APPEND_ENTRIES, b"x", length=2**32 - 1)
    yield "a length over its kind's bound", seal(4, b"x" * 10, length=10_000_000)
    yield "a wrong checksum", seal(APPEND_ENTRIES, b"abc")[:-1] + b"d"
    yield "header bytes that must be zero", struct.pack("<IB3s", 0, APPEND_ENTRIES, b"\x01\x00\x00") + b"\0" * 8
    yield "a second hello", seal(1, hello_body("n2", "n1", bytes(16), bytes(16)))
    for kind in range(1, KINDS):
        yield f"an empty body of kind {kind}", seal(kind, b"")
        yield f"random bytes as kind {kind}", seal(kind, os.urandom(200))
        yield f"endless varints as kind {kind}", seal(kind, b"\xff" * 300)
        yield f"a nested length as kind {kind}", seal(kind, field_bytes(5, b"\xff\xff\xff\x7f") * 20)
    entries = b"".join(field_bytes(5, field_fixed64(1, 1) + field_varint(2, 9) + field_varint(3, 2**31)) for _ in range(32))
    four = b"".join(field_fixed64(i, 1) for i in (1, 2, 3, 4))
    yield "entries longer than the frame", seal(APPEND_ENTRIES, four + entries)
    yield "too many entries", seal(APPEND_ENTRIES, four + entries * 40)
    yield "operations with empty commands", seal(OPERATIONS, field_bytes(1, bytes(16)) + field_fixed64(2, 1)
                                                 + field_bytes(3, field_fixed64(1, 1) + field_bytes(2, b"")) * 100)


def test_a_valid_handshake_with_hostile_content():
    with Cluster() as cluster:
        cluster.start()
        n1, n2, n3 = cluster.nodes
        n3.kill()
        hellos = {name: overhear_hello(n3.raft_port, name) for name in ("n1", "n2")}
        cluster_id, incarnation = hellos["n2"][7], hellos["n2"][8]
        equal(hellos["n1"][7], cluster_id, "both are of one cluster")
        n3.start()
        cluster.wait_ready()
        count = 0
        for what, payload in hostile_frames():
            with socket.create_connection(("127.0.0.1", n1.raft_port), timeout=20) as connection:
                connection.sendall(seal(1, hello_body("n2", "n1", cluster_id, incarnation)))
                pending, frame = b"", None
                while frame is None:
                    part = connection.recv(65536)
                    check(part, f"n1 took our hello before {what}")
                    frame, pending = split_frame(pending + part, 8)
                connection.sendall(payload)
                try:
                    while connection.recv(65536):
                        pass  # closed, by what we sent or by the true n2, which comes back
                except ConnectionResetError:
                    pass
            check(n1.running, f"n1 ended after {what}: {n1.log[-500:]}")
            count += 1
        cluster.wait_ready()
        for node in cluster.nodes:
            equal(node.acquire(unique("after-hostile")).status, 201, f"{node.name} serves")
        check(n2.running and n3.running, "the others run")
        return f"{count} hostile frames"


def say_hello(connection, body):
    """Sends our hello; returns the fields of the other's."""
    connection.sendall(seal(HELLO, body))
    pending, frame = b"", None
    while frame is None:
        part = connection.recv(65536)
        check(part, "our hello was answered")
        frame, pending = split_frame(pending + part, 8)
    return parse_fields(frame[16:])


def ask_hello(node, name):
    with socket.create_connection(("127.0.0.1", node.raft_port), timeout=20) as connection:
        return say_hello(connection, hello_body(name, node.name, bytes(16), bytes(16)))


def test_a_valid_handshake_with_an_outcome_that_is_none():
    """Somebody answers in the leader's name what the follower has passed on: "done", and not a word of what."""
    with Cluster(flags=["--election-timeout", "3000"]) as cluster:
        cluster.start()
        leader, follower = cluster.leader(), cluster.followers()[0]
        cluster_id, incarnation, leader_run_id = (ask_hello(leader, follower.name)[field] for field in (7, 8, 9))
        run_id = ask_hello(follower, leader.name)[9]
        leader.signal(signal.SIGSTOP)  # so that it doesn't answer itself
        answers = []
        with socket.create_connection(("127.0.0.1", follower.raft_port), timeout=20) as connection:
            # of the leader's own run: another one would end the stream by which the operation is to be passed on
            say_hello(connection, hello_body(leader.name, follower.name, cluster_id, incarnation, leader_run_id, 2**40))
            asking = threading.Thread(target=lambda: answers.append(follower.acquire("hostile-outcome")))
            asking.start()
            done = field_varint(2, 1) + field_bytes(3, field_varint(1, 1))
            results = b"".join(field_bytes(3, field_fixed64(1, number) + done) for number in range(1, 50))
            frame = seal(OUTCOMES, field_bytes(1, run_id) + field_fixed64(2, 1) + results)

            def answered():
                connection.sendall(frame)
                return answers or not follower.running

            wait_for(answered, "the follower has taken the outcome", pause=0.05)
        check(follower.running, f"the follower lives: {follower.log[-500:]}")
        asking.join()
        equal((answers[0].status, answers[0].code), (504, "outcome_unknown"), "what the client is told")
        leader.signal(signal.SIGCONT)
        cluster.wait_ready()
