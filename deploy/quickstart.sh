#!/bin/sh
# From a fresh checkout to a running cluster, and a proof: installs what is missing, builds, starts three nodes on this
# machine, and lets five agents race for the same twenty jobs while the leader is killed. The cluster stays up.
#
#   deploy/quickstart.sh          run it (again: starts over)
#   deploy/quickstart.sh --stop   end the cluster and remove what it left
set -eu
umask 077

root=$(cd "$(dirname "$0")/.." && pwd)
home=$root/build/quickstart
batond=$root/build/release/server/node/batond
spec=n1=127.0.0.1:7420,n2=127.0.0.1:7422,n3=127.0.0.1:7424
n1=http://127.0.0.1:7420
n2=http://127.0.0.1:7422
n3=http://127.0.0.1:7424

say() {
    printf '%s\n' "$*"
}

fail() {
    printf 'quickstart: %s\n' "$*" >&2
    exit 1
}

url_of() {
    case $1 in
    n1) echo "$n1" ;;
    n2) echo "$n2" ;;
    n3) echo "$n3" ;;
    esac
}

# Prints the process of node $1 if it is alive and is a batond of ours: a process id may have been used again.
process_of() {
    [ -f "$home/$1.pid" ] || return 0
    read -r process <"$home/$1.pid" || return 0
    case $(tr '\0' ' ' <"/proc/$process/cmdline" 2>/dev/null) in
    "$batond --node $1 "*) echo "$process" ;;
    esac
}

start_node() {
    setsid "$batond" --node "$1" --cluster "$spec" --data-dir "$home/$1" --cluster-key-file "$home/cluster-key" \
        >/dev/null 2>>"$home/$1.log" </dev/null &
    echo $! >"$home/$1.pid"
}

stop_nodes() {
    for node in n1 n2 n3; do
        process=$(process_of "$node")
        [ -z "$process" ] || kill "$process" 2>/dev/null || :
    done
    waited=0
    for node in n1 n2 n3; do
        while [ -n "$(process_of "$node")" ]; do
            waited=$((waited + 1))
            [ "$waited" -le 60 ] || kill -9 "$(process_of "$node")" 2>/dev/null || :
            sleep 0.1
        done
    done
    rm -rf "$home"
}

# wait_healthy NODE…: until each answers /health with 200.
wait_healthy() {
    for node in "$@"; do
        tries=0
        until curl -s -f -m 2 -o /dev/null "$(url_of "$node")/health"; do
            tries=$((tries + 1))
            kill -0 "$(cat "$home/$node.pid")" 2>/dev/null || fail "$node has ended: $(tail -n 1 "$home/$node.log")"
            [ "$tries" -lt 150 ] || fail "$node isn't healthy: $(curl -s -m 2 "$(url_of "$node")/health")"
            sleep 0.2
        done
    done
}

# The leader's name, asked of any node that answers; empty while there is none.
leader() {
    for url in "$n1" "$n2" "$n3"; do
        name=$(curl -s -f -m 2 "$url/health" | sed -n 's/.*"leader": *"\([^"]*\)".*/\1/p')
        if [ -n "$name" ]; then
            echo "$name"
            return 0
        fi
    done
}

lines() {
    wc -l <"$home/ran" | tr -d ' '
}

case ${1:-} in
--stop)
    stop_nodes
    say "stopped, and $home is gone"
    exit 0
    ;;
'') ;;
*)
    say "usage: deploy/quickstart.sh [--stop]" >&2
    exit 64
    ;;
esac

say "1. Packages (deploy/deps.sh)"
"$root/deploy/deps.sh"
say "2. Build (build/release)"
mkdir -p "$root/build"
(cd "$root" && cmake --preset release && cmake --build --preset release --target batond) \
    >"$root/build/quickstart-build.log" 2>&1 || {
    tail -n 30 "$root/build/quickstart-build.log" >&2
    fail "the build failed: build/quickstart-build.log"
}

say "3. Three nodes on loopback: $spec"
stop_nodes
mkdir -p "$home"
head -c 32 /dev/urandom >"$home/cluster-key"
for node in n1 n2 n3; do
    start_node "$node"
done
wait_healthy n1 n2 n3
first=$(leader)
say "   healthy; $first leads"

say "4. The race: five agents fire the same twenty jobs, two seconds apart at most; $first is killed in the middle"
occurrence=$(date -u +%Y-%m-%dT%H:%M:%SZ)
: >"$home/ran"
agents=
agent() {
    name=$1
    delay=$2
    shift 2
    "$root/deploy/quickstart-agent.sh" "$name" "$delay" "$occurrence" "$home/ran" "$@" &
    agents="$agents $!"
}
agent agent-1 0 "$n1" "$n2" "$n3"
agent agent-2 0.4 "$n2" "$n3" "$n1"
agent agent-3 0.9 "$n3" "$n1" "$n2"
agent agent-4 1.4 "$n1" "$n3" "$n2"
agent agent-5 2 "$n2" "$n1" "$n3"
tries=0
until [ "$(lines)" -ge 8 ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || fail "only $(lines) jobs ran within half a minute"
    sleep 0.05
done
kill -9 "$(process_of "$first")"
say "   kill -9 $first after $(lines) jobs"
for process in $agents; do
    wait "$process" || fail "an agent failed"
done
second=$(leader)
say "   all agents are done; $second leads now"
for name in agent-1 agent-2 agent-3 agent-4 agent-5; do
    say "   $name ran $(grep -c " $name " "$home/ran" || :) of 20"
done

# shellcheck disable=SC2016 # awk's $1, not the shell's
verdict='{ n++; s += !S[$1]++; t += !T[$3]++ } END { print n+0 " lines, " s+0 " schedules, " t+0 " tokens" }'
say "5. The verdict, from what really ran (schedule node token):"
say "   awk '$verdict' $home/ran"
result=$(awk "$verdict" "$home/ran")
say "   $result"
[ "$result" = "20 lines, 20 schedules, 20 tokens" ] || fail "wrong: each job must run once, each with a token of its own"

start_node "$first"
wait_healthy "$first"
say "6. $first is back and healthy. Each job ran exactly once. The cluster stays up; try it:"
cat <<END
   curl -s $n1/health; echo
   curl -s -d '{"holder": "me", "ttl_ms": 60000}' $n2/locks/demo; echo
   curl -s -d '{"holder": "you", "ttl_ms": 60000}' $n3/locks/demo; echo
   token=\$(curl -s $n1/locks/demo | sed 's/.*"token": *\([0-9]*\).*/\1/')
   curl -s -X DELETE "$n3/locks/demo?token=\$token"; echo
   tail $home/n1.log
   deploy/quickstart.sh --stop
END
