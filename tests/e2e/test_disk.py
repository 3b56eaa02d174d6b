"""A disk that is full, slow to be noticed, or damaged."""

import errno
import os

from harness import Cluster, Node, check, check_held, equal, free_port, mount_tmpfs, unique, unmount, wait_for


def fill(path, leave):
    """Takes all but about `leave` bytes of the file system, while others may take some, too; returns the file that does."""
    name = os.path.join(path, "filler")
    with open(name, "wb", buffering=0) as file:
        while True:
            stat = os.statvfs(path)
            if stat.f_bavail * stat.f_frsize < leave + 65536:
                return name
            try:
                file.write(bytes(65536))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def test_a_leader_without_reserve_refuses_what_grows_and_keeps_what_it_has():
    mount = mount_tmpfs("160m")
    http_port, raft_port = free_port(), free_port()
    flags = ["--http", f"127.0.0.1:{http_port}", "--raft", f"127.0.0.1:{raft_port}"]
    node = Node("full", os.path.join(mount, "data"), flags, http_port, raft_port).start()
    try:
        node.wait_ready()
        granted = {name: node.acquire(name).json["token"] for name in (unique("disk") for _ in range(20))}
        filler = fill(mount, 4096 * 100)
        refused = wait_for(lambda: (lambda answer: answer if answer.status != 201 else None)(node.acquire(unique("disk"))),
                           "new locks are refused", 30)
        equal((refused.status, refused.code), (507, "capacity"), repr(refused))
        health = node.health()
        equal((health["http_status"], health["status"]), (200, "degraded"), "health")
        check(any("disk" in reason for reason in health["reasons"]), f"{health['reasons']}")
        check_held(node, granted)
        first = next(iter(granted))
        equal(node.renew(first, granted[first]).status, 200, "renewals go on")
        equal(node.release(first, granted.pop(first)).status, 200, "releases go on")
        os.unlink(filler)
        wait_for(lambda: node.acquire(unique("disk")).status == 201, "with space it grants again", 30)
        equal(node.stop(), 0, "stop")
        node.start()
        node.wait_ready("it serves after a restart")
        check_held(node, granted)
    finally:
        node.kill()
        unmount(mount)


def test_a_full_disk_of_one_follower_does_not_stop_the_others():
    mount = mount_tmpfs("160m")
    try:
        with Cluster(directories={"n2": os.path.join(mount, "n2")}) as cluster:
            cluster.start()
            victim = cluster["n2"]
            if cluster.leader() is victim:
                equal(victim.stop(), 0, "n2 hands over")
                victim.start()
                cluster.wait_ready()
            filler = fill(mount, 0)
            rest = [cluster["n1"], cluster["n3"]]
            granted = {name: rest[0].acquire(name).json["token"] for name in (unique("disk") for _ in range(200))}
            wait_for(lambda: not victim.running or (victim.health() or {}).get("status") != "ok", "n2 says that something is wrong", 30)
            if not victim.running:
                equal(victim.process.poll(), 1, f"n2's exit code: {victim.log[-300:]}")
            os.unlink(filler)
            if not victim.running:
                victim.start()
            cluster.wait_ready()
            for node in cluster.nodes:
                check_held(node, granted)
    finally:
        unmount(mount)


def test_a_start_on_a_full_disk_says_so():
    mount = mount_tmpfs("4m")
    http_port, raft_port = free_port(), free_port()
    flags = ["--http", f"127.0.0.1:{http_port}", "--raft", f"127.0.0.1:{raft_port}"]
    node = Node("tiny", os.path.join(mount, "data"), flags, http_port, raft_port).start()
    try:
        equal(node.wait_exit(), 1, "exit code")
        check("space" in node.log, f"it says why: {node.log[-300:]}")
    finally:
        node.kill()
        unmount(mount)


def files_of(directory):
    return sorted(
        os.path.relpath(os.path.join(path, name), directory) for path, _, names in os.walk(directory) for name in names
    )


def test_damage_that_was_acknowledged_is_65_and_changes_nothing():
    with Cluster(size=1) as cluster:
        node = cluster.start().nodes[0]
        for _ in range(20):
            equal(node.acquire(unique("damage")).status, 201, "acquire")
        equal(node.stop(), 0, "stop")
        log = os.path.join(node.directory, "log")
        segment = max((os.path.join(log, name) for name in os.listdir(log)), key=lambda path: used_bytes(path))
        with open(segment, "r+b") as file:
            file.seek(5 * 4096 + 24)  # in the header of a record that later ones witness
            byte = file.read(1)
            file.seek(5 * 4096 + 24)
            file.write(bytes([byte[0] ^ 0x10]))
        before = {name: open(os.path.join(node.directory, name), "rb").read() for name in files_of(node.directory)}
        node.start()
        equal(node.wait_exit(), 65, "exit code")
        check(os.path.basename(segment) in node.log.splitlines()[-1], f"it names the file: {node.log[-300:]}")
        after = {name: open(os.path.join(node.directory, name), "rb").read() for name in files_of(node.directory)}
        equal([name for name in before if before[name] != after.get(name)], [], "changed files")


def used_bytes(path):
    with open(path, "rb") as file:
        return len(file.read().rstrip(b"\0"))


def test_each_missing_file_is_65_and_named():
    with Cluster(size=1) as cluster:
        node = cluster.start().nodes[0]
        equal(node.acquire(unique("missing")).status, 201, "acquire")
        equal(node.stop(), 0, "stop")
        first_segment = min(name for name in files_of(node.directory) if name.startswith("log/") and
                            used_bytes(os.path.join(node.directory, name)) > 4096)
        for name in ("vote", first_segment):
            path = os.path.join(node.directory, name)
            os.rename(path, path + ".away")
            os.rename(path + ".away", os.path.join(cluster.home, "away"))
            node.start()
            equal(node.wait_exit(), 65, f"exit code without {name}: {node.log[-300:]}")
            check(os.path.basename(name) in node.log.splitlines()[-1], f"it names {name}: {node.log[-300:]}")
            os.rename(os.path.join(cluster.home, "away"), path)
        node.start()
        node.wait_ready("with all files it serves")
