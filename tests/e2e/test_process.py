"""batond as a process: flags, exit codes, signals, logs, the first start."""

import json
import os
import re
import signal
import socket
import subprocess
import threading

import harness
from harness import (
    Cluster, Node, ROOT, check, end_load, equal, free_port, mount_tmpfs, post_bytes, run_load, unique, unmount, wait_for,
    wait_proposed,
)  # fmt: skip


def run(*arguments, env=None):
    """Runs batond to its end: (exit code, standard output, standard error)."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}
    environment.update(env or {})
    done = subprocess.run([harness.BATOND, *arguments], capture_output=True, text=True, timeout=30, env=environment, check=False)
    return done.returncode, done.stdout, done.stderr


def one_line(text):
    return text.count("\n") == 1


def test_usage_errors_exit_with_64_and_one_line():
    for arguments in (
        ["--nonsense"], ["--nod", "n1"], ["extra"], ["--node"], ["--node", "-x"], ["--http", "nowhere"],
        ["--election-timeout", "1"], ["--heartbeat", "200"], ["--cluster", "n1"], ["--cluster", "n1=h,n2=h"],
        ["--node", "n9", "--cluster", "n1=127.0.0.1"], ["--http", "0.0.0.0:7420"], ["--raft", "0.0.0.0:7421"],
        ["--cluster-key-file", "/nonexistent"], ["--disk-io", "x"], ["--log-format", "x"], ["--node", "n1", "--cluster", "n1=10.9.9.9"],
    ):  # fmt: skip
        code, out, err = run(*arguments)
        equal((code, out), (64, ""), f"{arguments}: {err}")
        check(one_line(err) and err.startswith("batond: "), f"{arguments}: {err!r}")
    code, _, err = run(env={"BATON_HEARTBEAT": "x"})
    check(code == 64 and "BATON_HEARTBEAT" in err, err)


def test_help_and_version():
    code, out, err = run("--help")
    check(code == 0 and err == "", f"{code} {err}")
    for wanted in ("--cluster-key-file FILE", "default: 300; environment: BATON_ELECTION_TIMEOUT", "exit codes:"):
        check(wanted in out, f"{wanted!r} is missing in\n{out}")
    code, out, err = run("--version")
    check(code == 0 and err == "", f"{code} {err}")
    check(re.fullmatch(r"batond \d+\.\d+\.\d+\nlibraft 0\.22\.1\ndata format \d+, rules \d+, protocol \d+\n", out), out)


def test_mistakes_are_told_in_one_line_that_says_what_to_do():
    code, _, err = run("--dat-dir", "/tmp/x")
    equal((code, err), (64, "batond: there is no flag --dat-dir: did you mean --data-dir? See --help\n"), "unknown flag")
    code, _, err = run("--cluster", "n1=127.0.0.1,n1=127.0.0.2")
    check(code == 64 and one_line(err) and "n1" in err and "--cluster" in err, err)


def test_a_data_directory_that_cannot_be_used_is_told_with_what_to_do():
    file = os.path.join(ROOT, unique("file"))
    with open(file, "w", encoding="utf-8") as written:
        written.write("not a directory")
    mount = mount_tmpfs("16m")
    try:
        subprocess.run(["mount", "-o", "remount,ro", mount], check=True)  # root, too, can't write there
        for home in (file, "/dev/null", "/proc/nothing/here", mount, os.path.join(mount, "below")):
            code, out, err = run("--data-dir", home, "--http", f"127.0.0.1:{free_port()}", "--raft", f"127.0.0.1:{free_port()}")
            check((code, out) == (65, "") and one_line(err), f"{home}: {code} {err}")
            check(f"data_dir={home}" in err and "--data-dir" in err, f"{home}: {err}")
    finally:
        unmount(mount)


def test_without_cluster_a_single_node_serves_and_keeps_what_it_has():
    home = os.path.join(ROOT, unique("single"))
    http_port, raft_port = free_port(), free_port()
    flags = ["--http", f"127.0.0.1:{http_port}", "--raft", f"127.0.0.1:{raft_port}"]
    node = Node("solo", home, flags, http_port, raft_port).start()
    try:
        node.wait_ready()
        token = node.acquire("mine").json["token"]
        equal(node.stop(), 0, "exit code")
        node.start()
        node.wait_ready("it serves again")
        equal(node.status("mine").json["holders"][0]["token"], token, "the lock is there")
        node.kill()
        node.start()
        node.wait_ready("it serves after kill -9")
        equal(node.status("mine").json["holders"][0]["token"], token, "the lock is there")
        check(node.acquire("other").json["token"] > token, "tokens grow")
    finally:
        node.kill()


def test_environment_variables_are_flags():
    home = os.path.join(ROOT, unique("environment"))
    http_port, raft_port = free_port(), free_port()
    env = {
        "BATON_HTTP": f"127.0.0.1:{http_port}", "BATON_RAFT": f"127.0.0.1:{raft_port}", "BATON_LOG_FORMAT": "json",
        "BATON_LOG_LEVEL": "debug",
    }  # fmt: skip
    node = Node("env", home, [], http_port, raft_port).start(env=env)
    try:
        node.wait_ready()
        node.acquire("a", holder="x")
        node.acquire("a", holder="y")
        equal(node.stop(), 0, "exit code")
        lines = [json.loads(line) for line in node.log.splitlines()]
        messages = [line["msg"] for line in lines]
        for wanted in ("started", "ready", "stopping", "stopped", "schedule a skipped — lock held by peer x"):
            check(wanted in messages, f"{wanted!r} isn't in {messages}")
    finally:
        node.kill()


def test_a_start_says_what_counts():
    with Cluster(size=1) as cluster:
        node = cluster.start().nodes[0]
        started = next(line for line in node.log.splitlines() if "msg=started" in line)
        for wanted in ("version=", "node=n1", f"http=127.0.0.1:{node.http_port}", f"raft=127.0.0.1:{node.raft_port}", "disk_io=",
                       "cluster=", "data_dir="):
            check(wanted in started, f"{wanted} isn't in {started}")
        ready = next(line for line in node.log.splitlines() if "msg=ready" in line)
        check("disk_io=aio" in ready or "disk_io=pool" in ready, ready)


def test_a_port_in_use_is_said_and_is_1():
    home = os.path.join(ROOT, unique("port"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        port = taken.getsockname()[1]
        for flag, other in (("--http", "--raft"), ("--raft", "--http")):
            code, _, err = run("--data-dir", home, flag, f"127.0.0.1:{port}", other, f"127.0.0.1:{free_port()}")
            check(code == 1 and str(port) in err and "level=error" in err, f"{code} {err}")


def test_a_crowd_of_clients_leaves_descriptors_to_the_cluster():
    few = ["sh", "-c", 'ulimit -n 200; exec "$@"', "sh"]
    with Cluster(flags=["--request-timeout", "60000"]) as cluster:
        cluster.start(wrapper=few)
        leader, (one, other) = cluster.leader(), cluster.followers()
        crowd = [socket.create_connection(("127.0.0.1", leader.http_port), timeout=20) for _ in range(300)]
        # without more descriptors the leader could neither accept their streams nor dial them again
        one.kill()
        other.kill()
        one.start(wrapper=few)
        other.start(wrapper=few)
        cluster.wait_ready([one, other])

        def joined():
            health = [node.health() for node in (one, other)]
            return all(h and h["http_status"] == 200 and not h["reasons"] for h in health)

        wait_for(joined, "the node with the crowd is a member as before")
        for connection in crowd:
            connection.close()
        cluster.wait_ready()


def test_a_data_directory_has_one_process():
    with Cluster(size=1) as cluster:
        node = cluster.start().nodes[0]
        code, _, err = run("--node", "n1", "--data-dir", node.directory, "--http", f"127.0.0.1:{free_port()}", "--raft",
                           f"127.0.0.1:{free_port()}")
        check(code == 65 and one_line(err) and "another process" in err, f"{code} {err}")
        check(f"data_dir={node.directory}" in err and "may write to" not in err, f"which one, and nothing is wrong with it: {err}")
        check(node.ready, "the first one isn't disturbed")


def test_before_the_cluster_is_founded_health_says_what_is_waited_for():
    with Cluster() as cluster:
        first = cluster["n1"].start()
        health = wait_for(first.health, "HTTP is open", nodes=[first])
        wait_for(lambda: any("n2" in reason for reason in (first.health() or {}).get("reasons", [])), "the reason names n2",
                 nodes=[first])  # fmt: skip
        health = first.health()
        equal((health["http_status"], health["status"], health["leader"]), (503, "unavailable", None), "health")
        check(any("n3" in reason for reason in health["reasons"]), f"{health['reasons']}")
        equal(first.request("GET", "/health/live").status, 200, "live")
        answer = first.acquire("early")
        check(answer.status == 503 and answer.code in ("not_ready", "no_leader"), repr(answer))
        check("retry-after" in answer.headers, "Retry-After")
        cluster["n2"].start()
        cluster["n3"].start()
        cluster.wait_ready()
        equal(first.acquire("early").status, 201, "afterwards")


def test_sigterm_ends_a_node_that_still_waits():
    with Cluster() as cluster:
        node = cluster["n1"].start()
        wait_for(node.health, "HTTP is open", nodes=[node])
        equal(node.stop(5), 0, "exit code before the cluster is founded")
        cluster.start()
        cluster["n2"].kill()
        cluster["n3"].kill()
        equal(node.stop(5), 0, "exit code without a quorum")


def block_and_send_sigterm():
    """In the child, before it becomes batond: SIGTERM is blocked, and there."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_before_the_first_line_of_main_is_0():
    with Cluster(size=1) as cluster:
        node = cluster.nodes[0].start(preexec_fn=block_and_send_sigterm)
        equal(node.wait_exit(5), 0, "exit code")


def test_sigterm_during_the_start_is_0_at_once():
    """strace sends the signal at a call of each stage of the start, and makes those that follow take long."""
    with Cluster(size=1, key=True) as cluster:
        node = cluster.nodes[0]
        equal(cluster.start() and node.stop(), 0, "a first start, so that there is something to load")
        key_file = cluster.key_path
        for stage, rules in {
            "reading flags": ["-P", key_file, "-e", "inject=openat:signal=TERM"],
            "locking the data directory": ["-e", "inject=flock:signal=TERM", "-e", "inject=fsync,getdents64:delay_enter=20000000"],
        }.items():
            node.start(wrapper=["strace", "-f", "-o", f"{cluster.home}/strace", "-e", "trace=openat,flock,fsync,getdents64", *rules])
            equal(node.wait_exit(10), 0, f"exit code of SIGTERM while {stage}")
            with open(f"{cluster.home}/strace", encoding="utf-8") as trace:
                check("--- SIGTERM" in trace.read(), f"the signal came while {stage}")
        node.start()
        node.wait_ready("nothing was broken by it")


def test_sigterm_again_and_again_is_0():
    with Cluster(size=1) as cluster:
        for _ in range(5):
            node = cluster.start().nodes[0]
            while node.running:
                os.kill(node.process.pid, signal.SIGTERM)  # not waited for, so the number is still its own
            equal(node.process.returncode, 0, "exit code")


def test_a_log_that_nobody_reads_stops_nothing():
    with Cluster(size=1, flags=["--log-level", "debug"]) as cluster:
        node = cluster.nodes[0]
        reading, writing = os.pipe()
        try:
            node.start(stderr=writing)
            os.close(writing)
            node.wait_ready()
            schedule = "held" * 50
            equal(node.acquire(schedule, holder="x").status, 201, "acquire")
            refused = post_bytes(f"/locks/{schedule}", {"holder": "y", "ttl_ms": 60000})
            statuses = harness.blast(node.http_port, [refused] * 2000)  # a line each: more than pipe and memory take
            equal(statuses, {409: 2000}, "answers")
            read = []
            reader = threading.Thread(target=lambda: read.append(open(reading, "rb", closefd=False).read()))
            reader.start()  # whoever reads again learns what is missing
            equal(node.stop(5), 0, "exit code")
            reader.join(20)
            lines = read[0].decode().splitlines()
            check(all(line.startswith("time=") for line in lines), "whole lines")
            dropped = [int(line.rsplit("=", 1)[1]) for line in lines if "lines of the log were dropped" in line]
            seen = sum("skipped — lock held by peer x" in line for line in lines)
            check(dropped and seen + sum(dropped) >= 2000, f"{seen} lines seen, {dropped} dropped")
            check("msg=stopped" in lines[-1], lines[-1])
        finally:
            node.kill()
            os.close(reading)


def test_sigterm_hands_leadership_over_and_leaves_with_0():
    with Cluster(flags=["--election-timeout", "1000", "--heartbeat", "100"]) as cluster:
        cluster.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            leader = cluster.leader()
            loads = run_load(cluster.nodes, threads=3)
            wait_for(lambda: all(len(load.granted) > 20 for load in loads), "load runs")
            leader.signal(number)
            equal(leader.wait_exit(5), 0, "exit code, within 5 s")
            rest = cluster.running()
            check(any(node.health()["role"] == "leader" for node in rest), "another leads when the old leader has left")
            granted = end_load(loads)
            harness.check_held(rest[0], granted)
            leader.start()
            cluster.wait_ready()


def test_sigterm_answers_what_is_in_flight():
    """Without a quorum nothing can be decided: the answer is 503 or 504, not a cut connection."""
    with Cluster(flags=["--election-timeout", "2000"]) as cluster:
        cluster.start()
        leader = cluster.leader()
        for node in cluster.followers():
            node.signal(signal.SIGSTOP)
        answers = []
        request = ("POST", "/locks/x", {"holder": "h", "ttl_ms": 60000})
        thread = threading.Thread(target=lambda: answers.append(leader.try_request(*request)))
        thread.start()
        wait_proposed(leader)
        equal(leader.stop(5), 0, "exit code, within 5 s")
        thread.join()
        check(answers[0] is not None and answers[0].status in (503, 504), f"{answers}")
        if answers[0].status == 504:
            equal(answers[0].headers["idempotency-key"], answers[0].json["idempotency_key"], "the key, twice")


def test_without_a_quorum_nothing_is_granted():
    with Cluster(flags=["--commit-timeout", "1000"]) as cluster:
        cluster.start()
        survivor = cluster["n1"]
        cluster["n2"].kill()
        cluster["n3"].kill()
        wait_for(lambda: (survivor.health() or {}).get("http_status") == 503, "it knows that it can't serve", nodes=[survivor])
        answer = survivor.acquire("alone")
        check(answer.status in (503, 504), repr(answer))
        check(survivor.status("alone").status == 503, "reads are refused, too")
        equal(survivor.status("alone", "?consistency=stale").status, 200, "but for stale ones")
        cluster["n2"].start()
        survivor.wait_ready("a quorum is back")
