"""What a person is shown of text that did not parse: one line, printable, bounded."""

LIMIT = 100


def excerpt(text: str) -> str:
    """The first line of a text that is not blank, quoted as Python would, at most 100 characters long."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    shown = ascii(line[: LIMIT + 1])
    return shown if len(shown) <= LIMIT else f"{shown[: LIMIT - 3]}..."


def unquoted(text: str) -> str:
    """A value without the quotes around it, where both are the same."""
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if is_quoted else text
