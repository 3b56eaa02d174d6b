"""Who a node is: first start, wiped and foreign directories."""

import os
import shutil

from harness import Cluster, check, equal, unique, wait_for


def test_a_wiped_directory_does_not_make_a_new_voter():
    """ARCHITECTURE.md's counter-example: n1 and n2 acknowledge a lock, n2's directory is lost, n1 stops, n2 starts from
    SPEC. If it voted for n3, the lock would be granted again."""
    with Cluster() as cluster:
        cluster.start()
        n1, n2, n3 = cluster.nodes
        n3.kill()
        cluster.wait_ready([n1, n2])
        token = n1.acquire("precious", holder="first").json["token"]
        n1.kill()
        n2.kill()
        n2.wipe()
        n3.start()
        n2.start()
        equal(n2.wait_exit(), 65, "n2's exit code")
        check("--join" in n2.log, f"n2 says what to do: {n2.log[-300:]}")
        answer = n3.acquire("precious", holder="second")
        check(answer.status == 503, f"n3 alone grants nothing: {answer!r}")
        n2.start()
        equal(n2.wait_exit(), 65, "n2's exit code, again")
        n1.start()
        cluster.wait_ready([n1, n3])
        answer = n3.acquire("precious", holder="second")
        equal((answer.status, answer.code), (409, "lock_held"), "the lock is still held")
        equal(answer.json["token"], token, "by its grant")


def test_a_wiped_directory_is_noticed_while_the_others_run():
    with Cluster() as cluster:
        cluster.start()
        victim = cluster.followers()[0]
        token = cluster.leader().acquire("kept").json["token"]
        victim.kill()
        victim.wipe()
        victim.start()
        equal(victim.wait_exit(), 65, "exit code")
        equal(cluster.leader().status("kept").json["holders"][0]["token"], token, "the lock")


def test_a_directory_of_another_node_is_refused():
    with Cluster() as cluster:
        cluster.start()
        n2 = cluster["n2"]
        equal(n2.stop(), 0, "n2 stops")
        shutil.rmtree(n2.directory)
        shutil.copytree(cluster["n1"].directory, n2.directory)
        before = sorted(os.listdir(n2.directory))
        n2.start()
        equal(n2.wait_exit(), 65, "exit code")
        check("n1" in n2.log.splitlines()[-1], f"it says whose it is: {n2.log[-300:]}")
        equal(sorted(os.listdir(n2.directory)), before, "files in the directory")


def test_a_directory_of_an_earlier_cluster_is_no_member():
    """All nodes were wiped and founded anew from the same SPEC; then n2's old directory comes back."""
    with Cluster() as cluster:
        cluster.start()
        n1, n2, n3 = cluster.nodes
        n1.acquire("old")
        equal(cluster.stop(), [0, 0, 0], "exit codes")
        old = os.path.join(cluster.home, "old-n2")
        shutil.move(n2.directory, old)
        n1.wipe()
        n3.wipe()
        cluster.start()
        token = n1.acquire("new").json["token"]
        n2.kill()
        n2.wipe()
        shutil.move(old, n2.directory)
        n2.start()
        wait_for(lambda: not n2.running or "another cluster" in n2.log, "n2 says that it belongs to another cluster")
        check(not n2.running or not n2.ready, "n2 doesn't serve")
        check(not n2.running or not n2.status("old").status == 200, "nor answer from its old life")
        equal(n3.status("new").json["holders"][0]["token"], token, "the rest goes on")


def test_a_file_of_another_directory_is_refused():
    with Cluster() as cluster:
        cluster.start()
        n1, n2 = cluster["n1"], cluster["n2"]
        equal([n1.stop(), n2.stop()], [0, 0], "stops")
        shutil.copy(os.path.join(n1.directory, "vote"), os.path.join(n2.directory, "vote"))
        n2.start()
        equal(n2.wait_exit(), 65, "exit code")
        check("vote" in n2.log.splitlines()[-1], f"it names the file: {n2.log[-300:]}")


def test_another_spec_at_a_later_start_is_ignored_and_said():
    with Cluster() as cluster:
        cluster.start()
        node = cluster["n2"]
        equal(node.stop(), 0, "stop")
        node.start(extra=["--cluster", "n2=127.0.0.1:1:2,n9=127.0.0.1:3:4"])
        cluster.wait_ready()
        check("differs from what this node first started with" in node.log, "a line of the log says so")


def test_a_wrong_spec_can_be_corrected_until_the_cluster_is_founded():
    with Cluster() as cluster:
        n1 = cluster["n1"]
        n1.start(extra=["--cluster", cluster.spec + ",n4=127.0.0.1:1:2"])
        for node in cluster.nodes[1:]:
            node.start()
        wait_for(lambda: any("another SPEC" in reason for reason in (n1.health() or {}).get("reasons", [])),
                 "n1 says that the others have another SPEC")  # fmt: skip
        equal(n1.stop(), 0, "stop")
        n1.start()
        cluster.wait_ready()
        equal(n1.acquire("first").status, 201, "n1 serves")


def test_a_missing_or_other_cluster_key_keeps_nodes_apart():
    with Cluster(key=True) as cluster:
        cluster.start()
        n3 = cluster["n3"]
        equal(n3.stop(), 0, "stop")
        flags = list(n3.flags)
        at = flags.index("--cluster-key-file")
        n3.flags = flags[:at] + flags[at + 2 :]
        n3.start()
        wait_for(lambda: "cluster key" in n3.log or "cluster-key" in n3.log, "it says that the others have a key")
        check(not n3.ready, "without the key it doesn't serve")
        n3.kill()
        other = cluster.key_path + "-other"
        with open(os.open(other, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
            file.write(os.urandom(32))
        n3.flags = [*flags[:at], "--cluster-key-file", other, *flags[at + 2 :]]
        n3.start()
        wait_for(lambda: "key" in n3.log.rsplit("msg=started", 1)[-1], "it says that its key is another one")
        check(not n3.ready, "with another key it doesn't serve")
        n3.kill()
        n3.flags = flags
        n3.start()
        cluster.wait_ready()
