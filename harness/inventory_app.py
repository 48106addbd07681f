"""The part of the inventory that says what makes the application: engine, images, swarm, site and database."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic reads it
from typing import Annotated

from pydantic import Field, StringConstraints

from harness.inventory_words import IMAGE, LABEL, SERVICE, SQL_NAME, Hostname, Password, Table
from harness.secret import Secret


class Engine(Table):
    """Docker on every machine (runbook L378): the Debian package that brings it."""

    package: str = Field(default="docker.io", pattern=r"^[a-z0-9][a-z0-9+.-]+$")


class Images(Table):
    """The two images of the application (runbook L238-466), each as NAME or NAME:TAG; not written, the stack's.

    `folder` holds what they are built of, as the runbook has it (src, dockerConfig, sql); not written, it is the
    application that comes with this project.
    """

    web: str | None = Field(default=None, pattern=IMAGE)
    database: str | None = Field(default=None, pattern=IMAGE)
    folder: Path | None = None


class Swarm(Table):
    """The swarm that the controller manages (runbook L384-406).

    `placement` has for each value of `label` the machines that carry it; not written, it is the documented one:
    web on every node, sql on the controller. A certificate that ends within `certificate_days` differs.
    """

    port: int = Field(default=2377, ge=1, le=65535)
    label: str = Field(default="service", pattern=LABEL)
    placement: dict[Annotated[str, StringConstraints(pattern=LABEL)], tuple[Hostname, ...]] | None = None
    certificate_days: int = Field(default=14, ge=1, le=89)


class Mpi(Table):
    """Jobs over the cluster (runbook L629); `deadline` is in seconds for one of them, all that is cold included."""

    deadline: int = Field(default=60, ge=2, le=3600)


class Web(Table):
    """The application's site (runbook L520-524), served by the tasks of `service` of the stack.

    Each of its pages names the `application`; `source` is the folder that its image is built from (default: the
    shipped one), relative to the inventory's folder. Who signs in is the seeded user `login`. `deadline` is in seconds
    from the start of a task.
    """

    service: str = Field(default="serviceweb", pattern=SERVICE)
    port: int = Field(default=80, ge=1, le=65535)
    application: str = Field(default="BlitzCalc", pattern=r"^[ -~]{1,64}$")
    source: Path | None = None
    login: str = Field(default="user", pattern=r"^[ -~]{1,64}$")
    deadline: int = Field(default=60, ge=1, le=600)


class Seeded(Table):
    """A user whom the schema script makes; the documented passwords are in fixtures/app/README.md."""

    login: str = Field(pattern=r"^[ -~]{1,64}$")
    role: str = Field(pattern=r"^[ -~]{1,64}$")
    password: Password


def _documented_users() -> tuple[Seeded, ...]:
    admin = Seeded(login="admin", role="ADMIN", password=Secret("administer-the-hat"))
    return (admin, Seeded(login="user", role="USER", password=Secret("count-on-the-hat")))


class Database(Table):
    """The application's database (runbook L320-372, L483-495), run by the task of `service` of the stack.

    The site asks it by the name `host`, as the account `user`, for the database `name`. `root_password` is the one that
    the image comes with. `data` is the folder of the machine that the task keeps its files in; `script` is where its
    image has the schema. `deadline` is in seconds from the start of a task.
    """

    service: str = Field(default="servicebd", pattern=SERVICE)
    host: str = Field(default="servicebd", pattern=SERVICE)
    name: str = Field(default="BlitzCalc_DB", pattern=SQL_NAME)
    user: str = Field(default="blitzcalc", pattern=SQL_NAME)
    root_password: Password = Field(default_factory=lambda: Secret("root"))
    data: str = Field(default="/var/lib/mysql_volume_app", pattern=r"^/[ -~]+$")
    script: str = Field(default="/docker-entrypoint-initdb.d/database_script.sql", pattern=r"^/[ -~]+$")
    users: tuple[Seeded, ...] = Field(default_factory=_documented_users, min_length=1)
    deadline: int = Field(default=120, ge=1, le=600)
