"""Edit ~/.ssh/config so that hosts get given values, without touching any other byte (runbook L133-159).

ssh takes the first value that it obtains from the head of the file and every block that matches
(ssh_config(5)). So a value is changed where it is obtained from the host's own block, and else a new block
is put before the place that would win.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.parse.excerpt import excerpt
from harness.parse.ssh_patterns import is_listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

WORD = r"""(?:"[^"\n]*"|'[^'\n]*'|[^\s"'])+"""
DIRECTIVE = re.compile(rf'[ \t]*"?(?P<keyword>[A-Za-z]+)"?(?:[ \t]*=[ \t]*|[ \t]+)(?P<value>{WORD})', re.ASCII)
COMMENT = re.compile(r"[ \t]*#")
PLAIN = re.compile(r"[^\s\"'#*?!=\\,\x00-\x1f\x7f-\U0010ffff]+")
HEAD = -1


@dataclass(frozen=True)
class _Directive:
    """One directive, on line `index` of the file, in the block that begins on line `block` (HEAD: in none).

    `reach` says whether that block holds for the host in question: True, False, or None where only ssh can
    tell (Match). `is_own` marks a block for that host alone.
    """

    index: int
    keyword: str
    value: str
    block: int
    reach: bool | None
    is_own: bool


def ensure(content: bytes, wanted: Mapping[str, Mapping[str, str]]) -> bytes:
    """The content in which each host (the word given to ssh) obtains each wanted value of its keywords.

    `wanted` is like {"pi1": {"Hostname": "pi1", "User": "pi"}}, for keywords with one value. A Match block or
    Include that comes first and could set one of them counts as wrong, because only ssh can evaluate it: so
    give only hosts that `ssh -G` shows to differ. Identical where everything is right. Raises UsageError for
    a wanted word that would not stand as one plain word in the file.
    """
    words = [word for host, values in wanted.items() for word in (host, *values, *values.values())]
    for word in words:
        if not PLAIN.fullmatch(word):
            raise UsageError(f"ssh config: expected one plain word, got {excerpt(word)}")
    # One character per byte, so that every byte comes back.
    lines = re.split(r"(?<=\n)", content.decode("latin-1"))
    for host, values in wanted.items():
        left = {keyword: value for keyword, value in values.items() if not _edit(lines, host, keyword, value)}
        if left:
            _insert_block(lines, host, left)
    return "".join(lines).encode("latin-1")


def without_errors(content: bytes, complaint: str, path: str) -> bytes:
    """The content in which the lines that ssh complains about are comments; `path` is the file's, as ssh names it.

    ssh reads nothing of a file with one such line, so this only brings the other lines back into force.
    """
    bad = {int(number) - 1 for number in re.findall(rf"^{re.escape(path)}:? line (\d+): ", complaint, re.MULTILINE)}
    lines = re.split(rb"(?<=\n)", content)
    return b"".join(b"# " + line if index in bad and line else line for index, line in enumerate(lines))


def _edit(lines: list[str], host: str, keyword: str, value: str) -> bool:
    """Set the value in the host's own block; False where no such block comes before what decides now."""
    directives = list(_directives(lines, host))
    decider = next((found for found in directives if _decides(found, keyword)), None)
    if decider and decider.reach and decider.keyword == keyword.lower():
        if decider.value != value and decider.is_own:
            lines[decider.index] = _with_value(lines[decider.index], value)
        return decider.value == value or decider.is_own
    end = decider.index if decider else len(lines)
    own = [found for found in directives if found.is_own and found.index < end]
    if own:
        _insert(lines, [found for found in own if found.block == own[0].block], keyword, value)
    return bool(own)


def _insert(lines: list[str], block: Sequence[_Directive], keyword: str, value: str) -> None:
    last, ending = block[-1].index, _ending(lines)
    indent = re.match(r"[ \t]*", lines[last]) if len(block) > 1 else None
    if not lines[last].endswith("\n"):
        lines[last] += ending
    lines.insert(last + 1, f"{indent[0] if indent else '    '}{keyword} {value}{ending}")


def _insert_block(lines: list[str], host: str, values: Mapping[str, str]) -> None:
    directives = list(_directives(lines, host))
    deciders = [found for found in directives if any(_decides(found, keyword) for keyword in values)]
    ending = _ending(lines)
    block = [f"Host {host}{ending}", *(f"    {keyword} {value}{ending}" for keyword, value in values.items())]
    if not deciders:
        if lines[-1] and not lines[-1].endswith("\n"):
            lines[-1] += ending
        lines += block
        return
    if deciders[0].block == HEAD:
        # What stood in no block must go on to hold for every host, not for the new block's alone.
        at, block = directives[0].index, [*block, f"Host *{ending}"]
    else:
        at = deciders[0].block
    while at > 0 and COMMENT.match(lines[at - 1]):
        at -= 1
    lines[at:at] = block


def _directives(lines: Sequence[str], host: str) -> Iterator[_Directive]:
    block, is_own = HEAD, False
    reach: bool | None = True
    for index, line in enumerate(lines):
        match = DIRECTIVE.match(line)
        if match is None:
            continue
        keyword, words = match["keyword"].lower(), _words(line[match.start("value") :])
        if keyword == "host":
            block, reach, is_own = index, is_listed(words, host), words == [host]
        elif keyword == "match":
            block, reach, is_own = index, True if words == ["all"] else None, False
        yield _Directive(index, keyword, words[0] if words else "", block, reach, is_own)


def _decides(directive: _Directive, keyword: str) -> bool:
    return directive.reach is not False and directive.keyword in {keyword.lower(), "include"}


def _words(text: str) -> list[str]:
    words = re.findall(WORD, text, re.ASCII)
    comment = next((at for at, word in enumerate(words) if word.startswith("#")), len(words))
    return [re.sub("[\"']", "", word) for word in words[:comment]]


def _with_value(line: str, value: str) -> str:
    match = DIRECTIVE.match(line)
    return line if match is None else line[: match.start("value")] + value + line[match.end("value") :]


def _ending(lines: Sequence[str]) -> str:
    return "\r\n" if sum(line.endswith("\r\n") for line in lines) * 2 > len(lines) - 1 else "\n"
