#!/usr/bin/env python3
"""Prints what a node knows of locks, as text that can be compared: locks.py URL ID…

A line for each lock, its GET /locks/{id} without what goes on with time. Fails when a lock that is held has no time left.
"""
import json
import sys
import urllib.request

MOVING = ("remaining_ms", "expires_at")


def without_time(lock):
    if lock["remaining_ms"] <= 0:
        sys.exit(f"{lock['schedule_id']} is held, yet nothing remains: {lock}")
    return {name: value for name, value in lock.items() if name not in MOVING}


def main():
    url, *ids = sys.argv[1:]
    for schedule_id in ids:
        with urllib.request.urlopen(f"{url}/locks/{schedule_id}", timeout=10) as answer:
            state = json.load(answer)
        state["holders"] = [without_time(lock) for lock in state["holders"]]
        print(json.dumps(state, sort_keys=True))


main()
