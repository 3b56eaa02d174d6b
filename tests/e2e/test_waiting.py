"""Requests that wait for a lock (`wait_ms`), through the leader and a follower: who is woken, by what, with which answer,
and what becomes of them when their client, their node or the leader goes."""

import os
import signal
import threading
import time

from clients import Waiter, queue_up, wait_waiting, waiting
from crowd import Crowd, allow_files
from harness import Cluster, check, equal, free_port, leader_and_follower, post_bytes, served, unique, wait_for
from peerwire import APPEND_ENTRIES, Proxy, entry_lengths
from test_bounds import MIB, Flat
from test_contract import both, problem
from test_freezes import freeze, thaw
from test_groups import grouped, put_group
from test_schedules import get, put, revoke, runs, ways

HOUR = 3600000


def take(node, schedule, holder="first", **named):
    answer = node.acquire(schedule, holder=holder, **named)
    equal(answer.status, 201, repr(answer))
    return answer.json["token"]


def release(node, schedule, token, outcome=None):
    answer = node.release(schedule, token, outcome)
    equal(answer.status, 200, repr(answer))


def wakes(schedule, ways_in, event, **fields):
    """Of two that wait, `event` gives the first the lock, which is returned, and leaves the second where it is."""
    first, second = queue_up(ways_in, schedule, 2, **fields)
    with first, second:
        event()
        lock = first.granted()
        check(not second.answered, "the other one goes on waiting")
        equal(waiting(ways_in[0], schedule), 1, "one waits still")
        second.hang_up()
        wait_waiting(ways_in[0], schedule, 0)
        return lock


# ---- what is waited out ----


def test_a_free_lock_is_granted_at_once():
    for node in both():
        lock = Waiter(node, unique("free")).granted()
        check(set(lock) == {"schedule_id", "holder", "token", "ttl_ms", "remaining_ms", "acquired_at", "expires_at", "occurrence",
                            "attempt", "metadata"}, f"a lock as always: {lock}")  # fmt: skip


def test_the_order_is_that_of_arrival():
    for node, other in ways():
        schedule = unique("queue")
        token = take(node, schedule)
        waiters = queue_up([node, other], schedule, 6)
        for i, waiter in enumerate(waiters):
            release((node, other)[i % 2], schedule, token)
            lock = waiter.granted()
            equal(lock["holder"], f"w{i}", "who came first")
            check(lock["token"] > token, "tokens grow")
            token = lock["token"]
            check(not any(each.answered for each in waiters[i + 1 :]), "the others go on waiting")
            equal([waiting(each, schedule) for each in (node, other)], [5 - i] * 2, "so many wait, says every node")
        release(node, schedule, token)


def test_who_comes_later_is_behind():
    """A request that comes right after a release finds the lock given to the one that waited, whether it waits itself or not."""
    for node, other in ways():
        schedule = unique("behind")
        token = take(node, schedule)
        for _ in range(25):
            [waiter] = queue_up([other], schedule, 1)
            release(node, schedule, token)
            late = problem(node.acquire(schedule, holder="late"), 409, "lock_held")
            token = waiter.granted()["token"]
            equal(late["token"], token, "it was given to who waited")
        release(node, schedule, token)


def test_each_way_a_slot_comes_free_wakes_one():
    for node, other in ways():
        order = [node, other]
        for how in ("succeeded", "failed", "abandoned"):
            schedule = unique("wake")
            token = take(node, schedule)
            wakes(schedule, order, lambda: release(other, schedule, token, how))  # noqa: B023: used at once
        schedule = unique("wake")  # by its deadline
        put(node, schedule, safety_margin_ms=0)
        began = time.monotonic()
        take(node, schedule, ttl_ms=1000)
        wakes(schedule, order, lambda: None)
        check(time.monotonic() - began >= 0.99, "not before the deadline")
        schedule = unique("wake")
        take(node, schedule)
        wakes(schedule, order, lambda: revoke(other, schedule, force=True))
        schedule = unique("wake")
        token = take(node, schedule)
        [waiter] = queue_up([other], schedule, 1)
        revoke(other, schedule)
        check(not waiter.answered, "a soft revocation frees nothing yet")
        equal(waiting(node, schedule), 1, "it waits still")
        release(node, schedule, token)
        waiter.granted()


def test_a_changed_policy_wakes():
    for node, other in ways():
        order = [node, other]
        schedule = unique("policy")
        take(node, schedule)
        wakes(schedule, order, lambda: put(other, schedule, slots=2))
        first, second, third = queue_up(order, schedule, 3, holder="x")  # as many as there is room for now
        put(other, schedule, slots=4)
        equal([first.granted()["holder"], second.granted()["holder"]], ["x0", "x1"], "two")
        check(not third.answered, "the third waits still")
        third.hang_up()
        schedule = unique("policy")
        put(node, schedule, min_hold_ms=HOUR)
        release(node, schedule, take(node, schedule))
        wakes(schedule, order, lambda: put(other, schedule, min_hold_ms=0))
        schedule = unique("policy")
        put(node, schedule, min_hold_ms=HOUR)
        release(node, schedule, take(node, schedule))
        wakes(schedule, order, lambda: other.request("DELETE", f"/schedules/{schedule}"))


def test_a_cool_down_that_ends_wakes():
    for node, other in ways():
        schedule = unique("cool")
        put(node, schedule, min_hold_ms=1500)
        began = time.monotonic()
        release(node, schedule, take(node, schedule))
        lock = wakes(schedule, [node, other], lambda: None)
        check(time.monotonic() - began >= 1.49, "not before min_hold_ms")
        schedule = lock["schedule_id"]
        waiter = Waiter(other, schedule, "next")  # now it is held, and cools down behind that
        wait_waiting(node, schedule, 1)
        release(node, schedule, lock["token"])
        waiter.granted()
        check(time.monotonic() - began >= 2.9, "each waits for its own")


def test_a_slot_of_a_group_wakes_the_oldest_of_the_group():
    for node, other in ways():
        name, [held, first, second, third] = grouped(node, 1, 4)
        token = take(node, held)
        waiters = {}
        for schedule, way in ((second, other), (first, node), (third, other)):
            [waiters[schedule]] = queue_up([way], schedule, 1)
        release(other, held, token)
        lock = waiters[second].granted()
        check(not waiters[first].answered and not waiters[third].answered, "the oldest of the group, only it")
        equal([waiting(node, each) for each in (first, second, third)], [1, 0, 1], "those wait still")
        release(node, second, lock["token"])
        lock = waiters[first].granted()
        put_group(node, name, 2)
        waiters[third].granted()
        [waiter] = queue_up([node], second, 1)
        release(other, first, lock["token"])
        waiter.granted()


def test_who_cannot_use_a_slot_passes_it_on():
    """The oldest of the group waits for its own schedule, so the slot is the next one's."""
    for node, other in ways():
        name, [held, busy, free] = grouped(node, 2, 3)
        token = take(node, held)
        take(node, busy)
        [stuck] = queue_up([node], busy, 1)
        [lucky] = queue_up([other], free, 1)
        release(other, held, token)
        lock = lucky.granted()
        check(not stuck.answered, "it waits for its own schedule")
        revoke(node, busy, force=True)
        stuck.granted()
        equal(get(other, f"/groups/{name}")["held"], 2, "held")
        release(node, free, lock["token"])


def test_a_policy_that_leaves_its_group_frees_who_waits_for_it():
    for node, other in ways():
        _, [held, schedule] = grouped(node, 1, 2)
        take(node, held)
        wakes(schedule, [node, other], lambda: put(other, schedule))


# ---- what is answered at once ----


def test_an_occurrence_that_is_done_answers_all_that_wait_for_it():
    for node, other in ways():
        schedule, occurrence = unique("done"), "2026-03-01T12:00:00Z"
        token = take(node, schedule, occurrence=occurrence)
        same = [Waiter((node, other)[i % 2], schedule, f"s{i}", occurrence=written)
                for i, written in enumerate((occurrence, "2026-03-01T13:00:00+01:00", occurrence, "2026-03-01t12:00:00.000z"))]  # fmt: skip
        wait_waiting(node, schedule, 4)
        [another] = queue_up([other], schedule, 1, occurrence="2026-03-02T12:00:00Z")
        release(other, schedule, token, "succeeded")
        for waiter in same:
            equal(problem(waiter.answer(), 409, "occurrence_done")["run"]["token"], token, "its run")
        another.granted()
        equal(waiting(node, schedule), 0, "nobody is left")


def test_an_occurrence_that_may_be_tried_again_is():
    for node, other in ways():
        schedule = unique("again")
        put(node, schedule, max_attempts=2)
        token = take(node, schedule, occurrence="o")
        waiters = queue_up([node, other], schedule, 3, occurrence="o")
        release(other, schedule, token, "failed")
        lock = waiters[0].granted()
        equal(lock["attempt"], 2, "the second attempt")
        check(not waiters[1].answered and not waiters[2].answered, "the others wait")
        release(node, schedule, lock["token"], "failed")
        for waiter in waiters[1:]:
            equal(problem(waiter.answer(), 409, "attempts_exhausted")["run"]["token"], lock["token"], "its last run")


def test_a_freeze_answers_all_that_wait():
    for node, other in ways():
        schedule = unique("frost")
        token = take(node, schedule)
        waiters = queue_up([node, other], schedule, 4)
        freeze(other, schedule)
        for waiter in waiters:
            answer = waiter.answer()
            equal(problem(answer, 409, "frozen")["scope"], schedule, "scope")
            check(answer.headers["retry-after"], "Retry-After")
        problem(Waiter(other, schedule).answer(), 409, "frozen")  # nor is it waited for afterwards
        thaw(node, schedule)
        release(node, schedule, token)
        name, [held, second] = grouped(node, 1, 2)
        take(node, held)
        waiters = queue_up([other, node], second, 2)
        freeze(node, f"{second[:-1]}*")
        for waiter in waiters:
            problem(waiter.answer(), 409, "frozen")
        thaw(node, f"{second[:-1]}*")
        equal(get(node, f"/groups/{name}")["held"], 1, "nothing was granted")


def test_a_policy_that_forbids_what_waits_answers_it():
    for node, other in ways():
        schedule = unique("terms")
        put(node, schedule)
        take(node, schedule)
        short, long = queue_up([node, other], schedule, 2, ttl_ms=100000)[0], queue_up([other], schedule, 1, ttl_ms=200000)[0]
        put(other, schedule, max_ttl_ms=150000)
        equal(problem(long.answer(), 422, "ttl_too_long")["maximum_ms"], 150000, "maximum")
        check(not short.answered, "what is allowed still waits still")
        put(node, schedule, estimated_duration_ms=100000, max_ttl_ms=150000)
        equal(problem(short.answer(), 422, "ttl_too_short")["minimum_ms"], 130000, "minimum")


def test_a_key_that_waits_twice_is_one_grant():
    for node, other in ways():
        schedule, key = unique("key"), unique("same")
        token = take(node, schedule)
        first = Waiter(node, schedule, "h", key=key)
        wait_waiting(node, schedule, 1)
        same = Waiter(other, schedule, "h", key=key, wait_ms=1000000)  # wait_ms isn't compared
        wait_waiting(node, schedule, 2)
        conflict = Waiter(other, schedule, "else", key=key)
        wait_waiting(node, schedule, 3)
        release(node, schedule, token)
        lock = first.granted()
        equal(same.granted()["token"], lock["token"], "the repeat of the grant")
        problem(conflict.answer(), 409, "idempotency_conflict")
        equal(len(runs(node, schedule)), 2, "one grant")


def test_what_waiting_does_not_wait_out():
    for node, other in ways():
        schedule, key = unique("at-once"), unique("key")
        put(node, schedule, max_ttl_ms=700000)
        problem(Waiter(other, schedule, ttl_ms=1).answer(), 422, "ttl_too_short")
        problem(Waiter(other, schedule, ttl_ms=700001).answer(), 422, "ttl_too_long")
        token = take(node, schedule, holder="h", key=key, occurrence="o")
        equal(Waiter(other, schedule, "h", key=key, occurrence="o").granted()["token"], token, "a repeat")
        problem(Waiter(other, schedule, "x", key=key).answer(), 409, "idempotency_conflict")
        release(node, schedule, token, "succeeded")
        problem(Waiter(other, schedule, "x", occurrence="o").answer(), 409, "occurrence_done")
        problem(Waiter(other, schedule, "h", key=key, occurrence="o").answer(), 409, "grant_ended")
        release(node, schedule, take(node, schedule, occurrence="p"), "failed")
        problem(Waiter(other, schedule, "x", occurrence="p").answer(), 409, "attempts_exhausted")
        equal(waiting(node, schedule), 0, "none of them waited")


def test_how_long_one_may_wait():
    for node in both():
        schedule = unique("long")
        for wait_ms in (-1, HOUR + 1, "1", 1.5, None, True):
            sent = {"holder": "h", "ttl_ms": 60000, "wait_ms": wait_ms}
            equal(problem(node.request("POST", f"/locks/{schedule}", sent), 400, "invalid_field")["field"], "wait_ms", "field")
        equal(node.acquire(schedule, wait_ms=HOUR).status, 201, "the longest")
        equal(node.acquire(unique("long"), wait_ms=0).status, 201, "the shortest")


# ---- the end of waiting ----


def test_a_wait_ends_with_what_was_in_its_way():
    for node, other in ways():
        schedule = unique("end")
        token = take(node, schedule, holder="keeper")
        waiter = Waiter(other, schedule, wait_ms=700)
        body = problem(waiter.answer(), 409, "lock_held")
        check(time.monotonic() - waiter.began >= 0.69, "it waited")
        equal(body["detail"], f"schedule {schedule} skipped — lock held by peer keeper", "detail")
        equal((body["holder"], body["token"], len(body["holders"])), ("keeper", token, 1), "who has it")
        release(node, schedule, token)
        schedule = unique("end")
        put(node, schedule, min_hold_ms=HOUR)
        release(node, schedule, take(node, schedule))
        waiter = Waiter(other, schedule, wait_ms=700)
        answer = waiter.answer()
        check(HOUR - 60000 < problem(answer, 409, "cooling_down")["remaining_ms"] <= HOUR - 700, "what remains now")
        check(int(answer.headers["retry-after"]) > 3000, "Retry-After")
        name, [held, schedule] = grouped(node, 1, 2)
        token = take(node, held)
        body = problem(Waiter(other, schedule, wait_ms=700).answer(), 409, "group_full")
        equal((body["group"], body["held"], body["holders"][0]["token"]), (name, 1, token), "who fills it")
        equal(waiting(node, schedule), 0, "it waits no more")
        release(node, held, token)
        equal(node.acquire(schedule, holder="other").status, 201, "nothing was granted for it")


def test_waiting_through_many_turns_of_the_same_lock():
    """Eight clients, each of which waits for its turn again and again: all get it, and tokens tell the order."""
    leader, follower = leader_and_follower()
    schedule, tokens, turns = unique("turns"), [], 0
    waiting_now = [Waiter((leader, follower)[i % 2], schedule, f"c{i}") for i in range(8)]
    while turns < 80:
        ready = wait_for(lambda: [waiter for waiter in waiting_now if waiter.answered], "one has its turn")
        equal(len(ready), 1, "one at a time")
        lock = ready[0].granted()
        tokens.append(lock["token"])
        waiting_now.remove(ready[0])
        if turns < 72:
            waiting_now.append(Waiter(ready[0].node, schedule, ready[0].holder))
        release((leader, follower)[turns % 2], schedule, lock["token"])
        turns += 1
    equal(tokens, sorted(tokens), "tokens in the order of turns")
    equal(waiting(leader, schedule), 0, "nobody is left")


# ---- clients that go ----


def test_who_hangs_up_leaves_the_queue():
    for node, other in ways():
        for way in (node, other):
            for how in ("hang_up", "reset", "half_close"):
                for key in (None, unique("key")):
                    schedule = unique("gone")
                    token = take(node, schedule)
                    [goes] = queue_up([way], schedule, 1, key=key)
                    [stays] = queue_up([other], schedule, 1)
                    getattr(goes, how)()
                    wait_waiting(node, schedule, 1)
                    release(node, schedule, token)
                    lock = stays.granted()
                    release(node, schedule, lock["token"])
                    equal([run["holder"] for run in runs(node, schedule)], ["w1", "first"], "nothing was granted for who went")
                    goes.hang_up()
                    if key is not None:
                        equal(way.acquire(schedule, holder="w0", key=key).status, 201, "its key is free: a refused one leaves none")


def test_a_hang_up_in_the_moment_of_the_grant_leaves_nothing_taken():
    """The release and the end of the connection arrive together; whichever wins, without a key the lock is free again."""
    for node, other in ways():
        seen = {"granted": 0, "never": 0}
        for i in range(30):
            schedule = unique("moment")
            token = take(node, schedule)
            [waiter] = queue_up([(node, other)[i % 2]], schedule, 1)
            if i % 3:
                release(other, schedule, token)
                waiter.hang_up()
            else:
                waiter.hang_up()
                release(other, schedule, token)

            def kept():
                return [run for run in runs(node, schedule) if run["holder"] == "w0"]  # noqa: B023: used at once

            if i % 3:
                # an answer that was on its way when the client hung up belongs to the client: it may be running
                wait_waiting(node, schedule, 0)
            else:
                answer = wait_for(lambda: granted(other, schedule, "next"), "it can be had")  # noqa: B023: used at once
                check(all(run["outcome"] == "abandoned" for run in kept()), f"its run was given back: {kept()}")
                release(node, schedule, answer["token"])
            seen["granted" if kept() else "never"] += 1
    return str(seen)


def granted(node, schedule, holder):
    answer = node.acquire(schedule, holder=holder)
    return answer.json if answer.status == 201 else None


def test_a_grant_to_who_went_is_given_back_and_with_a_key_kept():
    """Entries take their time on the way, so that the client hangs up when its grant is proposed and not committed yet."""
    slow = threading.Event()

    def delay(_proxy, _forward, frame):
        if slow.is_set() and frame[4] == APPEND_ENTRIES and entry_lengths(frame):
            time.sleep(0.1)
        return [frame]

    proxies = {name: Proxy(free_port(), False, delay) for name in ("n1", "n2", "n3")}
    try:
        with Cluster(proxies=proxies, flags=["--election-timeout", "4000", "--heartbeat", "200"]) as cluster:
            for name, proxy in proxies.items():
                proxy.target = cluster[name].raft_port
            cluster.start()
            leader, follower = cluster.leader(), cluster.followers()[0]
            for node, other in ((leader, follower), (follower, leader)):
                for key in (None, unique("kept")):
                    schedule = unique("given-back")
                    token = take(node, schedule)
                    [waiter] = queue_up([node], schedule, 1, key=key)
                    slow.set()
                    release(leader, schedule, token)
                    check(not waiter.answered, "its grant is on its way")
                    waiter.hang_up()
                    wait_for(lambda: [run for run in runs(leader, schedule) if run["holder"] == "w0"], "the grant commits")  # noqa: B023
                    slow.clear()
                    if key is None:
                        wait_for(lambda: granted(other, schedule, "next"), "it is free for the next")  # noqa: B023: used at once
                        outcomes = {run["holder"]: run["outcome"] for run in runs(leader, schedule)}
                        equal(outcomes, {"first": "succeeded", "w0": "abandoned", "next": "running"}, "given back")
                    else:
                        kept = get(other, f"/locks/{schedule}")["holders"][0]
                        answer = other.acquire(schedule, holder="w0", key=key)
                        equal((answer.status, answer.json["token"]), (201, kept["token"]), "the repeat gets it")
    finally:
        for proxy in proxies.values():
            proxy.close()


# ---- nodes that go ----


def check_ended(waiters, survivors, schedule):
    """Each was told 503 or 504, or (`cut`) its node died with it; of a 503 nothing was granted. Returns how often each came."""
    statuses, refused, in_doubt = {}, set(), set()
    for waiter in waiters:
        answer = waiter.try_answer(30)
        status = "cut" if answer is None else answer.status
        statuses[status] = statuses.get(status, 0) + 1
        check(status in ("cut", 503, 504), f"{waiter.holder} was answered {answer!r}")
        if status == 503:
            check(answer.code in ("no_leader", "not_ready"), repr(answer))
            check("retry-after" in answer.headers, "Retry-After")
            refused.add(waiter.holder)
        else:
            in_doubt.add(waiter.holder)
    node = survivors[0]
    holders = {lock["holder"] for lock in get(node, f"/locks/{schedule}")["holders"]} | {run["holder"] for run in runs(node, schedule)}
    check(not holders & refused, f"granted, though they were told 503: {holders & refused}")
    return statuses


def test_a_leader_that_dies_leaves_none_of_its_waiters_in_the_dark():
    for how in ("killed", "stopped"):
        with Cluster() as cluster:
            cluster.start()
            leader, followers = cluster.leader(), cluster.followers()
            schedule = unique("dies")
            put(leader, schedule, slots=2)
            token = take(leader, schedule, holder="one")
            take(leader, schedule, holder="two")
            waiters = queue_up([leader, *followers], schedule, 9, key=None) + [
                Waiter(followers[0], schedule, f"k{i}", key=f"key-{i}") for i in range(3)]  # fmt: skip
            wait_waiting(leader, schedule, 12)
            if how == "killed":
                leader.kill()
            else:
                leader.signal(signal.SIGTERM)
            statuses = check_ended([waiter for waiter in waiters if waiter.node is not leader], followers, schedule)
            own = check_ended([waiter for waiter in waiters if waiter.node is leader], followers, schedule)
            if how == "stopped":
                equal(leader.wait_exit(10), 0, "exit code")
                check("cut" not in own, f"a node that stops answers: {own}")
            check("cut" not in statuses, f"those of nodes that live are answered: {statuses}")
            cluster.wait_ready(followers)
            equal(waiting(followers[0], schedule), 0, "the new leader has none of them")
            again = Waiter(followers[0], schedule, "k0", key="key-0")  # in doubt, so again, and then it waits
            wait_waiting(followers[1], schedule, 1)
            release(followers[1], schedule, token)
            equal(again.granted()["holder"], "k0", "the repeat")


def test_a_leader_that_lost_its_followers_ends_the_wait():
    """It can't know any more whether it leads."""
    with Cluster() as cluster:
        cluster.start()
        leader, followers = cluster.leader(), cluster.followers()
        schedule = unique("alone")
        token = take(leader, schedule)
        waiters = queue_up([leader], schedule, 3)
        for node in followers:
            node.signal(signal.SIGSTOP)
        statuses = {waiter.holder: problem_status(waiter.answer(30)) for waiter in waiters}
        for node in followers:
            node.signal(signal.SIGCONT)
        cluster.wait_ready()
        [lock] = get(leader, f"/locks/{schedule}")["holders"]
        equal(lock["token"], token, "nothing was granted")
        equal(waiting(leader, schedule), 0, "nobody waits")
        return str(statuses)


def problem_status(answer):
    check(answer.status in (503, 504), repr(answer))
    return answer.status


def test_a_follower_that_dies_takes_its_waiters_along():
    with Cluster() as cluster:
        cluster.start()
        leader, [gone, stays] = cluster.leader(), cluster.followers()
        schedule = unique("along")
        token = take(leader, schedule)
        theirs = queue_up([gone], schedule, 4)
        [waiter] = queue_up([stays], schedule, 1)
        gone.kill()
        wait_waiting(leader, schedule, 1)
        for each in theirs:
            equal(each.try_answer(), None, "cut")
        release(leader, schedule, token)
        equal(waiter.granted()["holder"], "w4", "nothing is granted to who went with its node")
        gone.start()
        cluster.wait_ready()
        equal(waiting(gone, schedule), 0, "nor does anybody wait")


def test_a_follower_that_was_cut_off_for_a_while():
    """SIGSTOP until the leader has given it up: its waiters are told, and granted nothing behind their backs."""
    with Cluster() as cluster:
        cluster.start()
        leader, [away, stays] = cluster.leader(), cluster.followers()
        schedule = unique("away")
        token = take(leader, schedule)
        waiters = queue_up([away], schedule, 3, key=None)
        away.signal(signal.SIGSTOP)
        wait_waiting(leader, schedule, 0)
        release(leader, schedule, token)
        away.signal(signal.SIGCONT)
        for waiter in waiters:
            equal(problem_status(waiter.answer(30)), 504, "always so on a follower that lost its stream")
        cluster.wait_ready()
        wait_for(lambda: granted(stays, schedule, "next"), "it is free")
        check(all(run["outcome"] == "abandoned" for run in runs(leader, schedule) if run["holder"].startswith("w")), "or given back")


# ---- many ----


def cpu_seconds(node):
    with open(f"/proc/{node.process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def traffic(node, locks, rounds):
    """CPU seconds of `node` for so many rounds of renewals and refusals of other locks, which leave the state as it is."""
    before = cpu_seconds(node)
    requests = [post_bytes(f"/locks/{name}/renew", {"token": token}) for name, token in locks.items()]
    requests += [post_bytes(f"/locks/{name}", {"holder": "late", "ttl_ms": 60000}) for name in locks]
    with Crowd(node.http_port, 16) as crowd:
        equal(crowd.ask(requests * rounds, depth=8), {200: len(locks) * rounds, 409: len(locks) * rounds}, "renewed and refused")
    return cpu_seconds(node) - before


def test_two_thousand_that_wait_cost_nothing():
    size, rounds = 1000, 60
    allow_files(4 * size)
    with Cluster() as cluster:
        cluster.start()
        leader, follower = cluster.leader(), cluster.followers()[0]
        locks = {name: take(leader, name) for name in [unique("traffic") for _ in range(100)]}
        traffic(leader, locks, rounds)
        without = traffic(leader, locks, rounds)
        flat = [Flat(node, 4 * MIB) for node in (leader, follower)]
        costs = []
        for number in range(5):
            schedule, occurrence = unique("crowd"), f"2026-03-0{number + 1}T00:00:00Z"
            put(leader, schedule, slots=3)
            token = take(leader, schedule, occurrence=occurrence)
            with Crowd(leader.http_port, size, f"127.0.7.{number + 1}") as ours, \
                 Crowd(follower.http_port, size, f"127.0.8.{number + 1}") as theirs:  # fmt: skip
                for name, crowd in (("o", ours), ("t", theirs)):
                    crowd.send([post_bytes(f"/locks/{schedule}", {"holder": f"{name}{i}", "ttl_ms": 600000, "wait_ms": HOUR,
                                                                  "occurrence": occurrence}) for i in range(size)])  # fmt: skip
                wait_waiting(follower, schedule, 2 * size)
                if number < 2:  # later ones are for memory, which traffic takes, too: its log
                    costs.append(traffic(leader, locks, rounds))
                ours.read(), theirs.read()
                equal(ours.answers() + theirs.answers(), 0, "nobody was answered")
                began = time.monotonic()
                release(follower, schedule, token, "succeeded")
                for crowd in (ours, theirs):
                    crowd.read_until(lambda crowd=crowd: crowd.answers() == size, "all are answered")
                    equal(dict(crowd.statuses), {409: size}, "occurrence_done")
                took = time.monotonic() - began
                equal(waiting(leader, schedule), 0, "nobody is left")
            problem(leader.acquire(schedule, occurrence=occurrence), 409, "occurrence_done")
            for each in flat if number >= 2 else []:
                each.look()
        note = (f"CPU for {2 * len(locks) * rounds} requests: {without:.2f} s without, {' '.join(f'{cost:.2f}' for cost in costs)} s with them; "
                f"all were told within {took * 1000:.0f} ms; {flat[0]}; {flat[1]}")  # fmt: skip
        check(max(costs) <= 2 * without + 0.5, note)
        return note


def test_a_crowd_takes_turns():
    """Two hundred wait for one lock; whoever gets it releases it. Each has its turn once, and no two at a time."""
    with Cluster() as cluster:
        cluster.start()
        schedule = unique("turns")
        token = take(cluster.leader(), schedule)
        waiters = [Waiter(cluster.nodes[i % 3], schedule, f"w{i}") for i in range(200)]
        wait_waiting(cluster.leader(), schedule, 200)
        left, tokens = waiters, [token]
        for turn in range(200):
            release(cluster.nodes[turn % 3], schedule, tokens[-1])
            ready = wait_for(lambda: [waiter for waiter in left if waiter.answered], "the next one's turn", pause=0.002)  # noqa: B023
            equal(len(ready), 1, "one at a time")
            tokens.append(ready[0].granted()["token"])
            left = [waiter for waiter in left if waiter is not ready[0]]
        equal(tokens, sorted(set(tokens)), "tokens grow")
        equal(waiting(served_by(cluster), schedule), 0, "nobody is left")


def served_by(cluster):
    node = cluster.nodes[0]
    wait_for(lambda: served(node.try_request("GET", "/health")), "it serves")
    return node
