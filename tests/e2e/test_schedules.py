"""Policies, revocation, lists and runs, each through the leader and through a follower, and after everything that a
cluster lives through."""

import time

from crowd import Crowd
from harness import (
    Cluster, blast, check, equal, leader_and_follower, post_bytes, unique, wait_for,
)  # fmt: skip
from test_contract import INSTANT, both, problem

DEFAULTS = {
    "estimated_duration_ms": 0, "safety_margin_ms": 30000, "max_ttl_ms": 7 * 86400000, "min_hold_ms": 0, "slots": 1,
    "group": None, "max_attempts": 1, "expected_every_ms": None, "description": None,
}  # fmt: skip


def ways():
    """(the node that is asked, the other one), through leader and follower."""
    leader, follower = leader_and_follower()
    return [(leader, follower), (follower, leader)]


def put(node, schedule, **policy):
    answer = node.request("PUT", f"/schedules/{schedule}", policy)
    equal(answer.status, 200, repr(answer))
    return answer.json


def get(node, path):
    answer = node.request("GET", path)
    equal(answer.status, 200, repr(answer))
    return answer.json


def revoke(node, schedule, **fields):
    return node.request("POST", f"/locks/{schedule}/revoke", {"reason": "its host died", "actor": "ops@desk", **fields})


def runs(node, schedule):
    return get(node, f"/schedules/{schedule}/runs")["runs"]


def pages(node, path, member):
    """Everything that is listed, page by page, and how long each page was."""
    items, lengths, after = [], [], None
    while True:
        page = get(node, path if after is None else f"{path}&after={after}")
        items += page[member]
        lengths.append(len(page[member]))
        after = page["next"]
        if after is None:
            return items, lengths


# ---- policies ----


def test_a_policy_is_set_read_replaced_and_deleted():
    for node, other in ways():
        schedule = unique("policy")
        problem(node.request("GET", f"/schedules/{schedule}"), 404, "not_found")
        problem(node.request("DELETE", f"/schedules/{schedule}"), 404, "not_found")
        wanted = {
            "estimated_duration_ms": 60000, "safety_margin_ms": 5000, "max_ttl_ms": 3600000, "min_hold_ms": 1000,
            "slots": 4, "group": None, "max_attempts": 3, "expected_every_ms": 86400000, "description": "nächtliche Sicherung",
        }  # fmt: skip
        equal(put(node, schedule, **wanted), {"schedule_id": schedule, **wanted}, "what was set")
        shown = get(other, f"/schedules/{schedule}")
        of_runs = {"last_run": None, "last_success_at": None, "overdue": False, "duration_p50_ms": None, "duration_p95_ms": None,
                   "duration_p99_ms": None, "estimate_risky": False}  # fmt: skip
        equal(shown, {"schedule_id": schedule, **wanted, **of_runs}, "what others see")
        equal(put(other, schedule, slots=2), {"schedule_id": schedule, **DEFAULTS, "slots": 2}, "it is replaced whole")
        answer = node.request("DELETE", f"/schedules/{schedule}")
        equal((answer.status, answer.json), (200, {"schedule_id": schedule, **DEFAULTS, "slots": 2}), "what was deleted")
        problem(other.request("GET", f"/schedules/{schedule}"), 404, "not_found")
        for message in ("policy set", "policy deleted"):
            check(f'level=info msg="{message}" schedule={schedule} ' in node.log, f"{node.name} logged {message!r}")


def test_a_policy_that_no_ttl_could_satisfy_is_refused():
    for node in both():
        path = f"/schedules/{unique('policy')}"
        for field, policy in {
            "max_ttl_ms": {"estimated_duration_ms": 10000, "safety_margin_ms": 5000, "max_ttl_ms": 14999},
            "slots": {"slots": 257},
            "max_attempts": {"max_attempts": 0},
            "description": {"description": "x" * 1025},
        }.items():
            equal(problem(node.request("PUT", path, policy), 400, "invalid_field")["field"], field, "field")
        equal(problem(node.request("PUT", path, {"slot": 1}), 400, "unknown_field")["field"], "slot", "field")
        problem(node.request("GET", path), 404, "not_found")


def test_the_ttl_rule_is_each_schedules_own():
    for node, other in ways():
        schedule = unique("ttl")
        put(node, schedule, estimated_duration_ms=2000, safety_margin_ms=500, max_ttl_ms=9000)
        body = problem(other.acquire(schedule, ttl_ms=2499), 422, "ttl_too_short")
        numbers = (body["minimum_ms"], body["estimated_duration_ms"], body["safety_margin_ms"])
        equal(numbers, (2500, 2000, 500), "numbers")
        equal(problem(other.acquire(schedule, ttl_ms=9001), 422, "ttl_too_long")["maximum_ms"], 9000, "maximum")
        body = problem(other.acquire(schedule, ttl_ms=3499, estimated_duration_ms=3000), 422, "ttl_too_short")
        equal(body["minimum_ms"], 3500, "the larger estimate counts")
        lock = other.acquire(schedule, ttl_ms=None)
        equal((lock.status, lock.json["ttl_ms"]), (201, 2500), "without a TTL: estimate and margin")
        problem(node.renew(schedule, lock.json["token"], ttl_ms=9001), 422, "ttl_too_long")
        equal(node.renew(schedule, lock.json["token"], ttl_ms=9000).status, 200, "renewed to the longest")


def test_a_grant_keeps_the_terms_it_was_granted_under():
    for node, other in ways():
        schedule = unique("terms")
        put(node, schedule, slots=2, safety_margin_ms=0)
        tokens = [other.acquire(schedule, holder=holder).json["token"] for holder in ("a", "b")]
        put(node, schedule, slots=1, safety_margin_ms=0, max_ttl_ms=60000)
        for token in tokens:
            equal(other.renew(schedule, token, ttl_ms=600000).status, 200, "renewed as before")
        problem(other.acquire(schedule, holder="c", ttl_ms=60001), 422, "ttl_too_long")
        equal(other.release(schedule, tokens[0]).status, 200, "release")
        problem(other.acquire(schedule, holder="c", ttl_ms=60000), 409, "lock_held")
        equal(node.request("DELETE", f"/schedules/{schedule}").status, 200, "delete")
        equal(other.renew(schedule, tokens[1], ttl_ms=600000).status, 200, "renewed without a policy")


def test_slots_are_that_many_holders():
    for node, other in ways():
        schedule = unique("slots")
        put(node, schedule, slots=3)
        tokens = []
        for i in range(3):
            answer = (node, other)[i % 2].acquire(schedule, holder=f"h{i}", ttl_ms=600000 - i * 1000, metadata={"i": i})
            equal(answer.status, 201, repr(answer))
            tokens.append(answer.json["token"])
        body = problem(other.acquire(schedule, holder="late"), 409, "lock_held")
        equal(body["detail"], f"schedule {schedule} skipped — lock held by peer h2", "the one that ends first is named")
        equal([holder["token"] for holder in body["holders"]][0], tokens[2], "and comes first")
        equal(sorted(holder["token"] for holder in body["holders"]), tokens, "all holders")
        check(all("metadata" not in holder for holder in body["holders"]), "without metadata")
        equal(node.release(schedule, tokens[1]).status, 200, "release")
        problem(other.acquire(schedule, holder="h0"), 409, "lock_held")  # a holder has one slot at most
        equal(other.acquire(schedule, holder="late").status, 201, "the slot is free")
        equal(len(get(node, f"/locks/{schedule}")["holders"]), 3, "three hold it")


def test_many_refusals_of_a_full_schedule_all_arrive():
    # Each shows all holders, 200 KB of them. They go from the leader to the follower in one turn.
    leader, follower = leader_and_follower()
    schedule = unique("full-").ljust(256, "s")
    put(leader, schedule, slots=256)
    path = f"/locks/{schedule}"
    names = [f"h{i}-".ljust(256, "x") for i in range(256)]
    grants = [post_bytes(path, {"holder": name, "ttl_ms": 600000, "occurrence": name[:128]}) for name in names]
    with Crowd(leader.http_port, 16) as crowd:
        equal(crowd.ask(grants), {201: 256}, "granted")
    body = problem(follower.acquire(schedule, holder="late"), 409, "lock_held")
    equal(sorted(holder["holder"] for holder in body["holders"]), sorted(names), "holders")
    with Crowd(follower.http_port, 400) as crowd:
        crowd.send(post_bytes(path, {"holder": f"late-{i}", "ttl_ms": 600000}) for i in range(400))
        crowd.read_until(lambda: crowd.answers() == 400, "all are answered")
        equal(dict(crowd.statuses), {409: 400}, "refused")


def test_an_occurrence_runs_once_whatever_the_slots():
    for node, other in ways():
        schedule = unique("slots")
        put(node, schedule, slots=3)
        equal(node.acquire(schedule, holder="a", occurrence="2026-05-01T00:00:00Z").status, 201, "acquire")
        problem(other.acquire(schedule, holder="b", occurrence="2026-05-01T02:00:00+02:00"), 409, "lock_held")
        equal(other.acquire(schedule, holder="b", occurrence="2026-05-02T00:00:00Z").status, 201, "another one")


def test_after_a_grant_a_schedule_cools_down():
    for node, other in ways():
        schedule = unique("cool")
        put(node, schedule, min_hold_ms=1500)
        began = time.monotonic()
        token = node.acquire(schedule).json["token"]
        problem(other.acquire(schedule, holder="x"), 409, "lock_held")  # goes before
        equal(node.release(schedule, token).status, 200, "release")
        answer = other.acquire(schedule, holder="x")
        if time.monotonic() - began < 1.5 or answer.status != 201:
            body = problem(answer, 409, "cooling_down")
            check(0 < body["remaining_ms"] <= 1500, f"{body}")
            equal(answer.headers["retry-after"], str(-(-body["remaining_ms"] // 1000)), "Retry-After")
        granted = wait_for(lambda: (lambda a: a if a.status == 201 else None)(other.acquire(schedule, holder="x")), "granted")
        check(time.monotonic() - began >= 1.4, "not before min_hold_ms")
        check(granted.json["token"] > token, "tokens grow")


def test_an_occurrence_is_tried_max_attempts_times():
    for node, other in ways():
        schedule, occurrence = unique("attempts"), "2026-06-01T00:00:00Z"
        put(node, schedule, max_attempts=2)
        for attempt in (1, 2):
            lock = other.acquire(schedule, occurrence=occurrence).json
            equal(lock["attempt"], attempt, "attempt")
            equal(node.release(schedule, lock["token"], "failed").status, 200, "release")
        body = problem(other.acquire(schedule, occurrence=occurrence), 409, "attempts_exhausted")
        equal((body["run"]["outcome"], body["run"]["attempt"]), ("failed", 2), "its last run")
        put(node, schedule, max_attempts=3)
        equal(other.acquire(schedule, occurrence=occurrence).json["attempt"], 3, "one more is allowed now")


# ---- revocation ----


def test_a_softly_revoked_grant_keeps_its_slot_until_its_holder_releases():
    for node, other in ways():
        schedule, key = unique("revoke"), unique("key")
        token = node.acquire(schedule, holder="victim", key=key, occurrence="2026-07-01T00:00:00Z").json["token"]
        answer = revoke(other, schedule)
        equal(answer.status, 200, repr(answer))
        [run] = answer.json["revoked"]
        equal((run["token"], run["outcome"], run["actor"], run["reason"]), (token, "revoked", "ops@desk", "its host died"), "run")
        check(INSTANT.match(run["ended_at"]), "it has ended")
        [holder] = get(node, f"/locks/{schedule}")["holders"]
        equal((holder["token"], holder.get("revoking")), (token, True), "it still has the slot")
        equal(problem(node.renew(schedule, token), 409, "lock_lost")["run"]["actor"], "ops@desk", "renewal is over")
        problem(other.acquire(schedule, holder="next"), 409, "lock_held")
        problem(other.acquire(schedule, holder="victim", key=key, occurrence="2026-07-01T00:00:00Z"), 409, "grant_ended")
        again = revoke(node, schedule, actor="somebody", reason="else").json["revoked"]
        equal([(run["actor"], run["reason"]) for run in again], [("ops@desk", "its host died")], "who was first stays")
        for _ in range(2):
            answer = node.release(schedule, token, "succeeded")
            equal((answer.status, answer.json["outcome"], answer.json["late_outcome"]), (200, "revoked", "succeeded"), "release")
        problem(other.acquire(schedule, occurrence="2026-07-01T00:00:00Z"), 409, "occurrence_done")
        equal(other.acquire(schedule, holder="next").status, 201, "the slot is free")
        lines = [line for line in other.log.splitlines() if 'msg="lock revoked"' in line and f"schedule={schedule} " in line]
        equal(len(lines), 1, "lines of the log")
        for wanted in ("level=warning", f"token={token}", "holder=victim", "actor=ops@desk", 'reason="its host died"', "force=false"):
            check(wanted in lines[0], f"{wanted} isn't in {lines[0]}")
        check(f"schedule={schedule} token={token} holder=victim actor=somebody" not in node.log, "the repeat isn't logged")


def test_a_softly_revoked_grant_ends_at_its_deadline():
    for node, other in ways():
        schedule = unique("revoke")
        put(node, schedule, safety_margin_ms=0)
        token = node.acquire(schedule, ttl_ms=2000, occurrence="x").json["token"]
        equal(len(revoke(other, schedule).json["revoked"]), 1, "revoked")
        wait_for(lambda: not get(other, f"/locks/{schedule}")["held"], "the slot is free")
        [run] = runs(node, schedule)
        equal((run["outcome"], run["late_outcome"]), ("revoked", None), "its run isn't called expired")
        problem(node.release(schedule, token, "succeeded"), 409, "lock_lost")
        equal(runs(node, schedule)[0]["late_outcome"], "succeeded", "what came late is kept")
        problem(other.acquire(schedule, occurrence="x"), 409, "occurrence_done")


def test_force_frees_the_slot_at_once():
    for node, other in ways():
        schedule = unique("force")
        token = node.acquire(schedule, holder="dead").json["token"]
        [run] = revoke(other, schedule, force=True).json["revoked"]
        equal((run["token"], run["outcome"]), (token, "revoked"), "run")
        equal(get(node, f"/locks/{schedule}")["held"], False, "free at once")
        problem(node.renew(schedule, token), 409, "lock_lost")
        body = problem(node.release(schedule, token), 409, "lock_lost")
        equal(body["run"]["outcome"], "revoked", "its run")
        equal(other.acquire(schedule, holder="next").status, 201, "granted to the next")
        check(f"schedule={schedule} token={token} holder=dead actor=ops@desk" in other.log and "force=true" in other.log, "logged")
        softly = node.acquire(unique("force")).json
        first = revoke(node, softly["schedule_id"], actor="soft").json["revoked"][0]
        second = revoke(other, softly["schedule_id"], actor="hard", force=True).json["revoked"][0]
        equal((first["actor"], second["actor"]), ("soft", "hard"), "force on what is being revoked")
        equal(get(node, f"/locks/{softly['schedule_id']}")["held"], False, "free")


def test_a_revoked_attempt_counts():
    for node, other in ways():
        schedule = unique("revoke")
        put(node, schedule, max_attempts=2)
        equal(node.acquire(schedule, occurrence="o").json["attempt"], 1, "first")
        revoke(other, schedule, force=True)
        equal(other.acquire(schedule, occurrence="o").json["attempt"], 2, "second")
        revoke(node, schedule, force=True)
        problem(node.acquire(schedule, occurrence="o"), 409, "attempts_exhausted")


def test_one_token_or_all_are_revoked():
    for node, other in ways():
        schedule = unique("revoke")
        put(node, schedule, slots=3)
        tokens = [node.acquire(schedule, holder=f"h{i}").json["token"] for i in range(3)]
        answer = revoke(other, schedule, token=tokens[1])
        equal([run["token"] for run in answer.json["revoked"]], [tokens[1]], "one")
        equal(revoke(node, schedule, token=tokens[1], force=True).json["revoked"][0]["token"], tokens[1], "now by force")
        equal(revoke(node, schedule, token=tokens[1]).status, 200, "a repeat")
        problem(revoke(other, schedule, token=tokens[2] + 1000000), 409, "lock_lost")
        answer = revoke(other, schedule, force=True)
        equal([run["token"] for run in answer.json["revoked"]], [tokens[0], tokens[2]], "the others, in the order of tokens")
        equal(revoke(node, schedule).json, {"revoked": []}, "nothing is held any more")
        equal(revoke(node, unique("never-locked")).json, {"revoked": []}, "nor was ever")


def test_who_and_why_are_required():
    for node in both():
        path = f"/locks/{unique('revoke')}/revoke"
        for field, body in {
            "reason": {"actor": "a"}, "actor": {"reason": "r"}, "force": {"actor": "a", "reason": "r", "force": 1},
            "token": {"actor": "a", "reason": "r", "token": 0},
        }.items():  # fmt: skip
            equal(problem(node.request("POST", path, body), 400, "invalid_field")["field"], field, "field")


# ---- lists ----


def test_locks_are_listed_by_prefix_and_holder():
    for node, other in ways():
        prefix = unique("list") + "."
        put(node, f"{prefix}b", slots=3)
        tokens = {}
        for name, holder in (("a", "x"), ("b", "x"), ("b", "y"), ("b", "z"), ("c", "y")):
            tokens[name, holder] = node.acquire(f"{prefix}{name}", holder=holder, metadata={"of": holder}).json["token"]
        in_order = [("a", "x"), ("b", "x"), ("b", "y"), ("b", "z"), ("c", "y")]
        for asked in (node, other):
            listed = get(asked, f"/locks?prefix={prefix}")
            equal([lock["token"] for lock in listed["locks"]], [tokens[place] for place in in_order], "by id, then token")
            equal(listed["next"], None, "all of it")
            equal(listed["locks"][0]["metadata"], {"of": "x"}, "with metadata")
            mine = get(asked, f"/locks?prefix={prefix}&holder=y")["locks"]
            equal([lock["token"] for lock in mine], [tokens["b", "y"], tokens["c", "y"]], "one holder's")
            for limit in (1, 2, 3, 4):
                listed, lengths = pages(asked, f"/locks?prefix={prefix}&limit={limit}", "locks")
                equal([lock["token"] for lock in listed], [tokens[place] for place in in_order], f"in pages of {limit}")
                check(max(lengths) <= limit, f"no page is longer: {lengths}")
            equal(get(asked, f"/locks?prefix={prefix}zz"), {"locks": [], "next": None}, "nothing there")
        equal(other.release(f"{prefix}a", tokens["a", "x"]).status, 200, "release")
        equal(len(get(node, f"/locks?prefix={prefix}")["locks"]), 4, "a list is linearizable")
        check("locks" in get(other, f"/locks?prefix={prefix}&consistency=stale"), "and can be stale")
        for query in ("limit=0", "limit=1001", "limit=x", "limit=1&limit=1", "colour=red"):
            equal(node.request("GET", f"/locks?{query}").status, 400, query)


def test_schedules_are_listed_by_prefix():
    for node, other in ways():
        prefix = unique("list") + "."
        for name in "edcba":
            put(node, f"{prefix}{name}", description=name)
        for asked in (node, other):
            for limit in (1, 2, 1000):
                listed, lengths = pages(asked, f"/schedules?prefix={prefix}&limit={limit}", "schedules")
                equal([item["description"] for item in listed], list("abcde"), f"in pages of {limit}")
                check(max(lengths) <= limit, f"no page is longer: {lengths}")
        equal(listed[0], {"schedule_id": f"{prefix}a", **DEFAULTS, "description": "a"}, "each is a whole policy")
        equal(node.acquire(f"{prefix}z").status, 201, "a lock without a policy")
        equal(len(get(other, f"/schedules?prefix={prefix}")["schedules"]), 5, "isn't listed here")


def test_runs_are_kept_newest_first():
    for node, other in ways():
        schedule = unique("runs")
        equal(get(node, f"/schedules/{schedule}/runs"), {"runs": []}, "of a schedule that nobody ever locked")
        for i in range(20):
            lock = node.acquire(schedule, holder=f"h{i}", occurrence=f"o{i}").json
            equal(node.release(schedule, lock["token"], "succeeded" if i % 2 else "failed").status, 200, "release")
        running = node.acquire(schedule, holder="now", occurrence="now").json
        kept = runs(other, schedule)
        equal(len(kept), 16, "the last 16 are kept")
        equal((kept[0]["token"], kept[0]["outcome"], kept[0]["ended_at"]), (running["token"], "running", None), "the newest")
        equal([run["holder"] for run in kept[1:4]], ["h19", "h18", "h17"], "and those before it")
        equal([run["outcome"] for run in kept[1:4]], ["succeeded", "failed", "succeeded"], "with their outcomes")
        equal(get(other, f"/schedules/{schedule}/runs?limit=2")["runs"], kept[:2], "limited")
        put(node, schedule)
        shown = get(other, f"/schedules/{schedule}")
        equal(shown["last_run"]["holder"], "h19", "the last run that has ended")
        equal(shown["last_success_at"], kept[1]["ended_at"], "the last success")


# ---- what a cluster lives through ----


def fill(node, prefix):
    """Policies, grants, and one revocation of each kind; returns what must be seen of it from now on."""
    put(node, f"{prefix}a", slots=3, description="three", max_attempts=2)
    put(node, f"{prefix}gone")
    put(node, f"{prefix}late", safety_margin_ms=0)
    for holder in ("x", "y", "z"):
        equal(node.acquire(f"{prefix}a", holder=holder, metadata={"of": holder}, occurrence=holder).status, 201, "acquire")
    tokens = [lock["token"] for lock in get(node, f"/locks/{prefix}a")["holders"]]
    equal(revoke(node, f"{prefix}a", token=tokens[1]).status, 200, "softly")
    equal(revoke(node, f"{prefix}a", token=tokens[2], force=True, actor="other").status, 200, "by force")
    done = node.acquire(f"{prefix}late", occurrence="o").json["token"]
    equal(node.release(f"{prefix}late", done, "succeeded").status, 200, "release")
    equal(node.request("DELETE", f"/schedules/{prefix}gone").status, 200, "delete")
    return seen(node, prefix)


def seen(node, prefix, query=""):
    """Everything that is shown of these schedules, but for what time changes."""
    suffix = f"&{query}" if query else ""
    locks = get(node, f"/locks?prefix={prefix}{suffix}")["locks"]
    for lock in locks:
        del lock["remaining_ms"], lock["expires_at"]
    ask = f"?{query}" if query else ""
    return {
        "locks": locks,
        "schedules": get(node, f"/schedules?prefix={prefix}{suffix}")["schedules"],
        "shown": [get(node, f"/schedules/{prefix}{name}{ask}") for name in ("a", "late")],
        "runs": [get(node, f"/schedules/{prefix}{name}/runs{ask}")["runs"] for name in ("a", "late", "gone")],
    }


def test_everything_is_there_after_a_restart_of_all_and_after_a_snapshot():
    with Cluster() as cluster:
        cluster.start()
        first = fill(cluster.leader(), "before.")
        equal([lock.get("revoking", False) for lock in first["locks"]].count(True), 1, "one is being revoked")
        cluster.kill()
        for node in cluster.nodes:
            node.start()
        cluster.wait_ready()
        for node in cluster.nodes:
            equal(seen(node, "before."), first, f"{node.name} after a restart from the log")
        away = cluster.followers()[0]
        away.kill()
        leader = cluster.leader()
        second = fill(leader, "while-away.")
        body = {"holder": "h", "ttl_ms": 3600000, "metadata": {"x": "y" * 1000}}
        # few connections, so that more entries are written than are kept behind a snapshot
        requests = (post_bytes(f"/locks/big-{i}", body) for i in range(20000))
        statuses = blast(leader.http_port, requests, connections=4)
        equal(statuses, {201: 20000}, "answers")
        wait_for(lambda: "snapshot taken" in leader.log, "the leader took a snapshot", 30, nodes=[leader])
        index = leader.health()["applied_index"]
        away.start()
        wait_for(lambda: (away.health() or {}).get("applied_index", 0) >= index, "it has caught up", 60, nodes=[away])
        check("snapshot installed" in away.log, "by a snapshot")
        for prefix, wanted in (("before.", first), ("while-away.", second)):
            equal(seen(away, prefix, "consistency=stale"), wanted, f"{away.name}'s own copy of {prefix}")
        cluster.kill()
        for node in cluster.nodes:
            node.start()
        cluster.wait_ready()
        for node in cluster.nodes:
            equal(seen(node, "before."), first, f"{node.name} after a restart from a snapshot")
            equal(seen(node, "while-away."), second, f"{node.name} after a restart from a snapshot")
        [lock] = [lock for lock in second["locks"] if lock.get("revoking")]
        answer = away.release("while-away.a", lock["token"], "failed")
        equal((answer.status, answer.json["outcome"]), (200, "revoked"), "the revoked one is released")
