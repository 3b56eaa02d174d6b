#!/bin/sh
# Builds the image of deploy/Dockerfile and runs deploy/compose.yaml with it: real containers, a race, a killed node,
# restarts. Ends with a line `N passed, N failed`, and with 0 when none failed.
#
#   tests/containers/run.sh
#
# Wants root. Debian's base image is made here by mmdebstrap instead of pulled; that and the image's packages need the
# network, once: they are kept below build/containers. Everything else is gone at the end, however it ends: it happens in
# namespaces of its own (processes, mounts, network), with a storage of its own, so that it meets neither the machine's
# containers nor its ports, and leaves no rules in its firewall.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/build/containers
image=localhost/baton
transient=/run/baton-containers # short, because sockets are in it
KEPT_MIB=4096       # older layers of the build's cache are dropped beyond this
DEADLINE_SECONDS=540 # the build included

fail() {
    printf 'FAILED %s\n0 passed, 1 failed\n' "$*"
    exit 1
}

[ "$(id -u)" -eq 0 ] || {
    echo "containers are tested as root only"
    exit 77
}

if [ "${1:-}" != --inside ]; then
    mkdir -p "$transient"
    exec timeout -k 5 "$DEADLINE_SECONDS" \
        unshare --mount --pid --fork --kill-child --mount-proc "$here/run.sh" --inside
fi

# What only this run needs is on a tmpfs that nobody else sees: podman finds the state of a machine that has just booted.
mount -t tmpfs tmpfs "$transient"
mkdir -p "$work"
cat >"$work/storage.conf" <<END
[storage]
driver = "overlay"
graphroot = "$work/storage"
runroot = "$transient/storage"
[storage.options.overlay]
skip_mount_home = "true"
END
# Without systemd in charge nobody would run the health checks' timers; the test runs the checks itself.
cat >"$work/containers.conf" <<END
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=1000:1000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "$transient/libpod"
env = ["DISABLE_HC_SYSTEMD=true"]
[network]
network_backend = "netavark"
network_config_dir = "$transient/networks"
END
export CONTAINERS_CONF="$work/containers.conf" CONTAINERS_STORAGE_CONF="$work/storage.conf"

# Prints the mirror that this machine's packages come from, unless it is Debian's own: mmdebstrap knows that one, and the
# suites beside it.
mirror() {
    # shellcheck disable=SC2016 # apt's fields
    apt-get indextargets --format '$(REPO_URI) $(LABEL)' 2>/dev/null |
        awk '$2 == "Debian" && NF == 2 { print $1; exit }' | grep -v '//deb\.debian\.org/'
}

# base NAME: makes the image that the Dockerfile begins FROM, as small as the one of that name: without manuals and the like.
base() {
    suite=${1##*:}
    archive=$work/$suite.tar
    if [ ! -f "$archive" ]; then
        # shellcheck disable=SC2046 # none or one
        mmdebstrap --quiet --variant=minbase --dpkgopt='path-exclude=/usr/share/man/*' \
            --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
            --dpkgopt='path-include=/usr/share/doc/*/copyright' "${suite%-slim}" "$work/part.tar" $(mirror) &&
            mv "$work/part.tar" "$archive"
    fi && podman import "$archive" "$1"
}

build() {
    # What another run left that was killed.
    podman rm --all --force --time 0 && podman volume prune --force && buildah rm --all || return 1
    from=docker.io/library/$(sed -n 's/^FROM \([^ ]*\).*/\1/p' "$root/deploy/Dockerfile" | sort -u)
    podman image exists "$from" || base "$from" || return 1
    buildah bud --layers --isolation chroot --format docker -f "$root/deploy/Dockerfile" -t "$image" "$root"
}

if [ -d "$work/storage" ] && [ "$(du -sm "$work/storage" | cut -f 1)" -gt "$KEPT_MIB" ]; then
    rm -rf "$work/storage"
fi
build >"$work/build.log" 2>&1 </dev/null || {
    tail -n 40 "$work/build.log"
    fail "the image is built from the checkout ($work/build.log)"
}
echo "ok     the image is built from the checkout"
exec unshare --net "$here/cluster.sh" "$image" "$transient/test"
