"""Runs the end-to-end tests: main.py BATOND [NAME…] [-NAME…]. One line for each, then `N passed, N failed`."""

import importlib
import os
import signal
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import harness  # noqa: E402
import openapi  # noqa: E402

MODULES = [
    "test_harness",
    "test_contract",
    "test_schedules",
    "test_groups",
    "test_freezes",
    "test_waiting",
    "test_runs",
    "test_events",
    "test_renew_batch",
    "test_occurrences_once",
    "test_codes",
    "test_metrics",
    "test_health",
    "test_wrong_input",
    "test_openapi",
    "test_process",
    "test_identity",
    "test_durability",
    "test_frames",
    "test_disk",
    "test_sync",
    "test_snapshot",
    "test_rules",
    "test_upgrade",
    "test_bounds",
]
# Only when it is named: tests/full.sh does.
LONG_MODULES = ["test_capacity"]


def collect(names):
    """Tests whose names contain one of `names`, or all, without those that contain one with a dash in front."""
    wanted = [name for name in names if not name.startswith("-")]
    left_out = [name[1:] for name in names if name.startswith("-")]
    tests = []
    for name in MODULES + [long for long in LONG_MODULES if any(long in part for part in wanted)]:
        module = importlib.import_module(name)
        for function in vars(module).values():
            if callable(function) and getattr(function, "__module__", "") == name and function.__name__.startswith("test_"):
                full = f"{name}.{function.__name__}"
                if (not wanted or any(part in full for part in wanted)) and not any(part in full for part in left_out):
                    tests.append((name, function))
    return tests


def run_one(name, function):
    began = time.monotonic()
    harness.STARTED.clear()
    openapi.MISMATCHES.clear()
    try:
        note = function()
        passed = True
    except harness.Failure as failure:
        passed, note = False, f"{failure}\n{failure.report}"
    except Exception:  # noqa: BLE001: a test that breaks has failed
        passed, note = False, f"{traceback.format_exc()}{harness.report()}"
    if passed and openapi.MISMATCHES:
        passed, note = False, f"{openapi.MISMATCHES[0]} (and {len(openapi.MISMATCHES) - 1} more)\n{harness.report()}"
    text = function.__name__.removeprefix("test_").replace("_", " ")
    seconds = time.monotonic() - began
    print(f"{'ok    ' if passed else 'FAILED'} {name.removeprefix('test_')}: {text} ({seconds:.1f} s)", end="")
    print(f": {note}" if note else "", flush=True)
    return passed


def main():
    harness.BATOND = os.path.abspath(sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    passed = failed = 0
    tests = collect(sys.argv[2:])
    for name, function in tests:
        if run_one(name, function):
            passed += 1
        else:
            failed += 1
            if os.environ.get("BATON_E2E_FAIL_FAST"):
                break
    all_ran = len(tests) == passed + failed and not sys.argv[2:]
    codes = harness.end_shared_cluster()
    harness.kill_everything()
    left = harness.left_behind()
    if any(codes) or left:
        print(f"FAILED end: exit codes {codes}, left behind {left}")
        failed += 1
    else:
        print("ok     end: every node stopped with 0, and no process was left behind")
        passed += 1
    unseen = openapi.unseen() if all_ran else []
    if unseen:
        print("FAILED end: what openapi/baton.yaml describes, and no test has seen:", *unseen, sep="\n    ")
        failed += 1
    elif all_ran:
        print("ok     end: everything that openapi/baton.yaml describes was seen")
        passed += 1
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not tests else 0)


if __name__ == "__main__":
    main()
