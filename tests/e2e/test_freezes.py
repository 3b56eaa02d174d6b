"""Freezes: no lock in scope is granted until a freeze ends; and what a cluster lives through with groups and freezes."""

import time

from crowd import Crowd
from harness import Cluster, Failure, blast, check, equal, post_bytes, unique, wait_for
from test_contract import INSTANT, both, problem
from test_groups import grouped, put_group
from test_rules import common_hashes
from test_schedules import get, pages, put, ways


def freeze(node, scope, ttl_ms=600000, reason="the storage is moved", actor="ops@desk"):
    answer = node.request("PUT", f"/freezes/{scope}", {"reason": reason, "actor": actor, "ttl_ms": ttl_ms})
    equal(answer.status, 200, repr(answer))
    return answer.json


def thaw(node, scope):
    answer = node.request("DELETE", f"/freezes/{scope}")
    equal(answer.status, 200, repr(answer))
    return answer.json


def steady(found):
    """Without what goes on with time."""
    return {name: value for name, value in found.items() if name not in ("remaining_ms", "expires_at")}


def granted(node, schedule, **named):
    answer = node.acquire(schedule, **named)
    return answer if answer.status == 201 else None


def test_a_freeze_is_set_read_replaced_and_deleted():
    for node, other in ways():
        scope = unique("scope") + "*"
        problem(node.request("GET", f"/freezes/{scope}"), 404, "not_found")
        problem(node.request("DELETE", f"/freezes/{scope}"), 404, "not_found")
        made = freeze(node, scope, 90000, "größere Störung", "me@host")
        equal(set(made), {"scope", "reason", "actor", "ttl_ms", "remaining_ms", "created_at", "expires_at"}, "fields")
        equal((made["scope"], made["reason"], made["actor"], made["ttl_ms"]), (scope, "größere Störung", "me@host", 90000), "set")
        check(0 < made["remaining_ms"] <= 90000, "remaining_ms")
        check(INSTANT.match(made["created_at"]) and INSTANT.match(made["expires_at"]), "instants")
        shown = get(other, f"/freezes/{scope}")
        equal(steady(shown), steady(made), "what others see")
        check(shown["remaining_ms"] <= made["remaining_ms"], "time goes on")
        equal(get(node, f"/freezes/{scope.replace('*', '%2A')}")["scope"], scope, "an escaped star")
        again = freeze(other, scope, 365 * 86400000, "longer", "you")
        equal((again["reason"], again["actor"], again["ttl_ms"]), ("longer", "you", 365 * 86400000), "it is replaced")
        equal(len(get(node, f"/freezes?prefix={scope[:-1]}")["freezes"]), 1, "there is one")
        gone = thaw(node, scope)
        equal(steady(gone), steady(again), "what was deleted")
        problem(other.request("GET", f"/freezes/{scope}"), 404, "not_found")


def test_what_a_freeze_may_be():
    for node in both():
        good = {"reason": "r", "actor": "a", "ttl_ms": 1000}
        scope = unique("scope")
        for field, values in {
            "ttl_ms": (0, -1, 365 * 86400000 + 1, "1", 1.5, None), "reason": ("", "x" * 1025, 1, None),
            "actor": ("", "x" * 257, "a b", 1, None),
        }.items():  # fmt: skip
            for value in values:
                found = problem(node.request("PUT", f"/freezes/{scope}", {**good, field: value}), 400, "invalid_field")
                equal(found["field"], field, f"{field} {value!r}"[:80])
            less = {name: value for name, value in good.items() if name != field}
            equal(problem(node.request("PUT", f"/freezes/{scope}", less), 400, "invalid_field")["field"], field, "required")
        problem(node.request("PUT", f"/freezes/{scope}", {**good, "scope": scope}), 400, "unknown_field")
        for wrong in ("**", "a*b", "*a", "-a", "-a*", "a b", "x" * 257, "a*?".replace("?", "%3F")):
            answer = node.request("PUT", f"/freezes/{wrong.replace(' ', '%20')}", good)
            problem(answer, 400, "invalid_name")
        problem(node.request("GET", f"/freezes/{scope}"), 404, "not_found")


def test_what_is_in_scope_is_refused_and_the_rest_is_not():
    for node, other in ways():
        prefix = unique("zone") + "."
        running = node.acquire(f"{prefix}a", occurrence="o").json["token"]
        for scope, hit, missed in ((f"{prefix}*", ("a", "b", "bc"), ()), (f"{prefix}b", ("b",), ("bc", "c")),
                                   (f"{prefix}b*", ("b", "bc"), ("c", ))):  # fmt: skip
            made = freeze(node, scope)
            for name in hit:
                answer = other.acquire(f"{prefix}{name}", holder="x")
                body = problem(answer, 409, "frozen")
                equal((body["scope"], body["reason"], body["actor"]), (scope, made["reason"], made["actor"]), "which, why, who")
                check(0 < body["remaining_ms"] <= 600000, "remaining_ms")
                equal(answer.headers["retry-after"], str(-(-body["remaining_ms"] // 1000)), "Retry-After")
                equal(get(other, f"/locks/{prefix}{name}")["frozen"], True, "it is shown")
            for name in missed:
                equal(get(other, f"/locks/{prefix}{name}")["frozen"], False, "it isn't in scope")
                token = other.acquire(f"{prefix}{name}", holder="x").json["token"]
                equal(node.release(f"{prefix}{name}", token).status, 200, "release")
            thaw(other, scope)
        freeze(node, f"{prefix}*")
        equal(other.renew(f"{prefix}a", running).status, 200, "what runs renews")
        equal(other.release(f"{prefix}a", running, "succeeded").status, 200, "and releases")
        thaw(node, f"{prefix}*")
        equal(node.acquire(f"{prefix}a", holder="x").status, 201, "free again")


def test_everything_is_frozen_by_a_star():
    with Cluster() as cluster:
        cluster.start()
        leader, follower = cluster.leader(), cluster.followers()[0]
        for node, other in ((leader, follower), (follower, leader)):
            freeze(node, "*", reason="all hands")
            for schedule in (unique("any"), "0", "Z" * 256):
                equal(problem(other.acquire(schedule), 409, "frozen")["scope"], "*", "scope")
            equal([item["scope"] for item in get(other, "/freezes")["freezes"]], ["*"], "listed")
            thaw(other, "*")
            equal(node.acquire(unique("any")).status, 201, "thawed")


def test_of_several_the_one_that_ends_last_is_named():
    for node, other in ways():
        prefix = unique("zone") + "."
        scopes = {f"{prefix}*": 300000, f"{prefix}x*": 500000, f"{prefix}x1": 400000}
        for scope, ttl_ms in scopes.items():
            freeze(node, scope, ttl_ms)
        for wanted in (f"{prefix}x*", f"{prefix}x1", f"{prefix}*"):
            equal(problem(other.acquire(f"{prefix}x1"), 409, "frozen")["scope"], wanted, "the one that ends last")
            thaw(node, wanted)
        equal(other.acquire(f"{prefix}x1").status, 201, "none is left")


def test_what_goes_before_frozen_and_what_behind():
    for node, other in ways():
        schedule = unique("order")
        put(node, schedule, slots=2, safety_margin_ms=0, max_ttl_ms=700000)
        key, done, tried = unique("key"), "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
        kept = node.acquire(schedule, holder="k", key=key).json["token"]
        equal(node.release(schedule, node.acquire(schedule, occurrence=done).json["token"], "succeeded").status, 200, "done")
        equal(node.release(schedule, node.acquire(schedule, occurrence=tried).json["token"], "failed").status, 200, "tried")
        node.acquire(schedule, holder="r", occurrence="runs")
        freeze(other, schedule)
        equal(other.acquire(schedule, holder="k", key=key).json["token"], kept, "a repeat of a key")
        problem(other.acquire(schedule, holder="x", key=key), 409, "idempotency_conflict")
        problem(other.acquire(schedule, holder="x", ttl_ms=700001), 422, "ttl_too_long")
        problem(other.acquire(schedule, holder="x", occurrence=done), 409, "occurrence_done")
        problem(other.acquire(schedule, holder="x", occurrence="runs"), 409, "lock_held")
        problem(other.acquire(schedule, holder="x", occurrence=tried), 409, "attempts_exhausted")
        problem(other.acquire(schedule, holder="x"), 409, "frozen")  # before lock_held: both slots are taken
        thaw(node, schedule)
        problem(other.acquire(schedule, holder="x"), 409, "lock_held")


def test_a_freeze_ends_by_itself():
    for node, other in ways():
        scope = unique("brief")
        began = time.monotonic()
        freeze(node, scope, 1200)
        first = other.acquire(scope)
        if time.monotonic() - began < 1.1:
            problem(first, 409, "frozen")
        wait_for(lambda: granted(other, scope), "it ends", nodes=[other])
        check(time.monotonic() - began >= 1.19, "not before its time")
        problem(node.request("GET", f"/freezes/{scope}"), 404, "not_found")
        equal(get(other, f"/locks/{scope}")["frozen"], False, "nor is it shown")


def test_freezes_are_listed():
    for node, other in ways():
        prefix = unique("list") + "."
        scopes = sorted(f"{prefix}{end}" for end in ("*", "a", "a*", "b", "c*"))
        for scope in reversed(scopes):
            freeze(node, scope)
        for asked in (node, other):
            for limit in (1, 2, 1000):
                listed, lengths = pages(asked, f"/freezes?prefix={prefix}&limit={limit}", "freezes")
                equal([item["scope"] for item in listed], scopes, f"in pages of {limit}")
                check(max(lengths) <= limit, f"no page is longer: {lengths}")
            equal(get(asked, f"/freezes?prefix={prefix}zz"), {"freezes": [], "next": None}, "nothing there")
            check("freezes" in get(asked, f"/freezes?prefix={prefix}&consistency=stale"), "and can be stale")
        equal(steady(listed[0]), steady(get(node, f"/freezes/{scopes[0]}")), "each is whole")
        for query in ("limit=0", "limit=1001", "limit=x", "limit=1&limit=1", "colour=red"):
            equal(node.request("GET", f"/freezes?{query}").status, 400, query)
        for scope in scopes:
            thaw(other, scope)


def test_there_are_at_most_a_thousand():
    """Of groups ten thousand."""
    body = {"reason": "r", "actor": "a", "ttl_ms": 3600000}

    def put_bytes(path, sent):
        return b"PUT" + post_bytes(path, sent).removeprefix(b"POST")

    with Cluster() as cluster:
        cluster.start()
        leader, follower = cluster.leader(), cluster.followers()[0]
        equal(blast(leader.http_port, [put_bytes(f"/freezes/f{i}", body) for i in range(1000)]), {200: 1000}, "freezes")
        equal(blast(leader.http_port, [put_bytes(f"/groups/g{i}", {"slots": 1}) for i in range(10000)]), {200: 10000}, "groups")
        for node in (leader, follower):
            problem(node.request("PUT", "/freezes/more", body), 507, "capacity")
            problem(node.request("PUT", "/groups/more", {"slots": 1}), 507, "capacity")
            freeze(node, "f7")
            put_group(node, "g7", 9)
            thaw(node, "f3")
            equal(node.request("DELETE", "/groups/g3").status, 200, "one goes")
            freeze(node, "f3")
            put_group(node, "g3", 9)
        equal(len(pages(follower, "/groups?limit=1000", "groups")[0]), 10000, "all are listed")
        problem(follower.acquire("f999"), 409, "frozen")
        equal(follower.acquire("free").status, 201, "what isn't frozen is granted")


# ---- what a cluster lives through ----


def push_out_of_the_log(leader):
    """Writes until the leader has taken a snapshot and what was before isn't in its log any more: who is away then needs the
    snapshot. Over few connections, so that these are more entries than are kept."""
    body = {"holder": "h" * 256, "ttl_ms": 3600000, "occurrence": "o" * 128, "metadata": {"x": "y" * 1000}}
    taken = leader.log.count("snapshot taken")
    with Crowd(leader.http_port, 4) as crowd:
        for i in range(20):
            requests = [post_bytes(f"/locks/{unique('push').ljust(256, '.')}", body) for _ in range(11000 if i == 0 else 1000)]
            equal(crowd.ask(requests), {201: len(requests)}, "answers")
            if leader.log.count("snapshot taken") > taken:
                return
    raise Failure("the leader took no snapshot")


def fill(node, prefix):
    """Groups, grants that take their slots, and freezes; returns what must be seen of it from now on."""
    name, schedules = grouped(node, 2, 3)
    put_group(node, f"{prefix}empty", 7)
    for i in range(2):
        equal(node.acquire(schedules[i], holder=f"h{i}").status, 201, "acquire")
    put(node, schedules[0])  # its grant keeps the slot
    freeze(node, f"{prefix}*", 3600000)
    freeze(node, f"{prefix}one", 7200000, "größer")
    return {"group": name, "schedules": schedules, "prefix": prefix, "seen": seen(node, name, schedules, prefix)}


def seen(node, name, schedules, prefix, query=""):
    ask = f"?{query}" if query else ""
    return {
        "groups": [get(node, f"/groups/{each}{ask}") for each in (name, f"{prefix}empty")],
        "freezes": [steady(item) for item in get(node, f"/freezes?prefix={prefix}{query and '&'}{query}")["freezes"]],
        "policies": [get(node, f"/schedules/{each}{ask}")["group"] for each in schedules],
        "frozen": [get(node, f"/locks/{each}{ask}")["frozen"] for each in (f"{prefix}one", f"{prefix}x", schedules[0])],
    }


def check_seen(node, filled, what, query=""):
    equal(seen(node, filled["group"], filled["schedules"], filled["prefix"], query), filled["seen"], f"{node.name} {what}")


def check_in_force(cluster, filled):
    for node in cluster.nodes:
        problem(node.acquire(filled["schedules"][2]), 409, "group_full")
        equal(problem(node.acquire(f"{filled['prefix']}one"), 409, "frozen")["scope"], f"{filled['prefix']}one", "frozen")


def test_groups_and_freezes_are_there_after_a_restart_of_all_and_after_a_snapshot():
    with Cluster(flags=["--state-hash-every", "100"]) as cluster:
        cluster.start()
        first = fill(cluster.leader(), "before.")
        brief = time.monotonic()
        freeze(cluster.leader(), "brief", 4000)
        cluster.kill()
        for node in cluster.nodes:
            node.start()
        cluster.wait_ready()
        for node in cluster.nodes:
            check_seen(node, first, "after a restart from the log")
        check_in_force(cluster, first)
        wait_for(lambda: granted(cluster.nodes[0], "brief"), "the brief one ends")
        check(time.monotonic() - brief >= 3.99, "a restart ends no freeze early")
        away = cluster.followers()[0]
        away.kill()
        leader = cluster.leader()
        second = fill(leader, "while-away.")
        push_out_of_the_log(leader)
        index = leader.health()["applied_index"]
        away.start()
        wait_for(lambda: (away.health() or {}).get("applied_index", 0) >= index, "it has caught up", 60, nodes=[away])
        check("snapshot installed" in away.log, "by a snapshot")
        for filled in (first, second):
            check_seen(away, filled, "from a snapshot", "consistency=stale")
        for i in range(300):
            equal(away.acquire(f"after-{i}").status, 201, "it goes on")
        top = leader.health()["commit_index"]
        for node in cluster.nodes:
            wait_for(lambda node=node: (node.health() or {}).get("applied_index", 0) >= top, f"{node.name} has applied {top}")
        common = common_hashes(cluster.nodes)
        installed = common_hashes([away, leader])  # of the one that has its state from a snapshot, too
        check(installed >= 2 and common >= 10, f"hashes were compared at {common} indexes only, {installed} of them of {away.name}")
        cluster.kill()
        for node in cluster.nodes:
            node.start()
        cluster.wait_ready()
        for filled in (first, second):
            for node in cluster.nodes:
                check_seen(node, filled, "after a restart from a snapshot")
            check_in_force(cluster, filled)
        token = get(leader, f"/locks/{second['schedules'][0]}")["holders"][0]["token"]
        equal(away.release(second["schedules"][0], token).status, 200, "release")
        equal(away.acquire(second["schedules"][2]).status, 201, "the slot is the group's still")
        return f"{common} hashes compared"
