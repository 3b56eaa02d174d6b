#!/usr/bin/env python3
"""Fails when an include crosses a line of ARCHITECTURE.md's table "Rooms, and who may include whom".

Looks at the includes that a file writes itself: what a header of an allowed room brings along is that room's business.
Begins with a test of itself, so that a rule that lets everything pass is noticed.
"""

import pathlib
import re
import sys

# Which rooms of the server a room may include, beside itself.
ROOMS = {
    "base": set(),
    "core": {"base"},
    "codec": {"core", "base"},
    "storage": {"base"},
    "peer": {"codec", "base"},
    "replica": {"storage", "peer", "codec", "core", "base"},
    "http": {"base"},
    "api": {"core", "base"},
    "node": {"base", "core", "codec", "storage", "peer", "replica", "http", "api"},
}

# Each foreign library has one room: a pattern of its headers, and the paths below server/ (or client/) that may have it.
FOREIGN = [
    (r"xxhash\.h", r"server/base/"),
    (r"sys/queue\.h", r"server/"),  # a container: a header without a library, and without effects
    (r"protobuf-c/.*|.*\.pb-c\.h", r"server/codec/"),
    (r"libaio\.h", r"server/storage/"),
    (r"raft(/.*)?\.h", r"server/replica/"),
    (r"microhttpd\.h", r"server/http/"),
    (r"jansson\.h", r"server/api/|client/"),
    (r"gnutls/.*", r".*_tls\.[ch]$|client/"),
    (r"uv\.h", r"server/(storage|peer|replica|http|node)/[a-z0-9_]*_uv\.[ch]$|server/(http|node)/"),
    (r"curl/.*|cyaml/.*", r"client/"),
    (r"cmocka\.h", r"tests/"),
]

# The C library's and the kernel's headers that the server may use; a new one is added here, a new library above.
LIBC = set(
    """
    assert ctype dirent dlfcn errno execinfo fcntl fenv float getopt grp ifaddrs inttypes libgen limits locale malloc math netdb
    poll pthread pwd sched setjmp signal spawn stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib
    string strings syslog termios time unistd
    """.split()
)
LIBC_FOLDERS = ("arpa/", "linux/", "net/", "netinet/", "sys/")

# What these rooms may not have though it is the C library's: they know no clock, file, socket or thread.
PURE = {"core", "codec", "api"}
IMPURE = re.compile(
    r"(dirent|fcntl|netdb|poll|pthread|sched|signal|spawn|syslog|termios|time|unistd)\.h|(arpa|linux|net|netinet|sys)/.*"
)

# The model of the contract stands alone, so that no mistake of the server can be in it, too.
ALONE = re.compile(r"tests/contract/contract_model[a-z_]*\.[ch]")
ALONE_HEADER = re.compile(r"contract_model[a-z_]*\.h")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def foreign_complaint(path, header):
    """None: not a foreign library's header. Else "" when `path` may include it, or what is wrong."""
    for pattern, allowed in FOREIGN:
        if re.fullmatch(pattern, header):
            return "" if re.match(allowed, path) or path.startswith("tests/") else f"{header} has no place here"
    return None


def is_libc(header):
    return header.removesuffix(".h") in LIBC or header.startswith(LIBC_FOLDERS)


def complain(path, quote, header):
    """What is wrong with this include, "" when nothing is. `path` is relative to the repository."""
    if ALONE.fullmatch(path):
        is_right = ALONE_HEADER.fullmatch(header) if quote == '"' else is_libc(header)
        return "" if is_right else f"the model of the contract knows nothing but itself: no {header}"
    complaint = foreign_complaint(path, header)
    if complaint is not None:
        return complaint
    target = header.split("/")[0]
    if target in ROOMS and quote == '"':
        if path.startswith("tests/"):
            return ""
        if path.startswith("client/"):
            return "the client shares nothing with the server"
        room = path.split("/")[1]
        if target != room and target not in ROOMS[room]:
            return f"{room} may not include {target}"
        return ""
    if quote == '"':
        return "" if path.startswith(("tests/", "client/")) else f'write "{header}" as "room/file.h"'
    if path.startswith("tests/"):
        return ""
    if not is_libc(header):
        return f"{header} is unknown: name its one place in tests/checks/includes.py"
    if path.startswith("server/") and path.split("/")[1] in PURE and IMPURE.fullmatch(header):
        return f"{path.split('/')[1]} is pure: no {header}"
    return ""


def self_test():
    right = [
        ("server/core/a.c", '"', "base/check.h"),
        ("server/core/a.c", "<", "sys/queue.h"),
        ("server/core/a.c", "<", "string.h"),
        ("server/codec/a.c", '"', "codec/frame.pb-c.h"),
        ("server/peer/a_uv.c", "<", "uv.h"),
        ("server/peer/a_tls.c", "<", "gnutls/gnutls.h"),
        ("server/node/main.c", "<", "uv.h"),
        ("server/node/main.c", '"', "replica/replica.h"),
        ("server/replica/a.c", "<", "raft.h"),
        ("tests/core/a.c", "<", "cmocka.h"),
        ("tests/core/a.c", '"', "fixture.h"),
        ("tests/contract/contract_model.c", '"', "contract_model_private.h"),
        ("tests/contract/contract_model_instant.c", "<", "string.h"),
        ("tests/contract/contract_trial.c", '"', "core/lock_table.h"),
    ]
    wrong = [
        ("server/base/a.c", '"', "core/command.h"),
        ("server/core/a.c", '"', "codec/frame.h"),
        ("server/core/a.c", "<", "time.h"),
        ("server/core/a.c", "<", "sys/socket.h"),
        ("server/storage/a.c", '"', "core/command.h"),
        ("server/storage/a.c", "<", "uv.h"),
        ("server/storage/a_uv.c", "<", "raft.h"),
        ("server/peer/a.c", '"', "core/command.h"),
        ("server/peer/a.c", "<", "gnutls/gnutls.h"),
        ("server/replica/a.c", "<", "uv.h"),
        ("server/http/a.c", "<", "jansson.h"),
        ("server/api/a.c", '"', "http/http.h"),
        ("server/node/a.c", "<", "jansson.h"),
        ("server/node/a.c", "<", "cmocka.h"),
        ("server/node/a.c", '"', "other.h"),
        ("server/node/a.c", "<", "openssl/ssl.h"),
        ("client/a.c", '"', "base/check.h"),
        ("tests/contract/contract_model.h", '"', "core/command.h"),
        ("tests/contract/contract_model_acquire.c", '"', "base/slice.h"),
        ("tests/contract/contract_model_acquire.c", '"', "contract_trial.h"),
        ("tests/contract/contract_model_instant.c", "<", "xxhash.h"),
    ]
    for case in right:
        assert complain(*case) == "", f"{case}: {complain(*case)}"
    for case in wrong:
        assert complain(*case) != "", f"{case} passed"


def main():
    self_test()
    root = pathlib.Path(__file__).resolve().parents[2]
    count = wrong = 0
    for folder in ("server", "client", "tests"):
        for file in sorted((root / folder).rglob("*.[ch]")):
            path = file.relative_to(root).as_posix()
            text = file.read_text(encoding="utf-8")
            for match in INCLUDE.finditer(text):
                count += 1
                complaint = complain(path, match[1], match[2])
                if complaint:
                    wrong += 1
                    print(f"{path}:{text.count(chr(10), 0, match.start(2)) + 1}: {complaint}")
    print(f"{count} includes, {wrong} across a line")
    return 1 if wrong or not count else 0


if __name__ == "__main__":
    sys.exit(main())
