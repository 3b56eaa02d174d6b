"""What is so for every operation of openapi/baton.yaml, tried on each that it has. That each answer is as described is
looked at by the harness, here as everywhere (openapi.py)."""

import concurrent.futures
import json
import os
import re
import signal

import openapi
from harness import (
    Answer, Cluster, Node, check, equal, free_port, leader_and_follower, mount_tmpfs, shared_cluster, unique, unmount, wait_for,
)  # fmt: skip
from openapi import CONTRACT
from test_bounds import LIMIT
from test_contract import problem
from test_disk import fill

READS_AND_WRITES = [operation for operation in CONTRACT.operations if "no_leader" in operation.responses[503].problems]
WRITES = [operation for operation in CONTRACT.operations if 504 in operation.responses]


def path_of(operation, name):
    """With `name` for what the path names: a schedule, a group, a scope."""
    return re.sub("{[^}]*}", name, operation.path)


def text_of(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def target(operation, name=None, **query):
    """Path and query, with the file's own examples for what is required."""
    path = path_of(operation, name or unique("described"))
    given = {name: parameter["example"] for name, parameter in operation.query.items() if parameter.get("required")}
    given.update(query)
    return path + "".join(f"{'&' if i else '?'}{name}={text_of(value)}" for i, (name, value) in enumerate(given.items()))


def body(operation):
    return operation.examples[0] if operation.examples else None


def ask(node, operation, **named):
    """As the file's examples have it."""
    return node.request(operation.method, target(operation, **named), body(operation))


def ask_all(node, operations):
    """All at once, as each may have to wait: (operation, answer) of each."""
    with concurrent.futures.ThreadPoolExecutor(len(operations)) as pool:
        return list(zip(operations, pool.map(lambda operation: ask(node, operation), operations)))


def is_noticed(method, where, sent, answer):
    try:
        openapi.exchanged(method, where, {}, sent, answer)
    except openapi.Mismatch as mismatch:
        openapi.MISMATCHES.remove(str(mismatch))
        return True
    return False


def test_what_is_not_described_is_noticed():
    schedule, good = unique("noticed"), {"holder": "h", "ttl_ms": 60000}
    node = shared_cluster().nodes[0]
    granted = node.acquire(schedule, **good, occurrence="o", metadata={"a": 1})
    refused = node.acquire(schedule, **good)
    path = f"/locks/{schedule}"

    def other(answer, status=None, headers=None, **members):
        """The answer with another status, other headers and members; None takes one away."""
        body = {name: value for name, value in {**answer.json, **members}.items() if value is not None}
        heads = {name: value for name, value in {**answer.headers, **(headers or {})}.items() if value is not None}
        return Answer(status or answer.status, heads.items(), json.dumps(body).encode())

    sent = json.dumps(good).encode()
    check(not is_noticed("POST", path, sent, granted), "a sound exchange is let pass")
    check(not is_noticed("POST", path, sent, refused), "a sound refusal is let pass")
    for what, answer in {
        "another status": other(granted, status=200),
        "an unknown member": other(granted, more=1),
        "a missing member": other(granted, holder=None),
        "a value out of bounds": other(granted, token=0),
        "a value of another type": other(granted, token="1"),
        "another type of content": other(granted, headers={"content-type": "text/html"}),
        "a missing header": other(granted, headers={"idempotency-key": None}),
        "an unknown header": other(granted, headers={"baton-more": "1"}),
        "a header of another code": other(refused, headers={"retry-after": "1"}),
        "a code of another operation": other(refused, code="capacity"),
        "a member of another code": other(refused, run={}),
    }.items():
        check(is_noticed("POST", path, sent, answer), what)
    for what, (method, where, body) in {
        "an unknown path": ("POST", "/lock/a", sent), "another method": ("PUT", path, sent),
        "an unknown parameter": ("POST", f"{path}?x=1", sent), "an invalid name": ("POST", "/locks/-a", sent),
        "an unknown field": ("POST", path, b'{"holder": "h", "x": 1}'), "no JSON": ("POST", path, b"{"),
        "a field given twice": ("POST", path, b'{"holder": "h", "holder": "h"}'), "no body": ("POST", path, None),
    }.items():  # fmt: skip
        check(is_noticed(method, where, body, granted), f"{what}, and yet it was granted")
    head = node.request("HEAD", path)
    for what, status, headers, body in (
        ("another status", 201, {}, b""), ("a body", 200, {}, b"{}"), ("a missing header", 200, {"baton-node": None}, b""),
        ("another type of content", 200, {"content-type": "text/html"}, b""), ("no length", 200, {"content-length": "0"}, b""),
    ):  # fmt: skip
        heads = {name: value for name, value in {**head.headers, **headers}.items() if value is not None}
        check(is_noticed("HEAD", path, None, Answer(status, heads.items(), body)), f"{what} of HEAD")


def test_the_file_is_served_as_it_is():
    for node in leader_and_follower():
        answer = node.request("GET", "/openapi.yaml")
        check(answer.status == 200 and answer.body.decode() == CONTRACT.text, "another file is served: build again")


def test_every_operation_refuses_what_no_request_may_have():
    for node in leader_and_follower():
        for operation in CONTRACT.operations:
            method, where, sent = operation.method, target(operation), body(operation)
            problem(node.request(method, where, sent, {"Origin": "http://evil.example"}), 403, "forbidden")
            most = LIMIT["BATCH_BODY_BYTES" if operation.name == "renewLocks" else "BODY_BYTES"]
            problem(node.request(method, where, b" " * (most + 1)), 413, "body_too_large")
            found = problem(node.request(method, target(operation, nonsense=1), sent), 400, "unknown_field")
            equal(found["field"], "nonsense", f"the place, {operation.name}")
            if operation.path_parameters:
                problem(node.request(method, target(operation, "-a"), sent), 400, "invalid_name")
            for name, parameter in operation.query.items():
                twice = f"{target(operation, **{name: parameter['example']})}&{name}={text_of(parameter['example'])}"
                equal(problem(node.request(method, twice, sent), 400, "invalid_field")["field"], name, "the place")


def test_every_body_is_refused_when_it_is_wrong():
    for node in leader_and_follower():
        for operation in CONTRACT.operations:
            method, where = operation.method, target(operation)
            if operation.body is None:
                equal(problem(node.request(method, where, {}), 400, "invalid_field")["field"], "body", operation.name)
                continue
            problem(node.request(method, where, b"{"), 400, "malformed_json")
            found = problem(node.request(method, where, {**body(operation), "nonsense": 1}), 400, "unknown_field")
            equal(found["field"], "nonsense", f"the place, {operation.name}")
            for name in operation.fields:
                found = problem(node.request(method, where, {**body(operation), name: []}), 400, "invalid_field")
                equal(found["field"], name, f"the place, {operation.name}")
            for name in operation.body.get("required", []):
                less = {field: value for field, value in body(operation).items() if field != name}
                equal(problem(node.request(method, where, less), 400, "invalid_field")["field"], name, operation.name)


def value_for(operation, name):
    """A value that the file gives itself."""
    schema = operation.fields[name]
    return schema["examples"][0] if "examples" in schema else schema["default"] if "default" in schema else body(operation)[name]


def test_every_field_and_parameter_and_example_is_taken():
    for node in leader_and_follower():
        for operation in CONTRACT.operations:
            for example in operation.examples:
                answer = node.request(operation.method, target(operation), example)
                check(answer.status != 400, f"{operation.name} with {example}: {answer!r}")
            for name in operation.fields:
                sent = {**body(operation), name: value_for(operation, name)}
                answer = node.request(operation.method, target(operation), sent)
                check(answer.status != 400, f"{operation.name} with {sent}: {answer!r}")
            for name, parameter in operation.query.items():
                answer = ask(node, operation, **{name: parameter["example"]})
                check(answer.status != 400, f"{operation.name} with {name}: {answer!r}")


def test_other_methods_are_not_allowed():
    for path in dict.fromkeys(operation.path for operation in CONTRACT.operations):
        taken = {operation.method for operation in CONTRACT.operations if operation.path == path}
        for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} - taken:
            answer = shared_cluster().nodes[0].request(method, re.sub("{[^}]*}", "a", path))
            problem(answer, 405, "method_not_allowed")


def test_a_node_that_waits_for_its_cluster_says_so_to_everybody():
    with Cluster() as cluster:
        node = cluster["n1"].start()
        wait_for(node.health, "HTTP is open", nodes=[node])
        for operation, answer in ask_all(node, CONTRACT.operations):
            if operation in READS_AND_WRITES or operation.responses[200].events:
                problem(answer, 503, "not_ready")
            else:
                check(answer.code is None, f"{operation.name} is answered: {answer!r}")
        equal(node.request("GET", "/health/ready").status, 503, "ready")


def test_without_a_leader_nothing_is_done_for_anybody():
    with Cluster() as cluster:
        cluster.start()
        node = cluster["n1"]
        cluster["n2"].kill()
        cluster["n3"].kill()
        wait_for(lambda: (node.health() or {}).get("http_status") == 503, "it knows that it can't serve", nodes=[node])
        for _, answer in ask_all(node, READS_AND_WRITES):
            problem(answer, 503, "no_leader")


def test_a_write_that_cannot_be_decided_is_said_to_be_in_doubt():
    """The followers stand still for each: what waits behind it would be known not to have been proposed."""
    with Cluster(flags=["--election-timeout", "2000", "--heartbeat", "100", "--commit-timeout", "300"]) as cluster:
        cluster.start()
        for operation in WRITES:
            leader, followers = cluster.leader(), cluster.followers()
            for node in followers:
                node.signal(signal.SIGSTOP)
            answer = ask(leader, operation)
            for node in followers:
                node.signal(signal.SIGCONT)
            problem(answer, 504, "outcome_unknown")
            cluster.wait_ready()


def test_without_disk_reserve_nothing_grows():
    mount = mount_tmpfs("160m")
    ports = free_port(), free_port()
    flags = ["--http", f"127.0.0.1:{ports[0]}", "--raft", f"127.0.0.1:{ports[1]}"]
    node = Node("full", os.path.join(mount, "data"), flags, *ports).start()
    try:
        node.wait_ready()
        fill(mount, 4096 * 100)
        growing = [operation for operation in WRITES if 507 in operation.responses]
        check(growing, "some operations grow")
        for operation in growing:
            wait_for(lambda: ask(node, operation).status == 507, f"{operation.name} is refused", 30)  # noqa: B023: used at once
        for operation in set(WRITES) - set(growing):
            check(ask(node, operation).status in (200, 404, 409), f"{operation.name} isn't")
    finally:
        node.kill()
        unmount(mount)


def test_what_is_revoked_is_shown_wherever_it_stands():
    for node in leader_and_follower():
        schedule = unique("revoked")
        token = node.acquire(schedule, metadata={"a": 1}, occurrence="one").json["token"]
        revoked = node.request("POST", f"/locks/{schedule}/revoke", {"actor": "alice", "reason": "wanted"}).json["revoked"]
        equal([(run["token"], run["outcome"], run["actor"], run["reason"]) for run in revoked],
              [(token, "revoked", "alice", "wanted")], "the runs")  # fmt: skip
        page = node.request("GET", f"/locks?prefix={schedule}&limit=1").json
        equal([(lock["token"], lock.get("revoking")) for lock in page["locks"]], [(token, True)], "in the list")
        equal(node.status(schedule).json["holders"][0]["revoking"], True, "in the status")
        held = problem(node.acquire(schedule, holder="other", occurrence="two"), 409, "lock_held")
        equal(held["holders"][0]["revoking"], True, "in what refuses")
        lost = problem(node.renew(schedule, token), 409, "lock_lost")
        equal((lost["holder"], lost["run"]["outcome"]), ("h", "revoked"), "in what is lost")
        run = node.release(schedule, token, "failed").json
        equal((run["outcome"], run["late_outcome"]), ("revoked", "failed"), "the run at last")
        equal(node.request("GET", f"/schedules/{schedule}/runs").json["runs"], [run], "in the runs")


def test_lists_end_early_and_go_on():
    for node in leader_and_follower():
        prefix = unique("page")
        for name in ("a", "b", "c"):
            equal(node.acquire(f"{prefix}.{name}").status, 201, "lock")
            equal(node.request("PUT", f"/schedules/{prefix}.{name}", {"description": name}).status, 200, "policy")
            equal(node.request("PUT", f"/groups/{prefix}.{name}", {"slots": 1}).status, 200, "group")
            freeze = {"reason": "r", "actor": "a", "ttl_ms": 60000}
            equal(node.request("PUT", f"/freezes/{prefix}.{name}", freeze).status, 200, "freeze")
        for path, member, called in (("/locks", "locks", "schedule_id"), ("/schedules", "schedules", "schedule_id"),
                                     ("/groups", "groups", "name"), ("/freezes", "freezes", "scope")):  # fmt: skip
            seen, after = [], ""
            while after is not None:
                page = node.request("GET", f"{path}?prefix={prefix}&limit=2{after and '&after=' + after}").json
                seen += [item[called] for item in page[member]]
                after = page["next"]
            equal(seen, [f"{prefix}.{name}" for name in ("a", "b", "c")], f"{path}, page by page")


def test_a_schedule_shows_its_last_run_and_success():
    for node in leader_and_follower():
        schedule = unique("shown")
        equal(node.request("PUT", f"/schedules/{schedule}", {"min_hold_ms": 3600000}).status, 200, "policy")
        token = node.acquire(schedule, occurrence="2026-01-01T00:00:00Z").json["token"]
        run = node.release(schedule, token, "succeeded").json
        shown = node.request("GET", f"/schedules/{schedule}").json
        equal((shown["last_run"], shown["last_success_at"]), (run, run["ended_at"]), "last run and success")
        answer = node.acquire(schedule)
        body = problem(answer, 409, "cooling_down")
        check(0 < body["remaining_ms"] <= 3600000, "remaining_ms")
        equal(int(answer.headers["retry-after"]), -(-body["remaining_ms"] // 1000), "Retry-After")
