"""Part of step `web`: which build the site's pages must give, by the folder that its image is built from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ObservationError

if TYPE_CHECKING:
    from harness.inventory import Cluster

SHIPPED = Path(__file__).parents[2] / "fixtures" / "app" / "src"


def source_build(cluster: Cluster) -> str:
    """The build of the inventory's source; ObservationError where there is none to read."""
    source = cluster.web.source
    return build_of(SHIPPED if source is None else cluster.path(source))


def build_of(folder: Path) -> str:
    """Twelve digits over all files of a site, as its pages compute them (fixtures/app/src/lib/page.php)."""
    try:
        found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    except OSError as error:
        raise ObservationError(f"the site's source {folder} cannot be read: {error.strerror}") from error
    if not found:
        raise ObservationError(f"the site's source {folder} has no files: write [web] source into the inventory")
    lines = (f"{hashlib.sha256(found[name]).hexdigest()}  {name}\n" for name in sorted(found))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:12]
