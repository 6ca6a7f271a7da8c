#!/usr/bin/env bash
# Measures lychgate against postscreen, HAProxy and a bare accept loop, and writes what came out
# into docs/benchmarks.md and docs/plots: installs what is needed, builds, runs. Needs root.
#   bash bench/compare.sh [--runs N] [--only WORK ...] [--quick] [--long] [--tune] [--out DIR]
# Owns build/release. Restarts nothing of the system; changes a sysctl only with --tune.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash tests/install.sh build
bash tests/install.sh compare

log=$(mktemp)
trap 'rm -f "$log"' EXIT
cmake --preset release >"$log" 2>&1 || { cat "$log"; exit 1; }
cmake --build --preset release \
  --target lychgate lychgate-flood lychgate-floor lychgate-sink >"$log" 2>&1 ||
  { tail -n 60 "$log"; exit 1; }
rm -f "$log"
trap - EXIT

# From here on the comparison itself hears the signals and cleans up.
exec python3 -B bench/compare/compare.py "$@"
