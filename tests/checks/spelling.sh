#!/bin/sh
# codespell over sources, scripts and documentation.
set -eu
cd "$(dirname "$0")/../.."
codespell --quiet-level 3 --skip '*.hex,./build,./.git'
