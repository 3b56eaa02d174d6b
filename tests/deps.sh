#!/bin/sh
# Installs what only the tests need, and before it what the build needs. As root, or with sudo; see deploy/deps.sh.
set -eu

# clang and its run-time library: a second compiler, and the sanitizers it brings. clang-format, clang-tidy, shellcheck and
# codespell: tests/checks. python3 and strace: tests/e2e, the former for the rule about includes, too. mount: full disks.
exec "$(dirname "$0")/../deploy/deps.sh" \
    clang libclang-rt-dev clang-format clang-tidy shellcheck codespell python3 strace mount
