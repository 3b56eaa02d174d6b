#!/bin/bash
# The image's HEALTHCHECK: 0 when this node can serve (its GET /health answers 200), else 1. Prints the answer, which says
# why. The image has no HTTP client, and needs none: Debian's bash opens TCP connections by itself.

# Where batond listens: the last --http behind the image's name, which wins, else the variable.
address=${BATON_HTTP:-:7420}
previous=
while IFS= read -r -d '' word; do
    case $word in
    --http=*) address=${word#--http=} ;;
    *) [ "$previous" != --http ] || address=$word ;;
    esac
    previous=$word
done </proc/1/cmdline
host=${address%:*}
host=${host:-127.0.0.1}
host=${host#[} # [::1]:7420
exec 3<>"/dev/tcp/${host%]}/${address##*:}" || exit 1
printf 'GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
IFS=' ' read -r -t 4 _ status _ <&3 || exit 1
while read -r -t 1 line && [ "${#line}" -gt 1 ]; do # the headers end with a line that is empty but for its CR
    :
done <&3
timeout 1 cat <&3
[ "$status" = 200 ]
