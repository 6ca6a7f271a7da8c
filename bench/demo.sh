#!/usr/bin/env bash
# Shows lychgate at work: installs what the build needs, builds the gate and the demo, and runs it.
#   bash bench/demo.sh
# Owns build/release. Exit 0: every client of the demo got what it should.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if (($# > 0)); then
  sed -n '2,4s/^# *//p' "${BASH_SOURCE[0]}" >&2
  exit 64
fi

bash tests/install.sh build

echo "building; the first time takes some minutes"
configured=$(cmake --preset release 2>&1) || { echo "$configured"; exit 1; }
cmake --build --preset release --target lychgate lychgate-demo
echo

# From here on the demo itself hears the signals and cleans up.
exec build/release/bench/demo/lychgate-demo
