#!/bin/sh
# Lints openapi/baton.yaml with redocly's rules (redocly.yaml); fails on errors and on warnings.
#
#   tests/openapi/lint.sh [--install]    --install: only see to it that the linter is there
#
# The linter is a package of npm's registry at the versions, and with the checksums, of package-lock.json. It is installed
# below build/ when it isn't there, or when that file has changed since.
set -eu
cd "$(dirname "$0")"
engine=$(cd ../.. && pwd)/build/openapi

if ! cmp -s package-lock.json "$engine/installed.json"; then
    mkdir -p "$engine"
    cp package.json package-lock.json "$engine"
    (cd "$engine" && npm ci --ignore-scripts --no-audit --no-fund --loglevel error)
    cp package-lock.json "$engine/installed.json"
fi
[ "${1:-}" = --install ] || exec node lint.mjs "$engine" ../../openapi/baton.yaml
