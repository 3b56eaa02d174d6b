#!/usr/bin/env python3
"""docs/limits.md from server/base/limits.h and tests/limits.txt: every bound, what happens past it, and its test.

    tests/checks/limits.py           fails when the page isn't what would be written, or a test that is named doesn't exist
    tests/checks/limits.py --write   writes it
"""

import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
PAGE = TOP / "docs/limits.md"
HEAD = """# Limits

Every bound of the server, what happens past it, and the test that reaches it. Made from `server/base/limits.h` and
`tests/limits.txt` by `tests/checks/limits.py --write`; none of them can be configured, so that all nodes of a cluster agree.

Two times are flags of their own: a request that isn't complete after `--request-timeout` (10 s) is closed without an answer
(`e2e/test_bounds.py`: request time), and one that isn't decided after `--commit-timeout` (5 s) is answered 504
`outcome_unknown`, or 503 when it was never proposed (`e2e/test_bounds.py`: operations in flight).
"""
SECTION = re.compile(r"^/\* ---- (.*) ---- \*/$")
DEFINE = re.compile(r"^#define (LIMIT_[A-Z0-9_]+) +(.+)$")


def fail(message):
    sys.exit(f"limits.py: {message}")


def value_of(expression, known):
    for name in sorted(known, key=len, reverse=True):
        expression = expression.replace(name, str(known[name]))
    expression = re.sub(r"(\d)(ull|u)\b", r"\1", expression)
    if not re.fullmatch(r"[0-9 ()*+<-]+", expression):
        fail(f"can't compute {expression}")
    return eval(expression, {"__builtins__": {}})  # digits and operators only, see above


UNITS = {
    "BYTES": ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")),
    "MS": ((24 * 3600 * 1000, "days"), (1000, "s")),
}


def shown(name, value):
    for size, unit in UNITS.get(name.rsplit("_", 1)[1], ()):
        if value >= size and value % size == 0:
            return f"{value:,} ({value // size:,} {unit})"
    return f"{value:,}"


def spoken(test):
    return test.removeprefix("test_").replace("_", " ")


def sections():
    """[(title, [(name, value, what, past)])]"""
    found, comment, known = [], [], {}
    inside = False
    for line in (TOP / "server/base/limits.h").read_text(encoding="utf-8").splitlines():
        section, define = SECTION.match(line), DEFINE.match(line)
        if section:
            found.append((section[1], []))
        elif line.startswith("/*") or inside:
            comment = ([] if not inside else comment) + [line.strip("/* ").rstrip()]
            inside = not line.endswith("*/")
        elif define:
            name, text = define[1], " ".join(part for part in comment if part)
            what, past = (re.fullmatch(r"(.*?)\.? Past it: (.*?)\.?", text) or fail(f"{name} has no 'Past it:'")).groups()
            known[name] = value_of(define[2], known)
            found[-1][1].append((name, known[name], what, past))
            comment = []
    return found


def tests(names):
    """{bound: [(path, test)]}; every bound has one, and every test exists."""
    found = {}
    for line in (TOP / "tests/limits.txt").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        name, path, test = line.split()
        if name not in names:
            fail(f"tests/limits.txt: there is no {name}")
        if not re.search(rf"\b{re.escape(test)}\b", (TOP / path).read_text(encoding="utf-8")):
            fail(f"{path} has no {test}")
        found.setdefault(name, []).append((path, test))
    for name in names:
        if name not in found:
            fail(f"tests/limits.txt names no test that reaches {name}")
    return found


def page():
    all_sections = sections()
    reached = tests([row[0] for _, rows in all_sections for row in rows])
    lines = [HEAD]
    for title, rows in all_sections:
        lines += [f"## {title}", "", "| bound | value | of what | past it | test |", "|---|---|---|---|---|"]
        for name, value, what, past in rows:
            where = ", ".join(f"`{path.removeprefix('tests/')}`: {spoken(test)}" for path, test in reached[name])
            lines.append(f"| `{name}` | {shown(name, value)} | {what} | {past} | {where} |")
        lines.append("")
    return "\n".join(lines)


def main():
    text = page()
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        fail("docs/limits.md isn't what limits.h says: run tests/checks/limits.py --write")


if __name__ == "__main__":
    main()
