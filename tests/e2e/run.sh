#!/bin/sh
# End-to-end tests: real batond processes on loopback. Ends with a line `N passed, N failed`, and with 0 when none failed.
#
#   tests/e2e/run.sh [BATOND] [NAME…] [-NAME…]    only tests whose names contain one of NAME, and none of -NAME
#
# BATOND is the program to test (default: the first of the presets release, debug, asan and clang that is built). Wants
# Debian's Python 3 with python3-yaml and python3-jsonschema, and strace; the full-disk tests mount a tmpfs, so they want root.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

batond=
if [ $# -gt 0 ] && [ -f "$1" ]; then
    batond=$1
    shift
else
    for preset in release debug asan clang; do
        [ -n "$batond" ] || [ ! -x "$root/build/$preset/server/node/batond" ] ||
            batond=$root/build/$preset/server/node/batond
    done
fi
[ -n "$batond" ] || {
    echo "run.sh: no batond is built: cmake --preset release && cmake --build --preset release" >&2
    exit 1
}
exec /usr/bin/python3 -B "$here/main.py" "$batond" "$@"
