"""From an image's start command to the ELF files that it needs: program, interpreter, loader and C library."""

from __future__ import annotations

import posixpath
import re
import shlex
from dataclasses import dataclass, field

from harness.arch.elf import MAGIC, Elf, elf
from harness.arch.tree import Entry, Regular, Tree, resolve
from harness.errors import ObservationError

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Programs that only start another one; the number of words of their own before it.
WRAPPERS = {
    "tini": 0, "tini-static": 0, "dumb-init": 0, "catatonit": 0, "docker-init": 0, "env": 0, "nice": 0, "nohup": 0,
    "setsid": 0, "exec": 0, "gosu": 1, "su-exec": 1,
}  # fmt: skip
SHELLS = {"sh", "bash", "dash", "ash", "busybox"}
ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
# A line of a script that hands over to a program that it names.
HANDS_OVER = re.compile(rb"(?m)^[ \t]*exec[ \t]+([A-Za-z0-9_./+-]+)(?=[ \t\r\n]|$)")
# As the kernel: the first line counts up to here (BINPRM_BUF_SIZE), scripts may start scripts this often.
LONGEST_FIRST_LINE = 256
MOST_SCRIPTS = 5
MOST_READ = 40
TRIPLETS = {
    "ld-linux-armhf.so.3": "arm-linux-gnueabihf", "ld-linux.so.3": "arm-linux-gnueabi",
    "ld-linux-aarch64.so.1": "aarch64-linux-gnu", "ld-linux-x86-64.so.2": "x86_64-linux-gnu",
}  # fmt: skip
LIBC = "libc.so.6"


@dataclass(frozen=True)
class Start:
    """What a container runs: entrypoint and command in one, the search path, and the folder it starts in."""

    argv: tuple[str, ...]
    path: str = DEFAULT_PATH
    folder: str = "/"


@dataclass(frozen=True)
class Part:
    """One file that the start needs: what for, where, and what it is built for.

    Without `elf`, either `broken` says why the container cannot start, or `unclear` why nothing is known.
    """

    role: str
    path: str
    elf: Elf | None = None
    broken: str = ""
    unclear: str = ""


def parts(tree: Tree, start: Start) -> tuple[Part, ...]:
    """Every ELF file on the way from the start command to running code, each once, in order.

    Looked at are the first word and, where that is a script or a known wrapper, the program that it hands over
    to, as far as that is written down; for each of them the interpreter, the loader and the C library.
    """
    if not start.argv:
        return (Part("entrypoint", "", broken="the image names no command to start"),)
    walk = _Walk(tree, start)
    walk.command(list(start.argv), "entrypoint", is_certain=True)
    return tuple(walk.found.values())


@dataclass
class _Walk:
    """The walk from the start command on; `found` are parts by path, `scripts` the paths of those read."""

    tree: Tree
    start: Start
    found: dict[str, Part] = field(default_factory=dict)
    scripts: set[str] = field(default_factory=set)

    def command(self, words: list[str], role: str, *, is_certain: bool) -> None:
        """A command line; where it is not certain to be one, a first word that is no program is left alone."""
        place = self.place(words[0], is_certain=is_certain)
        if place is None:
            if is_certain:
                self.add(Part(role, words[0], broken=f"{words[0]} is not in the image"))
            return
        is_script = self.file(place, role)
        name = posixpath.basename(words[0])
        if name in SHELLS and "-c" in words[1:-1]:
            self.handed_over(_shell_words(words[words.index("-c") + 1]), 0)
        elif is_script or name in WRAPPERS:
            self.handed_over(words[1:], WRAPPERS.get(name, 0))

    def handed_over(self, words: list[str], own: int) -> None:
        """The program that a wrapper or script is given as arguments, after options and `own` words."""
        left = [word for word in words if not word.startswith("-") and not ASSIGNMENT.fullmatch(word)][own:]
        if left:
            self.command(left, "program", is_certain=False)

    def place(self, word: str, *, is_certain: bool) -> str | None:
        """Where the search path finds a word, as execvp(3) does; None for nowhere."""
        if "/" in word:
            choices = [posixpath.join(self.start.folder, word)]
        else:
            choices = [posixpath.join("/", folder, word) for folder in self.start.path.split(":")]
        files = [(path, entry) for path in choices if word and isinstance(entry := self.look(path)[1], Regular)]
        startable = [path for path, entry in files if entry.is_executable and entry.octets.startswith((b"#!", MAGIC))]
        return next(iter([*startable, *(path for path, _ in files if is_certain)]), None)

    def look(self, path: str) -> tuple[str, Entry | None]:
        """What is at a path of the image, and where it really is."""
        return resolve(self.tree, path)

    def add(self, part: Part) -> None:
        """One more file, unless it is known."""
        self.found.setdefault(part.path, part)

    def read(self, script: str) -> None:
        """Note a script as read; what nobody would follow to its end is not followed at all."""
        self.scripts.add(script)
        if len(self.scripts) > MOST_READ:
            raise ObservationError(f"{self.start.argv[0]} leads through more than {MOST_READ} scripts")

    def file(self, path: str, role: str, chain: tuple[str, ...] = ()) -> bool:
        """One file that is to be executed, at the end of a chain of scripts; whether it is a script not read yet."""
        real, entry = self.look(path)
        if real in self.found or real in self.scripts:
            return False
        if not isinstance(entry, Regular):
            self.add(Part(role, real, broken=f"{path} is not a file of the image"))
        elif not entry.is_executable:
            self.add(Part(role, real, broken=f"{path} may not be executed"))
        elif entry.octets.startswith(b"#!"):
            self.read(real)
            self.script(real, entry.octets, (*chain, real))
            return True
        elif not entry.octets.startswith(MAGIC):
            self.add(Part(role, real, broken=f"{path} is neither a program nor a script (it does not begin with #!)"))
        else:
            self.program(real, entry.octets, role)
        return False

    def script(self, path: str, octets: bytes, chain: tuple[str, ...]) -> None:
        """The interpreter of a script, and the programs that it hands over to by name."""
        line = octets[:LONGEST_FIRST_LINE].partition(b"\n")[0][2:].decode("utf-8", "backslashreplace")
        interpreter, _, argument = line.strip(" \t").partition(" ")
        where = posixpath.join(self.start.folder, interpreter)
        real, entry = self.look(where)
        if not interpreter or len(chain) > MOST_SCRIPTS or real in chain:
            self.add(Part("script", path, broken=f"{path} begins with #! and leads to no interpreter"))
            return
        if not isinstance(entry, Regular):
            # Its path ends in \r where the script was written on Windows.
            self.add(Part("interpreter", where, broken=f"{path} wants {interpreter!r}, which is not in the image"))
            return
        self.file(where, "interpreter", chain)
        if posixpath.basename(interpreter) == "env":
            self.handed_over(argument.split(), 0)
        for word in dict.fromkeys(HANDS_OVER.findall(octets)):
            self.command([word.decode()], "program", is_certain=False)

    def program(self, path: str, octets: bytes, role: str) -> None:
        """An ELF file that is executed, with its loader and C library."""
        try:
            built = elf(octets)
        except ObservationError as error:
            self.add(Part(role, path, unclear=str(error)))
            return
        self.add(Part(role, path, built))
        if built.loader:
            self.loader(path, built)

    def loader(self, path: str, built: Elf) -> None:
        """What the kernel starts in place of a dynamic program."""
        real, entry = self.look(posixpath.join("/", built.loader))
        if not isinstance(entry, Regular):
            self.add(Part("loader", real, broken=f"{path} wants the loader {built.loader}, which is not in the image"))
            return
        self.library(real, entry, "loader")
        # musl's loader is its C library.
        if built.needed and not posixpath.basename(built.loader).startswith("ld-musl-"):
            self.libc(path, built, real)

    def libc(self, path: str, built: Elf, loader: str) -> None:
        """The first that fits, as ld.so(8) passes over libraries of another class or machine."""
        triplet = TRIPLETS.get(posixpath.basename(built.loader), "")
        homes = [posixpath.dirname(loader), posixpath.dirname(built.loader)]
        homes += [f"{home}/{triplet}".rstrip("/") for home in ("/lib", "/usr/lib")] + ["/lib", "/usr/lib", "/lib64"]
        for home in dict.fromkeys(homes):
            real, entry = self.look(f"{home}/{LIBC}")
            if isinstance(entry, Regular) and _is_kin(entry.octets, built):
                self.library(real, entry, "C library")
                return
        self.add(Part("C library", LIBC, unclear=f"{path} needs {LIBC}, which is in no usual folder of the image"))

    def library(self, path: str, entry: Regular, role: str) -> None:
        """An ELF file that is mapped, not executed: its permission bits do not count."""
        try:
            self.add(Part(role, path, elf(entry.octets)))
        except ObservationError as error:
            self.add(Part(role, path, unclear=str(error)))


def _is_kin(octets: bytes, other: Elf) -> bool:
    try:
        one = elf(octets)
    except ObservationError:
        return True
    return (one.machine, one.bits, one.is_little) == (other.machine, other.bits, other.is_little)


def _shell_words(text: str) -> list[str]:
    """The words of a shell's command line up to what only a shell could tell."""
    try:
        words = shlex.split(text)
    except ValueError:
        return []
    while words and (words[0] == "exec" or ASSIGNMENT.fullmatch(words[0])):
        words.pop(0)
    return words
