"""The apt sources of this machine, reduced to those that offer the Debian release of the nodes."""

import re
from pathlib import Path

_APT = Path("/etc/apt")
_ONE_LINE = re.compile(r"deb\s+(?:\[[^]]*]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)")


def machine_sources(suite: str) -> dict[str, str]:
    """The two source files for `suite` by their name's ending, `sources` and `list`; empty texts left out."""
    parts = _APT / "sources.list.d"
    one_line = [_APT / "sources.list", *sorted(parts.glob("*.list"))]
    deb822 = "\n\n".join(keep_stanzas(file.read_text(), suite) for file in sorted(parts.glob("*.sources")))
    lines = "\n".join(keep_lines(file.read_text(), suite) for file in one_line if file.exists())
    texts = {"sources": deb822.strip(), "list": lines.strip()}
    return {ending: f"{text}\n" for ending, text in texts.items() if text}


def keep_lines(text: str, suite: str) -> str:
    """Lines of a sources.list that offer `suite` or its updates in `main`, as Debian's own archive does."""
    found = ((line, _ONE_LINE.match(line.strip())) for line in text.splitlines())
    return "\n".join(
        line.strip() for line, m in found if m and _is_debian(m["suite"].split(), m["components"].split(), suite)
    )


def keep_stanzas(text: str, suite: str) -> str:
    """Stanzas of a deb822 file that offer `suite` or its updates in `main`; disabled ones are dropped."""
    stanzas = (s for s in re.split(r"\n\s*\n", text) if s.strip())
    return "\n\n".join(s.strip() for s in stanzas if _is_wanted(_fields(s), suite))


def _is_wanted(fields: dict[str, str], suite: str) -> bool:
    is_binary = "deb" in fields.get("types", "").split()
    is_enabled = fields.get("enabled", "yes").lower() not in ("no", "false", "0")
    is_debian = _is_debian(fields.get("suites", "").split(), fields.get("components", "").split(), suite)
    return is_binary and is_enabled and is_debian


def _is_debian(suites: list[str], components: list[str], suite: str) -> bool:
    """Third parties call their suites after Debian's too, but not their components."""
    wanted = {suite, f"{suite}-updates", f"{suite}-security", f"{suite}/updates"}
    return "main" in components and bool(suites) and set(suites) <= wanted


def _fields(stanza: str) -> dict[str, str]:
    lines = (line for line in stanza.splitlines() if line and not line.startswith((" ", "\t", "#")))
    pairs = (line.partition(":") for line in lines)
    return {key.strip().lower(): value.strip() for key, _, value in pairs}
