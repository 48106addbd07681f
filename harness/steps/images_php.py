"""Part of step `images`: the modules that the PHP of an image loads: it is told to, and has them; PHP is not asked."""

from __future__ import annotations

import re
import tarfile
from io import BytesIO, RawIOBase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from harness.arch.tree import ArchiveTree, Regular, resolve
from harness.errors import ObservationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.steps.images_look import Get

PHP_HOMES = ("/usr/local/etc/php", "/etc/php")
# Where PHP is not Apache's.
OTHER_PHP = {"cli", "fpm", "cgi", "embed", "phpdbg"}
EXTENSION = re.compile(r'(?m)^[ \t]*(?:zend_)?extension[ \t]*=[ \t]*"?([^"\s;]+)')
# Settings are some hundred kilobytes.
MOST_SETTINGS = 16 * 1024 * 1024
# Where PHP looks for a module that is named without its folder, unless it is told: one folder for each version below.
LIBRARIES = ("/usr/local/lib/php/extensions", "/usr/lib/php")
LIBRARIES_TOLD = re.compile(r'(?m)^[ \t]*extension_dir[ \t]*=[ \t]*"?(/[^"\s;]*)')


def php_modules(get: Get) -> tuple[str, ...]:
    """The modules that Apache's PHP is told to load and that are there, in small letters and without `.so`."""
    tree = ArchiveTree(get)
    texts = [text for home in PHP_HOMES if (answer := get(home)) for text in _settings(home, answer[0], tree)]
    told = {name for text in texts for name in EXTENSION.findall(text)}
    if not told:
        return ()
    folders = [folder for text in texts for folder in LIBRARIES_TOLD.findall(text)] or LIBRARIES
    there = {name for folder in folders for name in _libraries(get, resolve(tree, folder)[0])}
    found = {name for name in told if _is_there(name, there, tree)}
    return tuple(sorted({PurePosixPath(name).name.removesuffix(".so").lower() for name in found}))


def _is_there(name: str, there: set[str], tree: ArchiveTree) -> bool:
    if name.startswith("/"):
        return isinstance(resolve(tree, name)[1], Regular)
    return f"{name.removesuffix('.so')}.so" in there


def _libraries(get: Get, folder: str) -> Iterator[str]:
    """The names of the libraries below a folder; what is in them flows past."""
    answer = get(folder)
    if answer is None:
        return
    try:
        with tarfile.open(fileobj=Stream(answer[0]), mode="r|") as archive:
            yield from (PurePosixPath(member.name).name for member in archive if member.name.endswith(".so"))
    except tarfile.TarError as error:
        raise ObservationError(f"{folder}: expected a tar archive from Docker: {error}") from None


def _settings(home: str, chunks: Iterable[bytes], tree: ArchiveTree) -> list[str]:
    """The texts of php.ini and of what lies in a folder conf.d, there or where a link leads to."""
    octets = Stream(chunks).read(MOST_SETTINGS + 1)
    if len(octets) > MOST_SETTINGS:
        raise ObservationError(f"{home}: expected settings of at most {MOST_SETTINGS} bytes")
    try:
        with tarfile.open(fileobj=BytesIO(octets)) as archive:
            used = [member for member in archive.getmembers() if _is_used(PurePosixPath(member.name))]
            texts = [_text(archive, member) for member in used if member.isreg()]
    except (tarfile.TarError, OSError) as error:
        raise ObservationError(f"{home}: expected a tar archive from Docker: {error}") from None
    above = PurePosixPath(home).parent
    return texts + [_linked(tree, str(above / member.name)) for member in used if member.issym()]


def _linked(tree: ArchiveTree, path: str) -> str:
    """What a link in a folder conf.d leads to; a dangling one loads nothing."""
    entry = resolve(tree, path)[1]
    return entry.octets.decode(errors="replace") if isinstance(entry, Regular) else ""


def _is_used(path: PurePosixPath) -> bool:
    is_setting = path.name == "php.ini" or (path.parent.name == "conf.d" and path.suffix == ".ini")
    return is_setting and not OTHER_PHP & set(path.parts)


def _text(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    content = archive.extractfile(member)
    return content.read().decode(errors="replace") if content else ""


class Stream(RawIOBase):
    """Chunks as something to read from, so that no more of them is drawn than is asked for."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        super().__init__()
        self._chunks, self._rest = iter(chunks), b""

    def read(self, size: int = -1, /) -> bytes:
        """Exactly so many bytes, fewer only at the end; a negative number is as many as settings may have."""
        size = MOST_SETTINGS if size < 0 else size
        while len(self._rest) < size and (chunk := next(self._chunks, None)) is not None:
            self._rest += chunk
        found, self._rest = self._rest[:size], self._rest[size:]
        return found
