"""Real batond processes on loopback: starting, asking, waiting for conditions, and ending every one of them.

Nothing sleeps for a guessed time: `wait_for` polls a condition until a deadline. Every process and every directory is
known here and is gone when the run ends, however it ends.
"""

import atexit
import concurrent.futures
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import openapi

BATOND = None  # path of the program under test, set by main.py
ROOT = tempfile.mkdtemp(prefix="baton-e2e-")
RULES = 2  # what the program under test brings
MOUNTS = []
PROCESSES = []
STARTED = []  # nodes that the running test has started; main.py empties it before each test
_port_locks = []
_ids = iter(range(10**9))


class Failure(Exception):
    """A test's own verdict: what was expected and what came instead. Keeps what the nodes said up to this moment, before
    the test ends them."""

    def __init__(self, message):
        super().__init__(message)
        self.report = report()


def report():
    """What became of the nodes of the running test, and the last lines of their logs."""
    lines = []
    for node in STARTED:
        lines.append(f"    {node.name} {node.state}; the end of its log:")
        lines += [f"        {line[:400]}" for line in node.log.splitlines()[-12:]]
    return "\n".join(lines)


def check(condition, message):
    if not condition:
        raise Failure(message)


def equal(got, wanted, what):
    if got != wanted:
        raise Failure(f"{what}: {got!r} instead of {wanted!r}")


def wait_for(condition, what, seconds=20.0, pause=0.02, nodes=()):
    """Polls until `condition()` is true (or not None); returns its value. `nodes` have to run for it: it fails at once when
    one of them has ended."""
    deadline = time.monotonic() + seconds
    while True:
        for node in nodes:
            check(node.running, f"{node.name} {node.state}, so this can't be: {what}")
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"after {seconds:.0f} s still not so: {what}")
        time.sleep(pause)


def wait_proposed(node, n=1):
    """Until `n` operations of clients of `node` wait to be decided."""
    metric = f"baton_operations_queued {n}\n"
    wait_for(lambda: metric in node.request("GET", "/metrics").body.decode(), f"{n} operations wait", nodes=[node])


def unique(prefix):
    return f"{prefix}-{next(_ids)}"


def lock_port(port):
    """Takes `port` for this process until it ends, however it ends; False when another run of these tests has it. The lock
    is an abstract socket, which is as wide as ports are: one network namespace."""
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0baton-e2e-port-{port}")
    except OSError:
        lock.close()
        return False
    _port_locks.append(lock)
    return True


def free_port():
    """A port that stays free while the node that it is for is away: below the range that the kernel gives to outgoing
    connections, and locked against other runs of these tests."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        above = int(file.read().split()[0])
    above = min(above, 32768) if above > 12000 else 32768
    while True:
        port = random.randrange(max(10000, above - 14000), above)
        if not lock_port(port):
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        try:
            return self.json.get("code")
        except (ValueError, AttributeError):
            return None

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Node:
    def __init__(self, name, directory, flags, http_port, raft_port):
        self.name = name
        self.directory = directory
        self.flags = list(flags)
        self.http_port = http_port
        self.raft_port = raft_port
        self.log_path = f"{directory}.log"
        self.binary = None  # another program than BATOND
        self.process = None
        self.was_killed = False

    def start(self, extra=(), wrapper=(), env=None, stderr=None, **popen):
        """`stderr` (the log's file when None) and what else subprocess.Popen takes."""
        environment = dict(os.environ)
        for name in list(environment):
            if name.startswith("BATON_"):
                del environment[name]
        environment.update(env or {})
        command = [*wrapper, self.binary or BATOND, "--node", self.name, "--data-dir", self.directory, *self.flags, *extra]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log if stderr is None else stderr, env=environment,
                start_new_session=True, **popen,
            )  # fmt: skip
        self.was_killed = False
        PROCESSES.append(self.process)
        if self not in STARTED:
            STARTED.append(self)
        return self

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def state(self):
        if self.process is None:
            return "was never started"
        code = self.process.poll()
        return "runs" if code is None else "was killed by the test" if self.was_killed else f"ended with {code}"

    def signal(self, number):
        check(self.running, f"{self.name} {self.state}, so it can't get signal {number}")
        os.kill(self.process.pid, number)

    def kill(self):
        """kill -9, and wait until it is gone. With a wrapper (strace), its whole session. The number of a process that was
        waited for may belong to another one by now, so such a one is left alone."""
        if self.process is None or self.process.returncode is not None:
            return
        self.was_killed = True
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(20)

    def stop(self, seconds=10):
        """SIGTERM; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait_exit(seconds)

    def wait_exit(self, seconds=20):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} is still there after {seconds:.0f} s") from None

    def wipe(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def log(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def request(self, method, path, body=None, headers=None, timeout=20):
        """One exchange on a connection of its own. `body`: bytes, text, or something that becomes JSON."""
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            endless = response.getheader("content-type") == "text/event-stream"  # clients.Reader reads it
            answer = Answer(response.status, response.getheaders(), b"" if endless else response.read())
        finally:
            connection.close()
        if self.binary is None:  # another version has another contract
            try:
                openapi.exchanged(method, path, headers or {}, body, answer)
            except openapi.Mismatch as mismatch:
                raise Failure(str(mismatch)) from None
        return answer

    def try_request(self, *arguments, **named):
        try:
            return self.request(*arguments, **named)
        except (OSError, http.client.HTTPException):
            return None

    def acquire(self, schedule, holder="h", ttl_ms=600000, key=None, **fields):
        body = {"holder": holder, "ttl_ms": ttl_ms, **fields}
        body = {name: value for name, value in body.items() if value is not None}
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.request("POST", f"/locks/{schedule}", body, headers)

    def renew(self, schedule, token, **fields):
        return self.request("POST", f"/locks/{schedule}/renew", {"token": token, **fields})

    def release(self, schedule, token, outcome=None):
        suffix = "" if outcome is None else f"&outcome={outcome}"
        return self.request("DELETE", f"/locks/{schedule}?token={token}{suffix}")

    def status(self, schedule, query=""):
        return self.request("GET", f"/locks/{schedule}{query}")

    def health(self):
        """GET /health, or None when nobody answers, or somebody else."""
        answer = self.try_request("GET", "/health", timeout=5)
        if answer is None or answer.headers.get("baton-node") != self.name:
            return None
        health = answer.json
        health["http_status"] = answer.status
        return health

    def wait_ready(self, what="it serves", seconds=60):
        wait_for(lambda: self.ready, f"{self.name}: {what}", seconds, nodes=[self])
        return self

    @property
    def ready(self):
        health = self.health()
        return health is not None and health["http_status"] == 200


class Cluster:
    """Nodes n1 … n`size`. `raft_ports` gives others' way to a node's Raft port when it isn't direct (a proxy)."""

    def __init__(self, size=3, flags=(), key=False, proxies=None, directories=None):
        self.home = os.path.join(ROOT, unique("cluster"))
        os.makedirs(self.home)
        names = [f"n{i + 1}" for i in range(size)]
        ports = {name: (free_port(), free_port()) for name in names}
        seen = {name: proxies[name].port if proxies else ports[name][1] for name in names}
        self.spec = ",".join(f"{name}=127.0.0.1:{ports[name][0]}:{seen[name]}" for name in names)
        flags = ["--cluster", self.spec, *flags]
        if key:
            self.key_path = os.path.join(self.home, "cluster-key")
            with open(os.open(self.key_path, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
                file.write(os.urandom(32))
            flags += ["--cluster-key-file", self.key_path]
        self.nodes = []
        for name in names:
            own = [*flags, "--raft", f"127.0.0.1:{ports[name][1]}"] if proxies else flags
            directory = (directories or {}).get(name, os.path.join(self.home, name))
            self.nodes.append(Node(name, directory, own, *ports[name]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def __getitem__(self, name):
        return next(node for node in self.nodes if node.name == name)

    def start(self, **named):
        for node in self.nodes:
            node.start(**named)
        self.wait_ready()
        if not any(node.binary for node in self.nodes):
            self.wait_rules()
        return self

    def wait_rules(self):
        """Until the rules that this version brings are in force: a new cluster raises them as soon as it knows all members."""
        wanted = f"\nbaton_rules_version {RULES}\n"
        for node in self.nodes:
            wait_for(lambda node=node: wanted in node.request("GET", "/metrics").body.decode(), f"{node.name} has rules {RULES}",
                     nodes=[node])  # fmt: skip

    def wait_ready(self, nodes=None, seconds=60):
        """Until all of `nodes` serve and agree on a leader."""
        nodes = nodes or self.nodes

        def agreed():
            leaders = set()
            for node in nodes:
                health = node.health()
                if health is None or health["http_status"] != 200:
                    return False
                leaders.add(health["leader"])
            return len(leaders) == 1

        wait_for(agreed, f"{[node.name for node in nodes]} serve and agree on a leader", seconds, nodes=nodes)

    def leader(self, seconds=20):
        def find():
            check(self.running(), "a node runs")
            for node in self.nodes:
                health = node.health() if node.running else None
                if health and health["role"] == "leader" and health["http_status"] == 200:
                    return node
            return None

        return wait_for(find, "there is a leader", seconds)

    def followers(self):
        leader = self.leader()
        return [node for node in self.nodes if node is not leader and node.running]

    def running(self):
        return [node for node in self.nodes if node.running]

    def kill(self):
        for node in self.nodes:
            node.kill()

    def stop(self):
        for node in self.running():
            node.signal(signal.SIGTERM)
        return [node.wait_exit() for node in self.nodes if node.process is not None]


_shared = []


def shared_cluster():
    """A cluster that tests use together: they may not stop its nodes, and use names of their own."""
    if not _shared:
        _shared.append(Cluster(flags=["--log-level", "debug"], key=True).start())
    STARTED.extend(node for node in _shared[0].nodes if node not in STARTED)
    return _shared[0]


def end_shared_cluster():
    """Stops it in order; returns the exit codes."""
    return _shared.pop().stop() if _shared else []


def leader_and_follower():
    """(leader, follower) of the shared cluster: a test of the contract does everything through each."""
    cluster = shared_cluster()
    return cluster.leader(), cluster.followers()[0]


def raw_exchange(port, payload, seconds=20, shutdown=False):
    """Sends bytes as they are and returns everything until the other side closes (or `seconds` pass: None)."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        try:
            connection.sendall(payload)
            if shutdown:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            return b""
        received = b""
        deadline = time.monotonic() + seconds
        while True:
            connection.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                part = connection.recv(65536)
            except socket.timeout:
                return None
            except OSError:
                return received
            if not part:
                return received
            received += part


class Load(threading.Thread):
    """Keeps acquiring fresh schedules through the given nodes, one after the other, and remembers what was acknowledged:
    `granted` maps schedule to token. What isn't a 201 is repeated through the next node with the same key."""

    def __init__(self, nodes, number=0, metadata=None):
        super().__init__(daemon=True)
        self.nodes = nodes
        self.number = number
        self.metadata = metadata
        self.granted = {}
        self.wrong = []
        self.ending = threading.Event()

    def run(self):
        turn = self.number
        while not self.ending.is_set():
            schedule = unique(f"load{self.number}")
            while not self.ending.is_set():
                node = self.nodes[turn % len(self.nodes)]
                turn += 1
                try:
                    answer = node.acquire(schedule, holder=f"load-{self.number}", key=schedule, metadata=self.metadata)
                except (OSError, http.client.HTTPException):
                    time.sleep(0.01)
                    continue
                if answer.status == 201:
                    self.granted[schedule] = answer.json["token"]
                    break
                if answer.status not in (503, 504):
                    self.wrong.append((schedule, answer))
                    break
                time.sleep(0.01)

    def end(self):
        self.ending.set()
        self.join(30)


def run_load(nodes, threads=4, **named):
    loads = [Load(nodes, i, **named) for i in range(threads)]
    for load in loads:
        load.start()
    return loads


def end_load(loads):
    """Stops them; returns everything that was acknowledged."""
    granted = {}
    for load in loads:
        load.end()
        check(not load.wrong, f"unexpected answers under load: {load.wrong[:3]}")
        granted.update(load.granted)
    check(len(set(granted.values())) == len(granted), "two grants have the same token")
    return granted


def served(answer):
    """The answer, or None when there is none, or when it is a 503."""
    return None if answer is None or answer.status == 503 else answer


def check_held(node, granted):
    """Every acknowledged lock is there, with its token."""

    def look(item):
        schedule, token = item
        # 503 while a leader is elected: on a busy machine that may happen at any time, and a client asks again
        answer = wait_for(lambda: served(node.try_request("GET", f"/locks/{schedule}")), f"{node.name} answers", nodes=[node])
        holders = answer.json.get("holders", [])
        if len(holders) != 1 or holders[0]["token"] != token:
            return f"{schedule} (token {token}) became {holders} on {node.name}"
        return None

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        wrong = [text for text in pool.map(look, granted.items()) if text]
    check(not wrong, f"{len(wrong)} of {len(granted)}: {wrong[:3]}")


def blast(port, requests, connections=64, seconds=120):
    """Sends `requests` (bytes, each one whole request) over keep-alive connections as fast as answers come; returns how
    often each status came. For load that http.client is too slow for."""
    todo = iter(requests)
    statuses = {}
    lock = threading.Lock()

    def work():
        with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pending = b""
            while True:
                with lock:
                    request = next(todo, None)
                if request is None:
                    return
                connection.sendall(request)
                while True:
                    end = pending.find(b"\r\n\r\n")
                    if end >= 0:
                        head = pending[:end].lower()
                        at = head.find(b"content-length:")
                        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
                        if len(pending) >= end + 4 + length:
                            break
                    part = connection.recv(65536)
                    if not part:
                        raise Failure("the connection was closed in the middle")
                    pending += part
                status = int(pending[9:12])
                pending = pending[end + 4 + length :]
                with lock:
                    statuses[status] = statuses.get(status, 0) + 1

    errors = []

    def guarded():
        try:
            work()
        except Exception as error:  # noqa: BLE001: shown by the caller
            errors.append(error)

    threads = [threading.Thread(target=guarded, daemon=True) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise Failure(f"{len(errors)} connections failed, the first with: {errors[0]!r}")
    return statuses


def post_bytes(path, body):
    text = json.dumps(body)
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()


def mount_tmpfs(size):
    path = os.path.join(ROOT, unique("tmpfs"))
    os.makedirs(path)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)
    MOUNTS.append(path)
    return path


def unmount(path):
    subprocess.run(["umount", "-l", path], check=False)
    MOUNTS.remove(path)


def kill_everything():
    for process in PROCESSES:
        if process.returncode is None:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait(10)


def left_behind():
    """Command lines of batond processes that still use our directories."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    line = file.read().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if ROOT in line and "batond" in line:
                found.append(line)
    return found


@atexit.register
def _clean_up():
    kill_everything()
    for path in list(MOUNTS):
        unmount(path)
    if os.environ.get("BATON_E2E_KEEP") is None:
        shutil.rmtree(ROOT, ignore_errors=True)
