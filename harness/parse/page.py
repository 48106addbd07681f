"""What a page of the application says of itself: its name, build, task, form and user (fixtures/app/README.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser

BUILD = re.compile(r"[0-9a-f]{12}\Z")
SERVED_BY = re.compile(r"build [0-9a-f]{12} on (\S+)\Z")
LONGEST = 100  # characters that are kept of a text that only a person reads


@dataclass(frozen=True)
class Said:
    """A page by its own words; what it lacks is empty.

    `application` and `build` are from its head, `task` names the machine whose task served it, `fields` the inputs of
    its forms, `form` the value that a form must bring back, `login` who is signed in, `problem` what went wrong.
    """

    application: str = ""
    build: str = ""
    title: str = ""
    task: str = ""
    fields: tuple[str, ...] = ()
    form: str = ""
    login: str = ""
    problem: str = ""


def read(text: str) -> Said:
    """Whatever came, as far as it can be read: a page of somebody else is one that lacks our words."""
    reader = _Reader()
    try:
        reader.feed(text)
        reader.close()
    except AssertionError:  # the standard library's word for a declaration that it does not know
        return Said()
    build = reader.meta.get("build", "")
    served = SERVED_BY.search(reader.shown("footer"))
    return Said(
        application=reader.meta.get("application-name", "")[:LONGEST],
        build=build if BUILD.match(build) else "",
        title=reader.shown("title")[:LONGEST],
        task=served[1][:LONGEST] if served else "",
        fields=tuple(dict.fromkeys(reader.fields))[:10],
        form=reader.form,
        login=reader.shown("login")[:LONGEST],
        problem=reader.shown("problem")[:LONGEST],
    )


class _Reader(HTMLParser):
    """Keeps the few words that matter."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.meta: dict[str, str] = {}
        self.fields: list[str] = []
        self.form = ""
        self._texts: dict[str, list[str]] = {}
        self._inside = ""
        self._tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notice heads, inputs and the elements whose text is kept."""
        found = {name: value or "" for name, value in attrs}
        if tag == "meta":
            self.meta.setdefault(found.get("name", ""), found.get("content", ""))
        elif tag == "input":
            self.fields.append(found.get("name", "")[:LONGEST])
            if found.get("name") == "form":
                self.form = self.form or found.get("value", "")
        place = {"title": "title", "footer": "footer"}.get(tag, "")
        place = place or (
            "login" if found.get("id") == "login" else "problem" if found.get("class") == "problem" else ""
        )
        if place and not self._inside:
            self._inside, self._tag = place, tag

    def handle_endtag(self, tag: str) -> None:
        """The end of an element whose text is kept."""
        if tag == self._tag:
            self._inside = self._tag = ""

    def handle_data(self, data: str) -> None:
        """Text."""
        if self._inside:
            self._texts.setdefault(self._inside, []).append(data)

    def shown(self, place: str) -> str:
        """The text of a place, on one line, with nothing in it that a terminal would obey."""
        line = " ".join("".join(self._texts.get(place, ())).split())
        return "".join(letter if letter.isprintable() else "?" for letter in line)
