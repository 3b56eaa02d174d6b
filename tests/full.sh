#!/bin/sh
# What takes too long for tests/run.sh, after the same build: thousands of fresh seeds of the simulator, and the state filled
# to its last byte on three nodes (about 10 GiB of memory).
#
#   tests/full.sh [MINUTES]    of simulation, 60 unless given
#
# Ends with a line `N passed, N failed`, and with 0 when none failed. Writes build/tests/full.txt: which commit was tested, on
# what, for how long, which seeds, and what each step said.
set -u
cd "$(dirname "$0")/.." || exit 1
minutes=${1:-60}
logs=$PWD/build/tests
report=$logs/full.txt
mkdir -p "$logs" || exit 1
passed=0
failed=0

say() {
    printf '%s\n' "$*" | tee -a "$report"
}

# step NAME COMMAND…: runs it; the lines that count go into the report.
step() {
    name=$1
    shift
    log=$logs/full-$(printf '%s' "$name" | tr -c 'a-z0-9\n' '-').log
    began=$(date +%s)
    if "$@" >"$log" 2>&1 </dev/null; then
        passed=$((passed + 1))
        verdict='ok     '
    else
        failed=$((failed + 1))
        verdict='FAILED '
    fi
    say "$verdict $name ($(($(date +%s) - began)) s): $*"
    grep -E '^(ok|FAILED) |seeds?|passed, ' "$log" | tail -n 40 | sed 's/^/    /' | tee -a "$report"
}

build() {
    cmake --preset release && cmake --build --preset release -j "$(nproc)"
}

# Rounds of fresh seeds until the time is over; each says which.
simulation() {
    until=$(($(date +%s) + minutes * 60))
    rounds=0
    while [ "$rounds" -eq 0 ] || [ "$(date +%s)" -lt "$until" ]; do
        build/release/tests/sim/sim --seeds 500 --fresh --steps 10000 --jobs "$(nproc)" || return 1
        rounds=$((rounds + 1))
    done
    echo "$((rounds * 500)) seeds in $rounds rounds"
}

: >"$report"
say "commit  $(git rev-parse HEAD)$(git diff --quiet HEAD -- || echo ', with changes that are not committed')"
say "on      $(date -u +%Y-%m-%dT%H:%M:%SZ), $(uname -srm), $(nproc) processors"
step 'release build' build
step 'a full state' tests/e2e/run.sh build/release/server/node/batond test_capacity
step 'simulation' simulation

say ''
say "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
