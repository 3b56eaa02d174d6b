"""How long jobs take, whether they are late, and what metrics say of each schedule that has a policy."""

import subprocess
import time

from crowd import Crowd
from harness import Cluster, check, equal, post_bytes, unique, wait_for
from test_bounds import put_bytes
from test_contract import problem
from test_metrics import Scrape, tool
from test_schedules import get, put, revoke, runs, ways

FIELDS = ("duration_p50_ms", "duration_p95_ms", "duration_p99_ms")


def run_once(node, schedule, outcome="succeeded", lasts_ms=0, **named):
    """One run, which takes a little longer than that; returns it."""
    began = time.monotonic()
    token = node.acquire(schedule, **named).json["token"]
    wait_for(lambda: time.monotonic() - began >= lasts_ms / 1000, "the job runs", pause=0.001)
    answer = node.release(schedule, token, outcome)
    equal(answer.status, 200, repr(answer))
    return answer.json


def nearest_rank(durations, percent):
    ordered = sorted(durations)
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]


def shown(node, schedule):
    return get(node, f"/schedules/{schedule}")


# ---- durations ----


def test_percentiles_are_those_of_the_kept_runs_that_say_something():
    for node, other in ways():
        schedule = unique("took")
        put(node, schedule, safety_margin_ms=0)
        equal([shown(other, schedule)[field] for field in FIELDS], [None] * 3, "nothing ran")
        run_once(node, schedule, "abandoned", 30)
        node.acquire(schedule)
        revoke(other, schedule, force=True)
        equal([shown(other, schedule)[field] for field in FIELDS], [None] * 3, "nor do those say how long the job takes")
        for i in range(18):
            run_once(node, schedule, "failed" if i % 3 == 0 else "succeeded", 25 * (i % 5))
        token = node.acquire(schedule, ttl_ms=150).json["token"]
        wait_for(lambda: not node.status(schedule).json["held"], "it expires")
        node.acquire(schedule)  # this one runs
        kept = runs(other, schedule)
        counted = [run["duration_ms"] for run in kept if run["outcome"] in ("succeeded", "failed", "expired")]
        check(len(counted) >= 15 and kept[1]["token"] == token and kept[1]["outcome"] == "expired", f"{kept}")
        found = shown(other, schedule)
        equal([found[field] for field in FIELDS], [nearest_rank(counted, percent) for percent in (50, 95, 99)], "percentiles")
        check(found["duration_p50_ms"] <= found["duration_p95_ms"] <= found["duration_p99_ms"], "they grow")


def test_an_estimate_that_runs_exceed_is_risky():
    for node, other in ways():
        schedule = unique("risky")
        put(node, schedule, safety_margin_ms=0)
        run_once(node, schedule, lasts_ms=60)
        equal(shown(other, schedule)["estimate_risky"], False, "without an estimate there is nothing to exceed")
        took = shown(other, schedule)["duration_p99_ms"]
        for estimate, risky in ((20, True), (took - 1, True), (took, False), (took + 1, False), (600000, False)):
            put(node, schedule, estimated_duration_ms=estimate, safety_margin_ms=1000)
            equal(shown(other, schedule)["estimate_risky"], risky, f"estimate {estimate}, p99 {took}")
        put(node, unique("risky"), estimated_duration_ms=1)
        fresh = unique("risky")
        put(node, fresh, estimated_duration_ms=1)
        equal(shown(other, fresh)["estimate_risky"], False, "nothing ran")


def test_a_late_outcome_is_kept_and_counts_as_success():
    for node, other in ways():
        schedule = unique("late")
        put(node, schedule, safety_margin_ms=0, expected_every_ms=3600000)
        token = node.acquire(schedule, ttl_ms=150, occurrence="o").json["token"]
        wait_for(lambda: not other.status(schedule).json["held"], "it expires")
        equal(shown(other, schedule)["last_success_at"], None, "nothing succeeded")
        problem(other.release(schedule, token, "succeeded"), 409, "lock_lost")
        [run] = runs(node, schedule)
        equal((run["outcome"], run["late_outcome"]), ("expired", "succeeded"), "its run")
        check(shown(node, schedule)["last_success_at"] is not None, "it succeeded, if late")
        problem(node.acquire(schedule, holder="x", occurrence="o"), 409, "occurrence_done")


# ---- overdue ----


def test_a_schedule_is_overdue_when_nothing_succeeds():
    for node, other in ways():
        schedule, every = unique("due"), 1500
        began = time.monotonic()
        put(node, schedule, expected_every_ms=every)
        first = shown(other, schedule)
        check(not first["overdue"] or time.monotonic() - began >= 1.5, "not at once")
        equal(first["expected_every_ms"], every, "the policy")
        wait_for(lambda: shown(other, schedule)["overdue"], "nothing has succeeded since the policy was made")  # noqa: B023: used at once
        check(time.monotonic() - began >= 1.49, "not before its time")
        put(other, schedule, expected_every_ms=every, description="the same policy, put again")
        equal(shown(node, schedule)["overdue"], True, "that makes nothing better")
        run_once(node, schedule, "failed")
        equal(shown(other, schedule)["overdue"], True, "nor does a failure")
        run_once(node, schedule)
        at = time.monotonic()
        equal(shown(other, schedule)["overdue"], False, "a success does")
        wait_for(lambda: shown(other, schedule)["overdue"], "until it is late again")  # noqa: B023: used at once
        check(time.monotonic() - at >= 1.4, "not before its time")
        put(node, schedule)
        shown_now = shown(other, schedule)
        equal((shown_now["overdue"], shown_now["expected_every_ms"]), (False, None), "nothing is expected any more")
        put(node, schedule, expected_every_ms=every)
        equal(shown(other, schedule)["overdue"], True, "the success is still as old as it is")
        equal(node.request("DELETE", f"/schedules/{schedule}").status, 200, "delete")
        put(node, schedule, expected_every_ms=600000)
        equal(shown(other, schedule)["overdue"], False, "a new policy")


def test_what_may_be_expected():
    for node, _ in ways():
        schedule = unique("due")
        for wrong in (0, -1, "1", 1.5, True, 2**53):
            answer = node.request("PUT", f"/schedules/{schedule}", {"expected_every_ms": wrong})
            equal(problem(answer, 400, "invalid_field")["field"], "expected_every_ms", f"{wrong!r}")
        equal(put(node, schedule, expected_every_ms=None)["expected_every_ms"], None, "null is none")
        equal(put(node, schedule, expected_every_ms=1)["expected_every_ms"], 1, "the least")
        equal(put(node, schedule, expected_every_ms=2**53 - 1)["expected_every_ms"], 2**53 - 1, "the most")


def test_overdue_and_durations_outlive_a_restart_and_a_change_of_the_leader():
    with Cluster() as cluster:
        cluster.start()
        put(cluster.leader(), "late", expected_every_ms=1, estimated_duration_ms=5, safety_margin_ms=0)
        put(cluster.leader(), "early", expected_every_ms=3600000)
        for _ in range(3):
            run_once(cluster.leader(), "late", lasts_ms=20)
        wait_for(lambda: shown(cluster.leader(), "late")["overdue"], "overdue")
        first = [shown(cluster.leader(), name) for name in ("late", "early")]
        equal(first[0]["estimate_risky"], True, "risky")
        old = cluster.leader()
        old.kill()
        cluster.wait_ready([node for node in cluster.nodes if node is not old])
        for node in cluster.followers():
            equal([shown(node, name) for name in ("late", "early")], first, f"{node.name} under another leader")
        cluster.kill()
        for node in cluster.nodes:
            node.start()
        cluster.wait_ready()
        for node in cluster.nodes:
            equal([shown(node, name) for name in ("late", "early")], first, f"{node.name} after a restart")


# ---- metrics ----


def test_metrics_tell_of_each_schedule_with_a_policy():
    promtool = tool("promtool")
    with Cluster() as cluster:
        cluster.start()
        leader, follower = cluster.leader(), cluster.followers()[0]
        put(leader, "late", expected_every_ms=1)
        put(leader, "frozen:one~@1", expected_every_ms=3600000)
        put(leader, "plain")
        equal(leader.acquire("without-a-policy").status, 201, "acquire")
        run = run_once(leader, "plain", lasts_ms=40)
        equal(leader.request("PUT", "/freezes/frozen*", {"actor": "a", "reason": "r", "ttl_ms": 600000}).status, 200, "freeze")
        wait_for(lambda: shown(leader, "late")["overdue"], "overdue")
        for node in (leader, follower):
            wait_for(lambda node=node: Scrape(node).get("baton_schedule_overdue", schedule="late") == 1, f"{node.name} tells it")
            scrape = Scrape(node)

            def values(name, scrape=scrape):
                return {dict(labels)["schedule"]: value for (found, labels), value in scrape.values.items() if found == name}

            equal(values("baton_schedule_overdue"), {"late": 1, "frozen:one~@1": 0, "plain": 0}, "overdue")
            equal(values("baton_schedule_frozen"), {"late": 0, "frozen:one~@1": 1, "plain": 0}, "frozen")
            equal(values("baton_schedule_last_run_duration_seconds"), {"plain": run["duration_ms"] / 1000}, "durations")
            check(abs(values("baton_schedule_last_success_timestamp_seconds")["plain"] - time.time()) < 600, "last success")
            equal((scrape.get("baton_schedules_left_out"), scrape.get("baton_groups"), scrape.get("baton_freezes")), (0, 0, 1), "counts")
            result = subprocess.run([promtool, "check", "metrics"], input=scrape.text, capture_output=True, text=True, check=False)
            equal((result.returncode, result.stdout + result.stderr), (0, ""), "promtool")
        equal(leader.request("DELETE", "/schedules/plain").status, 200, "delete")
        check(not Scrape(leader).has("baton_schedule_overdue", schedule="plain"), "gone with its policy")


def stalls_over(scrape, seconds):
    """How many turns of the loop took longer."""
    buckets = {float(dict(labels)["le"]): value for (name, labels), value in scrape.values.items() if name == "baton_loop_stall_seconds_bucket"}
    bound = max(le for le in buckets if le <= seconds)
    return buckets[float("inf")] - buckets[bound], bound


def test_two_thousand_policies_are_scraped_without_a_stall():
    count, scrapes = 2000, 20
    with Cluster(size=1) as cluster:
        node = cluster.start().nodes[0]
        with Crowd(node.http_port, 32) as crowd:
            names = [f"policy-{i:04}" for i in range(count)]
            policies = [put_bytes(f"/schedules/{name}", {"expected_every_ms": 60000, "safety_margin_ms": 0}) for name in names]
            equal(crowd.ask(policies, depth=8), {200: count}, "policies")
            for _ in range(4):
                equal(crowd.ask([post_bytes(f"/locks/{name}", {"holder": "h", "ttl_ms": 1}) for name in names], depth=8), {201: count},
                      "runs")  # fmt: skip
                wait_for(lambda: Scrape(node).get("baton_locks_held") == 0, "they end")
        before, bound = stalls_over(Scrape(node), 0.1)
        began, sizes = time.monotonic(), []
        for _ in range(scrapes):
            scrape = Scrape(node)
            sizes.append(len(scrape.text))
            equal(sum(name == "baton_schedule_overdue" for name, _ in scrape.values), count, "each is told of")
        took = time.monotonic() - began
        after, _ = stalls_over(scrape, 0.1)
        note = f"{took / scrapes * 1000:.0f} ms for each scrape of {sizes[-1]} bytes, {after - before:.0f} turns of the loop over {bound * 1000:.0f} ms"
        check(after - before <= 1, note)  # a busy machine may take its time once
        return note


def test_more_than_ten_thousand_policies_are_left_out_and_counted():
    with Cluster(size=1) as cluster:
        node = cluster.start().nodes[0]
        with Crowd(node.http_port, 32) as crowd:
            equal(crowd.ask([put_bytes(f"/schedules/policy-{i:05}", {}) for i in range(10100)], depth=8), {200: 10100}, "policies")
        scrape = Scrape(node)
        equal(sum(name == "baton_schedule_frozen" for name, _ in scrape.values), 10000, "told of by name")
        equal((scrape.get("baton_schedules_left_out"), scrape.get("baton_policies")), (100, 10100), "the rest is counted")
