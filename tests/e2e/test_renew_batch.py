"""POST /renew: many renewals in one step, through the leader and a follower."""

import json

from clients import Reader
from crowd import Crowd
from harness import check, equal, leader_and_follower, post_bytes, unique, wait_for
from test_bounds import LIMIT
from test_contract import INSTANT, both, problem
from test_schedules import get, pages, put, revoke, ways

LOCK = {"schedule_id", "holder", "token", "ttl_ms", "remaining_ms", "acquired_at", "expires_at", "occurrence", "attempt"}


def renew_all(node, locks):
    answer = node.request("POST", "/renew", {"locks": locks})
    equal(answer.status, 200, repr(answer))
    results = answer.json["results"]
    equal(len(results), len(locks), "as many as were asked for")
    return results


def commit_index(node):
    return node.health()["commit_index"]


def test_a_thousand_are_renewed_by_one_entry():
    leader, follower = leader_and_follower()
    prefix = unique("many").ljust(200, "m") + "."
    names = [f"{prefix}{i:04}" for i in range(1000)]
    with Crowd(leader.http_port, 32) as crowd:
        grants = [post_bytes(f"/locks/{name}", {"holder": "h" * 256, "ttl_ms": 600000, "occurrence": "o" * 128,
                                                "metadata": {"m": "x" * 1000}}) for name in names]  # fmt: skip
        equal(crowd.ask(grants, depth=8), {201: 1000}, "granted")
    tokens = {lock["schedule_id"]: lock["token"] for lock in get(leader, f"/locks?prefix={prefix}")["locks"]}
    for node, other in ((leader, follower), (follower, leader)):
        asked = [{"schedule_id": name, "token": tokens[name], "ttl_ms": 700000 + i} for i, name in enumerate(reversed(names))]
        before = commit_index(leader)
        results = renew_all(node, asked)
        moved = commit_index(leader) - before
        equal([(result["schedule_id"], result["token"], result["ttl_ms"]) for result in results],
              [(lock["schedule_id"], lock["token"], lock["ttl_ms"]) for lock in asked], "in order")  # fmt: skip
        check(all(set(result) == LOCK for result in results), "locks without metadata")
        check(all(699000 < result["remaining_ms"] <= result["ttl_ms"] for result in results), "renewed")
        check(1 <= moved <= 8, f"one entry, and ticks: the log grew by {moved}")
        shown, _ = pages(other, f"/locks?prefix={prefix}&limit=500", "locks")
        equal([(lock["ttl_ms"], lock["metadata"] is not None) for lock in shown], [(701000 - i - 1, True) for i in range(1000)], "seen elsewhere")
        plain = renew_all(node, [{"schedule_id": name, "token": tokens[name]} for name in names])
        equal({result["ttl_ms"] for result in plain}, {600000}, "without ttl_ms: that of the grant")


def test_each_is_decided_by_itself():
    for node, other in ways():
        name = unique("mixed") + "."
        put(node, f"{name}limited", max_ttl_ms=600000)
        put(node, f"{name}slots", slots=3)
        tokens = {each: node.acquire(f"{name}{each}").json["token"] for each in ("a", "b", "limited", "short", "gone", "revoked")}
        slots = [node.acquire(f"{name}slots", holder=f"h{i}").json["token"] for i in range(3)]
        equal(node.release(f"{name}gone", tokens["gone"]).status, 200, "release")
        equal(node.acquire(f"{name}gone", holder="next").status, 201, "somebody else has it")
        revoke(node, f"{name}revoked")
        asked = [
            ("a", tokens["a"], None, "renewed"), ("gone", tokens["gone"], None, "lock_lost"), ("slots", slots[2], 650000, "renewed"),
            ("short", tokens["short"], 1, "ttl_too_short"), ("limited", tokens["limited"], 600001, "ttl_too_long"),
            ("never", 7, None, "lock_lost"), ("slots", slots[0], None, "renewed"), ("revoked", tokens["revoked"], None, "lock_lost"),
            ("b", tokens["b"] + 10**9, None, "lock_lost"), ("b", tokens["b"], 610000, "renewed"),
        ]  # fmt: skip
        locks = [{"schedule_id": f"{name}{each}", "token": token, **({} if ttl is None else {"ttl_ms": ttl})}
                 for each, token, ttl, _ in asked]  # fmt: skip
        results = renew_all(other, locks)
        equal([result.get("code", "renewed") for result in results], [row[3] for row in asked], "each in its place")
        for (each, token, ttl, code), result in zip(asked, results):
            if code == "renewed":
                equal((set(result), result["schedule_id"], result["token"], result["ttl_ms"]),
                      (LOCK, f"{name}{each}", token, ttl or 600000), f"lock {each}")  # fmt: skip
                check(INSTANT.match(result["expires_at"]), "instant")
            else:
                alone = other.renew(f"{name}{each}", token, **({} if ttl is None else {"ttl_ms": ttl}))
                equal((result["status"], result["type"]), (alone.status, f"urn:baton:problem:{code}"), f"problem of {each}")
                equal({key: value for key, value in result.items() if key != "minimum_ms"},
                      {key: value for key, value in alone.json.items() if key != "minimum_ms"}, f"as it is alone, {each}")  # fmt: skip
        equal(results[1]["holder"], "next", "who has it now")
        equal(get(node, f"/locks/{name}slots")["holders"][0]["token"], slots[1], "what wasn't asked for isn't renewed")


def test_what_a_batch_may_be():
    for node in both():
        schedule = unique("batch")
        token = node.acquire(schedule).json["token"]
        good = {"schedule_id": schedule, "token": token}
        for body, code, field in (
            ({"locks": []}, "invalid_field", "locks"), ({}, "invalid_field", "locks"), ({"locks": None}, "invalid_field", "locks"),
            ({"locks": good}, "invalid_field", "locks"), ({"locks": [good], "more": 1}, "unknown_field", "more"),
            ({"locks": [good, 1]}, "invalid_field", "locks[1]"), ({"locks": [good, good]}, "invalid_field", "locks[1]"),
            ({"locks": [good, {**good, "ttl_ms": 60000}]}, "invalid_field", "locks[1]"),
            ({"locks": [{"token": 1}]}, "invalid_field", "locks[0].schedule_id"),
            ({"locks": [{"schedule_id": schedule}]}, "invalid_field", "locks[0].token"),
            ({"locks": [good, {**good, "token": 0}]}, "invalid_field", "locks[1].token"),
            ({"locks": [{**good, "ttl_ms": 0}]}, "invalid_field", "locks[0].ttl_ms"),
            ({"locks": [{**good, "ttl_ms": None}]}, "invalid_field", "locks[0].ttl_ms"),
            ({"locks": [{**good, "ttl": 1}]}, "unknown_field", "locks[0].ttl"),
        ):  # fmt: skip
            found = problem(node.request("POST", "/renew", body), 400, code)
            check(found["field"] == field or (field == "locks[1]" and found["field"].startswith(field)), f"{body}: {found['field']}")
        answer = node.request("POST", "/renew", {"locks": [{"schedule_id": "-a", "token": 1}]})
        equal((answer.status, answer.json["field"]), (400, "locks[0].schedule_id"), "a name")
        many = [{"schedule_id": f"{schedule}{i}", "token": 1} for i in range(LIMIT["RENEWALS"] + 1)]
        equal(problem(node.request("POST", "/renew", {"locks": many}), 400, "invalid_field")["field"], "locks", "one too many")
        equal({result["code"] for result in renew_all(node, many[:-1])}, {"lock_lost"}, "as many as there may be")
        before = get(node, f"/locks/{schedule}")["holders"][0]
        equal((before["token"], before["ttl_ms"]), (token, 600000), "nothing was changed")


def test_a_long_body_is_taken_here():
    most = LIMIT["BATCH_BODY_BYTES"]
    for node in both():
        name = unique("long").ljust(256, "l")
        token = node.acquire(name).json["token"]
        locks = [{"schedule_id": name, "token": token}]
        locks += [{"schedule_id": name[:-4] + f"{i:04}", "token": 2**53 - 1, "ttl_ms": 2**53 - 1} for i in range(999)]
        text = json.dumps({"locks": locks}).encode()
        check(len(text) > LIMIT["BODY_BYTES"] * 4, f"{len(text)} bytes")
        for body in (text, text + b" " * (most - len(text))):
            answer = node.request("POST", "/renew", body)
            equal((answer.status, [result.get("code") for result in answer.json["results"][:2]]), (200, [None, "lock_lost"]), "taken")
        problem(node.request("POST", "/renew", text + b" " * (most + 1 - len(text))), 413, "body_too_large")


def test_renewals_of_a_batch_are_told():
    for node, other in ways():
        prefix = unique("told") + "."
        names = [f"{prefix}{i}" for i in range(5)]
        tokens = [node.acquire(name).json["token"] for name in names]
        with Reader(other, f"prefix={prefix}&renewals=true") as reader:
            renew_all(node, [{"schedule_id": name, "token": token} for name, token in zip(names, tokens)])
            told = [event for event in reader.wait_kind(*["renewed"] * 5) if event.kind == "renewed"]
            equal([event.data["token"] for event in told], tokens, "in order")
            equal(len({event.id.rpartition("-")[0] for event in told}), 1, "of one entry")


def test_renewals_extend_until_a_deadline_and_none_after_it():
    for node, other in ways():
        schedule, kept = unique("deadline"), unique("kept")
        put(node, schedule, safety_margin_ms=0)
        put(node, kept, safety_margin_ms=0)
        tokens = {each: node.acquire(each, ttl_ms=1000).json["token"] for each in (schedule, kept)}

        def both_renewed():
            [result] = renew_all(other, [{"schedule_id": kept, "token": tokens[kept]}])  # noqa: B023: used at once
            check("code" not in result, f"it lives as long as it is renewed: {result}")
            return not node.status(schedule).json["held"]  # noqa: B023: used at once

        wait_for(both_renewed, "the other one ends", pause=0.1)
        results = renew_all(other, [{"schedule_id": each, "token": token} for each, token in tokens.items()])
        equal([result.get("code") for result in results], ["lock_lost", None], "at its deadline expiry wins")
        equal(results[0]["run"]["outcome"], "expired", "its run")


def test_many_batches_at_once():
    leader, follower = leader_and_follower()
    batches = []
    for i in range(20):
        names = [unique("batches") for _ in range(50)]
        with Crowd(leader.http_port, 16) as crowd:
            equal(crowd.ask([post_bytes(f"/locks/{name}", {"holder": "h", "ttl_ms": 600000}) for name in names], depth=4), {201: 50}, "granted")
        tokens = [leader.status(name).json["holders"][0]["token"] for name in names[:1]]
        locks = [{"schedule_id": name, "token": lock} for name, lock in zip(names[:1], tokens)]
        locks += [{"schedule_id": name, "token": 1} for name in names[1:]]
        batches.append(post_bytes("/renew", {"locks": locks}))
    for node in (leader, follower):
        with Crowd(node.http_port, 20) as crowd:
            equal(crowd.ask(batches * 10), {200: 200}, "answers")
