"""Part of step `mpi`: what carries the mark of a look does not outlive it; nothing else is ever ended or removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.node import NodeAccess

MARK = "mktemp -u hatcheck-mpi-XXXXXXXXXX"
# An answer at once or none, no question, nothing learnt; the quicker of two good key exchanges (a Pi Zero feels it).
SSH = (
    "-o BatchMode=yes -o ConnectTimeout=5 -o ConnectionAttempts=1 -o ServerAliveInterval=5 -o ServerAliveCountMax=2 "
    "-o StrictHostKeyChecking=yes -o UpdateHostKeys=no -o KexAlgorithms=^curve25519-sha256"
)
GUARD = "read -r mark; case $mark in *[!A-Za-z0-9-]*) exit 3 ;; hatcheck-mpi-??????????) ;; *) exit 3 ;; esac; "
SWEEP = GUARD + (
    'found=$(pgrep -u "$(id -u)" -f -- "$mark"); '
    '[ -z "$found" ] || { printf "|"; ps -o stat=,comm= -p "$(echo $found | tr " " ,)"; kill -KILL $found; }; '
    'rm -rf -- "/tmp/$mark"* "/tmp/.$mark"*'
)
THERE = f"printf '%%s\\n' %s | timeout 10 ssh {SSH} -o LogLevel=ERROR %s %s"
HERE = "printf '%%s\\n' %s | timeout 10 sh -c %s"
ONE = "{{ said=$({} 2>&1); printf '%%s %%s %%s\\n' %s \"$?\" \"$(printf %%s \"$said\" | tr '\\n' ',')\"; }} & "


def sweep(node: NodeAccess, mark: str, hosts: Sequence[str]) -> dict[str, str]:
    """End what a job left on each machine, by its mark, and say what it was; who does not answer says so."""
    words: list[str] = []
    for host in hosts:
        words += (mark, SWEEP, host) if host == node.name else (mark, host, SWEEP, host)
    lines = node.ask(sweep_command(node.name, hosts), *words).splitlines()
    found = {host: (code, said) for host, code, said in (line.split(" ", 2) for line in lines)}
    # Behind the bar is what was there; before it a login may have complained, of a locale for example.
    return {
        host: f"no answer: {said[:100]}" if code != "0" else f"ended there: {said.partition('|')[2].strip(',')[:100]}"
        for host, (code, said) in sorted(found.items()) if code != "0" or "|" in said
    }  # fmt: skip


def sweep_command(here: str, hosts: Sequence[str]) -> str:
    """Shell text for `NodeAccess.ask`: three or four `%s` for each host, all at once."""
    return "".join(ONE.format(HERE if host == here else THERE) for host in hosts) + "wait"
