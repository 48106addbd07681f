"""Part of step `images`: the two documented images, how they are built, and who may run them (runbook L238-491)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.arch.image import Recipe
from harness.parse.image_name import split
from harness.parse.placement import Candidate, Constraint, admits

if TYPE_CHECKING:
    from harness.inventory import Cluster

SERVICE = "node.labels.service"


@dataclass(frozen=True)
class Wanted:
    """A file or folder that the runbook puts into an image: permission bits (None: any) and "user:group"."""

    path: str
    owner: str
    mode: int | None = None


@dataclass(frozen=True)
class Documented:
    """One image of the stack: its name and tag, its recipe, where it may be placed, and what it must hold.

    It is built of the Dockerfile `file` and the folder `context`, both below the folder of the application.
    """

    name: str
    recipe: Recipe
    constraints: tuple[Constraint, ...]
    files: tuple[Wanted, ...]
    file: str
    context: str
    volumes: tuple[str, ...] = ()
    php_modules: tuple[str, ...] = ()
    tag: str = "latest"

    @property
    def reference(self) -> str:
        """Name and tag."""
        return f"{self.name}:{self.tag}"


WEB = Documented(
    "wzehren/phpsae",
    # L273: built on a node, since one that is built on the controller is for ARMv7.
    Recipe("wzehren/phpsae", "dockerConfig/dockerfilePHP", "the folder of src, best on a node itself"),
    (Constraint(SERVICE, is_wanted=True, value="web"),),
    (Wanted("/var/www/html", "www-data:www-data"),),
    "dockerConfig/dockerfilePHP",
    ".",
    volumes=("/hostpipe",),
    php_modules=("mysqli",),
)
DATABASE = Documented(
    "wzehren/mysqlsae",
    Recipe("wzehren/mysqlsae", "../../dockerConfig/dockerfileMYSQL", "the folder of database_script.sql"),
    (Constraint(SERVICE, is_wanted=True, value="sql"),),
    (Wanted("/docker-entrypoint-initdb.d/database_script.sql", "mysql:mysql", 0o755),),
    "dockerConfig/dockerfileMYSQL",
    "sql",
)
IMAGES = (WEB, DATABASE)


def images_of(cluster: Cluster) -> tuple[Documented, Documented]:
    """Both images under the names that they have in the stack."""
    return _called(WEB, cluster.web_image), _called(DATABASE, cluster.database_image)


def _called(image: Documented, reference: str) -> Documented:
    name, tag = split(reference)
    return replace(image, name=name, tag=tag or image.tag, recipe=replace(image.recipe, name=reference))


def labelled_nodes(cluster: Cluster) -> tuple[Candidate, ...]:
    """The swarm as the inventory labels it; as documented (L394-406): nodes for the web, the controller for sql."""
    roles = {cluster.controller.name: "manager"}
    labels = {name: cluster.label_of(name) for name in cluster.names}
    return tuple(
        Candidate(name, roles.get(name, "worker"), labels={"service": label} if label else {})
        for name, label in labels.items()
    )


def may_run(image: Documented, cluster: Cluster) -> tuple[str, ...]:
    """The machines on which the documented constraints and the inventory's labels let an image run."""
    return tuple(node.hostname for node in labelled_nodes(cluster) if admits(image.constraints, node))
