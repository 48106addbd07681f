"""What systemd starts dockerd with beside its file of settings: options by the keys of that file (dockerd(8))."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from harness.parse.excerpt import unquoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Shell text: the command, the variables of the unit, and the files that set more of them, whose lines count more.
SCRIPT = """\
systemctl show -P ExecStart docker.service && systemctl show -P Environment docker.service && echo || exit
systemctl show -P EnvironmentFiles docker.service | sed -n 's/ (ignore_errors=[a-z]*)$//p' |
while read -r file; do cat -- "$file" 2>/dev/null; echo; done
"""
ARGUMENTS = re.compile(r"argv\[\]=(.*?) ;")
ASSIGNMENT = re.compile(r"\s*(\w+)=(.*?)\s*")
CONTINUED = re.compile(r"\\\n")
WHOLE, SPLIT = re.compile(r"\$\{(\w+)\}"), re.compile(r"\$(\w+)")
SHORT = {
    "-b": "bridge", "-D": "debug", "-g": "data-root", "-G": "group", "-H": "hosts", "-l": "log-level",
    "-p": "pidfile", "-s": "storage-driver",
}  # fmt: skip
# An option that may be repeated is a list in the file, under the name of many; log-opts is one as well.
KEYS = {
    "graph": "data-root", "host": "hosts", "label": "labels", "log-opt": "log-opts", "exec-opt": "exec-opts",
    "storage-opt": "storage-opts", "dns-opt": "dns-opts", "insecure-registry": "insecure-registries",
    "registry-mirror": "registry-mirrors", "add-runtime": "runtimes", "default-ulimit": "default-ulimits",
    "authorization-plugin": "authorization-plugins", "default-address-pool": "default-address-pools",
}  # fmt: skip


def options(text: str) -> dict[str, str]:
    """Key of daemon.json to the values that the command line gives it, as "max-size=10m max-file=3"; "" for a switch.

    Such a key may not stand in the file as well: dockerd does not start then. `text` is what `SCRIPT` prints.
    """
    commands, _, variables = text.partition("\n")
    found: dict[str, list[str]] = {}
    values: list[str] = []
    for word in _words(commands, _variables(variables)):
        if word.startswith("-"):
            key, attached = _option(word)
            values = found.setdefault(key, [])
            values.extend([attached] if attached else [])
        else:
            values.append(word)
    return {key: " ".join(said) for key, said in found.items()}


def _option(word: str) -> tuple[str, str]:
    """The key that an option sets, and the value that is written behind it without a blank."""
    name, _, value = word.partition("=")
    if not name.startswith("--") and name[:2] in SHORT:
        return SHORT[name[:2]], value or name[2:]
    name = name.lstrip("-")
    return KEYS.get(name, name), value


def _words(commands: str, variables: Mapping[str, str]) -> Iterator[str]:
    """The words of the last command, without its program; variables as systemd puts them in (systemd.service(5))."""
    arguments = ARGUMENTS.findall(commands)
    for word in arguments[-1].split()[1:] if arguments else ():
        if name := SPLIT.fullmatch(word):
            yield from _split(variables.get(name[1], ""))
        else:
            yield WHOLE.sub(lambda name: variables.get(name[1], ""), word)


def _variables(text: str) -> dict[str, str]:
    """The unit's own are one line of words; the lines of the files are behind it, and overrule them."""
    own, _, files = text.partition("\n")
    said = (ASSIGNMENT.fullmatch(line) for line in (*_split(own), *CONTINUED.sub("", files).splitlines()))
    return {one[1]: unquoted(one[2]) for one in said if one}


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return re.sub("[\"']", "", text).split()  # systemd minds no quote that is left open
