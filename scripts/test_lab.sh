#!/usr/bin/env bash
# The lab tests that a marker expression chooses, where this machine can host the lab; what was not run is said at the end.
# usage: test_lab.sh BIN MARKERS [OPTION OF PYTEST...]
set -uo pipefail
bin=$1 markers=$2
count() { "$bin/pytest" tests_harness -m "$1" -q --collect-only 2>/dev/null | grep -c '::'; }

if ! why=$("$bin/hatcheck" lab check 2>&1); then
  printf 'NOT RUN: %s lab tests, because this machine cannot host the lab: %s\n' "$(count lab)" "$why"
  exit 0
fi
# Two labs side by side, for a test mostly waits for machines. The order is that of the collection: see conftest.py.
"$bin/pytest" tests_harness -m "$markers" -q -n 2 --dist loadfile --no-loadscope-reorder "${@:3}"
code=$?
[ "$markers" = lab ] || printf 'NOT RUN: %s more faults and long trials on the lab; `make test-all` runs them too\n' "$(count "lab and field")"
exit "$code"
