"""What the lab tests share: run the product as a user does, and look at the nodes without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from harness.lab import NODES, Lab
from harness.model import Check, Outcome, Place, Record, Verdict

ROOT = Path(__file__).parent.parent
# Test processes that run side by side (pytest-xdist) have a lab each, and no name of theirs begins with another. Two
# checkouts need two values of at most seven characters.
LAB_NAME = f"{os.environ.get('HATCHECK_TEST_LAB', 'hatlab')}-{os.environ.get('PYTEST_XDIST_WORKER', 'test')}"
# Everything that a run could change and that does not change by itself: files with mode and owner, firewall,
# addresses, routes, kernel switches, units, crontabs; images by digest, containers, and what the manager has.
LOOK = r"""
find /etc /home /root /usr/local /var/spool/cron /var/backups -xdev -printf '%y %m %u:%g %p %l\n' | sort
find /etc /home /root /usr/local /var/spool/cron /var/backups -xdev -type f -exec sha256sum {} + | sort -k2
iptables-save | sed 's/\[[0-9]*:[0-9]*\]//; /^#/d'
ip -4 -o addr | sed 's/valid_lft.*//'; ip route; bridge link 2>/dev/null | cut -d' ' -f2-7
sysctl -n net.ipv4.ip_forward
systemctl list-unit-files --no-legend --no-pager
if systemctl -q is-active docker; then
  docker image ls --digests --no-trunc --format 'image {{.Repository}} {{.Tag}} {{.Digest}} {{.ID}}' | sort
  docker ps --no-trunc --format 'container {{.ID}} {{.Image}}' | sort
  docker volume ls --format 'volume {{.Name}}' | sort
  if docker info --format '{{.Swarm.ControlAvailable}}' | grep -qx true; then
    docker node ls -q | sort | xargs docker node inspect --format 'node {{.ID}} {{json .Spec}}'
    what='service {{.ID}} {{.Version.Index}} {{json .Spec}}'
    docker service ls -q | sort | xargs -r docker service inspect --format "$what"
    docker network ls --no-trunc --format 'network {{.ID}} {{.Name}}' | sort
  fi
fi
"""


@dataclass(frozen=True)
class Finished:
    """One finished `pytest` run of the product: its exit code, what it said, and its record (if it left one)."""

    code: int
    said: str
    record: Record | None
    folder: Path | None

    def verdicts(self) -> dict[str, Verdict]:
        """Place as "step[node]" to verdict."""
        assert self.record, self.said
        return {str(outcome.place): outcome.verdict for outcome in self.record.outcomes}

    def outcome(self, step: str, node: str) -> Outcome:
        """What became of one place."""
        found = self.record.outcome(Place(step, node)) if self.record else None
        assert found, self.said
        return found

    def differing(self) -> set[tuple[str, str, str]]:
        """Step, node and aspect of each must check that does not hold."""
        assert self.record, self.said
        return {
            (outcome.place.step, check.node, check.aspect)
            for outcome in self.record.outcomes
            for check in outcome.checks
            if _counts(check)
        }

    def first_differing(self) -> set[tuple[str, str, str]]:
        """The same of the first look, before anything was mended."""
        assert self.record, self.said
        return {
            (outcome.place.step, check.node, check.aspect)
            for outcome in self.record.outcomes
            for check in outcome.first or outcome.checks
            if _counts(check)
        }

    def applied(self) -> int:
        """How many actions were tried."""
        assert self.record, self.said
        return len({done.action for outcome in self.record.outcomes for done in outcome.done})


def _counts(check: Check) -> bool:
    return not check.holds and check.level == "must"


def run(reports: Path, *options: str, environment: dict[str, str] | None = None) -> Finished:
    """`pytest --cluster lab OPTIONS` from the project's root, as a user runs it."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--reports={reports}", *options]
    if not any(option.startswith(("--cluster", "--replay")) for option in options):
        command.append("--cluster=lab")
    variables = {**user_environment(), "HATCHECK_LAB": LAB_NAME, "COLUMNS": "160", **(environment or {})}
    before = _folders(reports)
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=900, check=False)
    said = done.stdout + done.stderr
    made = _folders(reports) - before
    if not made:
        return Finished(done.returncode, said, None, None)
    (folder,) = made
    return Finished(done.returncode, said, _record(folder), folder)


def user_environment() -> dict[str, str]:
    """This process's environment as a user has it: a build machine may forbid Python to keep compiled modules."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def look(lab: Lab) -> list[str]:
    """The changeable state of all nodes as lines, taken out of band."""

    def lines(node: str) -> list[str]:
        seen = lab.exec(node, ["sh", "-c", LOOK], timeout=120).stdout.decode(errors="replace")
        return [f"{node}: {line}" for line in seen.splitlines()]

    with ThreadPoolExecutor() as threads:
        return [line for found in threads.map(lines, NODES) for line in found]


def _folders(reports: Path) -> set[Path]:
    return {path for path in reports.glob("[0-9]*") if path.is_dir()}


def _record(folder: Path) -> Record:
    return TypeAdapter(Record).validate_python(json.loads((folder / "result.json").read_text())["record"])
