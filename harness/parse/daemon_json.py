"""Read and mend /etc/docker/daemon.json (dockerd(8)): an object of JSON, in which most of what it says is not ours."""

from __future__ import annotations

import json
from typing import Any

# A container that talks fills the card; ten times ten megabytes for each is enough to see why it stopped.
ROTATION = {"max-size": "10m", "max-file": "3"}
# What each logging driver that writes to this machine keeps by itself; json-file alone keeps everything.
ENDLESS = "json-file"


def complaint(octets: bytes) -> str:
    """Why the engine could not read the file; empty where it can."""
    try:
        found = json.loads(octets.decode())
    except UnicodeDecodeError:
        return "it is not UTF-8"
    except (ValueError, RecursionError) as error:
        return str(error)
    return "" if isinstance(found, dict) else "it is not an object in braces"


def settings(octets: bytes) -> dict[str, Any]:
    """What a readable file sets; nothing for another one, which the engine would not start with."""
    return {} if complaint(octets) else dict(json.loads(octets.decode()))


def has_rotation(octets: bytes) -> bool:
    """Whether the file bounds the log of each container."""
    options = settings(octets).get("log-opts")
    return isinstance(options, dict) and "max-size" in options


def with_rotation(octets: bytes | None) -> bytes | None:
    """The file with bounded logs, else as it was; None where a person must look at it."""
    if octets is None or not octets.strip():
        return (json.dumps({"log-opts": ROTATION}, indent=4) + "\n").encode()
    found = settings(octets)
    if complaint(octets) or not isinstance(found.get("log-opts", {}), dict):
        return None
    if "log-opts" in found:
        merged = found | {"log-opts": {**found["log-opts"], **ROTATION}}
        return (json.dumps(merged, indent=4, ensure_ascii=False) + "\n").encode()
    # Put in front, so that every byte of the rest stays as somebody wrote it.
    head, brace, rest = octets.decode().partition("{")
    comma = "," if found else ""
    return f'{head}{brace}\n    "log-opts": {json.dumps(ROTATION)}{comma}{rest}'.encode()
