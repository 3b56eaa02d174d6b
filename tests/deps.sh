#!/bin/sh
# Installs what only the tests need, and before it what the build needs. As root, or with sudo; see deploy/deps.sh.
set -eu

here=$(cd "$(dirname "$0")" && pwd)

# The linter of openapi/baton.yaml runs in node. Where node isn't Debian's (NodeSource), npm comes with it, and Debian's
# package of that name can't be installed beside it.
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    set -- nodejs npm
fi

# clang and its run-time library: a second compiler, and the sanitizers it brings. clang-format, clang-tidy, shellcheck and
# codespell: tests/checks. python3 and strace: tests/e2e, the former for the rule about includes, too. python3-yaml and
# python3-jsonschema: what openapi/baton.yaml says against the server and its answers. mount: full disks. prometheus: itself
# and its promtool, for the metrics. Second line:
# tests/containers.
"$here/../deploy/deps.sh" \
    clang libclang-rt-dev clang-format clang-tidy shellcheck codespell python3 python3-yaml python3-jsonschema strace mount prometheus \
    buildah podman podman-compose runc netavark aardvark-dns iptables iproute2 mmdebstrap "$@"

"$here/openapi/lint.sh" --install
