"""What exists of the contract, each through the leader and through a follower."""

import json
import re
import signal
import socket

from harness import (
    Cluster, check, equal, leader_and_follower, post_bytes, raw_exchange, served, shared_cluster, unique, wait_for, wait_proposed,
)  # fmt: skip

INSTANT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")


def both():
    return list(leader_and_follower())


def problem(answer, status, code):
    """Checks that it is a whole problem+json of this code; returns its body."""
    equal((answer.status, answer.code), (status, code), f"status and code of {answer!r}")
    equal(answer.headers["content-type"], "application/problem+json", "content type")
    body = answer.json
    equal(body["type"], f"urn:baton:problem:{code}", "type")
    equal(body["status"], status, "status field")
    check(body["title"] and body["detail"], "title and detail are there")
    return body


def test_a_lock_is_granted_with_everything_the_contract_names():
    for node in both():
        schedule = unique("grant")
        answer = node.acquire(
            schedule, holder="me@host", ttl_ms=90000, estimated_duration_ms=60000, occurrence="2026-01-01T00:00:00Z",
            metadata={"b": 1, "a": ["x"]},
        )
        equal(answer.status, 201, repr(answer))
        equal(answer.headers["content-type"], "application/json", "content type")
        equal(answer.headers["baton-node"], node.name, "Baton-Node")
        equal(answer.headers["baton-leader"], f"127.0.0.1:{shared_cluster().leader().http_port}", "Baton-Leader")
        check(len(answer.headers["idempotency-key"]) >= 16, "the node made a key")
        lock = answer.json
        equal(
            set(lock),
            {"schedule_id", "holder", "token", "ttl_ms", "remaining_ms", "acquired_at", "expires_at", "occurrence",
             "attempt", "metadata"},
            "fields of a lock",
        )
        equal((lock["schedule_id"], lock["holder"], lock["ttl_ms"]), (schedule, "me@host", 90000), "what was asked")
        equal((lock["occurrence"], lock["attempt"]), ("2026-01-01T00:00:00Z", 1), "occurrence and attempt")
        equal(lock["metadata"], {"a": ["x"], "b": 1}, "metadata")
        check(isinstance(lock["token"], int) and 0 < lock["token"] < 2**53, "token")
        check(0 < lock["remaining_ms"] <= 90000, "remaining_ms")
        check(INSTANT.match(lock["acquired_at"]) and INSTANT.match(lock["expires_at"]), "instants")


def test_a_held_lock_is_refused_through_any_node():
    for node, other in (both(), reversed(both())):
        schedule = unique("held")
        token = node.acquire(schedule, holder="first").json["token"]
        for holder in ("second", "first"):
            body = problem(other.acquire(schedule, holder=holder), 409, "lock_held")
            equal(body["detail"], f"schedule {schedule} skipped — lock held by peer first", "detail")
            equal((body["holder"], body["token"]), ("first", token), "holder and token")
            check(0 < body["remaining_ms"] <= 600000 and INSTANT.match(body["acquired_at"]), "times")
            equal(len(body["holders"]), 1, "holders")


def test_refusals_are_logged_at_debug_in_the_words_of_the_contract():
    for node in both():
        schedule = unique("logged")
        node.acquire(schedule, holder="first")
        node.acquire(schedule, holder="second")
        wanted = f"schedule {schedule} skipped — lock held by peer first"
        wait_for(lambda: f'level=debug msg="{wanted}"' in node.log, f"{node.name} logged the refusal", 5)


def test_a_repeated_key_gives_the_same_grant_from_any_node():
    for node, other in (both(), reversed(both())):
        schedule, key = unique("key"), unique("key-of-client")
        first = node.acquire(schedule, key=key)
        equal(first.headers["idempotency-key"], key, "the key comes back")
        again = other.acquire(schedule, key=key)
        equal((again.status, again.json["token"]), (201, first.json["token"]), "the same grant")
        problem(other.acquire(schedule, key=key, holder="else"), 409, "idempotency_conflict")
        problem(other.acquire(schedule, key=key, ttl_ms=700000), 409, "idempotency_conflict")
        equal(node.release(schedule, first.json["token"]).status, 200, "release")
        equal(problem(other.acquire(schedule, key=key), 409, "grant_ended")["run"]["token"], first.json["token"], "run")
        problem(other.acquire(schedule, key=key, holder="else"), 409, "idempotency_conflict")  # goes before


def test_the_ttl_must_cover_estimate_and_margin():
    for node in both():
        schedule = unique("ttl")
        body = problem(node.acquire(schedule, ttl_ms=29999), 422, "ttl_too_short")
        equal((body["minimum_ms"], body["estimated_duration_ms"], body["safety_margin_ms"]), (30000, 0, 30000), "numbers")
        body = problem(node.acquire(schedule, ttl_ms=39999, estimated_duration_ms=10000), 422, "ttl_too_short")
        equal((body["minimum_ms"], body["estimated_duration_ms"]), (40000, 10000), "numbers with an estimate")
        body = problem(node.acquire(schedule, ttl_ms=7 * 86400000 + 1), 422, "ttl_too_long")
        equal(body["maximum_ms"], 7 * 86400000, "maximum")
        answer = node.request("POST", f"/locks/{schedule}", {"holder": "h", "estimated_duration_ms": 5000})
        equal((answer.status, answer.json["ttl_ms"]), (201, 35000), "an estimate alone gives the ttl")
        answer = node.request("POST", f"/locks/{unique('ttl')}", {"holder": "h"})
        equal(problem(answer, 400, "invalid_field")["field"], "ttl_ms", "neither is given")


def test_an_occurrence_runs_once():
    for node, other in (both(), reversed(both())):
        schedule = unique("occurrence")
        token = node.acquire(schedule, occurrence="2026-03-01T12:00:00Z").json["token"]
        problem(other.acquire(schedule, holder="x", occurrence="2026-03-01T12:00:00Z"), 409, "lock_held")
        equal(problem(node.release(schedule, token), 400, "invalid_field")["field"], "outcome", "outcome is required")
        equal(node.release(schedule, token, "succeeded").json["outcome"], "succeeded", "released")
        for same in ("2026-03-01T12:00:00Z", "2026-03-01T13:30:00.000+01:30", "2026-03-01t12:00:00z"):
            body = problem(other.acquire(schedule, holder="x", occurrence=same), 409, "occurrence_done")
            equal(body["run"]["token"], token, "its run")
        equal(other.acquire(schedule, occurrence="2026-03-01T12:00:01Z").status, 201, "the next one")


def test_failed_attempts_count_and_abandoned_ones_do_not():
    for node in both():
        schedule = unique("attempts")
        for _ in range(2):
            answer = node.acquire(schedule, occurrence="o1")
            equal((answer.status, answer.json["attempt"]), (201, 1), "an abandoned attempt doesn't count")
            equal(node.release(schedule, answer.json["token"], "abandoned").status, 200, "release")
        token = node.acquire(schedule, occurrence="o1").json["token"]
        node.release(schedule, token, "failed")
        equal(problem(node.acquire(schedule, occurrence="o1"), 409, "attempts_exhausted")["run"]["token"], token, "run")


def test_forgotten_instants_stay_done():
    leader, follower = leader_and_follower()
    schedule = unique("floor")
    for second in range(66):
        node = leader if second % 2 else follower
        occurrence = f"2026-05-01T00:{second // 60:02}:{second % 60:02}Z"
        token = node.acquire(schedule, occurrence=occurrence).json["token"]
        equal(node.release(schedule, token, "failed").status, 200, "release")
    problem(follower.acquire(schedule, occurrence="2026-05-01T00:00:00Z"), 409, "occurrence_done")  # forgotten
    problem(follower.acquire(schedule, occurrence="2026-04-30T00:00:00Z"), 409, "occurrence_done")  # below the floor
    problem(follower.acquire(schedule, occurrence="2026-05-01T00:01:05Z"), 409, "attempts_exhausted")  # remembered


def test_renewals_extend_and_follow_the_grants_terms():
    for node, other in (both(), reversed(both())):
        schedule = unique("renew")
        token = node.acquire(schedule, ttl_ms=60000, metadata={"a": 1}).json["token"]
        answer = other.renew(schedule, token)
        equal((answer.status, answer.json["ttl_ms"], answer.json["token"]), (200, 60000, token), "default: the grant's")
        answer = other.renew(schedule, token, ttl_ms=120000)
        equal((answer.status, answer.json["ttl_ms"]), (200, 120000), "another ttl")
        check(answer.json["remaining_ms"] > 110000, "remaining")
        problem(other.renew(schedule, token, ttl_ms=1000), 422, "ttl_too_short")
        problem(other.renew(schedule, token, ttl_ms=8 * 86400000), 422, "ttl_too_long")
        equal(problem(other.renew(schedule, token + 10**9), 409, "lock_lost")["holder"], "h", "who has it")
        node.release(schedule, token)
        problem(node.renew(schedule, token), 409, "lock_lost")


def test_a_release_may_be_repeated():
    for node, other in (both(), reversed(both())):
        schedule = unique("release")
        token = node.acquire(schedule).json["token"]
        first = node.release(schedule, token)
        equal((first.status, first.json["outcome"], first.json["token"]), (200, "succeeded", token), "release")
        equal(other.release(schedule, token, "failed").json, first.json, "the first run again")
        problem(other.release(schedule, token + 10**9), 409, "lock_lost")
        equal(node.acquire(schedule, holder="next").status, 201, "free again")


def test_tokens_only_grow_over_all_schedules():
    leader, follower = leader_and_follower()
    last = 0
    for i in range(40):
        token = (leader if i % 2 else follower).acquire(unique("token")).json["token"]
        check(token > last, f"token {token} after {last}")
        last = token


def test_status_shows_holders_and_the_last_run():
    for node in both():
        schedule = unique("status")
        body = node.status(schedule).json
        equal(body, {"schedule_id": schedule, "held": False, "holders": [], "waiting": 0, "frozen": False,
                     "last_run": None}, "a lock that nobody ever took")
        lock = node.acquire(schedule, metadata={"k": "v"}).json
        body = node.status(schedule).json
        equal((body["held"], len(body["holders"]), body["holders"][0]["token"]), (True, 1, lock["token"]), "held")
        equal(body["holders"][0]["metadata"], {"k": "v"}, "metadata")
        node.release(schedule, lock["token"])
        body = node.status(schedule).json
        equal((body["held"], body["last_run"]["token"], body["last_run"]["outcome"]),
              (False, lock["token"], "succeeded"), "released")
        check(isinstance(body["last_run"]["duration_ms"], int), "duration")


def test_reads_see_what_was_acknowledged_elsewhere():
    leader, follower = leader_and_follower()
    for i in range(50):
        writer, reader = (leader, follower) if i % 2 else (follower, leader)
        schedule = unique("read")
        token = writer.acquire(schedule).json["token"]
        equal(reader.status(schedule).json["holders"][0]["token"], token, f"{reader.name} sees {writer.name}'s write")


def test_stale_reads_answer_from_the_local_copy():
    for node in both():
        schedule = unique("stale")
        node.acquire(schedule)
        wait_for(lambda: node.status(schedule, "?consistency=stale").json["held"], "the copy has caught up", 5)


def test_health_says_who_leads_and_how_far_everybody_is():
    leader = shared_cluster().leader()
    for node in shared_cluster().nodes:
        wait_for(lambda: (node.health() or {}).get("status") == "ok", f"{node.name} is ok", nodes=[node])
        for path in ("/health", "/health/ready"):
            answer = node.request("GET", path)
            body = answer.json
            equal(answer.status, 200, repr(answer))
            equal((body["status"], body["node"], body["leader"]), ("ok", node.name, leader.name), "who")
            equal(body["role"], "leader" if node is leader else "follower", "role")
            equal(sorted(body["members"]), ["n1", "n2", "n3"], "members")
            equal(body["reasons"], [], "reasons")
            check(body["term"] >= 1 and body["applied_index"] <= body["commit_index"] + 0, "indexes")
            check(body["uptime_ms"] >= 0 and body["version"], "uptime and version")
        equal(node.request("GET", "/health/live").status, 200, "live")


def test_foreign_web_pages_are_refused():
    for node in both():
        schedule = unique("browser")
        own = f"http://127.0.0.1:{node.http_port}"
        for headers in (
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Host": "evil.example", "User-Agent": "Mozilla/5.0"},
            {"Host": "evil.example:7420", "Origin": "http://evil.example:7420", "Sec-Fetch-Site": "same-origin"},
        ):
            answer = node.request("POST", f"/locks/{schedule}", {"holder": "h", "ttl_ms": 60000}, headers)
            problem(answer, 403, "forbidden")
            problem(node.request("GET", "/health", headers=headers), 403, "forbidden")
        equal(node.status(schedule).json["held"], False, "nothing was changed")
        for headers in ({"Origin": own}, {"Host": "localhost", "User-Agent": "Mozilla/5.0"}, {"Host": "evil.example"},
                        {"Host": "n1:7420", "User-Agent": "Mozilla/5.0"}):
            equal(node.request("GET", f"/locks/{schedule}", headers=headers).status, 200, f"{headers} may pass")


def test_head_is_get_without_the_body():
    """What the file says of answers to GET is held against these by openapi.py."""
    schedule = unique("head")
    for node in both():
        whole = node.request("GET", "/openapi.yaml")
        answer = node.request("HEAD", "/openapi.yaml")
        equal((answer.status, answer.body), (200, b""), "status and body")
        for name in ("content-length", "content-type", "baton-node"):
            equal(answer.headers[name], whole.headers[name], name)
        equal(int(answer.headers["content-length"]), len(whole.body), "length")
        for path in ("/health", "/health/live", "/health/ready", "/metrics", "/locks", f"/locks/{schedule}",
                     "/schedules", f"/schedules/{schedule}/runs", "/locks?consistency=stale"):  # fmt: skip
            equal(node.request("HEAD", path).status, 200, path)
        for path, status in ((f"/schedules/{schedule}", 404), ("/nothing", 404), ("/locks?limit=0", 400),
                             (f"/locks/{schedule}/renew", 405)):  # fmt: skip
            equal(node.request("HEAD", path).status, status, path)


def test_blanks_around_a_key_are_no_part_of_it():
    node, schedule = both()[0], unique("blanks")
    answers = []
    for key in ("one", "  one\t ", "one "):
        body = b'{"holder": "h", "ttl_ms": 60000}'
        head = f"POST /locks/{schedule} HTTP/1.1\r\nHost: x\r\nIdempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n"
        answers.append(raw_exchange(node.http_port, head.encode() + b"Connection: close\r\n\r\n" + body))
    check(all(answer.startswith(b"HTTP/1.1 201") for answer in answers), f"each is taken: {answers}")
    equal(len({re.search(rb'"token":(\d+)', answer)[1] for answer in answers}), 1, "tokens: the later ones are repeats")


def test_many_exchanges_share_one_connection():
    for node in both():
        with socket.create_connection(("127.0.0.1", node.http_port), timeout=20) as connection:
            stream = connection.makefile("rb")
            for i in range(20):
                body = json.dumps({"holder": "h", "ttl_ms": 60000})
                path = f"/locks/{unique('keep')}"
                head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall((head + body).encode())
                check(stream.readline().startswith(b"HTTP/1.1 201"), f"exchange {i}")
                length = 0
                while (line := stream.readline()) != b"\r\n":
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                stream.read(length)


def test_a_grant_that_nobody_can_claim_is_given_back():
    """The followers stand still while the client hangs up, so that its grant commits only afterwards."""
    with Cluster(flags=["--election-timeout", "2000", "--heartbeat", "100"]) as cluster:
        cluster.start()
        leader, followers = cluster.leader(), cluster.followers()
        schedules = {"without a key": unique("hang-up"), "with a key": unique("hang-up")}
        for node in followers:
            node.signal(signal.SIGSTOP)
        for n, (way, schedule) in enumerate(schedules.items(), start=1):
            key = "" if way == "without a key" else "Idempotency-Key: mine\r\n"
            body = json.dumps({"holder": "h", "ttl_ms": 600000})
            head = f"POST /locks/{schedule} HTTP/1.1\r\nHost: x\r\n{key}Content-Length: {len(body)}\r\n\r\n"
            with socket.create_connection(("127.0.0.1", leader.http_port)) as connection:
                connection.sendall((head + body).encode())
                wait_proposed(leader, n)
        for node in followers:
            node.signal(signal.SIGCONT)
        wait_for(lambda: (leader.status(schedules["without a key"]).json["last_run"] or {}).get("outcome") == "abandoned",
                 "the grant without a key was given back", 10)
        equal(leader.status(schedules["without a key"]).json["held"], False, "held without a key")
        equal(leader.status(schedules["with a key"]).json["held"], True, "the one with a key waits for its repeat")
        equal(leader.acquire(schedules["with a key"], key="mine").status, 201, "which gets it")


def test_a_grant_of_unknown_outcome_that_nobody_can_claim_is_given_back():
    """As before, but the followers stand still until the request was given up: whether it was granted, its node then has
    to find out by itself."""
    flags = ["--election-timeout", "5000", "--heartbeat", "100", "--commit-timeout", "300"]
    with Cluster(flags=flags) as cluster:
        cluster.start()
        leader, followers = cluster.leader(), cluster.followers()
        gone, listening = unique("hang-up"), unique("listening")
        for node in followers:
            node.signal(signal.SIGSTOP)
        with socket.create_connection(("127.0.0.1", leader.http_port)) as connection:
            connection.sendall(post_bytes(f"/locks/{gone}", {"holder": "h", "ttl_ms": 600000, "metadata": {"a": 1}}))
        answer = leader.acquire(listening)  # begun later, so the first one was given up by now
        problem(answer, 504, "outcome_unknown")
        for node in followers:
            node.signal(signal.SIGCONT)
        wait_for(lambda: ((served(leader.status(gone)) or answer).json.get("last_run") or {}).get("outcome") == "abandoned",
                 "the grant was given back")  # fmt: skip
        equal(leader.status(gone).json["held"], False, "held by nobody")
        again = leader.acquire(listening, key=answer.headers["idempotency-key"])
        equal(again.status, 201, "who listened has its grant")
