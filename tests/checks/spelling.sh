#!/bin/sh
# codespell over sources, scripts and documentation.
set -eu
cd "$(dirname "$0")/../.."
# inflight: how libraft spells it
codespell --quiet-level 3 --skip '*.hex,*/package-lock.json,./build,./.git' --ignore-words-list inflight
