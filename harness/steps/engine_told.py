"""Part of step `engine`: what an engine is told for its next start, by its file and by its command line; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.parse import daemon_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.node import File

# As Go reads a switch of a command line.
OFF = {"0", "f", "F", "false", "False", "FALSE"}


@dataclass(frozen=True)
class Told:
    """What an engine is told at its next start: its file of settings, the options beside it by the file's keys.

    `obstacle` is why it would not start at all, once it is stopped (empty: nothing is known of that).
    """

    config: File | None
    options: Mapping[str, str]
    obstacle: str = ""

    def setting(self, key: str) -> str:
        """A setting that is a text, "" where nobody sets it."""
        said = self._in_file(key)
        return said if said and isinstance(said, str) else self.options.get(key, "")

    def is_off(self, key: str) -> bool:
        """Whether a switch that is on by itself is turned off."""
        return self._in_file(key) is False or self.options.get(key) in OFF

    def _in_file(self, key: str) -> object:
        return daemon_json.settings(self.config.content).get(key) if self.config else None
