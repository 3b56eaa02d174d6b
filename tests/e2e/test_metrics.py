"""GET /metrics: read line by line, checked by promtool, and scraped by a real Prometheus."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request

from harness import (
    PROCESSES, ROOT, RULES, Cluster, blast, check, equal, free_port, leader_and_follower, post_bytes, unique, wait_for,
)  # fmt: skip

SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?[0-9.e+]+|\+Inf|NaN)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)')

FAMILIES = {
    "baton_build_info", "baton_raft_has_leader", "baton_raft_is_leader", "baton_raft_term", "baton_raft_commit_index",
    "baton_raft_applied_index", "baton_raft_leader_changes_total", "baton_raft_peer_last_contact_seconds",
    "baton_disk_write_duration_seconds", "baton_disk_io_info", "baton_disk_free_bytes", "baton_disk_log_bytes",
    "baton_lock_acquire_total", "baton_lock_renewals_total", "baton_lock_releases_total", "baton_lock_expirations_total",
    "baton_lock_revocations_total", "baton_locks_held", "baton_schedules", "baton_policies", "baton_state_bytes",
    "baton_http_requests_total", "baton_http_request_duration_seconds", "baton_http_connections",
    "baton_requests_in_flight", "baton_operations_queued", "baton_loop_stall_seconds", "baton_rules_version",
    "baton_log_lines_dropped_total", "process_cpu_seconds_total", "process_resident_memory_bytes",
    "process_virtual_memory_bytes", "process_open_fds", "process_max_fds", "process_start_time_seconds",
    "baton_waiting_requests", "baton_groups", "baton_freezes", "baton_events_total", "baton_event_readers",
    "baton_schedule_last_success_timestamp_seconds", "baton_schedule_last_run_duration_seconds", "baton_schedule_overdue",
    "baton_schedule_frozen", "baton_schedules_left_out",
}  # fmt: skip


def tool(name):
    path = shutil.which(name)
    check(path, f"{name} is needed: tests/deps.sh installs it")
    return path


class Scrape:
    """What one node says now: `types` by family, `values` by (name, labels)."""

    def __init__(self, node):
        answer = node.request("GET", "/metrics")
        equal(answer.status, 200, "status")
        equal(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8", "content type")
        self.text = answer.body.decode()
        check(self.text.endswith("\n"), "the last line is a whole one")
        self.types, self.helps, self.values = {}, {}, {}
        for line in self.text.splitlines():
            self.read(line)

    def read(self, line):
        if line.startswith("# "):
            kind, name, rest = line[2:].split(" ", 2)
            table = {"TYPE": self.types, "HELP": self.helps}[kind]
            check(name not in table, f"{kind} of {name} comes once")
            table[name] = rest
            return
        found = SAMPLE.match(line)
        check(found, f"not a sample: {line!r}")
        labels = tuple(sorted(LABEL.findall(found[2] or "")))
        check((found[1], labels) not in self.values, f"a series comes once: {line!r}")
        self.values[found[1], labels] = float(found[3])

    def get(self, name, **labels):
        return self.values.get((name, tuple(sorted((key, str(value)) for key, value in labels.items()))), 0)

    def has(self, name, **labels):
        return (name, tuple(sorted(labels.items()))) in self.values


def total(nodes, name, **labels):
    return sum(Scrape(node).get(name, **labels) for node in nodes)


def test_every_family_is_there_and_promtool_finds_nothing():
    promtool = tool("promtool")
    for node in leader_and_follower():
        node.acquire(unique("metrics"))  # so that there are series of HTTP
        scrape = Scrape(node)
        equal(set(scrape.types), FAMILIES, "families")
        equal(set(scrape.helps), FAMILIES, "each with its help")
        result = subprocess.run([promtool, "check", "metrics"], input=scrape.text, capture_output=True, text=True, check=False)
        equal((result.returncode, result.stdout + result.stderr), (0, ""), "promtool")


def test_histograms_are_cumulative_and_add_up():
    for node in leader_and_follower():
        node.acquire(unique("metrics"))
        scrape = Scrape(node)
        for family, kind in scrape.types.items():
            if kind != "histogram":
                continue
            series = {}
            for (name, labels), value in scrape.values.items():
                if name == f"{family}_bucket":
                    rest = tuple(pair for pair in labels if pair[0] != "le")
                    series.setdefault(rest, []).append((float(dict(labels)["le"]), value))
            check(series, f"{family} has series")
            for labels, buckets in series.items():
                bounds, counts = zip(*buckets)
                equal(list(bounds), sorted(bounds), "bounds ascend")
                equal(list(counts), sorted(counts), "counts are cumulative")
                equal(bounds[-1], float("inf"), "the last bound")
                equal(scrape.values[f"{family}_count", labels], counts[-1], "count")
                check(scrape.values[f"{family}_sum", labels] >= 0, "sum")


def test_what_is_answered_moves_its_counters():
    with Cluster() as cluster:
        cluster.start()
        for node in (cluster.leader(), cluster.followers()[0]):
            other = next(each for each in cluster.nodes if each is not node)
            before, elsewhere = Scrape(node), Scrape(other)
            schedule, key = unique("count"), unique("key")
            token = node.acquire(schedule, key=key).json["token"]
            equal(node.acquire(schedule, key=key).status, 201, "repeated")
            equal(node.acquire(schedule, holder="x").status, 409, "held")
            equal(node.acquire(schedule, ttl_ms=1).status, 422, "too short")
            equal(node.renew(schedule, token).status, 200, "renew")
            equal(node.release(schedule, token).status, 200, "release")
            equal(node.release(schedule, token).status, 200, "the same again")
            equal(node.acquire(schedule).status, 201, "acquire")
            revoke = {"reason": "r", "actor": "a"}
            equal(node.request("POST", f"/locks/{schedule}/revoke", revoke).status, 200, "revoke")
            equal(node.request("POST", f"/locks/{schedule}/revoke", revoke).status, 200, "the same again")
            equal(node.request("POST", "/nowhere").status, 404, "nowhere")
            after = Scrape(node)

            def moved(name, **labels):
                return after.get(name, **labels) - before.get(name, **labels)

            results = {result: moved("baton_lock_acquire_total", result=result) for result in
                       ("granted", "repeated", "lock_held", "ttl_too_short", "unavailable", "unknown", "capacity")}
            equal(results, {"granted": 2, "repeated": 1, "lock_held": 1, "ttl_too_short": 1, "unavailable": 0, "unknown": 0,
                            "capacity": 0}, "acquires")
            equal(moved("baton_lock_renewals_total"), 1, "renewals")
            equal(moved("baton_lock_releases_total"), 1, "releases")
            equal(moved("baton_lock_revocations_total"), 1, "revocations")
            route = {"method": "POST", "route": "/locks/{schedule_id}"}
            equal(moved("baton_http_requests_total", code=201, **route), 3, "answers with 201")
            equal(moved("baton_http_requests_total", code=409, **route), 1, "answers with 409")
            equal(moved("baton_http_requests_total", code=422, **route), 1, "answers with 422")
            equal(moved("baton_http_request_duration_seconds_count", **route), 5, "durations")
            check(moved("baton_http_request_duration_seconds_sum", **route) > 0, "they took time")
            equal(moved("baton_http_requests_total", method="POST", route="none", code=404), 1, "nowhere")
            for name in ("baton_lock_renewals_total", "baton_lock_releases_total", "baton_lock_revocations_total"):
                equal(Scrape(other).get(name), elsewhere.get(name), f"{name} of a node that answered nothing")
            equal(node.request("POST", f"/locks/{schedule}/revoke", {**revoke, "force": True}).status, 200, "by force")
            equal(Scrape(node).get("baton_lock_revocations_total"), after.get("baton_lock_revocations_total"), "by force, too")


def test_a_deadline_that_passes_is_counted_once_in_the_cluster():
    with Cluster() as cluster:
        cluster.start()
        node = cluster.followers()[0]
        for i in range(7):
            equal(node.request("PUT", f"/schedules/short-{i}", {"safety_margin_ms": 0}).status, 200, "policy")
            equal(node.acquire(f"short-{i}", ttl_ms=1000).status, 201, "acquire")
        equal(node.acquire("long").status, 201, "acquire")
        wait_for(lambda: Scrape(node).get("baton_locks_held") == 1, "only the long one is held")
        equal(total(cluster.nodes, "baton_lock_expirations_total"), 7, "expirations of all nodes")
        wait_for(lambda: all(Scrape(each).get("baton_locks_held") == 1 for each in cluster.nodes), "all nodes agree")
        for each in cluster.nodes:
            scrape = Scrape(each)
            equal((scrape.get("baton_schedules"), scrape.get("baton_policies")), (8, 7), "schedules and policies")
            check(scrape.get("baton_state_bytes") > 0, "the state has a size")


def test_raft_and_disk_are_shown():
    with Cluster(flags=["--disk-io", "pool"]) as cluster:
        cluster.start()
        for i in range(20):
            equal(cluster.leader().acquire(f"x-{i}").status, 201, "acquire")
        equal(total(cluster.nodes, "baton_raft_is_leader"), 1, "leaders")
        for node in cluster.nodes:
            scrape, health = Scrape(node), node.health()
            equal(scrape.get("baton_build_info", version=health["version"]), 1, "version")
            equal(scrape.get("baton_raft_has_leader"), 1, "has a leader")
            equal(scrape.get("baton_raft_is_leader"), health["role"] == "leader", "is leader")
            equal(scrape.get("baton_raft_term"), health["term"], "term")
            check(20 < scrape.get("baton_raft_applied_index") <= scrape.get("baton_raft_commit_index"), "indices")
            check(scrape.get("baton_raft_leader_changes_total") >= 1, "it saw a leader come")
            equal(scrape.get("baton_disk_io_info", mode="pool"), 1, "how the log is written")
            check(scrape.get("baton_disk_write_duration_seconds_count") >= 3, "writes were measured")
            check(scrape.get("baton_disk_write_duration_seconds_sum") > 0, "and took time")
            check(scrape.get("baton_disk_free_bytes") > 0 and scrape.get("baton_disk_log_bytes") > 0, "bytes")
            check(scrape.get("baton_loop_stall_seconds_count") > 10, "turns of the loop")
            equal(scrape.get("baton_rules_version"), RULES, "rules")
            for peer in cluster.nodes:
                name = "baton_raft_peer_last_contact_seconds"
                equal(scrape.has(name, peer=peer.name), peer is not node, f"contact of {node.name} with {peer.name}")
            check(scrape.get("process_open_fds") > 10 and scrape.get("process_resident_memory_bytes") > 10**6, "process")
            check(0 < scrape.get("process_cpu_seconds_total") < 600, "CPU time")
            check(abs(scrape.get("process_start_time_seconds") - time.time()) < 3600, "start time")
        leader, gone = cluster.leader(), cluster.followers()[0]
        changes = Scrape(leader).get("baton_raft_leader_changes_total")
        gone.signal(signal.SIGSTOP)
        wait_for(lambda: Scrape(leader).get("baton_raft_peer_last_contact_seconds", peer=gone.name) > 1, "its silence grows")
        gone.signal(signal.SIGCONT)
        wait_for(lambda: Scrape(leader).get("baton_raft_peer_last_contact_seconds", peer=gone.name) < 1, "it is back")
        rest = [node for node in cluster.nodes if node is not leader]
        leader.kill()
        cluster.wait_ready(rest)
        for node in rest:
            check(Scrape(node).get("baton_raft_leader_changes_total") > changes, f"{node.name} saw another leader")


def test_connections_and_what_is_under_way_are_shown():
    with Cluster(flags=["--election-timeout", "3000", "--commit-timeout", "60000"]) as cluster:
        cluster.start()
        leader = cluster.leader()
        for node in cluster.followers():
            node.signal(signal.SIGSTOP)
        idle = [socket.create_connection(("127.0.0.1", leader.http_port)) for _ in range(20)]
        asking = [socket.create_connection(("127.0.0.1", leader.http_port)) for _ in range(3)]
        for i, connection in enumerate(asking):
            connection.sendall(post_bytes(f"/locks/way-{i}", {"holder": "h", "ttl_ms": 600000}))

        def shown(wanted):
            scrape = Scrape(leader)  # on a connection of its own
            names = ("baton_http_connections", "baton_requests_in_flight", "baton_operations_queued")
            return tuple(scrape.get(name) for name in names) == wanted

        wait_for(lambda: shown((24, 4, 3)), "three operations wait, and the scrape is a request, too", nodes=[leader])
        for node in cluster.nodes:
            if node is not leader:
                node.signal(signal.SIGCONT)
        for connection in asking:
            check(connection.recv(65536).startswith(b"HTTP/1.1 201"), "granted")
        for connection in (*idle, *asking):
            connection.close()
        wait_for(lambda: shown((1, 1, 0)), "all are gone", nodes=[leader])


def test_it_is_answered_without_a_quorum():
    with Cluster(flags=["--commit-timeout", "500"]) as cluster:
        cluster.start()
        node, gone = cluster.nodes[0], cluster.nodes[1:]
        for other in gone:
            other.kill()
        wait_for(lambda: Scrape(node).get("baton_raft_has_leader") == 0, "it knows of no leader")
        scrape = Scrape(node)
        equal(scrape.get("baton_raft_is_leader"), 0, "nor is it one")
        before = scrape.get("baton_lock_acquire_total", result="unavailable")
        equal(node.acquire("x").status, 503, "acquire")
        equal(Scrape(node).get("baton_lock_acquire_total", result="unavailable"), before + 1, "unavailable")


def test_clients_cannot_make_series():
    for node in leader_and_follower():
        before = set(Scrape(node).values)
        names = [f"evil{i}-{unique('series')}" for i in range(200)]
        for name in names:
            node.request("GET", f"/{name}")
            node.request(f"X{name.replace('-', '')}".upper(), f"/locks/{name}")
            node.acquire(name, holder=name)
            node.status(name)
        after = Scrape(node)
        check(not any(name in after.text for name in names), "no name of a client's making")
        new = {name for name, _ in set(after.values) - before}
        check(len(set(after.values) - before) < 150, f"{len(set(after.values) - before)} new series: {new}")


def test_a_scrape_costs_the_same_with_many_locks():
    with Cluster(size=1) as cluster:
        node = cluster.start().nodes[0]
        body = {"holder": "h", "ttl_ms": 3600000}
        equal(blast(node.http_port, (post_bytes(f"/locks/q-{i}", body) for i in range(20000))), {201: 20000}, "answers")
        get = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
        before = Scrape(node)
        equal(blast(node.http_port, [get] * 500, connections=1), {200: 500}, "scrapes")
        after = Scrape(node)
        equal(after.get("baton_locks_held"), 20000, "locks")

        def moved(name):
            labels = {"method": "GET", "route": "/metrics"}
            return after.get(f"baton_http_request_duration_seconds_{name}", **labels) - before.get(
                f"baton_http_request_duration_seconds_{name}", **labels)

        each = moved("sum") / moved("count")
        return f"{each * 1000:.2f} ms for each scrape, {len(after.text)} bytes"


class Prometheus:
    """A real one, that scrapes `nodes` five times a second."""

    def __init__(self, nodes):
        self.home = os.path.join(ROOT, unique("prometheus"))
        os.makedirs(self.home)
        self.port = free_port()
        config = {
            "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"},
            "scrape_configs": [
                {"job_name": "baton", "static_configs": [{"targets": [f"127.0.0.1:{node.http_port}" for node in nodes]}]}
            ],
        }
        path = os.path.join(self.home, "prometheus.yml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)  # JSON is YAML
        with open(os.path.join(self.home, "log"), "wb") as log:
            self.process = subprocess.Popen(
                [tool("prometheus"), f"--config.file={path}", f"--storage.tsdb.path={self.home}/data",
                 f"--web.listen-address=127.0.0.1:{self.port}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        PROCESSES.append(self.process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(20)

    def query(self, expression):
        """{instance: value}, empty while it doesn't answer."""
        query = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/query?{query}", timeout=5) as answer:
                result = json.load(answer)["data"]["result"]
        except OSError:
            return {}
        return {item["metric"].get("instance", ""): float(item["value"][1]) for item in result}


def test_prometheus_scrapes_three_nodes():
    with Cluster() as cluster:
        cluster.start()
        nodes = {f"127.0.0.1:{node.http_port}": node for node in cluster.nodes}
        for i in range(5):
            equal(cluster.followers()[0].acquire(f"p-{i}").status, 201, "acquire")
        with Prometheus(cluster.nodes) as prometheus:
            wait_for(lambda: prometheus.query("up") == {name: 1 for name in nodes}, "all three are up", 60)
            wait_for(lambda: prometheus.query("baton_locks_held") == {name: 5 for name in nodes}, "five locks, on each node")
            equal(prometheus.query("sum(baton_raft_is_leader)"), {"": 1}, "leaders")
            equal(prometheus.query('sum(baton_lock_acquire_total{result="granted"})'), {"": 5}, "grants of all nodes")
            quantile = "histogram_quantile(0.99, sum by (le) (rate(baton_disk_write_duration_seconds_bucket[1m])))"
            wait_for(lambda: prometheus.query(quantile), "a quantile can be computed")
            gone = cluster.followers()[0]
            gone.kill()
            address = f"127.0.0.1:{gone.http_port}"
            wait_for(lambda: prometheus.query("up").get(address) == 0, "one is down")
            wait_for(lambda: prometheus.query(f'max(baton_raft_peer_last_contact_seconds{{peer="{gone.name}"}})').get("", 0) > 1,
                     "the others tell of its silence")
