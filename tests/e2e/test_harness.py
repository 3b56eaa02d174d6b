"""The harness itself: what it says when a node doesn't become what a test waits for, and whose ports are whose."""

import os
import socket
import subprocess
import sys
import time

from harness import Cluster, Failure, Node, ROOT, check, equal, free_port, unique


def test_a_wait_ends_at_once_with_its_node_and_says_why():
    http_port, raft_port = free_port(), free_port()
    flags = ["--http", f"127.0.0.1:{http_port}", "--raft", f"127.0.0.1:{raft_port}"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", http_port))
        node = Node("unlucky", os.path.join(ROOT, unique("unlucky")), flags, http_port, raft_port).start()
        began = time.monotonic()
        try:
            node.wait_ready("it serves", 600)
        except Failure as failure:
            check("unlucky ended with 1" in str(failure), str(failure))
            check("the port is in use" in failure.report, failure.report)
        else:
            raise Failure("the wait came to an end")
        check(time.monotonic() - began < 300, "at once")


def test_a_wait_that_takes_too_long_shows_the_logs():
    with Cluster() as cluster:
        node = cluster["n1"].start()  # alone it founds nothing
        try:
            node.wait_ready("it serves", 1)
        except Failure as failure:
            check("still not so: n1: it serves" in str(failure), str(failure))
            check("n1 runs" in failure.report and "msg=started" in failure.report, failure.report)
        else:
            raise Failure("the wait came to an end")


def test_a_port_belongs_to_one_run():
    port = free_port()
    code = f"import harness; print(harness.lock_port({port}), harness.free_port() > 0)"
    done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, check=True, timeout=60,
                          cwd=os.path.dirname(os.path.abspath(__file__)))  # fmt: skip
    equal(done.stdout.split(), ["False", "True"], "the port of another process, and one of its own")


def test_a_node_that_was_waited_for_is_not_killed_again():
    with Cluster(size=1) as cluster:
        node = cluster.start().nodes[0]
        equal(node.stop(), 0, "stop")
        bystander = subprocess.Popen(["sleep", "600"], start_new_session=True)
        try:
            node.process.pid = bystander.pid  # as if the number had been given again
            node.kill()
            equal(bystander.poll(), None, "the bystander lives")
        finally:
            bystander.kill()
            bystander.wait()
