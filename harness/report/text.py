"""Text from a node made fit to show: every invisible character visible, every length bounded."""

from __future__ import annotations

LIMIT = 2000
PICTURES = 0x2400  # the Unicode block of control pictures repeats the order of the controls
SPACE, DELETE = 0x20, 0x7F
LOST_BYTES = range(0xDC80, 0xDD00)  # where surrogateescape keeps bytes that are not UTF-8


def visible(text: str, limit: int = LIMIT, keep: str = "\t") -> str:
    r"""The text with nothing left that could steer a terminal, turn the reading order or hide.

    Control characters become their pictures (`\r` is ␍), everything else unprintable its escape
    (`\u202e`, and `\xff` for a byte that was not UTF-8). At most `limit` characters are shown, and a
    note says how many were not. Characters of `keep` pass.
    """
    left_out = len(text) - limit
    note = f"… [{left_out} more characters left out]" if left_out > 0 else ""
    shown = text[:limit]
    if shown.isprintable():
        return shown + note
    return "".join(_picture(one) if one not in keep else one for one in shown) + note


def _picture(character: str) -> str:
    code = ord(character)
    if character.isprintable():
        return character
    if code < SPACE:
        return chr(PICTURES + code)
    if code == DELETE:
        return "␡"
    if code in LOST_BYTES:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def duration(seconds: float) -> str:
    """A length of time as a person says it: "4.2 s", "3 min 05 s"."""
    if seconds < 60:  # noqa: PLR2004 - seconds of a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"
