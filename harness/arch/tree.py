"""The file tree of an image: what lies at a path, and where symbolic links lead without ever leaving the tree."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Protocol

from harness.errors import ObservationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# As the kernel: path_resolution(7).
MOST_LINKS = 40
# Programs are read whole; the largest of a usual image (mysqld) has some 30 MB.
LARGEST = 128 * 1024 * 1024
EXECUTABLE = 0o111
# Bits of Go's os.FileMode, in which Docker answers.
GO_FOLDER, GO_LINK, GO_OTHER = 1 << 31, 1 << 27, (1 << 25) | (1 << 26) | (1 << 24) | (1 << 21) | (1 << 19)


@dataclass(frozen=True)
class Regular:
    """A regular file: its bytes and permission bits."""

    octets: bytes
    mode: int

    @property
    def is_executable(self) -> bool:
        """Whether anybody may execute it (root, as a container usually is, then may too)."""
        return bool(self.mode & EXECUTABLE)


@dataclass(frozen=True)
class Link:
    """A symbolic link and its target, absolute (from the tree's root) or relative."""

    target: str


@dataclass(frozen=True)
class Folder:
    """A directory."""


@dataclass(frozen=True)
class Other:
    """A device, socket or FIFO."""


Entry = Regular | Link | Folder | Other


class Tree(Protocol):
    """Something that knows the files of one image."""

    def find(self, path: str, /) -> Entry | None:
        """What is at an absolute path; None for nothing. ObservationError where that cannot be told."""


def resolve(tree: Tree, path: str) -> tuple[str, Entry | None]:
    """Where a path from the root leads, and what is there; `..` never leads out of the tree.

    The entry is never a Link. Where the way ends at something that is missing or no directory, the path is that
    place and the entry None. ObservationError for more links than the kernel would follow.
    """
    todo, done, links = _parts(path), list[str](), 0
    entry: Entry | None = Folder()
    while todo:
        part = todo.pop(0)
        if part == "..":
            done, entry = done[:-1], Folder()
            continue
        here = "/" + "/".join([*done, part])
        entry = tree.find(here)
        if isinstance(entry, Link):
            links += 1
            if links > MOST_LINKS:
                raise ObservationError(f"{path}: more than {MOST_LINKS} symbolic links")
            todo = _parts(entry.target) + todo
            done, entry = ([] if entry.target.startswith("/") else done), Folder()
            continue
        done.append(part)
        if todo and not isinstance(entry, Folder):
            return "/" + "/".join(done), None
    return "/" + "/".join(done), entry


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in {"", "."}]


@dataclass
class TarTree:
    """The tree in a tar archive of a whole image, as `docker export` writes it."""

    archive: tarfile.TarFile
    _members: dict[str, tarfile.TarInfo] = field(init=False)

    def __post_init__(self) -> None:
        # The last of several members of a name is what unpacking would leave.
        self._members = {"/" + "/".join(_parts(member.name)): member for member in self.archive.getmembers()}

    def find(self, path: str, /) -> Entry | None:
        """A directory that only its content mentions counts as one."""
        member = self._members.get(path)
        if member is None:
            return Folder() if any(name.startswith(path.rstrip("/") + "/") for name in self._members) else None
        return _entry(self.archive, member)


@dataclass
class ArchiveTree:
    """The tree of a container that was made (not started) from an image, asked path by path.

    `get` is Docker's `GET /containers/{id}/archive`: the chunks of a tar archive and the path's stat (keys
    mode, in Go's bits, and linkTarget), or None where there is no such path. Chunks are drawn for files only.
    """

    get: Callable[[str], tuple[Iterable[bytes], Mapping[str, object]] | None]
    _known: dict[str, Entry | None] = field(default_factory=dict)

    def find(self, path: str, /) -> Entry | None:
        """Each path is asked for once."""
        if path not in self._known:
            self._known[path] = self._ask(path)
        return self._known[path]

    def _ask(self, path: str) -> Entry | None:
        answer = self.get(path)
        if answer is None:
            return None
        chunks, stat = answer
        mode, target = stat.get("mode"), stat.get("linkTarget")
        if not isinstance(mode, int):
            raise ObservationError(f"{path}: expected a stat with a mode from Docker")
        if mode & GO_LINK:
            return _link(path, target)
        if mode & GO_FOLDER:
            return Folder()
        return Other() if mode & GO_OTHER else _only_file(path, chunks)


def _link(path: str, target: object) -> Link:
    # Docker has resolved it within the container already, and says the absolute path.
    if not isinstance(target, str) or not target:
        raise ObservationError(f"{path}: expected the target of a symbolic link from Docker")
    return Link(target)


def _only_file(path: str, chunks: Iterable[bytes]) -> Entry:
    octets = bytearray()
    for chunk in chunks:
        octets += chunk
        if len(octets) > LARGEST:
            raise ObservationError(f"{path}: larger than {LARGEST} bytes; not looked into")
    try:
        with tarfile.open(fileobj=BytesIO(octets)) as archive:
            members = archive.getmembers()
            if len(members) == 1 and members[0].isreg():
                return _entry(archive, members[0])
    except tarfile.TarError as error:
        raise ObservationError(f"{path}: expected a tar archive from Docker: {error}") from None
    raise ObservationError(f"{path}: expected one file in the archive from Docker")


def _entry(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    if member.issym():
        return Link(member.linkname)
    if member.isdir():
        return Folder()
    if not (member.isreg() or member.islnk()):
        return Other()
    if member.size > LARGEST:
        raise ObservationError(f"{member.name}: larger than {LARGEST} bytes; not looked into")
    try:
        # A hard link leads to another member; tarfile finds it, or says that it is not there.
        content = archive.extractfile(member)
        octets = content.read() if content else b""
    except (KeyError, OSError, tarfile.TarError, RecursionError) as error:
        raise ObservationError(f"{member.name}: cannot be read from the archive: {error}") from None
    return Regular(octets, member.mode & 0o7777)
