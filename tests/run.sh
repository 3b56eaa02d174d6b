#!/bin/sh
# Everything that can be checked, from dependencies to end-to-end tests, with one line for each step:
#
#   tests/run.sh
#
# Ends with a line `N passed, N failed`, and with 0 when none failed. A step counts for one; a program that ends with such
# a line itself, and ctest, count for each of their tests. A step that can't be checked here (another release's formatter)
# says why, and counts for neither. Needs no network once tests/deps.sh has nothing to do and tests/containers has made its
# images' layers. Everything that is written is below build/; the log of each step is build/tests/STEP.log.
set -u
cd "$(dirname "$0")/.." || exit 1
logs=$PWD/build/tests
mkdir -p "$logs" || exit 1

passed=0
failed=0
jobs=$(nproc)

# count LOG STATUS: adds what a step's output and exit status say.
count() {
    own=$(tail -n 1 "$1" | sed -n 's/^\([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed$/\1 \2/p')
    if [ -z "$own" ]; then # "97% tests passed, 1 tests failed out of 30"
        own=$(sed -n 's/^[0-9]*% tests passed, \([0-9]*\) tests failed out of \([0-9]*\)$/\2 \1/p' "$1" | tail -n 1 |
            awk 'NF { print $1 - $2, $2 }')
    fi
    ok=${own% *}
    bad=${own#* }
    if [ -z "$own" ]; then
        ok=$(($2 == 0))
        bad=$(($2 != 0))
    elif [ "$2" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1 # it failed outside its tests
    fi
    passed=$((passed + ok))
    failed=$((failed + bad))
}

# step NAME COMMAND…: runs it, and shows its log when it fails. 1 when it failed.
step() {
    name=$1
    shift
    log=$logs/$(printf '%s' "$name" | tr -c 'a-z0-9\n' '-').log
    began=$(date +%s)
    "$@" >"$log" 2>&1 </dev/null
    status=$?
    took=$(($(date +%s) - began))
    if [ "$status" -eq 77 ]; then
        printf -- '-       %s: %s\n' "$name" "$(tail -n 1 "$log")"
        return 0
    fi
    count "$log" "$status"
    if [ "$status" -eq 0 ]; then
        printf 'ok      %s (%d s)\n' "$name" "$took"
        return 0
    fi
    printf 'FAILED  %s (%d s), %s:\n' "$name" "$took" "$log"
    # Without the lines of a build, or a test, that went well.
    grep -vE '^\[[0-9]+/[0-9]+\] |^ok  |[0-9]+ Test +#.* Passed |^ +Start +[0-9]+: ' "$log" | tail -n 200 |
        sed 's/^/        | /'
    return 1
}

# skip NAME WHY: a step whose ground is missing has failed, too.
skip() {
    failed=$((failed + 1))
    printf 'FAILED  %s: %s\n' "$1" "$2"
}

build() {
    cmake --preset "$1" && cmake --build --preset "$1" -j "$jobs" -- -k 0
}

# Programs of the unit tests: all that isn't a simulation.
unit_tests() {
    ctest --test-dir "build/$1" --no-tests=error --output-on-failure -j "$jobs" -LE sim
}

simulation() {
    ctest --test-dir build/release --no-tests=error --output-on-failure -L sim
}

# Some fresh seeds, in the build that watches every access.
sanitized_simulation() {
    build/asan/tests/sim/sim --seeds 60 --fresh --steps 10000 --jobs "$jobs"
}

# The end-to-end tests wait more than they compute, so the two builds' run side by side. Left out of the sanitized one is what
# measures memory or the loop's pace.
sanitized_end_to_end_begin() {
    asan=build/asan/server/node/batond
    { [ -x "$asan" ] && tests/e2e/run.sh "$asan" -test_bounds -loop_does_not_stall; } >"$logs/asan-e2e.out" 2>&1 </dev/null &
    sanitized=$!
    trap 'kill "$sanitized" 2>/dev/null' EXIT
    trap 'exit 1' HUP INT TERM
}

sanitized_end_to_end_finish() {
    wait "$sanitized"
    status=$?
    trap - EXIT
    cat "$logs/asan-e2e.out"
    return "$status"
}

# built_and_tested PRESET
built_and_tested() {
    if step "$1: build" build "$1"; then
        step "$1: unit tests" unit_tests "$1"
    else
        skip "$1: unit tests" "it isn't built"
    fi
}

step 'dependencies' tests/deps.sh || {
    printf '\n%d passed, %d failed\n' "$passed" "$failed"
    exit 1
}
step 'format' tests/checks/format.sh
step 'includes' tests/checks/includes.py
step 'shell scripts' tests/checks/shell.sh
step 'spelling' tests/checks/spelling.sh
step 'limits' tests/checks/limits.py
step 'openapi: lint' tests/openapi/lint.sh
built_and_tested asan
if step 'clang: build' build clang; then
    step 'tidy' tests/checks/tidy.sh build/clang
else
    skip 'tidy' "clang didn't build it"
fi
step 'containers' tests/containers/run.sh
if step 'release: build' build release; then
    step 'licences' tests/checks/licenses.sh build/release/server/node/batond
    step 'release: unit tests' unit_tests release
    step 'simulation' simulation
    step 'asan: simulation' sanitized_simulation
    sanitized_end_to_end_begin
    step 'end to end' tests/e2e/run.sh build/release/server/node/batond
    step 'asan: end to end' sanitized_end_to_end_finish
else
    for name in 'licences' 'release: unit tests' 'simulation' 'asan: simulation' 'end to end' 'asan: end to end'; do
        skip "$name" "it isn't built"
    done
fi

printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
