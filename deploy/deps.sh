#!/bin/sh
# Installs every package that building and running need, on Debian 12 (bookworm) and 13 (trixie). As root, or with sudo.
# Does nothing, in a moment and without root or network, when everything is there.
#
#   deploy/deps.sh [PACKAGE…]    PACKAGE: more to install (tests/deps.sh gives those that only tests need)
#
# libraft must be 0.22.1. Debian 12 itself has 0.15.0, which diverges after a failed disk write; its backports have 0.22.1,
# so that suite is added to the system's sources (as a file of its own), and libraft alone is installed from it.
set -eu

raft_version=0.22.1
sources=/etc/apt/sources.list.d/baton-bookworm-backports.sources

# To build, and curl for the quickstart and the tests.
packages="gcc libc6-dev cmake ninja-build pkg-config
    libuv1-dev libmicrohttpd-dev libjansson-dev libprotobuf-c-dev protobuf-c-compiler libxxhash-dev libaio-dev libgnutls28-dev
    libcmocka-dev curl"

fail() {
    printf 'deps.sh: %s\n' "$*" >&2
    exit 1
}

# The names among "$@" of packages that aren't installed, on one line; nothing when all are.
missing() {
    # shellcheck disable=SC2016 # dpkg-query's fields, not the shell's
    present=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || :)
    absent=
    for package in "$@"; do
        printf '%s\n' "$present" | grep -qxF "installed $package" || absent="$absent $package"
    done
    printf '%s' "${absent# }"
}

raft_is_installed() {
    # shellcheck disable=SC2016
    case $(dpkg-query -W -f='${db:Status-Status} ${Version}' libraft-dev 2>/dev/null || :) in
    "installed $raft_version"[-+~]*) return 0 ;;
    esac
    return 1
}

# The packaged version of libraft that apt can install and that is the right one; empty when there is none.
raft_candidate() {
    apt-cache madison libraft-dev 2>/dev/null |
        awk -F ' *[|] *' -v wanted="$raft_version" 'index($2, wanted "-") == 1 { print $2; exit }'
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"
}

# From the mirror that the system already uses for bookworm.
add_backports() {
    # shellcheck disable=SC2016
    uri=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 2>/dev/null | awk '$1 == "bookworm" { print $2; exit }')
    printf 'Types: deb\nURIs: %s\nSuites: bookworm-backports\nComponents: main\nSigned-By: %s\n' \
        "${uri:-http://deb.debian.org/debian}" /usr/share/keyrings/debian-archive-keyring.gpg |
        as_root tee "$sources" >/dev/null
    printf 'deps.sh: added %s\n' "$sources"
}

command -v dpkg-query >/dev/null ||
    fail "only Debian 12 and 13 are supported; elsewhere install what this script lists, and libraft $raft_version"
# shellcheck disable=SC2086 # a list of words
wanted=$(missing $packages "$@")
if raft_is_installed; then
    [ -n "$wanted" ] || exit 0
else
    wanted="$wanted libraft-dev"
fi

release=$(. /etc/os-release && printf '%s %s' "${ID:-}" "${VERSION_CODENAME:-}")
case $release in
"debian bookworm" | "debian trixie") ;;
*) fail "this is '$release', and only Debian 12 (bookworm) and 13 (trixie) are supported; missing here: $wanted" ;;
esac
[ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null || fail "run it as root, or install sudo; missing: $wanted"

printf 'deps.sh: installing %s\n' "$wanted"
apt_get update
if ! raft_is_installed; then
    version=$(raft_candidate)
    if [ -z "$version" ] && [ "$release" = "debian bookworm" ]; then
        add_backports
        apt_get update
        version=$(raft_candidate)
    fi
    [ -n "$version" ] || fail "apt knows no libraft-dev $raft_version: does the mirror carry this release's main suite" \
        "(and bookworm-backports on Debian 12)?"
    # The library goes with its headers, or apt would take its version from the stable suite.
    wanted="$wanted=$version libraft0=$version"
fi
# shellcheck disable=SC2086
apt_get install --no-install-recommends $wanted
# shellcheck disable=SC2086
left=$(missing $packages "$@")
[ -z "$left" ] || fail "still missing after the installation: $left"
raft_is_installed || fail "libraft-dev isn't $raft_version after the installation"
