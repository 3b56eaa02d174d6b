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

BATOND = None  # path of the program under test, set by main.py
ROOT = tempfile.mkdtemp(prefix="baton-e2e-")
MOUNTS = []
PROCESSES = []
_ports_given = set()
_ids = iter(range(10**9))


class Failure(Exception):
    """A test's own verdict: what was expected and what came instead."""


def check(condition, message):
    if not condition:
        raise Failure(message)


def equal(got, wanted, what):
    if got != wanted:
        raise Failure(f"{what}: {got!r} instead of {wanted!r}")


def wait_for(condition, what, seconds=20.0, pause=0.02):
    """Polls until `condition()` is true (or not None); returns its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"after {seconds:.0f} s still not so: {what}")
        time.sleep(pause)


def unique(prefix):
    return f"{prefix}-{next(_ids)}"


def free_port():
    """A port below the range that the kernel gives to outgoing connections, so that it stays free until it is used."""
    while True:
        port = random.randrange(18000, 32000)
        if port in _ports_given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _ports_given.add(port)
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
        self.process = None

    def start(self, extra=(), wrapper=(), env=None):
        environment = dict(os.environ)
        for name in list(environment):
            if name.startswith("BATON_"):
                del environment[name]
        environment.update(env or {})
        command = [*wrapper, BATOND, "--node", self.name, "--data-dir", self.directory, *self.flags, *extra]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        PROCESSES.append(self.process)
        return self

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        os.kill(self.process.pid, number)

    def kill(self):
        """kill -9, and wait until it is gone. With a wrapper (strace), its whole session."""
        if self.process is None:
            return
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
            raise Failure(f"{self.name} is still there after {seconds} s") from None

    def wipe(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def log(self):
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
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

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
        answer = self.try_request("GET", "/health", timeout=5)
        if answer is None:
            return None
        health = answer.json
        health["http_status"] = answer.status
        return health

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
        return self

    def wait_ready(self, nodes=None, seconds=30):
        """Until all of `nodes` serve and agree on a leader."""
        nodes = nodes or self.nodes

        def agreed():
            leaders = set()
            for node in nodes:
                if not node.running:
                    raise Failure(f"{node.name} ended with {node.process.poll()}: {node.log[-400:]}")
                health = node.health()
                if health is None or health["http_status"] != 200:
                    return False
                leaders.add(health["leader"])
            return len(leaders) == 1

        wait_for(agreed, f"{[node.name for node in nodes]} serve and agree on a leader", seconds)

    def leader(self, seconds=20):
        def find():
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


def check_held(node, granted):
    """Every acknowledged lock is there, with its token."""

    def look(item):
        schedule, token = item
        # 503 while a leader is elected: on a busy machine that may happen at any time, and a client asks again
        answer = wait_for(lambda: (lambda a: a if a.status != 503 else None)(node.status(schedule)), f"{node.name} answers")
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
        if process.poll() is None:
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
