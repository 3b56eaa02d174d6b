"""Once per occurrence, whatever the agents' clocks say: the same firings are asked for through different nodes by agents
that are 10 s apart, and each job runs exactly once."""

import collections
import datetime
import http.client
import random
import threading
import time

from clients import Waiter
from harness import Cluster, check, equal
from test_schedules import get, put

COUNT, PERIOD_S, AHEAD_S = 200, 0.03, 10.0


class Clock:
    """An agent's own wall clock, so far from the true one."""

    def __init__(self, offset_s):
        self.offset_s = offset_s

    def now(self):
        return time.time() + self.offset_s

    def wait_until(self, instant):
        while (left := instant - self.now()) > 0:
            time.sleep(min(left, 0.05))


def written(instant, zone_minutes):
    """RFC 3339, as somebody in that zone writes it."""
    zone = datetime.timezone(datetime.timedelta(minutes=zone_minutes))
    return datetime.datetime.fromtimestamp(round(instant * 1000) / 1000, zone).isoformat(timespec="milliseconds")


class Agent(threading.Thread):
    """Fires each occurrence when its own clock says so: asks for the lock, runs the job, reports how it ended."""

    def __init__(self, name, nodes, clock, plan, ran, zone_minutes, wait_ms=0):
        super().__init__(daemon=True)
        self.name, self.nodes, self.clock, self.plan, self.ran = name, nodes, clock, plan, ran
        self.zone_minutes, self.wait_ms = zone_minutes, wait_ms
        self.refusals = collections.Counter()
        self.pending = []
        self.error = None
        self.random = random.Random(name)

    def run(self):
        try:
            for number, instant in enumerate(self.plan):
                self.clock.wait_until(instant)
                fired = threading.Thread(target=self.guarded, args=(number, instant), daemon=True)
                fired.start()
                self.pending.append(fired)
            for fired in self.pending:
                fired.join(60)
                check(not fired.is_alive(), "each is answered")
        except Exception as error:  # noqa: BLE001: shown by the test
            self.error = error

    def guarded(self, number, instant):
        try:
            self.fire(number, instant)
        except Exception as error:  # noqa: BLE001: shown by the test
            self.error = error

    def fire(self, number, instant):
        occurrence, key = written(instant, self.zone_minutes), f"{self.name}.{number}"
        for attempt in range(500):  # in doubt again, with the same key
            node = self.nodes[(number + attempt) % len(self.nodes)]
            try:
                answer = node.acquire("job", holder=self.name, ttl_ms=60000, occurrence=occurrence, key=key, wait_ms=self.wait_ms)
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
                continue
            if answer.status not in (503, 504):
                break
            time.sleep(0.02)
        if answer.status != 201:
            equal(answer.status, 409, repr(answer))
            self.refusals[answer.code] += 1
            return
        self.ran[number].append(self.name)
        time.sleep(self.random.random() * PERIOD_S / 2)  # the job
        for attempt in range(500):
            node = self.nodes[(number + attempt) % len(self.nodes)]
            done = node.try_request("DELETE", f"/locks/job?token={answer.json['token']}&outcome=succeeded")
            if done is not None and done.status == 200:
                return
            time.sleep(0.02)
        check(False, f"released: {done!r}")


def run_agents(agents, meanwhile=lambda: None):
    for agent in agents:
        agent.start()
    meanwhile()
    for agent in agents:
        agent.join(120)
        check(not agent.is_alive() and agent.error is None, f"{agent.name}: {agent.error!r}")


def check_once(ran, agents):
    wrong = {number: who for number, who in ran.items() if len(who) != 1}
    check(not wrong and len(ran) == COUNT, f"{len(ran)} ran; not exactly once: {wrong}")
    refusals = sum((agent.refusals for agent in agents), collections.Counter())
    equal(sum(refusals.values()), COUNT * (len(agents) - 1), "everybody else was refused")
    check(set(refusals) <= {"lock_held", "occurrence_done", "cooling_down"}, f"{refusals}")
    shares = collections.Counter(name for who in ran.values() for name in who)
    return f"{dict(shares)}; refused: {dict(refusals)}"


def test_agents_whose_clocks_differ_run_each_occurrence_once():
    """`fast` and `racer` are 10 s ahead of `slow`, who comes when the lock has long been free again."""
    with Cluster() as cluster:
        cluster.start()
        put(cluster.nodes[0], "job", slots=8)
        start = time.time() + AHEAD_S + 0.3
        plan = [start + i * PERIOD_S for i in range(COUNT)]
        ran = collections.defaultdict(list)
        n1, n2, n3 = cluster.nodes
        agents = [
            Agent("fast", [n1], Clock(AHEAD_S), plan, ran, 0), Agent("racer", [n3], Clock(AHEAD_S), plan, ran, 330),
            Agent("slow", [n2], Clock(0), plan, ran, -480),
        ]  # fmt: skip
        run_agents(agents)
        note = check_once(ran, agents)
        equal(agents[2].refusals["occurrence_done"], COUNT, "the slow one comes too late for each")
        return note


def test_and_so_while_the_leader_dies_and_some_wait():
    """Nearly the same clocks; one agent waits for the lock, so that it gets what the other one leaves; kill -9 in between."""
    with Cluster() as cluster:
        cluster.start()
        put(cluster.nodes[0], "job", slots=8)
        start = time.time() + 0.3
        plan = [start + i * PERIOD_S for i in range(COUNT)]
        ran = collections.defaultdict(list)
        agents = [
            Agent("eager", cluster.nodes, Clock(0.004), plan, ran, 60), Agent("waits", cluster.nodes[1:] + cluster.nodes[:1], Clock(0), plan,
                                                                             ran, 0, wait_ms=20000),
        ]  # fmt: skip

        def kill_the_leader():
            for fraction in (3, 2):
                Clock(0).wait_until(plan[COUNT // fraction])
                leader = cluster.leader()
                leader.kill()
                leader.start()
                cluster.wait_ready()

        run_agents(agents, kill_the_leader)
        note = check_once(ran, agents)
        for node in cluster.nodes:
            equal(get(node, "/locks/job")["held"], False, "nothing is left")
        with Waiter(cluster.nodes[0], "job", occurrence=written(plan[-1], 0)) as waiter:
            equal(waiter.answer().code, "occurrence_done", "nor will it run again")
        return note
