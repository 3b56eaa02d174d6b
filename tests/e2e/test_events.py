"""GET /events: what is told, to whom, and to who comes back: equal on every node, without a gap and without a repeat."""

import http.client
import itertools
import socket
import threading
import time

from clients import Reader, place
from crowd import Crowd, allow_files
from harness import Cluster, check, equal, leader_and_follower, post_bytes, run_load, end_load, shared_cluster, unique, wait_for
from test_bounds import LIMIT, MIB, Flat
from test_contract import problem
from test_freezes import freeze, push_out_of_the_log, thaw
from test_groups import put_group
from test_schedules import put, revoke, ways

_quiet = []


def quiet_reader():
    """Of the shared cluster, of events that never come. The first test here opens it and the last one looks at it."""
    if not _quiet:
        _quiet.append(Reader(shared_cluster().nodes[0], f"schedule={unique('never')}"))
        _quiet[0].opened = time.monotonic()
        _quiet[0].start()
    return _quiet[0]


def everything(node, other, name):
    """Each thing that is told, on schedules, groups and scopes that begin with `name`."""
    put_group(node, f"{name}.g", 5)
    put(node, f"{name}.s", group=f"{name}.g", safety_margin_ms=0, description="one")
    lock = node.acquire(f"{name}.s", occurrence="o", metadata={"a": 1}).json
    equal(node.acquire(f"{name}.s", holder="late").status, 409, "refused")
    equal(other.renew(f"{name}.s", lock["token"], ttl_ms=700000).status, 200, "renew")
    equal(other.release(f"{name}.s", lock["token"], "succeeded").status, 200, "release")
    brief = node.acquire(f"{name}.s", ttl_ms=200).json
    wait_for(lambda: not node.status(f"{name}.s").json["held"], "it ends")
    equal(other.release(f"{name}.s", brief["token"], "succeeded").status, 409, "too late")
    node.acquire(f"{name}.s")
    for force in (False, True):
        revoke(other, f"{name}.s", force=force)
    freeze(node, f"{name}*", 600000)
    thaw(other, f"{name}*")
    freeze(node, f"{name}.s", 200)
    wait_for(lambda: not node.status(f"{name}.s").json["frozen"], "it ends")
    equal(node.request("DELETE", f"/schedules/{name}.s").status, 200, "policy deleted")
    equal(node.request("DELETE", f"/groups/{name}.g").status, 200, "group deleted")


EVERYTHING = [
    "group", "policy", "granted", "renewed", "released", "granted", "expired", "released", "granted", "revoked", "revoked",
    "freeze", "freeze", "freeze", "freeze", "policy", "group",
]  # fmt: skip


def test_each_kind_is_told_on_every_node_alike():
    quiet_reader()
    for node, other in ways():
        name = unique("told")
        readers = [Reader(each, f"prefix={name}&renewals=true") for each in shared_cluster().nodes]
        with readers[0], readers[1], readers[2]:
            everything(node, other, name)
            for reader in readers:
                reader.wait(lambda events: len([event for event in events if event.id]) >= len(EVERYTHING), "everything")
            first = readers[0].of_log()
            equal([event.kind for event in first], EVERYTHING, "kinds in order")
            for reader in readers[1:]:
                equal([(event.id, event.kind, event.text) for event in reader.of_log()],
                      [(event.id, event.kind, event.text) for event in first], "the same on every node")  # fmt: skip
            places = [place(event.id) for event in first]
            equal(len({generation for generation, _, _ in places}), 1, "one generation")
            equal(places, sorted(set(places)), "ids grow")
            check_data(first, name)
            for reader in readers:
                refused = [event for event in list(reader.events) if event.kind == "refused"]
                # told where it was answered, and there alone
                equal([event.data["code"] for event in refused], ["lock_held"] if reader.node is node else [], "refused")
                check(all(event.id is None for event in refused), "without an id")


def check_data(events, name):
    def data(kind):
        return [event.data for event in events if event.kind == kind]

    schedule = f"{name}.s"
    granted, renewed, released, expired, revoked = (data(kind) for kind in ("granted", "renewed", "released", "expired", "revoked"))
    tokens = [each["token"] for each in granted]
    check(all(each["schedule_id"] == schedule and each["group"] == f"{name}.g" for each in granted + renewed + released[:1]), "whose")
    check(all("metadata" not in each for each in granted + renewed), "without metadata")
    equal((granted[0]["occurrence"], granted[0]["attempt"], granted[0]["ttl_ms"]), ("o", 1, 600000), "granted")
    equal((renewed[0]["token"], renewed[0]["ttl_ms"]), (tokens[0], 700000), "renewed")
    equal((released[0]["token"], released[0]["outcome"], released[0]["late_outcome"]), (tokens[0], "succeeded", None), "released")
    equal((expired[0]["token"], expired[0]["outcome"]), (tokens[1], "expired"), "expired")
    equal((released[1]["token"], released[1]["outcome"], released[1]["late_outcome"]), (tokens[1], "expired", "succeeded"), "late")
    equal([(each["token"], each["outcome"], each["freed"]) for each in revoked],
          [(tokens[2], "revoked", False), (tokens[2], "revoked", True)], "softly, and by force")  # fmt: skip
    equal((revoked[0]["actor"], revoked[0]["reason"]), ("ops@desk", "its host died"), "who and why")
    equal([(each["description"], each["deleted"]) for each in data("policy")], [("one", False), ("one", True)], "policies")
    equal([(each["name"], each["slots"], each["deleted"]) for each in data("group")],
          [(f"{name}.g", 5, False), (f"{name}.g", 5, True)], "groups")  # fmt: skip
    equal([(each["scope"], each["ended"]) for each in data("freeze")],
          [(f"{name}*", False), (f"{name}*", True), (f"{name}.s", False), (f"{name}.s", True)], "freezes")  # fmt: skip


def test_only_what_was_asked_for_is_told():
    for node, other in ways():
        name = unique("filter") + "."
        readers = {query: Reader(other, query) for query in
                   (f"schedule={name}a", f"prefix={name}a", f"prefix={name}", f"prefix={name}&renewals=true",
                    f"schedule={name}a&prefix={name}b", f"prefix={name}zz")}  # fmt: skip
        with readers[f"prefix={name}&renewals=true"] as whole:
            for reader in list(readers.values()):
                if reader is not whole:
                    reader.start()
            tokens = {each: node.acquire(f"{name}{each}").json["token"] for each in ("a", "ab", "b")}
            for each, token in tokens.items():
                equal(other.renew(f"{name}{each}", token).status, 200, "renew")
            put_group(node, f"{name}a-group", 1)
            freeze(node, f"{name}b*", 60000)
            thaw(node, f"{name}b*")
            for each, token in tokens.items():
                equal(node.release(f"{name}{each}", token).status, 200, "release")
            node.acquire(f"{name}last")
            whole.wait(lambda events: len(events) == 13, "everything")
            wanted = {
                f"schedule={name}a": ["granted", "released"],
                f"prefix={name}a": ["granted", "granted", "group", "released", "released"],
                f"prefix={name}": ["granted"] * 3 + ["group", "freeze", "freeze"] + ["released"] * 3 + ["granted"],
                f"schedule={name}a&prefix={name}b": [], f"prefix={name}zz": [],
            }  # fmt: skip
            for query, kinds in wanted.items():
                readers[query].wait(lambda events, kinds=kinds: len(events) >= len(kinds), f"{query}: {kinds}")
                equal([event.kind for event in readers[query].of_log()], kinds, query)
                readers[query].close()
        for query in ("colour=red", "renewals=1", "renewals=", "schedule=-a", "prefix=a&prefix=b", "consistency=stale"):
            check(node.request("GET", f"/events?{query}").status == 400, query)


def numbered(node, name, count):
    """So many grants, one after the other."""
    for i in range(count):
        equal(node.acquire(f"{name}{i}", holder=f"h{i}").status, 201, "acquire")


def test_who_comes_back_goes_on_where_it_was():
    for node, other in ways():
        name = unique("back") + "."
        with Reader(node, f"prefix={name}") as reader:
            numbered(other, name, 10)
            first = reader.wait_kind(*["granted"] * 10)
        for seen in (0, 4, 8, 9):
            with Reader(other, f"prefix={name}", last_id=first[seen].id) as reader:
                numbered(node, f"{name}more{seen}.", 1)
                reader.wait(lambda events: events and events[-1].data["schedule_id"] == f"{name}more{seen}.0", "the newest")  # noqa: B023
                got = list(reader.events)
                equal(got[: 9 - seen], first[seen + 1 :], f"what followed the {seen}th")
                check("reset" not in reader.kinds(), "no reset")
        node.status(f"{name}more9.0")  # so that this node has seen all that was
        with Reader(node, f"prefix={name}") as reader:  # without an id: only what is to come
            numbered(node, f"{name}new.", 1)
            reader.wait(lambda events: events, "the new one")
            equal(reader.events[0].data["schedule_id"], f"{name}new.0", "nothing old")


def test_an_id_that_is_gone_gets_a_reset_first():
    for node in leader_and_follower():
        name = unique("gone") + "."
        with Reader(node, f"prefix={name}") as reader:
            numbered(node, name, 1)
            [event] = reader.wait_kind("granted")
        generation, index, number = place(event.id)
        for last in ("x", "1-2", "1-2-3-4", f"{generation}-{index}", f"{generation + 1}-{index}-{number}", f"{generation}-+{index}-0",
                     f"{generation}-0{index}-0", "-" * 1000):  # fmt: skip
            with Reader(node, f"prefix={name}", last_id=last) as reader:
                reader.wait(lambda events: events, "reset")
                first = reader.events[0]
                equal((first.kind, first.id, first.data["generation"]), ("reset", None, generation), f"first, of {last!r}")
                numbered(node, unique(name), 1)
                [new] = [event for event in reader.wait_kind("granted") if event.kind == "granted"][-1:]
                check(place(new.id)[1] > first.data["index"], "what is told is behind it")


def resume_forever(nodes, name, ending, told, wrong):
    """Reads some events from one node, then goes on at the next with the last id, until `ending` has been told."""
    last = None
    for node in itertools.cycle(nodes):
        with Reader(node, f"prefix={name}", last_id=last) as reader:
            if last is None:
                told.append(None)  # begun
            wanted = len(told) + 37

            def enough(events):
                return len(told) + len(events) >= wanted or any(event.data.get("schedule_id") == ending for event in events)  # noqa: B023

            try:
                reader.wait(enough, "some more", 60)
            except Exception as error:  # noqa: BLE001: shown by the test
                wrong.append(error)
                return
        events = [event for event in reader.events if event.kind not in ("refused", "leader")]
        told += events
        if any(event.data.get("schedule_id") == ending for event in events):
            return
        last = events[-1].id if events else last


def test_readers_that_change_nodes_under_load_miss_nothing_and_see_nothing_twice():
    with Cluster() as cluster:
        cluster.start()
        ending, rows, threads, wrong = "load-ending", [], [], []
        with Reader(cluster.nodes[0], "prefix=load") as whole:
            for i in range(3):
                rows.append([])
                nodes = cluster.nodes[i:] + cluster.nodes[:i]
                threads.append(threading.Thread(target=resume_forever, args=(nodes, "load", ending, rows[i], wrong), daemon=True))
                threads[i].start()
            wait_for(lambda: all(rows), "all read")
            loads = run_load(cluster.nodes, 3)
            wait_for(lambda: min(len(load.granted) for load in loads) >= 300, "there is something to read", 60)
            granted = end_load(loads)
            cluster.nodes[1].acquire(ending)
            for thread in threads:
                thread.join(60)
            check(not wrong and not any(thread.is_alive() for thread in threads), f"{wrong}")
            whole.wait(lambda events: any(event.data.get("schedule_id") == ending for event in events), "the end")
            events = whole.of_log()
            equal({event.data["schedule_id"]: event.data["token"] for event in events if event.data["schedule_id"] != ending}, granted,
                  "every grant was told")  # fmt: skip
            equal(len(events), len(granted) + 1, "once")
            for row in rows:
                told = row[1:]
                start = [event.id for event in events].index(told[0].id)
                equal([(event.id, event.text) for event in told], [(event.id, event.text) for event in events[start:]], "the same")
        return f"{len(events)} events, read by three that changed nodes each 37"


def test_what_a_node_keeps_is_bounded():
    """LIMIT_EVENTS of them: who asks for an older one gets a reset, who asks for one that is kept gets what followed."""
    most = LIMIT["EVENTS"]
    with Cluster(size=1) as cluster:
        node = cluster.start().nodes[0]
        with Reader(node) as reader:
            numbered(node, "first.", 2)
            first = [event for event in reader.wait_kind("granted", "granted") if event.kind == "granted"]
        token = node.acquire("renewed").json["token"]
        renewal = post_bytes("/locks/renewed/renew", {"token": token})
        with Crowd(node.http_port, 64) as crowd:
            equal(crowd.ask([renewal] * (most - 1000), depth=16), {200: most - 1000}, "renewals")
            with Reader(node, "prefix=first.", last_id=first[0].id) as reader:
                equal([event.id for event in reader.wait_kind("granted")], [first[1].id], "it is kept")
            flat = Flat(node, 24 * MIB)
            flat.look()
            equal(crowd.ask([renewal] * (most + 1000), depth=16), {200: most + 1000}, "more of them")
            flat.look()
        with Reader(node, last_id=first[0].id) as reader:
            reader.wait(lambda events: events, "reset")
            equal(reader.events[0].kind, "reset", "it is gone")
            numbered(node, "last.", 1)
            reader.wait_kind("granted")
        return str(flat)


def test_a_reader_that_does_not_read_is_closed_and_the_others_go_on():
    with Cluster() as cluster:
        cluster.start()
        leader, follower, seen = cluster.leader(), cluster.followers()[0], []
        for node in (leader, follower):
            name = "slow".ljust(256, "s")  # so that few events are much
            slow = Reader(node, "prefix=slow&renewals=true", receive_bytes=4096)  # never started, so never read
            with Reader(node, "prefix=slow&renewals=true") as quick:
                token = leader.acquire(name, holder="h" * 256, occurrence="o" * 128).json["token"]
                renewal = post_bytes(f"/locks/{name}/renew", {"token": token, "ttl_ms": 600000})
                count = 0
                with Crowd(leader.http_port, 16) as crowd:
                    while not is_cut(node, slow):
                        check(count < 200000, "it isn't closed")
                        equal(crowd.ask([renewal] * 2000, depth=8), {200: 2000}, "renewals")
                        count += 2000
                quick.wait(lambda events: len(events) == count + 1, "the quick one has all", 60)  # noqa: B023
                check(not quick.over, "and is still there")
                equal(leader.release(name, token, "abandoned").status, 200, "release")
                quick.wait_kind("released")
            slow.start()
            slow.join(30)
            check(slow.over and not slow.is_alive(), "the slow one reads to the end of what was sent")
            check(0 < len(slow.events) < count, f"which isn't all: {len(slow.events)} of {count}")
            equal([place(event.id) for event in slow.events], [place(event.id) for event in quick.events[: len(slow.events)]],
                  "in order, without a gap")  # fmt: skip
            slow.close()
            seen.append(f"{len(slow.events)} of {count}")
        return f"events that the slow one had: {', '.join(seen)}"


def is_cut(node, reader):
    """Whether the node has no connection to it any more, or one that it has shut down."""
    own = reader.socket.getsockname()[1]
    with open(f"/proc/{node.process.pid}/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in file][1:]
    ends = [(int(row[1].rpartition(":")[2], 16), int(row[2].rpartition(":")[2], 16), row[3]) for row in rows]
    return not any(local == node.http_port and remote == own and state == "01" for local, remote, state in ends)


def test_another_leader_is_told():
    with Cluster() as cluster:
        cluster.start()
        leader, followers = cluster.leader(), cluster.followers()
        readers = [Reader(node) for node in followers]
        with readers[0], readers[1]:
            numbered(leader, "before.", 1)
            for reader in readers:
                reader.wait_kind("granted")
            leader.kill()
            cluster.wait_ready(followers)
            now = cluster.leader()
            for reader in readers:
                reader.wait(lambda events: any(event.kind == "leader" and event.data["leader"] == now.name for event in events),
                            "the new leader")  # fmt: skip
                check(all(event.id is None for event in reader.events if event.kind == "leader"), "without an id")
            numbered(followers[0], "after.", 1)
            for reader in readers:
                reader.wait_kind("granted", "granted")
                check(not reader.over, "the same stream")


def test_after_a_restart_there_is_a_reset_or_no_gap():
    with Cluster() as cluster:
        cluster.start()
        node = cluster.followers()[0]
        with Reader(cluster.leader(), "prefix=e.") as whole:
            numbered(node, "e.", 30)
            first = whole.wait_kind(*["granted"] * 30)
            equal(node.stop(), 0, "exit code")
            numbered(cluster.leader(), "e.away.", 30)
            node.start()
            cluster.wait_ready()
            numbered(node, "e.back.", 1)
            whole.wait_kind(*["granted"] * 61)
            for last in (first[3], first[29], whole.events[45]):
                with Reader(node, "prefix=e.", last_id=last.id) as reader:
                    reader.wait(lambda events: events and (events[0].kind == "reset" or events[-1].id == whole.events[60].id), "an end")
                    if reader.events[0].kind != "reset":
                        behind = [event.id for event in whole.events if place(event.id) > place(last.id)]
                        equal([event.id for event in reader.of_log()], behind, "without a gap")
            # Events that it saw itself since are kept, whatever was before.
            with Reader(node, "prefix=e.", last_id=whole.events[60].id) as reader:
                numbered(node, "e.end.", 1)
                [event] = reader.wait_kind("granted")
                equal(event.data["schedule_id"], "e.end.0", "the next one, without a reset")


def test_what_a_snapshot_skips_is_told_by_a_reset():
    with Cluster() as cluster:
        cluster.start()
        away, leader = cluster.followers()[0], cluster.leader()
        with Reader(leader, "prefix=e.") as whole, Reader(away, "prefix=e.") as living:
            numbered(leader, "e.", 5)
            last = whole.wait_kind(*["granted"] * 5)[-1]
            living.wait_kind(*["granted"] * 5)
            away.kill()
            cluster.wait_ready([node for node in cluster.nodes if node is not away])
            push_out_of_the_log(leader)
            numbered(leader, "e.away.", 3)
            index = leader.health()["applied_index"]
            away.start()
            wait_for(lambda: (away.health() or {}).get("applied_index", 0) >= index, "it has caught up", 60, nodes=[away])
            check("snapshot installed" in away.log, "by a snapshot")
            cluster.wait_ready()
            with Reader(away, "prefix=e.", last_id=last.id) as reader:
                reader.wait(lambda events: events, "reset")
                equal(reader.events[0].kind, "reset", "what was skipped can't be told")
                numbered(away, "e.back.", 2)
                told = [event for event in reader.wait_kind("granted", "granted") if event.kind == "granted"]
                whole.wait_kind(*["granted"] * 10)
                equal([(event.id, event.text) for event in told[-2:]],
                      [(event.id, event.text) for event in whole.of_log()[-2:]], "from then on the same")  # fmt: skip
            check(living.over, "the reader of the node that died is at its end")


def test_a_node_that_stops_ends_its_streams():
    with Cluster() as cluster:
        cluster.start()
        node = cluster.followers()[0]
        with Reader(node) as reader, Reader(node, "prefix=never"):
            numbered(node, "e.", 1)
            reader.wait_kind("granted")
            began = time.monotonic()
            equal(node.stop(10), 0, "exit code")
            check(time.monotonic() - began < 8, "it doesn't wait for readers")
            wait_for(lambda: reader.over, "the stream is at its end")


def test_there_are_at_most_a_thousand_readers():
    most = LIMIT["EVENT_READERS"]
    allow_files(3 * most)
    get = b"GET /events?prefix=e. HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with Cluster() as cluster:
        cluster.start()
        leader, follower = cluster.leader(), cluster.followers()[0]
        for node, source in ((leader, "127.0.9"), (follower, "127.0.10")):
            flat = Flat(node, 3 * MIB)
            for number in range(5):
                with Crowd(node.http_port, most, f"{source}.{number + 1}") as crowd:
                    crowd.send([get] * most)
                    crowd.read_until(lambda: crowd.answers() == most, "all are let in")  # noqa: B023
                    equal(dict(crowd.statuses), {200: most}, "statuses")
                    refused = problem(node.request("GET", "/events"), 503, "overloaded")
                    check(refused["detail"], "why")
                    name = unique("e.")
                    equal(follower.acquire(name).status, 201, "acquire")
                    told = count_told(crowd, name.encode())
                    equal(told, most, "each of them is told")

                def room():
                    try:
                        reader = Reader(node)  # noqa: B023
                    except Exception:  # noqa: BLE001: not yet
                        return False
                    reader.close()
                    return True

                wait_for(room, "there is room again")
                if number >= 2:
                    flat.look()


def count_told(crowd, text):
    """How many of a crowd of readers get something with `text`."""
    told, deadline = set(), time.monotonic() + 30
    while len(told) < len(crowd.clients) and time.monotonic() < deadline:
        for key, _ in crowd.selector.select(0.1):
            if text in key.data.socket.recv(1 << 16):
                told.add(id(key.data))
    return len(told)


def test_an_error_is_no_stream():
    for node in leader_and_follower():
        with socket.create_connection(("127.0.0.1", node.http_port), timeout=20) as connection:
            for path, status in (("/events?x=1", 400), ("/health/live", 200)):  # the connection goes on
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                response = http.client.HTTPResponse(connection)
                response.begin()
                equal((response.status, bool(response.read())), (status, True), path)
        problem(node.request("POST", "/events", {}), 405, "method_not_allowed")


def test_a_quiet_stream_has_a_comment_each_15_seconds():
    reader = quiet_reader()
    wait_for(lambda: reader.comments and reader.comments[-1] - reader.opened > 14, "a comment", 25)
    late = [at - before for before, at in zip([reader.opened, *reader.comments], reader.comments)]
    check(max(late) < 25, f"each 15 s: {late}")
    equal(reader.events, [], "and nothing else")
    reader.close()
    return " ".join(f"{seconds:.1f}" for seconds in late)
