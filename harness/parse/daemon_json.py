"""Read and mend /etc/docker/daemon.json (dockerd(8)): an object of JSON, in which most of what it says is not ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

# A container that talks fills the card; ten times ten megabytes for each is enough to see why it stopped.
ROTATION = {"max-size": "10m", "max-file": "3"}
# What each logging driver that writes to this machine keeps by itself; json-file alone keeps everything.
ENDLESS = "json-file"
# What dockerd reads into a field of a type: another one, and it does not start. Unknown keys are told by itself only.
LISTS = {
    "authorization-plugins", "dns", "dns-opts", "dns-search", "exec-opts", "hosts", "insecure-registries", "labels",
    "registry-mirrors", "storage-opts",
}  # fmt: skip
SWITCHES = {
    "debug", "experimental", "icc", "init", "ip-forward", "ip-masq", "ip6tables", "iptables", "ipv6", "live-restore",
    "no-new-privileges", "selinux-enabled", "userland-proxy",
}  # fmt: skip
TEXTS = {"bip", "bridge", "data-root", "default-runtime", "exec-root", "group", "log-driver", "storage-driver"}
NUMBERS = {"max-concurrent-downloads", "max-concurrent-uploads", "mtu", "shutdown-timeout"}


def complaint(octets: bytes) -> str:
    """Why the engine could not read the file; empty where it can."""
    try:
        found = json.loads(octets.decode())
    except UnicodeDecodeError:
        return "it is not UTF-8"
    except (ValueError, RecursionError) as error:
        return str(error)
    return "" if isinstance(found, dict) else "it is not an object in braces"


def misfit(octets: bytes) -> str:
    """What in a readable file keeps a swarm's member from its next start; empty where nothing is known to do so."""
    found = {key: value for key, value in settings(octets).items() if value is not None}
    for key, value in found.items():
        if expected := _expected(key, value):
            return f"{key} must be {expected}"
    if found.get("live-restore"):
        return "live-restore and a swarm exclude each other"
    bare = [one for one in found.get("registry-mirrors", ()) if not one.lower().startswith(("http://", "https://"))]
    return f"registry-mirrors must begin with http:// or https://, not so {bare[0]}" if bare else ""


def _expected(key: str, value: object) -> str:
    """What a key must hold, where it holds something else."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    fits = {
        "a list of texts": key not in LISTS or _are_texts(value if isinstance(value, list) else [None]),
        "true or false, without quotes": key not in SWITCHES or isinstance(value, bool),
        "a text in quotes": key not in TEXTS or isinstance(value, str),
        "a number without quotes": key not in NUMBERS or is_number,
        "names with texts, each in quotes":
            key != "log-opts" or _are_texts(value.values() if isinstance(value, dict) else [None]),
    }  # fmt: skip
    return next((expected for expected, is_so in fits.items() if not is_so), "")


def _are_texts(values: Iterable[object]) -> bool:
    return all(isinstance(one, str) for one in values)


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
