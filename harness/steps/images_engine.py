"""Part of step `images`: the questions of its look, asked of a node's engine.

The one thing a look leaves for a moment is a container that was made from the image and is never started. It carries
a label, so that one whose run was killed is known for ours, and the next look removes it.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.arch.cpu import COMMAND, cpu, engine_platform
from harness.arch.image import Host
from harness.errors import EngineError, ObservationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.node import NodeAccess
    from harness.steps.images_look import Get

LABEL = "hatcheck.look"
# It has no such program, should anybody start it; an image need not name one, and a container must.
NEVER = ["/hatcheck-never-starts-this"]
# Seconds after which a container of ours is a dead run's; a look that still lives is done long before.
STALE = 3600
NO_IMAGE = NO_CONTAINER = 404
IS_BEING_REMOVED = 409
# Docker Hub says the first two also of a name that nobody has ever pushed.
NOT_FOR_US = {401, 403, 404}


@dataclass(frozen=True)
class NodeEngine:
    """The engine of one node, through docker-py."""

    node: NodeAccess

    @property
    def _api(self) -> Any:  # noqa: ANN401 - docker-py's types leave out what is asked here
        return self.node.docker().api

    def image(self, reference: str, /) -> str | None:
        """What the engine says of an image; None where it has none of this name."""
        return _unless(lambda: self._api.inspect_image(reference), {NO_IMAGE})

    def distribution(self, reference: str, /) -> str | None:
        """What the registry offers to anybody, asked by the engine; None where it offers nothing."""
        return _unless(lambda: self._api.inspect_distribution(reference, auth_config={}), NOT_FOR_US)

    @contextmanager
    def opened(self, reference: str, /) -> Iterator[Get]:
        """The files of an image, from a container that is gone afterwards, with what volumes it made."""
        api = self._api
        made = api.create_container(reference, command=NEVER, labels={LABEL: "images"}, network_disabled=True)
        number = made["Id"]

        def get(path: str) -> tuple[Iterator[bytes], dict[str, Any]] | None:
            stat = api.stat(number, path)
            return None if stat is None else (api.archive(number, path), stat)

        try:
            yield get
        finally:
            self._remove(number)

    def sweep(self) -> None:
        """Remove what a run that was killed has left, and nothing that was ever started or may still be looked at."""
        found = self._api.containers(all=True, filters={"label": f"{LABEL}=images", "status": "created"})
        if not found:
            return
        now = int(self.node.ask("date %s", "+%s"))
        for row in found:
            if now - row["Created"] >= STALE:
                self._remove(row["Id"])

    def _remove(self, number: str) -> None:
        """Somebody else may be at it, or was faster."""
        try:
            self._api.remove_container(number, v=True, force=True)
        except EngineError as error:
            if error.status not in {NO_CONTAINER, IS_BEING_REMOVED}:
                raise


def host(node: NodeAccess) -> Host:
    """The processor by the kernel's word, and the platform that its engine calls itself."""
    said = node.docker().version()
    if "Arch" not in said:
        raise ObservationError(f"{node.name}: Docker's answer lacks 'Arch'")
    text = node.ask(COMMAND)
    return Host(engine_platform(said["Arch"], text), cpu(text))


def _unless(ask: Callable[[], object], absent: set[int]) -> str | None:
    """An answer as JSON text; None for a refusal of one of these kinds."""
    try:
        return json.dumps(ask())
    except EngineError as error:
        if error.status in absent:
            return None
        raise
