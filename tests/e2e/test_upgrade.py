"""Every released version's data directory is opened by this one: tests/upgrade/releases lists them."""

import json
import os
import shutil
import subprocess

import upgrade
from harness import ROOT, RULES, Node, check, equal, free_port, unique, wait_for
from test_rules import rules_of

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../upgrade")
DAY = 24 * 3600 * 1000


def releases():
    with open(os.path.join(FIXTURES, "releases"), encoding="utf-8") as file:
        rows = [line.split() for line in file if line.strip() and not line.startswith("#")]
    check(rows and all(len(row) == 2 and len(row[1]) == 40 for row in rows), f"VERSION COMMIT in each line: {rows}")
    return [version for version, _ in rows]


def covers(new, old, place):
    """Later versions may show more, but what was there says the same."""
    if isinstance(old, dict):
        for name, value in old.items():
            check(isinstance(new, dict) and name in new, f"{place}.{name} is gone")
            covers(new[name], value, f"{place}.{name}")
    elif isinstance(old, list):
        equal(len(new), len(old), f"{place}: how many")
        for i, value in enumerate(old):
            covers(new[i], value, f"{place}[{i}]")
    else:
        equal(new, old, place)


def opened(version):
    home = os.path.join(ROOT, unique(f"release-{version}"))
    os.makedirs(home, mode=0o700)
    subprocess.run(["tar", "-xf", os.path.join(FIXTURES, f"{version}.tar.xz"), "-C", home], check=True)
    ports = free_port(), free_port()
    flags = ["--http", f"127.0.0.1:{ports[0]}", "--raft", f"127.0.0.1:{ports[1]}", "--state-hash-every", "10"]
    return Node("n1", home, flags, *ports).start()


def check_release(version):
    with open(os.path.join(FIXTURES, f"{version}.json"), encoding="utf-8") as file:
        expected = json.load(file)
    equal(expected["version"], version, "fixture")
    node = opened(version)
    node.wait_ready()
    covers(upgrade.state_of(node), expected["state"], version)
    found = upgrade.hashes(node)
    for index, value in expected["hashes"].items():
        equal(found.get(int(index)), {value}, f"hash of the state at index {index}")
    # It goes on where that version ended.
    equal(node.acquire("backup", "x", occurrence="2026-01-01T02:00:00Z", ttl_ms=DAY).code, "occurrence_done", "the same instant")
    equal(node.acquire("floor", "x", occurrence="2026-02-01T00:00:00Z").code, "occurrence_done", "below the floor")
    equal(node.acquire("compaction", "x", DAY).code, "cooling_down", "least time between grants")
    again = node.acquire("vacuum", "host-a", 7 * DAY, key="kept-key")
    equal(again.status, 201, "a repeat by its key")
    revoking = [lock for lock in expected["state"]["locks"] if lock.get("revoking")]
    equal(len(revoking), 1, "one lock is being revoked")
    equal(node.renew("vacuum", revoking[0]["token"]).code, "lock_lost", "a revoked lock")
    fresh = node.acquire("fresh", "x")
    check(fresh.status == 201 and fresh.json["token"] > expected["last_token"], f"{fresh} after {expected['last_token']}")
    # And has what that version had not, once the rules are raised.
    wait_for(lambda: rules_of(node) == RULES, "the rules are raised", nodes=[node])
    equal(node.request("PUT", "/groups/new", {"slots": 1}).status, 200, "a group")
    equal(node.request("PUT", "/schedules/fresh", {"group": "new"}).status, 200, "a schedule in it")
    equal(node.request("PUT", "/freezes/none*", {"reason": "r", "actor": "a", "ttl_ms": DAY}).status, 200, "a freeze")
    shown = upgrade.state_of(node)
    equal(node.stop(), 0, "exit")
    node.start()
    node.wait_ready()
    equal((rules_of(node), upgrade.state_of(node)), (RULES, shown), "after a restart")
    equal(node.request("GET", "/groups/new").json, {"name": "new", "slots": 1, "held": 0, "schedules": 1}, "the group")
    equal(node.stop(), 0, "exit")
    shutil.rmtree(node.directory)


def test_what_each_release_wrote_opens():
    versions = releases()
    for version in versions:
        check_release(version)
    return ", ".join(versions)
