#!/bin/sh
# Runs shellcheck over every shell script of the repository.
set -eu
cd "$(dirname "$0")/../.."
for folder in .ci deploy tests; do
    [ ! -d "$folder" ] || find "$folder" -type f -exec grep -lE '^#!/bin/(ba)?sh' {} +
done | xargs shellcheck -x
