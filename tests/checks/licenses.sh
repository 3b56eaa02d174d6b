#!/bin/sh
# Fails when docs/licenses.md doesn't list exactly the libraries that a binary asks the loader for.
#
#   tests/checks/licenses.sh BATOND
set -eu
cd "$(dirname "$0")/../.."
linked=$(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(lib[a-z0-9-]*\)\.so.*/\1/p' | sort)
listed=$(sed -n 's/^| \(lib[a-z0-9-]*\) |.*/\1/p' docs/licenses.md | grep -vx library | sort)
if [ "$linked" != "$listed" ]; then
    printf 'docs/licenses.md lists:\n%s\n%s is linked with:\n%s\n' "$listed" "$1" "$linked"
    exit 1
fi
grep -q 'Apache License' LICENSE
