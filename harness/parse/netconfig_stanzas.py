"""The stanzas of /etc/network/interfaces and of the files that it includes, as ifupdown 0.8.41 reads them.

Its reader is simple, and its simplicity matters (interfaces(5); each rule below was tried with `ifup -n -v`):
`#` comments only a whole line, a comment is never continued, and only what follows an `iface` line is an option.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt
from harness.parse.netconfig_words import Files, physical_lines, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

MAIN = "/etc/network/interfaces"
FOLDER = "/etc/network/interfaces.d"
FAMILIES = {b"inet", b"inet6", b"ipx", b"can", b"x25", b"meta", b"link"}
METHODS = {b"loopback", b"static", b"manual", b"dhcp", b"bootp", b"tunnel", b"ppp", b"wvdial", b"ipv4ll"}


@dataclass(frozen=True)
class Option:
    """A line of a stanza; `start` and `end` bound its physical lines in the file."""

    name: bytes
    value: bytes
    start: int
    end: int


@dataclass(frozen=True)
class Stanza:
    """An `iface` or `mapping` line in words, with its options."""

    path: str
    words: tuple[bytes, ...]
    start: int
    end: int
    options: tuple[Option, ...]

    @property
    def is_iface(self) -> bool:
        """Whether it configures an interface: else it maps physical names to logical ones."""
        return self.words[0] == b"iface"

    @property
    def method(self) -> bytes:
        """`static`, `dhcp`, `manual`, … of an `iface` line that inherits nothing."""
        return self.words[3]

    def named(self, name: bytes) -> list[Option]:
        """The options of that name, in order."""
        # `netmask?` sets netmask where it is not set yet.
        return [option for option in self.options if option.name.removesuffix(b"?") == name]


@dataclass(frozen=True)
class Interfaces:
    """All stanzas in the order of reading, the words after `auto` and `allow-…`, and the files that were read."""

    stanzas: tuple[Stanza, ...]
    automatic: tuple[bytes, ...]
    paths: tuple[str, ...]

    def of(self, interface: str) -> list[Stanza]:
        """The IPv4 stanzas of an interface. Raises ObservationError where more than its stanzas decides."""
        name = interface.encode()
        mapped = [word for stanza in self.stanzas if not stanza.is_iface for word in stanza.words[1:]]
        if any(fnmatchcase(interface, shown(pattern)) for pattern in mapped):
            raise ObservationError(f"{MAIN}: a script maps {interface}, which only the node can run")
        mine = [stanza for stanza in self.stanzas if stanza.is_iface and stanza.words[1] == name]
        if any(b"inherits" in stanza.words[2:] for stanza in mine):
            raise ObservationError(f"{MAIN}: {interface} inherits from another stanza, which is not followed")
        return [stanza for stanza in mine if stanza.words[2] == b"inet"]

    def aliases(self, interface: str) -> list[Stanza]:
        """The IPv4 stanzas of `interface:label` that come up at boot; raises as `of`."""
        known = {shown(stanza.words[1]) for stanza in self.stanzas if stanza.is_iface}
        found = [name for name in sorted(known) if name.startswith(f"{interface}:") and self.is_automatic(name)]
        return [stanza for name in found for stanza in self.of(name)]

    def is_automatic(self, interface: str) -> bool:
        """Whether it comes up at boot. Raises ObservationError where it does so under another's name."""
        name = interface.encode()
        for word in self.automatic:
            if word.startswith(name + b"=") and word != name + b"=" + name:
                raise ObservationError(f"{MAIN}: {excerpt(shown(word))} gives {interface} another's stanza")
        # `auto /usb*` names what exists at boot by a pattern, https://manpages.debian.org/bookworm/interfaces.5
        patterns = [word.split(b"/")[1] for word in self.automatic if word.startswith(b"/")]
        return name in self.automatic or any(fnmatchcase(interface, shown(each)) for each in patterns)


def read_interfaces(files: Files) -> Interfaces:
    """Read /etc/network/interfaces and what it includes.

    Raises ObservationError at what ifup refuses to read, and where a file is included that is not in `files`.
    """
    reader = _Reader(files)
    reader.read(MAIN)
    return Interfaces(tuple(reader.stanzas), tuple(reader.automatic), tuple(reader.paths))


def logical_lines(lines: list[bytes]) -> Iterator[Option]:
    """Each line that is neither blank nor a comment, with its continuations: first word, rest, extent."""
    index = 0
    while index < len(lines):
        start, text = index, lines[index].removesuffix(b"\n").lstrip()
        index += 1
        if text.startswith(b"#"):
            continue
        parts = [text]
        while parts[-1].endswith(b"\\") and index < len(lines):
            parts[-1] = parts[-1][:-1]
            parts.append(lines[index].removesuffix(b"\n"))
            index += 1
        text = b"".join(parts).rstrip(b"\\") if parts[-1].endswith(b"\\") else b"".join(parts)
        words = text.split(None, 1)
        if words and text[:1].isspace():
            # Only the first physical line is freed of its indent; what is continued from nothing has no name.
            yield Option(b"", text.strip(), start, index)
        elif words:
            yield Option(words[0], words[1].rstrip() if len(words) > 1 else b"", start, index)


class _Reader:
    def __init__(self, files: Files) -> None:
        self.files = files
        self.stanzas: list[Stanza] = []
        self.automatic: list[bytes] = []
        self.paths: list[str] = []

    def read(self, path: str) -> None:
        if path in self.paths:
            return
        self.paths.append(path)
        head: Option | None = None
        options: list[Option] = []
        for line in logical_lines(physical_lines(self.files, path)):
            is_keyword = line.name in {b"iface", b"mapping", b"auto", b"source", b"rename"}
            if is_keyword or line.name.startswith((b"allow-", b"no-", b"source-dir")):
                self._close(path, head, options)
                head, options = self._keyword(path, line), []
            elif head is None or not line.value:
                _refuse(path, line, "an option belongs into a stanza and has a value")
            else:
                options.append(line)
        self._close(path, head, options)

    def _close(self, path: str, head: Option | None, options: list[Option]) -> None:
        if head is not None:
            words = (head.name, *head.value.split())
            self.stanzas.append(Stanza(path, words, head.start, head.end, tuple(options)))

    def _keyword(self, path: str, line: Option) -> Option | None:
        words = line.value.split()
        if line.name in {b"iface", b"mapping"}:
            family, method = (*words[1:], b"", b"")[:2]
            is_known = family in FAMILIES and (method in METHODS if family == b"inet" else method)
            if line.name == b"iface" and not is_known and b"inherits" not in words[1:]:
                _refuse(path, line, "expected `iface NAME FAMILY METHOD`")
            return line
        if line.name in {b"auto", b"allow-auto", b"allow-hotplug"}:
            self.automatic += words
        elif line.name.startswith(b"source"):
            if not words:
                _refuse(path, line, "nothing to include")
            # Further words are ignored by this version of ifupdown.
            pattern = posixpath.normpath(posixpath.join(posixpath.dirname(path), shown(words[0])))
            for name in self._included(path, line, pattern):
                self.read(f"{FOLDER}/{name}" if name else pattern)
        return None

    def _included(self, path: str, line: Option, pattern: str) -> list[str]:
        """The names in the folder that the line includes; an empty name stands for the pattern itself."""
        names = [each[len(FOLDER) + 1 :] for each in sorted(self.files) if posixpath.dirname(each) == FOLDER]
        if line.name != b"source" and pattern == FOLDER:
            return [name for name in names if re.fullmatch(r"[A-Za-z0-9_-]+", name)]
        folder, _, glob = pattern.rpartition("/")
        if line.name == b"source" and folder == FOLDER and not re.search(r"[\\'\"$`~]", glob):
            # wordexp(3) does not let a wildcard match a leading dot.
            return [each for each in names if fnmatchcase(each, glob) and (each[0] != "." or glob[0] == ".")]
        if line.name == b"source" and pattern in self.files:
            return [""]
        return _refuse(path, line, "the included file was not looked at")


def _refuse(path: str, line: Option, why: str) -> list[str]:
    raise ObservationError(f"{path}, line {line.start + 1}: {excerpt(shown(line.name + b' ' + line.value))}: {why}")
