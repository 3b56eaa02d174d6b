"""What tests/upgrade/write.py records of a release, and test_upgrade.py compares."""

import re


def hashes(node):
    """{index: {hash, …}} of the states that this node has logged."""
    found = {}
    for index, value in re.findall(r'state hash"? .*?index=(\d+).*? hash="?([0-9a-f]{32})', node.log):
        found.setdefault(int(index), set()).add(value)
    return found


def pages(node, path, name):
    items, after = [], ""
    while after is not None:
        page = node.request("GET", f"{path}?limit=7{after and '&after=' + after}").json
        items += page[name]
        after = page["next"]
    return items


def steady(value):
    """Without what goes on with time."""
    if isinstance(value, list):
        return [steady(item) for item in value]
    if isinstance(value, dict):
        return {name: steady(item) for name, item in value.items() if name not in ("remaining_ms", "expires_at")}
    return value


def state_of(node):
    """All that a client can ask about."""
    locks = pages(node, "/locks", "locks")
    schedules = pages(node, "/schedules", "schedules")
    names = sorted({item["schedule_id"] for item in locks + schedules} | {"forced", "floor"})
    return steady({
        "locks": locks,
        "schedules": schedules,
        "status": {name: node.status(name).json for name in names},
        "schedule": {item["schedule_id"]: node.request("GET", f"/schedules/{item['schedule_id']}").json for item in schedules},
        "runs": {name: node.request("GET", f"/schedules/{name}/runs").json for name in names},
    })  # fmt: skip
