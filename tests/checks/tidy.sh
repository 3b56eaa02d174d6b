#!/bin/sh
# clang-tidy over every C file of the compile database, with the checks of .clang-tidy.
#
#   tests/checks/tidy.sh [BUILD_DIRECTORY]    default: build/clang; built, since codec's headers are generated
#
# The list of checks has patterns, so another release of clang-tidy checks something else. It is written for 14, Debian
# 12's; where there is no 14 (Debian 13 has 19) this says so and ends with 77: not checked.
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build/clang}

version=$(clang-tidy --version 2>&1 | grep version || :)
case $version in
*"version 14."*) ;;
*)
    echo "clang-tidy 14 only, and here is: $version"
    exit 77
    ;;
esac
[ -f "$build/compile_commands.json" ] || {
    echo "tidy.sh: $build isn't configured: cmake --preset clang && cmake --build --preset clang" >&2
    exit 1
}
output=$(mktemp)
trap 'rm -f "$output"' EXIT
status=0
# Paths below the repository, but not the generated sources below build/.
run-clang-tidy -quiet -j 2 -p "$build" "^$PWD/(server|client|tests)/.*\\.c\$" >"$output" 2>&1 || status=1
# Without colours, which it can't be talked out of, and without its remarks about itself.
sed 's/\x1b\[[0-9;]*m//g' "$output" |
    grep -vE '^clang-tidy(-14)? |^[0-9]+ warnings? (generated|treated)|^Suppressed |^Use -header|^$' || :
exit "$status"
