#!/bin/sh
# The part of run.sh that happens in a network of its own: the image's properties, then the cluster of compose.yaml.
#
#   cluster.sh IMAGE FOLDER    FOLDER: for what the test itself writes, on the tmpfs of run.sh
set -u
image=$1
mine=$2
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
compose_file=$root/deploy/compose.yaml
nodes="n1 n2 n3"
urls="http://127.0.0.1:7420 http://127.0.0.1:7421 http://127.0.0.1:7422"
LARGEST_IMAGE_BYTES=120000000
PATIENCE_SECONDS=60
export CLUSTER_KEY_FILE="$mine/cluster-key"

passed=1 # the build, which brought us here
failed=0

# check NAME COMMAND…
check() {
    name=$1
    shift
    if "$@" >"$mine/log" 2>&1 </dev/null; then
        passed=$((passed + 1))
        printf 'ok     %s\n' "$name"
    else
        failed=$((failed + 1))
        printf 'FAILED %s: %s\n' "$name" "$*"
        sed 's/^/       | /' "$mine/log"
    fi
}

# Also when interrupted. Whatever this doesn't reach ends with the namespaces.
finish() {
    podman rm --all --force --time 0 >/dev/null 2>&1
    podman volume prune --force >/dev/null 2>&1
    podman network prune --force >/dev/null 2>&1
}

# poll COMMAND…: until it succeeds.
poll() {
    until=$(($(date +%s) + PATIENCE_SECONDS))
    until "$@"; do
        if [ "$(date +%s)" -ge "$until" ]; then
            echo "not within $PATIENCE_SECONDS s: $*"
            return 1
        fi
        sleep 0.1
    done
}

compose() {
    podman-compose -p baton-test -f "$compose_file" "$@"
}

container() {
    podman ps --all --quiet --filter "label=com.docker.compose.service=$1"
}

url_of() {
    echo "http://127.0.0.1:742$((${1#n} - 1))"
}

inspect() {
    podman inspect --format "$2" "$(container "$1")"
}

# ---- the image ----

image_is_small() {
    bytes=$(podman image inspect --format '{{.Size}}' "$image")
    echo "$bytes bytes, at most $LARGEST_IMAGE_BYTES"
    [ "$bytes" -lt "$LARGEST_IMAGE_BYTES" ]
}

label() {
    podman image inspect --format "{{index .Labels \"org.opencontainers.image.$1\"}}" "$image"
}

labels_are_true() {
    version=$(podman run --rm --network none "$image" --version | sed -n 's/^batond \([^ ]*\).*/\1/p')
    echo "batond is of version '$version'; labels: $(label version), $(label licenses), $(label title)"
    [ -n "$version" ] && [ "$(label version)" = "$version" ] && [ "$(label licenses)" = Apache-2.0 ] &&
        [ "$(label title)" = baton ]
}

# In a shell of the image: everything in it that only the build needed, or that must not be in it.
image_has_nothing_else() {
    podman run --rm --network none --entrypoint /bin/sh "$image" -c \
        'for name in gcc cmake curl wget python3; do ! command -v $name || exit 1; done
         ! find / -xdev \( -name "*cluster-key*" -o -name "*.c" -o -path "/var/lib/apt/lists/*" \) -print | grep . || exit 1
         test -s /usr/local/share/doc/baton/LICENSE'
}

# Nothing to write to but the volume: not even the tmpfs that podman, unlike docker, adds to --read-only.
one_node_runs_read_only() {
    podman run --detach --name alone --read-only --read-only-tmpfs=false --cap-drop all --publish 127.0.0.1:7430:7420 \
        --env BATON_INSECURE=1 "$image" --node n1 && poll podman healthcheck run alone &&
        curl -s -f -m 5 -d '{"holder": "me", "ttl_ms": 60000}' http://127.0.0.1:7430/locks/demo
    status=$?
    podman logs alone
    podman rm --force --volumes --time 0 alone
    return "$status"
}

# The health check finds the port wherever it was given.
port_may_be_a_flag() {
    podman run --detach --name elsewhere --env BATON_INSECURE=1 "$image" --node n1 --http :8080 &&
        poll podman healthcheck run elsewhere
    status=$?
    podman logs elsewhere
    podman rm --force --volumes --time 0 elsewhere
    return "$status"
}

refuses_to_serve_everybody_unasked() {
    podman run --rm "$image" --node n1
    [ $? -eq 64 ]
}

# ---- the cluster ----

node_is_ok() {
    podman healthcheck run "$(container "$1")" >/dev/null 2>&1 &&
        curl -s -m 5 "$(url_of "$1")/health" | grep -q '"status": *"ok"'
}

# Each is healthy by its own health check, and misses nobody.
all_are_ok() {
    for node in $nodes; do
        poll node_is_ok "$node" || {
            podman ps --all
            curl -s -m 5 "$(url_of "$node")/health"
            podman logs --tail 30 "$(container "$node")"
            return 1
        }
    done
}

cluster_comes_up() {
    head -c 32 /dev/urandom | install -m 400 -o 7420 /dev/stdin "$CLUSTER_KEY_FILE" && compose up -d && all_are_ok
}

# As compose.yaml says: not root, no capability, no way to get one, nothing to write to but the volume.
is_confined() {
    podman exec "$(container "$1")" /bin/sh -c \
        'cat /proc/1/status
         grep -q "^Uid:.7420.7420.7420.7420$" /proc/1/status && grep -q "^NoNewPrivs:.1$" /proc/1/status &&
         ! grep "^Cap[A-Z][a-z]*:" /proc/1/status | grep -v "0000000000000000$" &&
         grep " / " /proc/mounts | tee /dev/stderr | grep -q " / [^ ]* ro," && touch /var/lib/baton/x && rm /var/lib/baton/x'
}

leader() {
    for url in $urls; do
        name=$(curl -s -m 5 "$url/health" | sed -n 's/.*"leader": *"\([^"]*\)".*/\1/p')
        if [ -n "$name" ]; then
            echo "$name"
            return 0
        fi
    done
    return 1
}

ran_at_least() {
    [ "$(wc -l <"$mine/ran")" -ge "$1" ]
}

# Five agents fire the same twenty jobs, each through all nodes; the leader's container is killed in the middle.
race() {
    occurrence=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    : >"$mine/ran"
    agents=
    for agent in 1 2 3 4 5; do
        # shellcheck disable=SC2086 # a list of addresses
        "$root/deploy/quickstart-agent.sh" "agent-$agent" "0.$agent" "$occurrence" "$mine/ran" $urls &
        agents="$agents $!"
        urls="${urls#* } ${urls%% *}"
    done
    poll ran_at_least 8 || return 1
    killed=$(leader) && podman kill "$(container "$killed")" || return 1
    echo "killed $killed after $(wc -l <"$mine/ran") jobs"
    for process in $agents; do
        wait "$process" || return 1
    done
    [ "$(inspect "$killed" '{{.State.Running}}')" = false ]
}

each_ran_once() {
    cat "$mine/ran"
    [ "$(awk '{ n++; s += !S[$1]++; t += !T[$3]++ } END { print n + 0, s + 0, t + 0 }' "$mine/ran")" = "20 20 20" ]
}

killed_one_comes_back() {
    podman start "$(container "$killed")" && all_are_ok
}

# ---- restarts ----

ids=$(seq -f 'job-%02g' 20)
ids="$ids held-1 held-2 failed-1 abandoned-1"

# acquire ID HOLDER [MORE]: prints the token.
acquire() {
    curl -s -f -m 10 -H "Idempotency-Key: key-$1" -d "{\"holder\": \"$2\", \"ttl_ms\": 3600000${3:-}}" \
        "http://127.0.0.1:7420/locks/$1" | sed -n 's/.*"token": *\([0-9]*\).*/\1/p' | grep .
}

release() {
    curl -s -f -m 10 -X DELETE "http://127.0.0.1:742$3/locks/$1?token=$2&outcome=${4:-succeeded}"
}

# Locks that are held and runs that ended in each way, beside the twenty of the race.
locks_are_taken() {
    held_1=$(acquire held-1 host-a ', "metadata": {"pid": 42}') &&
        held_2=$(acquire held-2 host-b ', "occurrence": "nightly"') &&
        token=$(acquire failed-1 host-a ', "occurrence": "x"') && release failed-1 "$token" 1 failed &&
        token=$(acquire abandoned-1 host-a ', "occurrence": "x"') && release abandoned-1 "$token" 2 abandoned &&
        newest=$token && state_of "http://127.0.0.1:7420" >"$mine/before" && [ "$(wc -l <"$mine/before")" -eq 24 ]
}

state_of() {
    # shellcheck disable=SC2086 # a list of names
    "$here/locks.py" "$1" $ids
}

# Every node tells what it was before; a lock that is held stays refused and repeated; new tokens are larger than all before.
nothing_is_lost() {
    for url in $urls; do
        state_of "$url" >"$mine/after" && diff "$mine/before" "$mine/after" || return 1
    done
    refused=$(curl -s -m 10 -o /dev/null -w '%{http_code}' -d '{"holder": "other", "ttl_ms": 60000}' "$url/locks/held-1")
    echo "held-1 for another: $refused"
    [ "$refused" = 409 ] || return 1
    again=$(acquire held-1 host-a ', "metadata": {"pid": 42}')
    echo "held-1 repeated: token $again, was $held_1"
    [ "$again" = "$held_1" ] || return 1
    token=$(acquire "new-$newest" host-a)
    echo "newest token $token, was $newest"
    [ "${token:-0}" -gt "$newest" ] && newest=$token
}

stop_all() {
    compose stop || return 1
    for node in $nodes; do
        echo "$node ended with $(inspect "$node" '{{.State.ExitCode}}')"
        [ "$(inspect "$node" '{{.State.Running}} {{.State.ExitCode}}')" = "false 0" ] || return 1
    done
}

start_all() {
    compose start && all_are_ok
}

# New containers with the old volumes.
recreate_all() {
    compose down && [ -z "$(container n1)$(container n2)$(container n3)" ] && compose up -d && all_are_ok
}

is_another_process() {
    [ "$(inspect "$1" '{{.State.Running}} {{.State.Pid}}' 2>/dev/null)" != "true $2" ] &&
        [ "$(inspect "$1" '{{.State.Running}}' 2>/dev/null)" = true ]
}

# A crash of all processes at once: nobody stopped the containers, so the restart policy brings them back.
crash_all() {
    processes=
    for node in $nodes; do
        processes="$processes $(inspect "$node" '{{.State.Pid}}')"
    done
    # shellcheck disable=SC2086 # a list of numbers
    kill -9 $processes || return 1
    for node in $nodes; do
        processes=${processes# }
        poll is_another_process "$node" "${processes%% *}" || return 1
        processes=${processes#* }
    done
    all_are_ok
}

held_locks_can_be_released() {
    release held-1 "$held_1" 1 && release held-2 "$held_2" 2
}

mkdir -p "$mine" || exit 1
trap finish EXIT
trap 'exit 1' INT TERM
ip link set lo up

check 'the image is small' image_is_small
check 'its labels are true' labels_are_true
check 'it has no compiler, client, source or key' image_has_nothing_else
check 'one node runs read-only without capabilities' one_node_runs_read_only
check 'a port that is a flag is healthy' port_may_be_a_flag
check 'it serves nobody unasked' refuses_to_serve_everybody_unasked
check 'compose brings three healthy nodes up' cluster_comes_up
for node in $nodes; do
    check "$node runs confined" is_confined "$node"
done
check 'a race through all nodes, the leader killed in the middle' race
check 'each job ran exactly once, each with a token of its own' each_ran_once
check 'the killed one comes back' killed_one_comes_back
check 'locks are held, runs have ended' locks_are_taken
check 'all stop with 0' stop_all
check 'and start again' start_all
check 'after stop and start nothing is lost' nothing_is_lost
check 'down and up makes new containers' recreate_all
check 'after down and up nothing is lost' nothing_is_lost
check 'all crash at once and are restarted' crash_all
check 'after the crash nothing is lost' nothing_is_lost
check 'what is still held can be released' held_locks_can_be_released

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
