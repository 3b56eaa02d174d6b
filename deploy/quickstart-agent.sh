#!/bin/sh
# One agent of the race in quickstart.sh: a machine whose timer fires the same jobs as every other machine's. Plain sh and
# curl, because that is all that a job needs in order to use baton.
#
#   quickstart-agent.sh NAME DELAY OCCURRENCE RAN URL…
#
# Sleeps DELAY seconds (clocks differ), then fires twenty schedules. Each job that runs appends `schedule node token` to
# the file RAN. 503, 504 and every broken or refused connection are repeated through the next URL with the same
# Idempotency-Key: a grant whose answer was lost comes back with the same token.
set -eu

name=$1
delay=$2
occurrence=$3
ran=$4
shift 4

answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

# request METHOD PATH KEY BODY URL…: sets $code, and the content of $answer.
request() {
    method=$1
    path=$2
    key=$3
    body=$4
    shift 4
    tries=0
    while [ "$tries" -lt 300 ]; do
        code=$(curl -s -m 10 -o "$answer" -w '%{http_code}' -X "$method" -H "Idempotency-Key: $key" -d "$body" "$1$path") ||
            code=000
        case $code in
        000 | 503 | 504) ;;
        *) return 0 ;;
        esac
        first=$1
        shift
        set -- "$@" "$first"
        tries=$((tries + 1))
        sleep 0.1
    done
    echo "$name: no node answered $method $path (last: $code)" >&2
    return 1
}

# fire SCHEDULE URL…
fire() {
    schedule=$1
    shift
    request POST "/locks/$schedule" "$name:$occurrence" \
        "{\"holder\": \"$name\", \"ttl_ms\": 60000, \"occurrence\": \"$occurrence\"}" "$@"
    case $code in
    201) token=$(sed -n 's/.*"token": *\([0-9][0-9]*\).*/\1/p' "$answer") ;;
    409) return 0 ;; # another agent runs it, or has run it
    *)
        echo "$name: $schedule: unexpected answer $code: $(cat "$answer")" >&2
        return 1
        ;;
    esac
    echo "$schedule $name $token" >>"$ran" # the job
    sleep 0.25
    request DELETE "/locks/$schedule?token=$token&outcome=succeeded" "" "" "$@"
    [ "$code" = 200 ] || echo "$name: $schedule: release answered $code: $(cat "$answer")" >&2
}

sleep "$delay"
job=1
while [ "$job" -le 20 ]; do
    fire "$(printf 'job-%02d' "$job")" "$@"
    job=$((job + 1))
done
