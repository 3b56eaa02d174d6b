"""Two builds with different rules in one cluster: the replicated rules_version decides, and is raised once all can."""

import os
import re

import harness
import upgrade
from harness import Cluster, check, equal, wait_for

EVERY = 10  # --state-hash-every
FIRST_MARGIN, SECOND_MARGIN = 30000, 45000


def next_build():
    path = os.path.join(os.path.dirname(harness.BATOND), "../../tests/rules/batond_next")
    check(os.path.exists(path), f"{path}: build the tests first")
    return os.path.abspath(path)


def rules_of(node):
    text = node.request("GET", "/metrics").body.decode()
    return int(re.search(r"^baton_rules_version (\d+)", text, re.MULTILINE).group(1))


def margin(node):
    """The default margin in force, as an acquire that is too short tells it."""
    answer = node.acquire("margin", ttl_ms=1)
    equal(answer.code, "ttl_too_short", "refusal")
    return answer.json["safety_margin_ms"]


def work(cluster, prefix, rounds=60):
    for i in range(rounds):
        node = cluster.nodes[i % len(cluster.nodes)]
        token = node.acquire(f"{prefix}-{i % 7}", holder=f"h{i}", occurrence=f"{prefix}-{i}").json["token"]
        if i % 3:
            equal(node.release(f"{prefix}-{i % 7}", token, "failed" if i % 2 else "succeeded").status, 200, "release")
        elif i % 7 < 7:
            equal(node.request("POST", f"/locks/{prefix}-{i % 7}/revoke",
                               {"reason": "test", "actor": "me", "force": True}).status, 200, "revoke")  # fmt: skip


def common_hashes(nodes):
    """At every index that more than one of them has logged, they logged the same; returns how many such there are."""
    common = 0
    found = [upgrade.hashes(node) for node in nodes]
    for index in sorted(set().union(*found)):
        values = [one[index] for one in found if index in one]
        check(len(set().union(*values)) == 1, f"different states at index {index}: {values}")
        common += len(values) > 1
    return common


def test_two_builds_with_different_rules_share_a_cluster():
    newer = next_build()
    with Cluster(flags=["--state-hash-every", str(EVERY)]) as cluster:
        n1, n2, n3 = cluster.nodes
        n3.binary = newer
        cluster.start()
        # As long as one can't, the old rules hold for all, and what needs new ones is refused by name.
        for node in cluster.nodes:
            wait_for(lambda node=node: rules_of(node) == 2, f"{node.name} has what all can", 30, nodes=cluster.nodes)
            equal((node.name, margin(node)), (node.name, FIRST_MARGIN), "margin in force")
        answer = n3.request("PUT", "/schedules/new", {})
        equal((answer.status, answer.code), (503, "not_ready"), "a command of newer rules")
        check("n1" in answer.json["detail"] or "n2" in answer.json["detail"], f"it names who is too old: {answer.body!r}")
        work(cluster, "mixed")
        # One after the other gets the new build.
        for node in (n1, n2):
            equal(rules_of(n3), 2, "rules while one is old")
            equal(node.stop(), 0, "exit")
            node.binary = newer
            node.start()
            cluster.wait_ready()
        for node in cluster.nodes:
            wait_for(lambda node=node: rules_of(node) == 3, f"{node.name} has the new rules", 30, nodes=cluster.nodes)
            equal(margin(node), SECOND_MARGIN, f"margin at {node.name}")
        equal(n1.request("PUT", "/schedules/new", {}).status, 200, "the command of newer rules")
        work(cluster, "raised")
        top = cluster.leader().health()["commit_index"]
        for node in cluster.nodes:
            wait_for(lambda node=node: node.health()["applied_index"] >= top, f"{node.name} has applied {top}")
        common = common_hashes(cluster.nodes)
        check(common >= 10, f"hashes were compared at {common} indexes only")
        # Back to the old build: its log tells that it can't, and it says so. The others go on.
        equal(n1.stop(), 0, "exit")
        n1.binary = None
        n1.start()
        equal(n1.wait_exit(30), 65, "exit code of the old build on data of newer rules")
        last = n1.log.splitlines()[-1]
        check("rules" in last and "newer" in last, last)
        equal(cluster.leader().acquire("after", ttl_ms=3600000).status, 201, "the rest goes on")
        n1.binary = newer
        n1.start()
        cluster.wait_ready()
        return f"{common} hashes compared"
