"""Each reason that GET /health gives, brought about on real processes, and gone with its cause."""

import http.client
import json
import os
import shutil
import signal
import socket

import harness
from harness import (
    Cluster, Node, blast, check, equal, free_port, mount_tmpfs, post_bytes, unique, unmount, wait_for, wait_proposed,
)  # fmt: skip
from test_disk import fill

LOG_WRITES = "pwrite64,pwritev,pwritev2"


def reason(node, code):
    """The node's health, when it gives this reason; else None."""
    health = node.health()
    if health is None or not any(text.startswith(f"{code}: ") for text in health["reasons"]):
        return None
    return health


def wait_reason(node, code, status, word, seconds=30):
    """Waits for the reason, and checks what goes with it; returns its sentence."""
    health = wait_for(lambda: reason(node, code), f"{node.name} says {code}", seconds, nodes=[node])
    equal((health["http_status"], health["status"]), (status, word), f"health with {health['reasons']}")
    sentence = next(text for text in health["reasons"] if text.startswith(code)).removeprefix(f"{code}: ")
    check(sentence[0].isupper() or sentence.startswith(("n1", "n2", "n3")), f"a sentence: {sentence!r}")
    check(sentence.endswith("."), f"a sentence: {sentence!r}")
    return sentence


def wait_gone(node, code, seconds=30):
    wait_for(lambda: node.health() is not None and not reason(node, code), f"{node.name} says {code} no more", seconds, nodes=[node])


def slow_log(path, delay_ms, first=1):
    """A wrapper under which every write to the log takes that much longer, from the `first` of each thread on. It is for
    --disk-io=pool: the loop goes on."""
    check(shutil.which("strace"), "strace is needed: tests/deps.sh installs it")
    inject = f"inject={LOG_WRITES}:delay_enter={delay_ms * 1000}:when={first}+"
    return ["strace", "-f", "--seccomp-bpf", "-o", path, "-e", f"trace={LOG_WRITES}", "-e", inject]


class BusySnapshot:
    """A leader whose snapshot is due and can't be taken, because a follower's disk is so slow that it still needs the
    entries that the snapshot would drop. That it is said takes a minute, which other tests use meanwhile."""

    def __init__(self):
        # a long election time-out: the slow one must not disturb, nor lead
        self.cluster = Cluster(flags=["--disk-io", "pool", "--election-timeout", "3000"])
        self.cluster.start()
        self.leader, self.slow = self.cluster.leader(), self.cluster.followers()[0]
        equal(self.slow.stop(), 0, "stop")
        self.slow.start(wrapper=slow_log(f"{self.slow.directory}.strace", 20000, first=4))
        wait_for(lambda: self.slow.health(), "its streams are up", nodes=[self.slow])
        wait_for(lambda: not reason(self.leader, "member_unreachable"), "and the leader's", nodes=[self.leader])
        body = {"holder": "h", "ttl_ms": 3600000, "metadata": {"x": "y" * 1000}}
        requests = (post_bytes(f"/locks/{unique('busy')}", body) for _ in range(20000))
        equal(blast(self.leader.http_port, requests, connections=4), {201: 20000}, "answers")


_busy = []


def busy_snapshot():
    if not _busy:
        _busy.append(BusySnapshot())
    harness.STARTED.extend(node for node in _busy[0].cluster.nodes if node not in harness.STARTED)
    return _busy[0]


def test_a_cluster_without_troubles_is_ok():
    busy_snapshot()  # begins now, and is looked at in the last test
    with Cluster() as cluster:
        cluster.start()

        def ok():
            found = [node.health() for node in cluster.nodes]
            return all(h and (h["http_status"], h["status"], h["reasons"]) == (200, "ok", []) for h in found)

        wait_for(ok, "all are ok")
        equal(cluster.nodes[0].request("GET", "/health/ready").status, 200, "ready")


def test_waiting():
    with Cluster() as cluster:
        node = cluster["n1"].start()
        sentence = wait_reason(node, "waiting", 503, "unavailable")
        check("n2" in sentence or "n3" in sentence, sentence)
        cluster["n2"].start()
        cluster["n3"].start()
        cluster.wait_ready()
        wait_gone(node, "waiting")


def test_no_leader():
    with Cluster() as cluster:
        cluster.start()
        node = cluster["n1"]
        cluster["n2"].kill()
        cluster["n3"].kill()
        wait_reason(node, "no_leader", 503, "unavailable")
        equal(node.request("GET", "/health/live").status, 200, "live")
        equal(node.request("GET", "/health/ready").status, 503, "ready")
        cluster["n2"].start()
        cluster.wait_ready([node, cluster["n2"]])
        wait_gone(node, "no_leader")


def test_no_leader_after_a_restart():
    """What a start waits for is no more than that once the cluster was founded."""
    with Cluster() as cluster:
        cluster.start()
        cluster.kill()
        node = cluster["n1"].start()
        wait_reason(node, "no_leader", 503, "unavailable")


def test_member_unreachable():
    with Cluster() as cluster:
        cluster.start()
        gone = cluster.followers()[0]
        gone.kill()
        for node in cluster.running():
            check(gone.name in wait_reason(node, "member_unreachable", 200, "degraded"), "it is named")
        gone.start()
        cluster.wait_ready()
        for node in cluster.nodes:
            wait_gone(node, "member_unreachable")


def test_catching_up():
    """A node that comes back has many entries to write, to a disk that takes its time."""
    with Cluster(flags=["--disk-io", "pool", "--election-timeout", "3000"]) as cluster:
        cluster.start()
        leader, away = cluster.leader(), cluster.followers()[0]
        equal(away.stop(), 0, "stop")
        body = {"holder": "h", "ttl_ms": 600000, "metadata": {"x": "y" * 1000}}
        requests = (post_bytes(f"/locks/{unique('away')}", body) for _ in range(3000))
        equal(blast(leader.http_port, requests), {201: 3000}, "answers")
        away.start(wrapper=slow_log(f"{away.directory}.strace", 2000))
        sentence = wait_reason(away, "catching_up", 503, "unavailable", 60)
        check(any(character.isdigit() for character in sentence), sentence)
        equal(away.health()["leader"], leader.name, "it knows the leader")
        away.kill()
        away.start()
        away.wait_ready("it has caught up")
        wait_gone(away, "catching_up")


def test_disk_reserve():
    mount = mount_tmpfs("160m")
    http_port, raft_port = free_port(), free_port()
    flags = ["--http", f"127.0.0.1:{http_port}", "--raft", f"127.0.0.1:{raft_port}"]
    node = Node("n1", os.path.join(mount, "data"), flags, http_port, raft_port).start()
    try:
        node.wait_ready()
        filler = fill(mount, 4096 * 100)
        wait_reason(node, "disk_reserve", 200, "degraded")
        os.unlink(filler)
        wait_gone(node, "disk_reserve")
    finally:
        node.kill()
        unmount(mount)


def test_stalled_loop():
    """strace lets a call of the loop's thread take 1.3 s."""
    with Cluster(size=1) as cluster:
        node = cluster.nodes[0]
        node.start(wrapper=["strace", "-f", "--seccomp-bpf", "-o", f"{node.directory}.strace", "-e", "trace=accept4",
                            "-e", "inject=accept4:delay_enter=1300000:when=5"])  # fmt: skip
        sentence = wait_reason(node, "stalled_loop", 200, "degraded", 60)
        stalled_ms = int(next(word for word in sentence.split() if word.isdigit()))
        check(stalled_ms >= 1300, sentence)
        check("the loop stood still" in node.log, "it is logged as well")
        equal(node.acquire("x").status, 201, "it serves")


def test_stopping():
    """Seen by whoever was connected before: a stopping node takes no new connections."""
    with Cluster(flags=["--election-timeout", "3000"]) as cluster:
        cluster.start()
        leader = cluster.leader()
        for node in cluster.followers():
            node.signal(signal.SIGSTOP)  # what the leader proposes now keeps it from ending
        connection = http.client.HTTPConnection("127.0.0.1", leader.http_port, timeout=20)
        connection.request("GET", "/health/live")
        check(connection.getresponse().read(), "connected")
        with socket.create_connection(("127.0.0.1", leader.http_port)) as waiting:
            waiting.sendall(post_bytes("/locks/x", {"holder": "h", "ttl_ms": 600000}))
            wait_proposed(leader)
            leader.signal(signal.SIGTERM)
            wait_for(lambda: "msg=stopping" in leader.log, "it stops", nodes=[leader])
            connection.request("GET", "/health")
            answer = connection.getresponse()
            health = json.loads(answer.read())
            equal((answer.status, health["status"]), (503, "unavailable"), "health")
            check(any(text.startswith("stopping: ") for text in health["reasons"]), f"{health['reasons']}")
        connection.close()
        equal(leader.wait_exit(), 0, "exit code")


def test_snapshot_busy():
    busy = busy_snapshot()
    try:
        wait_reason(busy.leader, "snapshot_busy", 200, "degraded", 120)
        check("snapshot due for a minute" in busy.leader.log, "it is logged as well")
        busy.slow.kill()
        busy.slow.start()
        wait_gone(busy.leader, "snapshot_busy", 60)
        wait_for(lambda: "snapshot taken" in busy.leader.log, "then it is taken", nodes=[busy.leader])
    finally:
        busy.cluster.kill()
        _busy.clear()
