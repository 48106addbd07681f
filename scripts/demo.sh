#!/usr/bin/env bash
# Five bare nodes in the lab: show what differs, repair it, verify again. Without a lab: the same flow on tapes.
# usage: demo.sh BIN
set -uo pipefail
bin=$1
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
# Brief: the summary says what differs, and the report has each change with its diff.
judge() { "$bin/pytest" -q --no-header -rN "$@"; }

if ! why=$("$bin/hatcheck" lab check 2>&1); then
  say "This machine cannot host the lab: $why"
  say "So here is the same run from tapes, judged anew by this version. First the bare cluster:"
  judge --tb=no --replay fixtures/tapes/bare.json
  say "Its repair:"
  judge --replay fixtures/tapes/repair.json || exit 1
  say "And the look afterwards:"
  judge --replay fixtures/tapes/green.json
  exit
fi

say "1/4  Booting five bare nodes (the first time this builds their system, a few minutes)"
"$bin/hatcheck" lab down && "$bin/hatcheck" lab up --bare || exit 4
say "2/4  pytest -q --cluster lab: what differs from the documentation"
judge --tb=no --cluster lab
say "3/4  pytest -q --cluster lab --repair: mend it, and prove it by looking again (without -q it prints every change)"
judge --cluster lab --repair || { "$bin/hatcheck" lab down; exit 1; }
say "4/4  pytest -q --cluster lab: as documented?"
judge --cluster lab
code=$?
"$bin/hatcheck" lab down
say "Read the report: reports/latest/report.html (the look and the repair before it lie beside it)"
say "To go on by hand: . .venv/bin/activate && hatcheck lab up && pytest"
exit "$code"
