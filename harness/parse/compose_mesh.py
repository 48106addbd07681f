"""A stack's file for machines without a routing mesh, whose kernel has no IP_VS: made from the person's own one.

Three things change, and the first lines of the new file say so: each port is published in host mode (by the nodes
that have a task, and no others), names of services lead to their tasks instead of to a virtual address, which IP_VS
would have to serve, and the version is one that has words for that. Comments are lost; all else stays.
"""

from __future__ import annotations

from typing import Any

import yaml

from harness.parse.compose import load
from harness.parse.compose_parts import read_ports

LEAST_VERSION = "3.8"
HEAD = """\
# Made by hatcheck from {name}, because {why}:
# ports are published in host mode, and names of services lead to their tasks (dnsrr). All else is as it was.
"""


def without_mesh(text: str, name: str, why: str) -> str:
    """The file `text`, called `name`, such that it needs no mesh; `why` is the end of the sentence "because"."""
    tree = load(text, name)
    services = {key: _hosted(one) for key, one in tree["services"].items()}
    changed = {"version": _version(str(tree.get("version", ""))), **_without_version(tree), "services": services}
    body: str = yaml.safe_dump(changed, sort_keys=False, allow_unicode=True)
    return HEAD.format(name=name, why=why) + body


def _without_version(tree: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tree.items() if key != "version"}


def _version(text: str) -> str:
    """The greater one; what is no version 3 is replaced."""
    _, dot, minor = text.partition(".")
    is_newer = text.startswith("3.") and dot and minor.isdigit() and int(minor) > int(LEAST_VERSION.partition(".")[2])
    return text if is_newer else LEAST_VERSION


def _hosted(service: dict[str, Any]) -> dict[str, Any]:
    deploy = {**(service.get("deploy") or {}), "endpoint_mode": "dnsrr"}
    found = read_ports(service.get("ports") or [])
    return {
        **service,
        **({"ports": [{**port, "mode": "host"} for port in found]} if isinstance(found, list) and found else {}),
        "deploy": deploy,
    }
