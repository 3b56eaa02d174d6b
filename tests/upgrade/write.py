#!/usr/bin/env python3
"""Writes the data directory of one release, for every later version to open: tests/upgrade/write.py BATOND VERSION.

Run once for each release, with the program built from its commit; tests/upgrade/releases gets a line with both by hand.
Makes tests/upgrade/VERSION.tar.xz (the directory: a snapshot and a log behind it) and VERSION.json (what the service said
of its state, and the hashes of the state that it logged). tests/e2e/test_upgrade.py reads them.
"""

import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../e2e"))

import harness  # noqa: E402
import upgrade  # noqa: E402
from harness import Node, check, equal, free_port, unique, wait_for  # noqa: E402

WEEK = 7 * 24 * 3600 * 1000
DAY = WEEK // 7


def ok(answer, status=200):
    equal(answer.status, status, repr(answer))
    return answer.json


def fill(node):
    """Every kind of state that there is."""
    ok(node.request("PUT", "/schedules/backup", {"estimated_duration_ms": 60000, "safety_margin_ms": 5000, "max_attempts": 3,
                                                 "description": "nightly, ends before noon"}))  # fmt: skip
    ok(node.request("PUT", "/schedules/compaction", {"slots": 3, "min_hold_ms": DAY, "max_ttl_ms": WEEK}))
    ok(node.request("PUT", "/schedules/vacuum", {"slots": 2}))
    first = ok(node.acquire("backup", "host-a", occurrence="2026-01-01T02:00:00Z"), 201)
    ok(node.release("backup", first["token"], "failed"))
    second = ok(node.acquire("backup", "host-b", occurrence="2026-01-01T03:00:00+01:00"), 201)
    equal(second["attempt"], 2, "attempt")
    ok(node.release("backup", second["token"], "succeeded"))
    for i in range(70):  # beyond what is remembered: a floor
        lock = ok(node.acquire("floor", "host-c", occurrence=f"2026-02-01T00:{i % 60:02}:{i // 60:02}Z"), 201)
        ok(node.release("floor", lock["token"], "succeeded" if i % 2 else "failed"))
    ok(node.acquire("compaction", "host-a", WEEK, occurrence="week-7", metadata={"rack": 4, "note": "größer"}), 201)
    ok(node.acquire("vacuum", "host-a", WEEK, key="kept-key"), 201)
    held = ok(node.acquire("vacuum", "host-b", WEEK, occurrence="2026-03-01T00:00:00Z"), 201)
    ok(node.request("POST", "/locks/vacuum/revoke", {"reason": "too slow", "actor": "ops", "token": held["token"]}))
    ok(node.acquire("forced", "host-d", WEEK), 201)
    ok(node.request("POST", "/locks/forced/revoke", {"reason": "it is dead", "actor": "ops", "force": True}))
    for i in range(20):
        ok(node.acquire(f"held-{i:02}", f"host-{i % 3}", WEEK), 201)


def churn(node):
    """Until there is a snapshot, and some log behind it."""
    snapshots = os.path.join(node.directory, "snapshot")
    lock = ok(node.acquire("churn", "host-e", WEEK), 201)
    renewals = harness.post_bytes("/locks/churn/renew", {"token": lock["token"], "ttl_ms": WEEK})
    pad = {"pad": "x" * 1000}
    for turn in range(60):
        harness.blast(node.http_port, (harness.post_bytes(f"/locks/pad-{i % 8}", {"holder": "h", "ttl_ms": 600000, "metadata": pad})
                                       for i in range(1000)), 8)  # fmt: skip
        for i in range(8):
            held = node.status(f"pad-{i}").json["holders"]
            if held:
                ok(node.release(f"pad-{i}", held[0]["token"], "succeeded"))
        if any(name.endswith(".snap") or name[0].isdigit() for name in os.listdir(snapshots)):
            break
    else:
        raise SystemExit(f"no snapshot after {turn} turns: {os.listdir(snapshots)}")
    harness.blast(node.http_port, (renewals for _ in range(50)), 2)


def main():
    harness.BATOND, version = os.path.abspath(sys.argv[1]), sys.argv[2]
    http_port, raft_port = free_port(), free_port()
    flags = ["--http", f"127.0.0.1:{http_port}", "--raft", f"127.0.0.1:{raft_port}", "--state-hash-every", "10"]
    node = Node("n1", os.path.join(harness.ROOT, unique("fixture")), flags, http_port, raft_port).start()
    node.wait_ready()
    fill(node)
    churn(node)
    wait_for(lambda: node.health()["commit_index"] == node.health()["applied_index"], "it is quiet")
    expected = {"version": version, "state": upgrade.state_of(node), "last_token": node.acquire("last", "h", WEEK).json["token"]}
    expected["state"] = upgrade.state_of(node)
    equal(node.stop(), 0, "exit")
    expected["hashes"] = {str(index): sorted(values)[0] for index, values in sorted(upgrade.hashes(node).items())[-5:]}
    check(expected["hashes"], "hashes were logged")
    with open(os.path.join(HERE, f"{version}.json"), "w", encoding="utf-8") as file:
        json.dump(expected, file, indent=1, sort_keys=True, ensure_ascii=False)
        file.write("\n")
    archive = os.path.join(HERE, f"{version}.tar.xz")
    subprocess.run(["tar", "--sort=name", "--owner=0", "--group=0", "--mtime=@0", "-ScJf", archive, "-C", node.directory, "."],
                   check=True)  # fmt: skip
    print(f"{archive}: {os.path.getsize(archive)} bytes")
    harness.kill_everything()


if __name__ == "__main__":
    main()
