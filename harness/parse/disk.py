"""Read how much of a file system is left: bytes and inodes, in one line of GNU df (df(1))."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

COMMAND = "df -B1 --output=size,avail,itotal,iavail -- %s"
COLUMNS = 4


@dataclass(frozen=True)
class Space:
    """Bytes and inodes of a file system, and how many of each a plain user may still take."""

    size: int
    free: int
    inodes: int
    free_inodes: int

    @property
    def free_share(self) -> float:
        """Percent of the bytes."""
        return 100 * self.free / self.size if self.size else 0.0

    @property
    def free_inode_share(self) -> float:
        """Percent of the inodes; 100 where the file system does not count them (btrfs)."""
        return 100 * self.free_inodes / self.inodes if self.inodes else 100.0


def space(text: str) -> Space:
    """The one file system that `COMMAND` was asked about; ObservationError for any other text."""
    _, _, line = text.strip().partition("\n")
    # A file system that does not count inodes has a hyphen there.
    words = ["0" if word == "-" else word for word in line.split()]
    if len(words) != COLUMNS or not all(word.isascii() and word.isdigit() for word in words):
        raise ObservationError(f"df: expected a line of {COLUMNS} numbers, got {excerpt(line or text)}")
    return Space(*map(int, words))
