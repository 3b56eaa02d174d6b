"""The state filled to its last byte, 1 GiB as it is counted, over HTTP, on a cluster of three: long, so only tests/full.sh
runs it. One follower is away meanwhile and gets all of it as a snapshot.

What fills fastest is what is longest: sixteen live grants of a schedule, each with the longest names, metadata, key and
occurrence, and then one soft revocation, whose actor and reason are kept with each of the sixteen."""

import time

from crowd import Crowd
from harness import Cluster, check, equal, post_bytes, unique, wait_for
from test_bounds import LIMIT, MIB, put_bytes, resident
from test_contract import problem
from test_freezes import freeze, thaw
from test_groups import put_group
from test_metrics import Scrape
from test_schedules import get, put

SLOTS = 16
LONG = {"ttl_ms": 7 * 86400000, "occurrence": "o" * LIMIT["OCCURRENCE_BYTES"], "metadata": {"m": "m" * (LIMIT["METADATA_BYTES"] - 8)}}
REVOKE = {"actor": "a" * LIMIT["NAME_BYTES"], "reason": "r" * LIMIT["REASON_BYTES"]}
POLICY = {"slots": SLOTS, "max_attempts": 1000000, "description": "d" * LIMIT["REASON_BYTES"]}


def schedule_name(i):
    return f"{i:06}-".ljust(LIMIT["NAME_BYTES"], "s")


def grant_bytes(schedule, number):
    """With a key and an occurrence of its own."""
    body = {**LONG, "holder": f"{number:03}-".ljust(LIMIT["NAME_BYTES"], "h"), "occurrence": f"{number:03}".ljust(LIMIT["OCCURRENCE_BYTES"], "o")}
    key = f"Idempotency-Key: {number:03}{'k' * (LIMIT['OCCURRENCE_BYTES'] - 3)}\r\n".encode()
    return post_bytes(f"/locks/{schedule}", body).replace(b"\r\n\r\n", b"\r\n" + key + b"\r\n", 1)


def state_bytes(node):
    return int(Scrape(node).get("baton_state_bytes"))


def fill(node, crowd, until, begin):
    """Whole schedules until the state has so many bytes, or something is refused; returns how many there are now."""
    grants = [grant_bytes("@", number) for number in range(SLOTS)]
    revoke = post_bytes("/locks/@/revoke", REVOKE)
    policy = put_bytes("/schedules/@", POLICY)
    i = begin
    while state_bytes(node) < until:
        names = [schedule_name(i + n).encode() for n in range(200)]
        statuses = [crowd.ask([policy.replace(b"@", name, 1) for name in names], depth=4),
                    crowd.ask((grant.replace(b"@", name, 1) for name in names for grant in grants), depth=8),
                    crowd.ask([revoke.replace(b"@", name, 1) for name in names], depth=2)]  # fmt: skip
        i += len(names)
        seen = set().union(*statuses)
        check(seen <= {200, 201, 507}, f"{statuses}")
        if 507 in seen:
            break
    return i


def top_up(node):
    """What is left after the long ones is filled with ever so small a rest."""
    for path, body in (("/schedules/{}", POLICY), ("/freezes/{}", {**REVOKE, "ttl_ms": 3600000})):
        while (answer := node.request("PUT", path.format(unique("top-up").ljust(256, "t")), body)).status == 200:
            pass
        problem(answer, 507, "capacity")


def refuses_growth(node, policy_too):
    """507 for whatever would grow; without `policy_too` only for what has no policy."""
    problem(node.acquire(unique("bare").ljust(200, "b"), **LONG), 507, "capacity")
    if policy_too:
        long = unique("more").ljust(256, "m")
        problem(node.request("PUT", f"/schedules/{long}", POLICY), 507, "capacity")
        problem(node.request("PUT", f"/freezes/{long}", {**REVOKE, "ttl_ms": 60000}), 507, "capacity")
        problem(node.acquire(schedule_name(0), holder="another", **LONG), 409, "lock_held")


def goes_on(node, number):
    """Whatever makes nothing larger, on a schedule of its own."""
    schedule = schedule_name(number)
    holders = get(node, f"/locks/{schedule}")["holders"]
    tokens = [holder["token"] for holder in holders]
    equal(len(tokens), SLOTS, "holders")
    equal(node.release(schedule, tokens[0], "failed").status, 200, "release")
    again = node.request("POST", f"/locks/{schedule}/revoke", {**REVOKE, "token": tokens[1], "force": True})
    equal((again.status, [run["token"] for run in again.json["revoked"]]), (200, tokens[1:2]), "by force")
    equal(node.request("DELETE", f"/schedules/{schedule}").status, 200, "delete")


def test_a_full_state():
    most, reserve = LIMIT["STATE_BYTES"], LIMIT["STATE_RESERVE_BYTES"]
    with Cluster(flags=["--election-timeout", "2000", "--heartbeat", "100", "--commit-timeout", "60000"]) as cluster:
        cluster.start()
        leader, away = cluster.leader(), cluster.followers()[1]
        away.kill()
        began = time.monotonic()
        put(leader, "small", slots=2, safety_margin_ms=0)
        put_group(leader, "small-group", 3)
        freeze(leader, "small-freeze", 3600000)
        small = leader.acquire("small", ttl_ms=7 * 86400000).json["token"]
        bare = [leader.acquire(f"bare-{i}", ttl_ms=7 * 86400000).json["token"] for i in range(8)]
        with Crowd(leader.http_port, 64) as crowd:
            count = fill(leader, crowd, most - reserve, 0)
            at_reserve = time.monotonic() - began
            for node in cluster.running():
                refuses_growth(node, False)
                equal(node.release("small", node.acquire("small", holder=node.name, ttl_ms=60000).json["token"]).status, 200, "under a policy")
            count = fill(leader, crowd, most + 1, count)
            filled = time.monotonic() - began
            rate = count * (SLOTS + 2) / filled
        top_up(leader)
        sizes = [state_bytes(node) for node in cluster.running()]
        check(most - MIB // 4 < sizes[0] <= most, f"{sizes[0]} of {most} bytes")
        for node in cluster.running():
            refuses_growth(node, True)
        memory = [resident(node) / MIB for node in cluster.running()]
        for i, node in enumerate(cluster.running()):
            equal(node.renew("small", small).status, 200, "renew")
            batch = [{"schedule_id": f"bare-{n}", "token": bare[n]} for n in range(2 * i, len(bare))]
            results = node.request("POST", "/renew", {"locks": batch}).json["results"]
            check(all("code" not in result for result in results), f"renewals of a batch: {results}")
            for n in (2 * i, 2 * i + 1):
                equal(node.release(f"bare-{n}", bare[n]).status, 200, "release")
            equal(node.request("GET", f"/schedules/{schedule_name(1)}/runs").status, 200, "read")
        soft = leader.request("POST", "/locks/small/revoke", {"actor": "ops", "reason": "full"})
        equal((soft.status, [run["token"] for run in soft.json["revoked"]]), (200, [small]), "a revocation needs no room")
        goes_on(leader, 0)
        goes_on(cluster.followers()[0], 1)
        thaw(leader, "small-freeze")
        equal(leader.request("DELETE", "/groups/small-group").status, 200, "delete")
        put(leader, "room", slots=3)
        equal(leader.acquire("room").status, 201, "now there is room under a policy")
        refuses_growth(leader, False)
        began = time.monotonic()
        away.start()
        index = leader.health()["applied_index"]
        wait_for(lambda: (away.health() or {}).get("applied_index", 0) >= index, "it has caught up", 300, pause=0.2, nodes=[away])
        caught_up = time.monotonic() - began
        check("snapshot installed" in away.log, "by a snapshot")
        cluster.wait_ready(seconds=120)
        equal(len({state_bytes(node) for node in cluster.nodes}), 1, "counted the same")
        memory.append(resident(away) / MIB)
        began = time.monotonic()
        cluster.kill()
        for node in cluster.nodes:
            node.start()
        cluster.wait_ready(seconds=300)
        restarted = time.monotonic() - began
        equal(len({state_bytes(node) for node in cluster.nodes}), 1, "counted the same after a restart")
        for number, node in enumerate(cluster.nodes):
            refuses_growth(node, False)
            goes_on(node, 10 + number)
            equal(len(get(node, f"/locks?prefix={schedule_name(5)}")["locks"]), SLOTS, "what was held is held")
        equal(cluster.stop(), [0, 0, 0], "exit codes")
        memory = " ".join(f"{size:.0f}" for size in memory)
        return (f"{sizes[0]} bytes counted in {count} schedules after {filled:.0f} s ({at_reserve:.0f} s to the reserve, {rate:.0f} operations a "
                f"second); {memory} MiB resident; snapshot to the third node {caught_up:.0f} s; restart of all {restarted:.0f} s")  # fmt: skip
