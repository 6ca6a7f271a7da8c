#!/usr/bin/env bash
# Builds lychgate and runs every test: unit, simulation and tidy rules by ctest, then end to end.
#   bash tests/run.sh [--asan] [--tidy] [--long] [--only NAME]
#     --asan       the asan preset (address and undefined behaviour) instead of release
#     --tidy       also compile everything under clang-tidy
#     --long       more seeds and larger runs (LYCHGATE_LONG=1)
#     --only NAME  only tests whose name holds NAME
# Owns build/<preset>; ends what it starts. The last line counts all tests; exit 0: none failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=release
packages=(all)
only=
tidy=no
while (($# > 0)); do
  case "$1" in
    --asan) preset=asan ;;
    --tidy) tidy=yes; packages+=(tidy) ;;
    --long) export LYCHGATE_LONG=1 ;;
    --only) only=${2:?--only needs a name}; shift ;;
    *) sed -n '3,7s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 64 ;;
  esac
  shift
done

passed=0
failed=0
skipped=0

# stage NAME COMMAND...: runs it and says how long it took; its exit code is the stage's.
stage() {
  local name=$1 begin=$SECONDS code=0
  shift
  echo "== $name"
  "$@" || code=$?
  echo "== $name: $((SECONDS - begin)) s$( ((code == 0)) || echo ", exit code $code")"
  return "$code"
}

install_packages() {
  local list
  for list in "${packages[@]}"; do bash tests/install.sh "$list"; done
}

build() {
  cmake --preset "$1" >"$log" || { cat "$log"; return 1; }
  cmake --build --preset "$1" >"$log" || { tail -n 60 "$log"; return 1; }
}

# tests, failures and skipped of ctest's JUnit report; its own summary counts skipped as passed.
report_counts() {
  python3 -c 'import sys, xml.etree.ElementTree as tree
suite = tree.parse(sys.argv[1]).getroot().attrib
print(suite["tests"], suite["failures"], suite["skipped"])' "$report"
}

run_ctest() {
  local code=0 tests failures skips
  rm -f "$report"
  ctest --test-dir "build/$preset" --output-on-failure --output-junit "$report" \
    ${only:+-R "$only"} || code=$?
  [[ -s $report ]] || { failed=$((failed + 1)); return 1; }
  read -r tests failures skips < <(report_counts)
  skipped=$((skipped + skips))
  failed=$((failed + failures))
  passed=$((passed + tests - failures - skips))
  return "$code"
}

run_e2e() {
  local code=0 line
  LYCHGATE_BUILD=$PWD/build/$preset \
    LYCHGATE_E2E_SANITIZED=$([[ $preset == asan ]] && echo 1 || echo 0) \
    python3 -B tests/e2e/run.py ${only:+--only "$only"} | tee "$log" || code=$?
  line=$(tail -n 1 "$log")
  if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
    passed=$((passed + BASH_REMATCH[1]))
    failed=$((failed + BASH_REMATCH[2]))
    skipped=$((skipped + BASH_REMATCH[3]))
  else
    failed=$((failed + 1))
  fi
  return "$code"
}

log=$(mktemp)
report=$(mktemp)
trap 'rm -f "$log" "$report"' EXIT

broken=no
stage install install_packages
if stage "build $preset" build "$preset"; then
  stage "unit, simulation and tidy rules" run_ctest || broken=yes
  stage "end to end" run_e2e || broken=yes
else
  broken=yes
fi
if [[ $tidy == yes ]]; then
  if stage "clang-tidy" build tidy; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
fi

echo "all stages: $SECONDS s"
if [[ $broken == yes && $failed == 0 ]]; then failed=1; fi
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && passed > 0))
