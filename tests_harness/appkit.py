"""The application on one lab node without Docker: its own Dockerfiles are followed there, and a browser asks it."""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests_harness.pipekit import APP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.lab import Lab

BROWSER = (Path(__file__).parent / "browser.py").read_text()
PASSWORDS = {"admin": "administer-the-hat", "user": "count-on-the-hat"}  # fixtures/app/README.md


@dataclass(frozen=True)
class Answer:
    """What one page gave."""

    status: int
    url: str
    text: str
    cookies: dict[str, str]


@dataclass(frozen=True)
class Machine:
    """One node of the lab, out of band."""

    lab: Lab
    node: str

    def shell(self, text: str, *, stdin: bytes | None = None, timeout: float = 60) -> str:
        """Run shell text as root; it must succeed."""
        done = self.lab.exec(self.node, ["sh", "-euc", text], stdin=stdin, timeout=timeout)
        assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")[-2000:]
        return done.stdout.decode(errors="replace")

    def put(self, source: Path, target: str) -> None:
        """Copy a file, or what is in a folder, to a folder of the node."""
        held = io.BytesIO()
        with tarfile.open(fileobj=held, mode="w") as tar:
            tar.add(source, "." if source.is_dir() else source.name, filter=_of_root)
        self.shell(f"mkdir -p {shlex.quote(target)}; tar -xC {shlex.quote(target)}", stdin=held.getvalue())

    def follow(self, dockerfile: Path, context: Path) -> None:
        """Do on the node what a Dockerfile says; VOLUME and WORKDIR only make their folder."""
        for word, rest in instructions(dockerfile.read_text()):
            if word == "COPY":
                *sources, target = rest.split()
                for source in sources:
                    self.put(context / source, target)
            elif word == "RUN":
                self.shell(rest, timeout=120)
            elif word in {"VOLUME", "WORKDIR"}:
                self.shell(f"mkdir -p {shlex.quote(rest)}")
            else:
                assert word in {"ARG", "FROM", "CMD", "EXPOSE", "STOPSIGNAL"}, word

    def browse(self, *steps: tuple[object, ...], cookie: str = "") -> list[Answer]:
        """The answers to pages that one browser asks for; see browser.py."""
        words = ["http://127.0.0.1/", json.dumps(steps), cookie]
        done = self.lab.exec(self.node, ["python3", "-c", BROWSER, *words], timeout=120)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return [Answer(**answer) for answer in json.loads(done.stdout)]


def _of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """The instructions of a Dockerfile with their words, continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        yield word, rest.strip()


def build_of(site: Path) -> str:
    """What every page of a site must give as its build."""
    files = sorted(str(path.relative_to(site)) for path in site.rglob("*") if path.is_file())
    lines = (f"{hashlib.sha256((site / name).read_bytes()).hexdigest()}  {name}\n" for name in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:12]


def sign_in(login: str, password: str | None = None) -> tuple[tuple[object, ...], ...]:
    """The steps of a browser that sign somebody in."""
    fields = {"login": login, "password": PASSWORDS[login] if password is None else password}
    return (("login.php",), ("login.php", fields))


SITE = APP / "src"
