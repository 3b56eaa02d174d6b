"""Groups: at most so many grants at once over several schedules, through the leader and a follower."""

from harness import Cluster, blast, check, equal, leader_and_follower, post_bytes, unique, wait_for
from test_contract import both, problem
from test_schedules import get, pages, put, revoke, ways


def put_group(node, name, slots):
    answer = node.request("PUT", f"/groups/{name}", {"slots": slots})
    equal(answer.status, 200, repr(answer))
    return answer.json


def grouped(node, group_slots, n=3, **policy):
    """A group, and the names of `n` schedules in it."""
    name = unique("group")
    put_group(node, name, group_slots)
    schedules = [unique(f"{name}.in") for _ in range(n)]
    for schedule in schedules:
        put(node, schedule, group=name, safety_margin_ms=0, **policy)
    return name, schedules


def held(node, name):
    return get(node, f"/groups/{name}")["held"]


def test_a_group_is_set_read_replaced_and_deleted():
    for node, other in ways():
        name = unique("group")
        problem(node.request("GET", f"/groups/{name}"), 404, "not_found")
        problem(node.request("DELETE", f"/groups/{name}"), 404, "not_found")
        equal(put_group(node, name, 2), {"name": name, "slots": 2, "held": 0, "schedules": 0}, "what was set")
        equal(get(other, f"/groups/{name}"), {"name": name, "slots": 2, "held": 0, "schedules": 0}, "what others see")
        schedule = unique("in")
        equal(put(node, schedule, group=name)["group"], name, "the policy names it")
        equal(get(other, f"/schedules/{schedule}")["group"], name, "so it does elsewhere")
        token = node.acquire(schedule).json["token"]
        equal(get(other, f"/groups/{name}"), {"name": name, "slots": 2, "held": 1, "schedules": 1}, "one holds")
        equal(put_group(other, name, 10000), {"name": name, "slots": 10000, "held": 1, "schedules": 1}, "it is replaced")
        equal(node.release(schedule, token).status, 200, "release")
        equal(node.request("DELETE", f"/schedules/{schedule}").status, 200, "the policy goes")
        answer = other.request("DELETE", f"/groups/{name}")
        equal((answer.status, answer.json), (200, {"name": name, "slots": 10000, "held": 0, "schedules": 0}), "deleted")
        problem(node.request("GET", f"/groups/{name}"), 404, "not_found")


def test_what_a_group_may_be():
    for node in both():
        name = unique("group")
        for slots in (-1, 10001, "1", 1.5, None, True):
            found = problem(node.request("PUT", f"/groups/{name}", {"slots": slots}), 400, "invalid_field")
            equal(found["field"], "slots", f"slots {slots!r}")
        equal(problem(node.request("PUT", f"/groups/{name}", {}), 400, "invalid_field")["field"], "slots", "required")
        problem(node.request("PUT", f"/groups/{name}", {"slots": 1, "slot": 1}), 400, "unknown_field")
        problem(node.request("PUT", f"/groups/{'x' * 257}", {"slots": 1}), 400, "invalid_name")
        problem(node.request("GET", "/groups/.x"), 400, "invalid_name")
        problem(node.request("GET", f"/groups/{name}"), 404, "not_found")
        for wrong in ("-a", "", "x" * 257, 1, "a b"):
            found = problem(node.request("PUT", f"/schedules/{name}", {"group": wrong}), 400, "invalid_field")
            equal(found["field"], "group", f"group {wrong!r}")
        equal(put_group(node, "g" * 256, 0)["slots"], 0, "the longest name, the least slots")
        equal(node.request("DELETE", f"/groups/{'g' * 256}").status, 200, "it goes")


def test_a_policy_names_only_a_group_that_is_there():
    for node, other in ways():
        name, schedule = unique("group"), unique("lonely")
        answer = node.request("PUT", f"/schedules/{schedule}", {"group": name})
        equal(problem(answer, 422, "unknown_group").get("group", name), name, "which")
        problem(other.request("GET", f"/schedules/{schedule}"), 404, "not_found")
        put_group(other, name, 1)
        put(node, schedule, group=name)
        problem(node.request("PUT", f"/schedules/{schedule}", {"group": name + "x", "slots": 3}), 422, "unknown_group")
        shown = get(other, f"/schedules/{schedule}")
        equal((shown["group"], shown["slots"]), (name, 1), "a refused one changes nothing")
        equal(put(node, schedule)["group"], None, "it may leave again")
        equal(get(other, f"/groups/{name}")["schedules"], 0, "nobody names it")


def test_a_group_in_use_stays():
    for node, other in ways():
        name, [schedule] = grouped(node, 1, 1)
        problem(other.request("DELETE", f"/groups/{name}"), 409, "group_in_use")
        token = node.acquire(schedule).json["token"]
        equal(node.request("DELETE", f"/schedules/{schedule}").status, 200, "the policy goes")
        equal(get(other, f"/groups/{name}"), {"name": name, "slots": 1, "held": 1, "schedules": 0}, "a grant keeps it")
        problem(other.request("DELETE", f"/groups/{name}"), 409, "group_in_use")
        equal(other.release(schedule, token).status, 200, "release")
        equal(node.request("DELETE", f"/groups/{name}").status, 200, "now it goes")
        problem(other.request("PUT", f"/schedules/{schedule}", {"group": name}), 422, "unknown_group")


def test_a_full_group_refuses_with_who_fills_it():
    for node, other in ways():
        name, schedules = grouped(node, 2, 3)
        locks = [(node, other)[i].acquire(schedules[i], holder=f"h{i}", metadata={"i": i}).json for i in range(2)]
        body = problem(other.acquire(schedules[2], holder="late"), 409, "group_full")
        equal((body["group"], body["held"]), (name, 2), "which, and how many")
        equal([(lock["schedule_id"], lock["holder"], lock["token"]) for lock in body["holders"]],
              [(lock["schedule_id"], lock["holder"], lock["token"]) for lock in locks], "the oldest first")  # fmt: skip
        check(all("metadata" not in lock for lock in body["holders"]), "without metadata")
        equal(get(node, f"/locks/{schedules[2]}")["held"], False, "nothing was granted")
        problem(node.acquire(schedules[0], holder="late"), 409, "lock_held")  # goes before
        equal(other.release(schedules[0], locks[0]["token"]).status, 200, "release")
        equal(node.acquire(schedules[2], holder="late").status, 201, "its slot is free")
        problem(other.acquire(schedules[0], holder="next"), 409, "group_full")
        equal(held(other, name), 2, "held")
        put_group(node, name, 3)
        equal(other.acquire(schedules[0], holder="next").status, 201, "one more is allowed now")
        put_group(node, name, 0)
        equal(get(other, f"/groups/{name}")["held"], 3, "those that hold stay")
        equal(node.renew(schedules[2], get(node, f"/locks/{schedules[2]}")["holders"][0]["token"]).status, 200, "and renew")


def test_a_group_counts_slots_of_one_schedule_too():
    for node, other in ways():
        name, [schedule, second] = grouped(node, 2, 2, slots=3)
        tokens = [(node, other)[i % 2].acquire(schedule, holder=f"h{i}").json["token"] for i in range(2)]
        problem(node.acquire(schedule, holder="third"), 409, "group_full")
        problem(other.acquire(second), 409, "group_full")
        equal(node.release(schedule, tokens[1]).status, 200, "release")
        equal(other.acquire(second).status, 201, "the other schedule takes it")
        equal(held(node, name), 2, "held")


def test_a_group_shows_at_most_64_holders_and_counts_all():
    leader, follower = leader_and_follower()
    name, schedules = grouped(leader, 70, 71)
    tokens = [(leader, follower)[i % 2].acquire(schedules[i]).json["token"] for i in range(70)]
    body = problem(follower.acquire(schedules[70]), 409, "group_full")
    equal(([lock["token"] for lock in body["holders"]], body["held"]), (tokens[:64], 70), "the oldest, and how many")


def test_a_grant_keeps_its_group_until_it_ends():
    for node, other in ways():
        first, [schedule, second] = grouped(node, 1, 2)
        third = unique("group")
        put_group(node, third, 1)
        token = node.acquire(schedule).json["token"]
        put(other, schedule, group=third)
        equal((held(node, first), held(node, third)), (1, 0), "it counts where it was granted")
        problem(other.acquire(second), 409, "group_full")
        put(other, schedule)
        problem(node.acquire(second), 409, "group_full")
        equal(node.renew(schedule, token).status, 200, "a renewal moves nothing")
        problem(other.acquire(second), 409, "group_full")
        put(node, schedule, group=third)
        equal(other.release(schedule, token).status, 200, "release")
        equal(node.acquire(second).status, 201, "the slot is free")
        equal(other.acquire(schedule).status, 201, "under the new group")
        equal((held(node, first), held(node, third)), (1, 1), "each in its own")


def test_every_end_of_a_grant_frees_its_slot():
    for node, other in ways():
        name, [schedule, second] = grouped(node, 1, 2)
        for how in ("succeeded", "failed", "abandoned"):
            token = node.acquire(schedule, occurrence=how).json["token"]
            problem(other.acquire(second), 409, "group_full")
            equal(other.release(schedule, token, how).status, 200, how)
            equal(held(node, name), 0, how)
        node.acquire(schedule, ttl_ms=500)
        granted = wait_for(lambda: (lambda a: a if a.status == 201 else None)(other.acquire(second)), "expired", nodes=[other])
        revoke(node, second)
        problem(node.acquire(schedule), 409, "group_full")  # softly: the slot stays taken
        equal(other.release(second, granted.json["token"]).status, 200, "the revoked one releases")
        equal(node.acquire(schedule).status, 201, "then it is free")
        revoke(other, schedule, force=True)
        equal((held(node, name), node.acquire(second).status), (0, 201), "by force it is free at once")


def test_groups_are_listed():
    for node, other in ways():
        prefix = unique("list") + "."
        for i, name in enumerate("dbca"):
            put_group(node, f"{prefix}{name}", i)
        for asked in (node, other):
            for limit in (1, 2, 3, 1000):
                listed, lengths = pages(asked, f"/groups?prefix={prefix}&limit={limit}", "groups")
                equal([(item["name"], item["slots"]) for item in listed],
                      [(f"{prefix}a", 3), (f"{prefix}b", 1), (f"{prefix}c", 2), (f"{prefix}d", 0)], f"in pages of {limit}")  # fmt: skip
                check(max(lengths) <= limit, f"no page is longer: {lengths}")
            equal(get(asked, f"/groups?prefix={prefix}&after={prefix}bb")["groups"][0]["name"], f"{prefix}c", "behind what isn't there")
            equal(get(asked, f"/groups?prefix={prefix}zz"), {"groups": [], "next": None}, "nothing there")
            check("groups" in get(asked, f"/groups?prefix={prefix}&consistency=stale"), "and can be stale")
        equal(listed[0], get(node, f"/groups/{prefix}a"), "each is whole")
        for query in ("limit=0", "limit=1001", "limit=x", "limit=1&limit=1", "colour=red"):
            equal(node.request("GET", f"/groups?{query}").status, 400, query)


def test_no_more_than_the_slots_are_granted_at_once_under_contention():
    """Sixteen schedules, three slots, through all nodes at once; each grant is released as soon as it was seen."""
    with Cluster() as cluster:
        cluster.start()
        name, schedules = grouped(cluster.leader(), 3, 16)
        for _ in range(5):
            for node in cluster.nodes:
                answers = blast(node.http_port, [post_bytes(f"/locks/{schedule}", {"holder": node.name, "ttl_ms": 60000})
                                                 for schedule in schedules], 16)  # fmt: skip
                check(set(answers) <= {201, 409}, f"{answers}")
            locks = get(cluster.nodes[0], f"/locks?prefix={name}")["locks"]
            equal((len(locks), held(cluster.nodes[1], name)), (3, 3), "held")
            for lock in locks:
                equal(cluster.nodes[2].release(lock["schedule_id"], lock["token"]).status, 200, "release")
