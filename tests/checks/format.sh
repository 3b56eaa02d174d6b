#!/bin/sh
# Fails when a C file isn't as .clang-format says. Releases of clang-format differ in details, and the files are written
# with 14, Debian 12's. Where there is no 14 (Debian 13 has 19) this says so and ends with 77: not checked. `--fix`
# rewrites the files instead.
set -eu
cd "$(dirname "$0")/../.."

formatter=
for name in clang-format-14 clang-format; do
    case $("$name" --version 2>/dev/null) in
    *"version 14."*) formatter=$name && break ;;
    esac
done
[ -n "$formatter" ] || {
    echo "the format is checked with clang-format 14 only, and here is: $(clang-format --version 2>&1)"
    exit 77
}

if [ "${1:-}" = --fix ]; then
    set -- -i
else
    set -- --dry-run --Werror
fi
# Every folder of sources that there is.
for folder in server client tests; do
    [ ! -d "$folder" ] || find "$folder" -name '*.[ch]' -print0
done | xargs -0 "$formatter" "$@"
