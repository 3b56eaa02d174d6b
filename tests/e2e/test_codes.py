"""Every `code` of the contract, on the leader and on a follower: one table, as long as the description's list of codes."""

import signal

from clients import Waiter
from crowd import Crowd, allow_files
from harness import Cluster, check, equal, leader_and_follower, unique, wait_for
from openapi import CONTRACT
from test_bounds import LIMIT
from test_contract import both, problem
from test_freezes import freeze
from test_groups import put_group
from test_schedules import put, revoke

GOOD = {"holder": "h", "ttl_ms": 600000}


def described():
    """Status and code of every problem that openapi/baton.yaml has."""
    return {(status, code) for operation in CONTRACT.operations for status, response in operation.responses.items()
            for code in response.problems} | {(status, code) for status, response in CONTRACT.outside.items()
                                              for code in response.problems}  # fmt: skip


def occurrence_done(node, schedule):
    equal(node.release(schedule, node.acquire(schedule, occurrence="o").json["token"], "succeeded").status, 200, "release")
    return node.acquire(schedule, occurrence="o")


def attempts_exhausted(node, schedule):
    equal(node.release(schedule, node.acquire(schedule, occurrence="o").json["token"], "failed").status, 200, "release")
    return node.acquire(schedule, occurrence="o")


def lock_held(node, schedule):
    node.acquire(schedule)
    return node.acquire(schedule, holder="x")


def lock_lost(node, schedule):
    token = node.acquire(schedule).json["token"]
    revoke(node, schedule, force=True)
    return node.renew(schedule, token)


def grant_ended(node, schedule):
    equal(node.release(schedule, node.acquire(schedule, key=schedule).json["token"]).status, 200, "release")
    return node.acquire(schedule, key=schedule)


def idempotency_conflict(node, schedule):
    node.acquire(schedule, key=schedule)
    return node.acquire(schedule, key=schedule, holder="x")


def cooling_down(node, schedule):
    put(node, schedule, min_hold_ms=600000)
    equal(node.release(schedule, node.acquire(schedule).json["token"]).status, 200, "release")
    return node.acquire(schedule)


def frozen(node, schedule):
    freeze(node, schedule)
    return node.acquire(schedule)


def group_full(node, schedule):
    put_group(node, schedule, 0)
    put(node, schedule, group=schedule)
    return node.acquire(schedule)


def group_in_use(node, schedule):
    put_group(node, schedule, 1)
    put(node, schedule, group=schedule)
    return node.request("DELETE", f"/groups/{schedule}")


SIMPLE = {
    (400, "malformed_json"): lambda node, schedule: node.request("POST", f"/locks/{schedule}", b"{"),
    (400, "invalid_field"): lambda node, schedule: node.request("POST", f"/locks/{schedule}", {**GOOD, "wait_ms": -1}),
    (400, "unknown_field"): lambda node, schedule: node.request("POST", f"/locks/{schedule}", {**GOOD, "wait": 1}),
    (400, "invalid_name"): lambda node, schedule: node.request("POST", f"/locks/.{schedule}", GOOD),
    (403, "forbidden"): lambda node, schedule: node.request("GET", f"/locks/{schedule}", headers={"Origin": "http://evil.example"}),
    (404, "not_found"): lambda node, schedule: node.request("GET", f"/groups/{schedule}"),
    (405, "method_not_allowed"): lambda node, schedule: node.request("PUT", f"/locks/{schedule}", GOOD),
    (409, "lock_held"): lock_held,
    (409, "group_full"): group_full,
    (409, "occurrence_done"): occurrence_done,
    (409, "attempts_exhausted"): attempts_exhausted,
    (409, "cooling_down"): cooling_down,
    (409, "frozen"): frozen,
    (409, "lock_lost"): lock_lost,
    (409, "grant_ended"): grant_ended,
    (409, "idempotency_conflict"): idempotency_conflict,
    (409, "group_in_use"): group_in_use,
    (413, "body_too_large"): lambda node, schedule: node.request("POST", f"/locks/{schedule}", b" " * 65537),
    (422, "ttl_too_short"): lambda node, schedule: node.acquire(schedule, ttl_ms=1),
    (422, "ttl_too_long"): lambda node, schedule: node.acquire(schedule, ttl_ms=7 * 86400000 + 1),
    (422, "unknown_group"): lambda node, schedule: node.request("PUT", f"/schedules/{schedule}", {"group": schedule}),
}  # fmt: skip
# What takes a cluster of its own, and the test of it.
ELSEWHERE = {
    (503, "no_leader"): "test_codes_of_a_cluster_that_cannot_decide",
    (504, "outcome_unknown"): "test_codes_of_a_cluster_that_cannot_decide",
    (503, "not_ready"): "test_not_ready",
    (503, "overloaded"): "test_overloaded_by_readers",
    (507, "capacity"): "test_no_more_freezes_than_there_may_be",
}


def test_the_table_has_every_code_there_is():
    equal(sorted(SIMPLE.keys() | ELSEWHERE.keys()), sorted(described()), "codes")
    check(all(name in globals() for name in ELSEWHERE.values()), "and a test for each")


def test_each_code_on_leader_and_follower():
    leader, follower = both()
    for (status, code), provoke in SIMPLE.items():
        for node, other in ((leader, follower), (follower, leader)):
            schedule = unique("code")
            answer = provoke(node, schedule)
            body = problem(answer, status, code)
            check("retry-after" in answer.headers or code not in ("frozen", "cooling_down"), f"Retry-After of {code}")
            equal(answer.headers["baton-node"], node.name, "who answered")
            if code in ("frozen", "group_full", "lock_held", "occurrence_done", "attempts_exhausted", "grant_ended"):
                again = provoke_again(other, schedule, code)
                equal((again.status, again.code, sorted(again.json)), (status, code, sorted(body)), "the same through the other")


def provoke_again(node, schedule, code):
    """The state that refuses is everybody's."""
    if code in ("occurrence_done", "attempts_exhausted"):
        return node.acquire(schedule, occurrence="o")
    return node.acquire(schedule, holder="h" if code == "grant_ended" else "y", key=schedule if code == "grant_ended" else None)


def test_codes_of_a_cluster_that_cannot_decide():
    with Cluster(flags=["--election-timeout", "2000", "--heartbeat", "100", "--commit-timeout", "300"]) as cluster:
        cluster.start()
        leader, followers = cluster.leader(), cluster.followers()
        followers[1].kill()
        schedule = unique("doubt")
        for node, still in ((leader, followers[0]), (followers[0], leader)):
            still.signal(signal.SIGSTOP)
            answer = node.acquire(schedule, key=unique("key"), occurrence=node.name)
            body = problem(answer, 504, "outcome_unknown")
            equal(answer.headers["idempotency-key"], body["idempotency_key"], "the key")
            still.signal(signal.SIGCONT)
            cluster.wait_ready([leader, followers[0]])
        leader, follower = cluster.leader(), [node for node in cluster.running() if node is not cluster.leader()][0]
        leader.kill()
        wait_for(lambda: (follower.health() or {}).get("http_status") == 503, "it knows that it can't serve", nodes=[follower])
        for answer in (follower.acquire("x"), follower.status("x"), Waiter(follower, "x").answer(), follower.request("GET", "/groups")):
            problem(answer, 503, "no_leader")
            check("retry-after" in answer.headers, "Retry-After")


def test_not_ready():
    with Cluster() as cluster:
        node = cluster["n1"].start()
        wait_for(node.health, "HTTP is open", nodes=[node])
        for answer in (node.acquire("x", wait_ms=1000), node.request("GET", "/freezes"), node.request("PUT", "/groups/g", {"slots": 1})):
            problem(answer, 503, "not_ready")
            check("retry-after" in answer.headers, "Retry-After")


def test_overloaded_by_readers():
    most = LIMIT["EVENT_READERS"]
    allow_files(3 * most)
    for i, node in enumerate(leader_and_follower()):
        with Crowd(node.http_port, most, f"127.0.11.{i + 1}") as crowd:
            crowd.send([b"GET /events?prefix=never HTTP/1.1\r\nHost: localhost\r\n\r\n"] * most)
            crowd.read_until(lambda: crowd.answers() == most, "all are let in")  # noqa: B023: used at once
            answer = node.request("GET", "/events")
            problem(answer, 503, "overloaded")
            check("retry-after" in answer.headers, "Retry-After")
        wait_for(lambda: node.request("GET", "/events?prefix=never").status == 200, "they are gone")  # noqa: B023: used at once


def test_no_more_freezes_than_there_may_be():
    most, names = LIMIT["FREEZES"], []
    leader, follower = leader_and_follower()
    while (answer := leader.request("PUT", f"/freezes/{unique('cap')}", {"actor": "a", "reason": "r", "ttl_ms": 600000})).status == 200:
        names.append(answer.json["scope"])
        check(len(names) <= most, "there is a bound")
    problem(answer, 507, "capacity")
    problem(follower.request("PUT", f"/freezes/{unique('cap')}", {"actor": "a", "reason": "r", "ttl_ms": 1}), 507, "capacity")
    for name in names:
        equal(leader.request("DELETE", f"/freezes/{name}").status, 200, "delete")
