#!/usr/bin/env bash
# The lab tests, where this machine can host the lab; else say plainly what was not run.
# usage: test_lab.sh BIN
set -uo pipefail
bin=$1
if why=$("$bin/hatcheck" lab check 2>&1); then
  exec "$bin/pytest" tests_harness -m lab -q
fi
count=$("$bin/pytest" tests_harness -m lab -q --collect-only 2>/dev/null | grep -c '::')
printf 'NOT RUN: %s lab tests, because this machine cannot host the lab: %s\n' "$count" "$why"
