"""strace shows that each acknowledged write was synced before its answer left: on one node by itself, and on a quorum of
three. With --disk-io=pool the log is written with O_DSYNC by threads, which strace can see (kernel AIO it can't)."""

import re
import shutil

from harness import Cluster, check, equal, unique, wait_for

CALLS = "openat,close,pwrite64,pwritev,pwritev2,fsync,fdatasync,recvfrom,recvmsg,read,sendto,sendmsg,write,writev"
LINE = re.compile(r"^(\d+) +(\d+\.\d+) (.*)$")


def strace(path):
    check(shutil.which("strace"), "strace is needed: deploy/deps.sh installs it")
    return ["strace", "-f", "-ttt", "-s", "200", "-e", f"trace={CALLS}", "-o", path]


def completed_calls(path):
    """(time of completion, text of the whole call) in order; unfinished halves are put together. A call's own time is
    that of its beginning unless it was resumed, so the order of lines, which is that of completion, is kept too."""
    halves = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            found = LINE.match(line)
            if not found:
                continue
            thread, at, text = found[1], float(found[2]), found[3]
            if "<unfinished ...>" in text:
                halves[thread] = text.split("<unfinished ...>")[0]
            elif "resumed>" in text:
                yield at, halves.pop(thread, "") + text.split("resumed>", 1)[1]
            else:
                yield at, text


def durable_writes(path):
    """Times at which a write to a log segment that was opened for synchronous writes had completed."""
    log_files = {}
    times = []
    for at, text in completed_calls(path):
        opened = re.match(r'openat\([^,]+, "([^"]*)", ([A-Z_|0-9a-z]+).*\) = (\d+)$', text)
        if opened:
            if "O_DSYNC" in opened[2] or "O_SYNC" in opened[2]:
                log_files[opened[3]] = opened[1]
            else:
                log_files.pop(opened[3], None)
            continue
        written = re.match(r"(pwrite64|pwritev|pwritev2)\((\d+), .*\) = (\d+)$", text)
        if written and int(written[3]) > 0 and (written[2] in log_files or "RWF_DSYNC" in text):
            times.append(at)
    return times


def exchanges(path):
    """{schedule: (time its request was read, time its 201 was handed to the kernel)}."""
    found = {}
    last = None
    for at, text in completed_calls(path):
        request = re.search(r"POST /locks/(sync-\d+) HTTP", text)
        if request and text.startswith(("recv", "read")):
            last = request[1]
            found[last] = [at, None]
        elif last and "HTTP/1.1 201" in text and text.startswith(("send", "write")):
            found[last][1] = at
            last = None
    return found


def run_under_strace(size, count):
    with Cluster(size=size, flags=["--disk-io", "pool", "--election-timeout", "3000"]) as cluster:
        traces = {node.name: f"{cluster.home}/{node.name}.strace" for node in cluster.nodes}
        for node in cluster.nodes:
            node.start(wrapper=strace(traces[node.name]))
        cluster.wait_ready(seconds=60)
        leader = cluster.leader()
        for _ in range(count):
            equal(leader.acquire(unique("sync")).status, 201, "acquire")
        cluster.kill()
        return exchanges(traces[leader.name]), {name: durable_writes(path) for name, path in traces.items()}


def verify(size, quorum):
    answered, writes = run_under_strace(size, 40)
    answered = {name: times for name, times in answered.items() if times[1] is not None}
    check(len(answered) >= 40, f"only {len(answered)} exchanges were seen in the trace")
    for schedule, (asked, left) in answered.items():
        durable = [name for name, times in writes.items() if any(asked <= at <= left for at in times)]
        check(len(durable) >= quorum, f"{schedule}: answered when only {durable} had it on disk")
    return f"{len(answered)} answers, each after a synced write on {quorum} of {size}"


def test_one_node_syncs_before_it_answers():
    return verify(1, 1)


def test_a_quorum_syncs_before_the_leader_answers():
    return verify(3, 2)
