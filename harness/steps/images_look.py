"""Part of step `images`: what an engine says of an image and what lies in it, as the state of a look.

Files are read from a container that was made from the image and never started: no program of the image runs.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from harness.arch.programs import Part, parts
from harness.arch.tree import ArchiveTree, Regular, resolve
from harness.errors import ObservationError
from harness.parse.manifest import Config, Offer, inspected, offer
from harness.steps.images_content import Content, Owned
from harness.steps.images_documented import Documented, images_of
from harness.steps.images_php import Stream, php_modules

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from harness.inventory import Cluster

# `GET /containers/{id}/archive`: chunks of a tar archive and the path's stat; None for a path that is not there.
Get = Callable[[str], tuple[Iterable[bytes], Mapping[str, object]] | None]
# Asks only once in a run what is the same on every node.
Once = Callable[[str, Callable[[], Any]], Any]


class Engine(Protocol):
    """What a look asks of a node's engine. None means that the engine answered: there is no such image."""

    def image(self, reference: str, /) -> str | None:
        """`GET /images/NAME/json`."""

    def distribution(self, reference: str, /) -> str | None:
        """`GET /distribution/NAME/json`."""

    def opened(self, reference: str, /) -> AbstractContextManager[Get]:
        """The files of a container made from an image; leaving the context removes it."""


@dataclass(frozen=True)
class Local:
    """An image that a node has: what it says of itself, the files its start needs, and what the runbook puts in."""

    config: Config
    parts: tuple[Part, ...]
    content: Content


def look(engine: Engine, image: Documented, once: Once) -> Local | None:
    """A node's copy of an image; None where it has none. ObservationError where an answer cannot be understood.

    An image's files are read on one node only, whichever is the first: the engines vouch for them by its `id`.
    """
    text = engine.image(image.reference)
    if text is None:
        return None
    config = inspected(text)
    held: tuple[tuple[Part, ...], Content]
    if config.id:
        held = once(f"files of {config.id} as {image.reference}", lambda: _files(engine, image, config))
    else:
        held = _files(engine, image, config)
    return Local(config, *held)


def _files(engine: Engine, image: Documented, config: Config) -> tuple[tuple[Part, ...], Content]:
    with engine.opened(config.id or image.reference) as get:
        return parts(ArchiveTree(get), config.start), _content(get, image)


def offers(engine: Engine, cluster: Cluster) -> dict[str, Offer | None]:
    """What the registry has under each documented reference."""
    answers = {image.reference: engine.distribution(image.reference) for image in images_of(cluster)}
    return {reference: None if text is None else offer(text) for reference, text in answers.items()}


def _content(get: Get, image: Documented) -> Content:
    tree = ArchiveTree(get)
    users, groups = _names(tree, "/etc/passwd"), _names(tree, "/etc/group")
    files: dict[str, Owned | None] = {}
    for wanted in image.files:
        real, entry = resolve(tree, wanted.path)
        files[wanted.path] = _owned(get, real, users, groups) if entry is not None else None
    return Content(files, php_modules(get) if image.php_modules else ())


def _names(tree: ArchiveTree, path: str) -> dict[int, str]:
    """Number to name, of users or groups; an image without such a file has none."""
    entry = resolve(tree, path)[1]
    text = entry.octets.decode(errors="replace") if isinstance(entry, Regular) else ""
    rows = (line.split(":") for line in text.splitlines())
    return {int(row[2]): row[0] for row in rows if len(row) > 2 and row[2].isascii() and row[2].isdigit()}  # noqa: PLR2004


def _owned(get: Get, path: str, users: Mapping[int, str], groups: Mapping[int, str]) -> Owned:
    """By the first member of the archive of a path, which is the path itself; what lies below is not fetched."""
    answer = get(path)
    if answer is None:
        raise ObservationError(f"{path}: it was in the image a moment ago")
    try:
        with tarfile.open(fileobj=Stream(answer[0]), mode="r|") as archive:
            member = archive.next()
    except tarfile.TarError as error:
        raise ObservationError(f"{path}: expected a tar archive from Docker: {error}") from None
    if member is None:
        raise ObservationError(f"{path}: expected a file in the archive from Docker, got none")
    user, group = users.get(member.uid, str(member.uid)), groups.get(member.gid, str(member.gid))
    return Owned(member.mode & 0o7777, f"{user}:{group}")
