"""Law 10 on real processes: each bound is reached, what is past it is answered, and memory is flat afterwards. The names
are those of server/base/limits.h; bounds that need no process of their own have unit tests (tests/limits.txt).

"Flat": a first round warms up, and no later one may leave the process with noticeably more memory than the first left."""

import os
import pathlib
import re
import signal
import socket
import threading
import time

from crowd import Crowd, allow_files
from harness import Cluster, check, equal, free_port, post_bytes, raw_exchange, shared_cluster, unique, wait_for
from peerwire import (
    APPEND_ENTRIES, HELLO, KINDS, OPERATIONS, OUTCOMES, Proxy, entry_lengths, hello_body, overhear_hello, seal, split_frame,
)  # fmt: skip
from test_metrics import Scrape

MIB = 1 << 20
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


def limits():
    """{name without LIMIT_: value} of server/base/limits.h."""
    text = (pathlib.Path(__file__).resolve().parents[2] / "server/base/limits.h").read_text(encoding="utf-8")
    found = {}
    for name, expression in re.findall(r"^#define LIMIT_(\w+) +(.+)$", text, re.MULTILINE):
        expression = re.sub(r"LIMIT_(\w+)", lambda other: str(found[other[1]]), expression)
        found[name] = eval(re.sub(r"(\d)(?:ull|u)\b", r"\1", expression), {"__builtins__": {}})
    return found


LIMIT = limits()


def resident(node):
    """Bytes of memory that its process has."""
    with open(f"/proc/{node.process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Flat:
    """Holds the memory of a node after each round of the same against that after the first."""

    def __init__(self, node, slack):
        self.node = node
        self.slack = slack
        self.before = resident(node)
        self.after = []

    def look(self):
        self.after.append(resident(self.node))
        grown = self.after[-1] - self.after[0]
        round_number = len(self.after)
        check(grown <= self.slack, f"{self.node.name}: {grown / MIB:.1f} MiB more after round {round_number} than after the first")

    def __str__(self):
        grown = [f"{(after - self.after[0]) / MIB:+.1f}" for after in self.after[1:]]
        first = f"{self.before / MIB:.1f} MiB at first, {self.after[0] / MIB:.1f} after the first round"
        return f"{first}, then {', '.join(grown)} (at most +{self.slack / MIB:.0f})"


def works(node):
    """Everything that a client does with a lock."""
    schedule = unique("works")
    token = node.acquire(schedule).json["token"]
    equal(node.renew(schedule, token).status, 200, "renew")
    equal(node.status(schedule).json["holders"][0]["token"], token, "status")
    equal(node.release(schedule, token).status, 200, "release")


# ---- connections ----

class Idle(threading.Thread):
    """A connection that is served once and then used no more; `over` is when the node has closed it."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.connection = socket.create_connection(("127.0.0.1", node.http_port), timeout=LIMIT["HTTP_IDLE_S"] + 60)
        self.connection.sendall(LIVE)
        check(self.connection.recv(65536).startswith(b"HTTP/1.1 200"), "it is served")
        self.began = time.monotonic()
        self.over = None
        self.start()

    def run(self):
        with self.connection:
            if self.connection.recv(100) == b"":
                self.over = time.monotonic()


_idle = []


def idle_connection():
    """To the shared cluster. The first test here opens it and the last one looks at it, so that nobody waits for it."""
    if not _idle:
        _idle.append(Idle(shared_cluster().nodes[0]))
    return _idle[0]


def test_ten_thousand_idle_connections():
    idle_connection()
    most, idle, late = LIMIT["CONNECTIONS"], 10_000, 500
    allow_files(most + 2 * late + 1000)
    with Cluster(size=1) as cluster:
        node = cluster.start().nodes[0]
        flat = Flat(node, 2 * MIB)
        for number in range(3):
            with Crowd(node.http_port, idle, f"127.0.1.{number + 1}") as crowd:
                equal(crowd.ask([LIVE] * idle), {200: idle}, "each of them is served")
                for _ in range(20):
                    works(node)
                while_idle = resident(node)
                room = most - idle
                with Crowd(node.http_port, room + late, f"127.0.2.{number + 1}") as more:
                    more.send([LIVE] * (room + late))
                    more.read_until(lambda: more.answers() >= room, "those that there is room for are served")
                    equal(crowd.ask([LIVE] * 1000), {200: 1000}, "those that were there are served")
                    more.read(0.1)
                    equal(more.answers(), room, f"no more than {most} at once: the others wait")
                    crowd.close(late)
                    more.read_until(lambda: more.answers() == room + late, "who waited is served when others go")
            wait_for(lambda: Scrape(node).get("baton_http_connections") <= 2, "the crowd is gone")
            flat.look()
        works(node)
        return f"{most} at once; {(while_idle - flat.before) / idle / 1024:.1f} KiB for an idle one; {flat}"


# ---- requests ----


def test_bodies():
    most, discard = LIMIT["BODY_BYTES"], LIMIT["BODY_DISCARD_BYTES"]
    text = b'{"holder":"h","ttl_ms":60000}'
    head = b"POST /locks/%b HTTP/1.1\r\nHost: localhost\r\n%b\r\n\r\n"

    def whole(schedule, size):
        return head % (schedule, b"Content-Length: %d" % size) + text + b" " * (size - len(text))

    def chunked(schedule, size, end=b"\r\n0\r\n\r\n"):
        return head % (schedule, b"Transfer-Encoding: chunked") + b"%x\r\n" % size + text + b" " * (size - len(text)) + end

    with Cluster(size=1) as cluster:
        node = cluster.start().nodes[0]

        def refused(payload, what):
            received = raw_exchange(node.http_port, payload)
            check(received is not None and received.startswith(b"HTTP/1.1 413 "), f"{what}: {received!r}")
            check(b'"body_too_large"' in received, f"{what}: {received!r}")

        flat = Flat(node, 2 * MIB)
        for _ in range(4):
            with Crowd(node.http_port, 32) as crowd:
                names = [unique("body").encode() for _ in range(64)]
                equal(crowd.ask([whole(name, most) for name in names[:32]]), {201: 32}, "the longest body")
                equal(crowd.ask([chunked(name, most) for name in names[32:]]), {201: 32}, "the longest one in chunks")
            for _ in range(10):
                refused(whole(b"refused", most + 1), "one byte more")
                refused(chunked(b"refused", most + 1), "one byte more in chunks")
                refused(whole(b"refused", discard - 65536), "a body that is read and thrown away")
            for _ in range(10):  # what is beyond that is cut off: whether the answer came through is the network's luck
                received = raw_exchange(node.http_port, chunked(b"refused", 8 * discard, b""))
                check(received is not None, "what never ends is cut off")
                check(received == b"" or received.startswith(b"HTTP/1.1 413 "), f"endless: {received!r}")
            equal(node.status("refused").json["held"], False, "nothing was changed")
            works(node)
            flat.look()
        return str(flat)


def test_headers():
    most = LIMIT["HTTP_HEADER_BYTES"]
    with Cluster(size=1) as cluster:
        node = cluster.start().nodes[0]
        flat = Flat(node, 2 * MIB)
        for _ in range(4):
            with Crowd(node.http_port, 100) as crowd:
                long = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Long: %b\r\n\r\n" % (b"x" * (most // 2))
                equal(crowd.ask([long] * 200), {200: 200}, "long headers that fit")
            for payload, wanted in (
                (b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Long: %b\r\n\r\n" % (b"x" * most), b"431"),
                (b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % (b"a: b\r\n" * (most // 6)), b"431"),
                (b"GET /%b HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"x" * most), b"414"),
            ):
                for _ in range(30):
                    received = raw_exchange(node.http_port, payload)
                    check(received is not None and received.split(b" ", 2)[1:2] == [wanted], f"{payload[:60]!r}: {received!r}")
            works(node)
            flat.look()
        return str(flat)


def test_request_time():
    """Half requests, and ones that come a byte at a time, are closed after --request-timeout."""
    allow_files(3000)
    half = b'POST /locks/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65536\r\n\r\n{"holder":'
    with Cluster(size=1, flags=["--request-timeout", "1000"]) as cluster:
        node = cluster.start().nodes[0]
        flat = Flat(node, 2 * MIB)
        with Crowd(node.http_port, 1100) as crowd:
            crowd.ask([LIVE] * 1100)  # as many at once as no round is sure to reach
        for number in range(3):
            with Crowd(node.http_port, 1000, f"127.0.3.{number + 1}") as silent, \
                 Crowd(node.http_port, 100, f"127.0.4.{number + 1}") as slow:  # fmt: skip
                slow.send([half] * 100)
                silent.send([half] * 1000)

                def dripped():
                    slow.send([b" "] * 100)
                    return slow.closed == 100

                works(node)
                slow.read_until(dripped, "the slow ones are closed")
                silent.read_until(lambda: silent.closed == 1000, "the silent ones are closed")
                equal(silent.answers() + slow.answers(), 0, "answers")
            works(node)
            flat.look()
        equal(node.status("slow").json["held"], False, "nothing was changed")
        return str(flat)


# ---- operations ----


def test_operations_in_flight():
    """Of five nodes three are stopped, so nothing is decided. The leader's clients and those of a follower pile up more
    operations than may wait: some are refused at once (503). When their time is over, those that were proposed are told that
    nobody knows (504), and the others that nothing was changed (503)."""
    most = LIMIT["OPERATIONS_QUEUED"]
    own, passed = 10_000, most - 10_000 + 500
    allow_files(own + passed + 1000)
    with Cluster(size=5, flags=["--election-timeout", "10000", "--heartbeat", "100", "--commit-timeout", "6000"]) as cluster:
        cluster.start()
        leader, followers = cluster.leader(), cluster.followers()
        flat = Flat(leader, 16 * MIB)
        token = leader.acquire("piled").json["token"]
        renew = post_bytes("/locks/piled/renew", {"token": token, "ttl_ms": 600_000})
        seen = []
        for number in range(3):
            for node in followers[1:]:
                node.signal(signal.SIGSTOP)
            with Crowd(leader.http_port, own, f"127.0.5.{number + 1}") as ours, \
                 Crowd(followers[0].http_port, passed, f"127.0.6.{number + 1}") as theirs:  # fmt: skip
                ours.send([renew] * own)
                theirs.send([renew] * passed)
                theirs.read_until(lambda: theirs.statuses[503] > 0, "some are refused")
                refused = wait_for(lambda: full(leader), "the leader refuses, too", 10)
                equal((refused.status, refused.code), (503, "overloaded"), "what is past the bound")
                most_seen = resident(leader)
                ours.read_until(lambda: ours.answers() == own, "each is answered")
                theirs.read_until(lambda: theirs.answers() == passed, "each is answered")
                seen.append(dict(ours.statuses + theirs.statuses))
                check(set(seen[-1]) <= {200, 503, 504}, f"{seen[-1]}")
            for node in followers[1:]:
                node.signal(signal.SIGCONT)
            cluster.wait_ready()
            works(leader)
            works(followers[0])
            flat.look()
        return f"{seen}, {(most_seen - flat.after[0]) / MIB:.1f} MiB more meanwhile; {flat}"


def full(leader):
    answer = leader.acquire(unique("full"))
    return answer if answer.status == 503 else None


def test_entries():
    """The longest operations, thousands at once: what goes to a follower is in entries of at most 512 KiB. Behind each
    flood small entries push its own out of the log, which is in memory, too."""
    lengths = []

    def watch(_proxy, _forward, frame):
        if frame[4] == APPEND_ENTRIES:
            lengths.extend(entry_lengths(frame))
        return [frame]

    proxies = {name: Proxy(free_port(), False, watch) for name in ("n1", "n2", "n3")}
    size, most = 1000, LIMIT["ENTRY_BYTES"]
    allow_files(2 * size)
    long = {"holder": "h" * LIMIT["NAME_BYTES"], "ttl_ms": 600_000, "occurrence": "o" * LIMIT["OCCURRENCE_BYTES"],
            "metadata": {"a": "m" * (LIMIT["METADATA_BYTES"] - 8)}}  # fmt: skip
    try:
        with Cluster(proxies=proxies, flags=["--election-timeout", "2000"]) as cluster:
            for name, proxy in proxies.items():
                proxy.target = cluster[name].raft_port
            cluster.start()
            leader = cluster.leader()
            requests = [post_bytes("/locks/" + f"{i:04}".ljust(LIMIT["NAME_BYTES"], "x"), long) for i in range(size)]
            renew = post_bytes("/locks/small/renew", {"token": leader.acquire("small").json["token"]})
            with Crowd(leader.http_port, size) as crowd, Crowd(leader.http_port, 1) as single:
                equal(crowd.ask(requests), {201: size}, "the first time")
                flat = Flat(leader, 8 * MIB)
                for number in range(5):
                    equal(crowd.ask(requests * 10), {409: 10 * size}, "later ones ask for them again")
                    small = LIMIT["SNAPSHOT_TRAILING"] + 100
                    equal(single.ask([renew] * small, depth=50), {200: small}, "small entries")
                    if number > 0:  # the first flood is in the log until the second has brought about a snapshot
                        flat.look()
            works(leader)
            check(max(lengths) <= most, f"an entry of {max(lengths)} bytes")
            check(max(lengths) > most * 3 // 4, f"the bound was reached: {max(lengths)}")
            return f"the longest of {len(lengths)} entries has {max(lengths)} bytes; {flat}"
    finally:
        for proxy in proxies.values():
            proxy.close()


# ---- peers ----


def test_frames_that_claim_too_much():
    """From a member with a valid hello: a length over its kind's bound ends the connection with the header, and the
    longest that is allowed costs no memory before it comes."""
    raft = LIMIT["FRAME_RAFT_BYTES"]
    over = [(kind, b"", 2**32 - 1) for kind in range(1, KINDS)]
    over += [(APPEND_ENTRIES, b"", raft + 1), (OPERATIONS, b"", LIMIT["FRAME_OPERATIONS_BYTES"] + 1),
             (OUTCOMES, b"", LIMIT["FRAME_OUTCOMES_BYTES"] + 1)]  # fmt: skip
    with Cluster() as cluster:
        cluster.start()
        n1, n2, n3 = cluster.nodes
        n3.kill()
        hello = overhear_hello(n3.raft_port, "n2")
        n2.signal(signal.SIGSTOP)  # so that it doesn't take its place back

        def claim(kind, body, length):
            connection = socket.create_connection(("127.0.0.1", n1.raft_port), timeout=20)
            connection.sendall(seal(HELLO, hello_body("n2", "n1", hello[7], hello[8])))
            pending, frame = b"", None
            while frame is None:
                part = connection.recv(65536)
                check(part, "n1 took our hello")
                frame, pending = split_frame(pending + part, 8)
            connection.sendall(seal(kind, body, length))
            return connection

        def closed(connection):
            try:
                while connection.recv(65536):
                    pass
            except ConnectionResetError:
                pass
            connection.close()

        flat = Flat(n1, 2 * MIB)
        for _ in range(3):
            for kind, body, length in over * 3:
                closed(claim(kind, body, length))
            for _ in range(20):
                claim(APPEND_ENTRIES, b"x" * 1000, raft).close()
            flat.look()
        n2.signal(signal.SIGCONT)
        n3.start()
        cluster.wait_ready()
        for node in cluster.nodes:
            works(node)
        return f"{3 * 3 * len(over)} claims; {flat}"


BUSY_CLIENTS, BUSY_BYTES = 16, 1200
# What the log in memory has at most under such a load: it keeps so many entries, each with an operation of each client.
LOG_IN_MEMORY = LIMIT["SNAPSHOT_TRAILING"] * BUSY_CLIENTS * BUSY_BYTES + 16 * MIB


class Busy(threading.Thread):
    """Asks for a few locks, and renews them, through `node` until it is ended: the log grows, the state doesn't."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node = node
        self.ending = threading.Event()
        self.statuses = {}
        self.error = None

    def requests(self):
        names = [unique("busy") for _ in range(8)]
        tokens = [self.node.acquire(name).json["token"] for name in names]
        long = {"holder": "other", "ttl_ms": 60000, "metadata": {"a": "m" * (LIMIT["METADATA_BYTES"] - 8)}}
        both = [post_bytes(f"/locks/{name}/renew", {"token": token}) for name, token in zip(names, tokens)]
        both += [post_bytes(f"/locks/{name}", long) for name in names] * 4
        while not self.ending.is_set():
            yield from both

    def run(self):
        try:
            with Crowd(self.node.http_port, BUSY_CLIENTS) as crowd:
                self.statuses = crowd.ask(self.requests())
        except Exception as error:  # noqa: BLE001: shown by the test
            self.error = error

    def look(self):
        check(self.error is None, f"under load: {self.error!r}")

    def end(self):
        self.ending.set()
        self.join(60)
        self.look()
        equal(sorted(self.statuses), [200, 409], "answers under load")
        return sum(self.statuses.values())


def peak_until(load, condition, what, seconds=180):
    """Waits; the most memory that the loaded node had meanwhile."""
    peak = 0

    def look():
        nonlocal peak
        load.look()
        peak = max(peak, resident(load.node))
        return condition()

    wait_for(look, what, seconds, pause=0.1, nodes=[load.node])
    return peak


def test_a_stopped_follower():
    """SIGSTOP for a minute under load: what waits for it is bounded. Afterwards it catches up."""
    with Cluster(flags=["--election-timeout", "1500", "--heartbeat", "100"]) as cluster:
        cluster.start()
        leader, follower = cluster.leader(), cluster.followers()[0]
        load = Busy(leader)
        load.start()
        usual = peak_until(load, lambda: snapshots_taken(leader) >= 2, "the log is as long as it gets")
        peaks, ends = [], []
        for seconds in (60, 10, 10):
            follower.signal(signal.SIGSTOP)
            until = time.monotonic() + seconds
            peaks.append(peak_until(load, lambda: time.monotonic() > until, "time passes"))
            follower.signal(signal.SIGCONT)
            index = leader.health()["applied_index"]
            peak_until(load, lambda: (follower.health() or {}).get("applied_index", 0) >= index, "it catches up")
            ends.append(resident(leader))
        count = load.end()
        cluster.wait_ready()
        for node in cluster.nodes:
            works(node)
        queues = LIMIT["PEER_RAFT_QUEUE_BYTES"] + LIMIT["PEER_OPERATIONS_QUEUE_BYTES"] + LIMIT["PEER_CHUNK_QUEUE_BYTES"]
        waited = max((int(found) for found in re.findall(r"while (\d+) bytes waited", leader.log)), default=0)
        peaks, ends = [[(size - usual) / MIB for size in sizes] for sizes in (peaks, ends)]
        # What the allocator keeps of buffers that grew to the longest frame differs from run to run; without a bound it would
        # be the load's own size, over a GiB.
        kept = 2 * LIMIT["FRAME_RAFT_BYTES"] / MIB
        most = (queues + LOG_IN_MEMORY) / MIB + kept
        note = (f"{count} operations, up to {waited / MIB:.1f} MiB waited; {usual / MIB:.1f} MiB before; meanwhile "
                f"{' '.join(f'{size:+.1f}' for size in peaks)} (queues, log and buffers: at most +{most:.0f}), afterwards "
                f"{' '.join(f'{size:+.1f}' for size in ends)}")  # fmt: skip
        check(max(peaks) <= most, f"more than queues and log: {note}")
        check(peaks[2] - peaks[1] <= kept and ends[2] - ends[1] <= kept, f"the third time takes more than the second: {note}")
        return note


# ---- disk ----


def snapshots_taken(node):
    return node.log.count('msg="snapshot taken"')


def bytes_on_disk(directory):
    """(bytes, files by kind): what is there now; files come and go meanwhile."""
    total, kinds = 0, {}
    for path, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.stat(os.path.join(path, name)).st_blocks * 512
            except FileNotFoundError:
                continue
            kind = os.path.relpath(path, directory)
            kinds[kind] = kinds.get(kind, 0) + 1
    return total, kinds


def test_the_log_on_disk():
    """Without end under load, and with little state: segments are used again, and old snapshots are removed."""
    segment, rounds = LIMIT["SEGMENT_BYTES"], 6
    # what is behind the snapshot, what comes until the next one and while it is taken, its rounding, and what is spare
    most = LOG_IN_MEMORY + LIMIT["SNAPSHOT_TRAILING"] * LIMIT["BLOCK_BYTES"] + 2 * 16 * MIB
    most += (2 + LIMIT["SPARE_SEGMENTS"]) * segment
    with Cluster(size=1) as cluster:
        node = cluster.start().nodes[0]
        load = Busy(node)
        load.start()
        kinds, sizes, memory = {}, [], []

        def watched():
            size, now = bytes_on_disk(node.directory)
            for kind, count in now.items():
                kinds[kind] = max(kinds.get(kind, 0), count)
            taken = snapshots_taken(node)
            if len(sizes) < taken:
                sizes.append(0)
                memory.append(resident(node))
            if sizes:
                sizes[-1] = max(sizes[-1], size)
            return taken > rounds

        peak_until(load, watched, f"{rounds} snapshots")
        count = load.end()
        on_disk, in_memory = (" ".join(f"{size / MIB:.0f}" for size in each) for each in (sizes, memory))
        note = (f"{count} operations; MiB on disk after each snapshot: {on_disk} (at most {most / MIB:.0f}), in memory: {in_memory}; "
                f"at most {kinds['log']} files of the log and {kinds['snapshot']} of snapshots")  # fmt: skip
        check(max(sizes) <= most, note)
        check(kinds["snapshot"] <= 3, f"two, and the next one while it is written: {note}")
        check(max(memory) - memory[0] <= LOG_IN_MEMORY, note)
        works(node)
        equal(node.stop(), 0, "exit code")
        node.start()
        node.wait_ready("it starts from what is left")
        return note


# ---- schedules ----


def put_bytes(path, body):
    return b"PUT" + post_bytes(path, body).removeprefix(b"POST")


def list_quickly(node):
    """The longest of many short pages of the list, in seconds."""
    longest = 0
    for prefix in range(100):
        began = time.monotonic()
        locks = node.request("GET", f"/locks?prefix={prefix:02}7&limit=10").json["locks"]
        longest = max(longest, time.monotonic() - began)
        equal([lock["schedule_id"] for lock in locks], [f"{prefix:02}7{i:03}" for i in range(10)], "a page")
    return longest


def test_a_million_schedules():
    most, reserve = LIMIT["SCHEDULES"], LIMIT["SCHEDULES_RESERVE"]
    form = b'POST /locks/%06d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 32\r\n\r\n{"holder":"h","ttl_ms":86400000}'
    with Cluster(size=1) as cluster:
        node = cluster.start().nodes[0]
        began = time.monotonic()
        with Crowd(node.http_port, 512) as crowd:
            equal(crowd.ask((form % i for i in range(most)), depth=16), {201: most}, "answers")
            rate = most / (time.monotonic() - began)

            def refused(method="POST"):
                past = unique("past")
                answer = node.acquire(past) if method == "POST" else node.request("PUT", f"/schedules/{past}", {})
                equal((answer.status, answer.code), (507, "capacity"), f"one more {method}")

            refused()
            policies = [put_bytes(f"/schedules/reserve-{i}", {"slots": 2}) for i in range(reserve)]
            equal(crowd.ask(policies, depth=8), {200: reserve}, "with a policy there is room for more")
            refused("PUT")
            equal(crowd.ask(policies[:1000], depth=8), {200: 1000}, "a policy that is there may be written again")
            flat = Flat(node, 8 * MIB)
            for number in range(3):
                past = [post_bytes(f"/locks/past-{i}", {"holder": "h", "ttl_ms": 60000}) for i in range(10_000)]
                equal(crowd.ask(past, depth=8), {507: 10_000}, "new ones")
                equal(crowd.ask((form % i for i in range(10_000)), depth=8), {409: 10_000}, "those that are there")
                schedule = f"{number:06}"
                token = node.status(schedule).json["holders"][0]["token"]
                equal(node.renew(schedule, token).status, 200, "renewals go on")
                equal(node.release(schedule, token).status, 200, "releases go on")
                refused()  # a released one is remembered
                equal(node.acquire(schedule, ttl_ms=86400000).status, 201, "it can be had again")
                works_under_policy(node, f"reserve-{number}")
                equal(node.request("DELETE", f"/schedules/reserve-{9000 + number}").status, 200, "one goes")
                equal(node.request("PUT", f"/schedules/{unique('room')}", {}).status, 200, "another comes")
                refused("PUT")
                longest = list_quickly(node)
                check(longest < 2, f"a page of 10 took {longest:.1f} s")
                flat.look()
        return f"{rate:.0f} a second; a page of 10 took at most {longest * 1000:.0f} ms; {flat}"


def works_under_policy(node, schedule):
    token = node.acquire(schedule).json["token"]
    equal(node.release(schedule, token).status, 200, "under a policy")


# ---- the longest wait, so it is the last ----


def test_an_idle_connection_is_closed():
    """After LIMIT_HTTP_IDLE_S in which nothing was sent on it, and not before."""
    idle = idle_connection()
    idle.join(LIMIT["HTTP_IDLE_S"] + 60)
    check(idle.over is not None, "it is still open")
    check(idle.over - idle.began > LIMIT["HTTP_IDLE_S"] - 2, f"closed after {idle.over - idle.began:.0f} s")
    return f"after {idle.over - idle.began:.0f} s"
