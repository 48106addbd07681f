"""What somebody gave a service by hand that its file has no word for (`docker service update --user nobody`).

Source of the names: docs.docker.com/engine/api/v1.41 (`/services`). A key that the file has is Docker's business: only
what nobody wrote is told here, so that a value that Docker fills in itself can never pass for a person's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# Keys of the file, and of the container in a service's template: nothing is there unless somebody asked for it.
OF_CONTAINER = {
    "user": "User", "working_dir": "Dir", "hostname": "Hostname", "read_only": "ReadOnly", "stop_signal": "StopSignal",
    "tty": "TTY", "healthcheck": "Healthcheck", "extra_hosts": "Hosts", "secrets": "Secrets", "configs": "Configs",
    "cap_add": "CapabilityAdd", "cap_drop": "CapabilityDrop", "sysctls": "Sysctls", "ulimits": "Ulimits",
    "init": "Init", "group_add": "Groups",
}  # fmt: skip
OF_DNS = {"dns": "Nameservers", "dns_search": "Search", "dns_opt": "Options"}
SECOND = 1_000_000_000
# What the manager fills in: tasks come back after any end, five seconds later, and have ten to end.
RESTART = {"Condition": "any", "Delay": 5 * SECOND, "MaxAttempts": 0, "Window": 0}
GRACE = 10 * SECOND
NAMELESS = {"host", "none", "bridge"}
KEYS = frozenset({
    *OF_CONTAINER, *OF_DNS, "stop_grace_period", "resources", "restart", "restart_policy", "preferences", "logging"
})  # fmt: skip


def written(*tables: object) -> tuple[str, ...]:
    """Those of KEYS that have something behind them in these tables of the file."""
    keys = {key for table in tables if isinstance(table, dict) for key, item in table.items() if item is not None}
    return tuple(sorted(keys & KEYS))


def unwritten(template: Mapping[str, Any], keys: Collection[str]) -> tuple[str, ...]:
    """The keys that the file would need for a service of this template, but for the `keys` that it has."""
    found = {key for key, is_given in _given(template).items() if is_given} - set(keys)
    if "restart" in keys:
        found.discard("restart_policy")
    return tuple(sorted(found))


def _given(template: Mapping[str, Any]) -> dict[str, bool]:
    container, resources = template["ContainerSpec"], template.get("Resources") or {}
    restart, dns = template.get("RestartPolicy") or {}, container.get("DNSConfig") or {}
    return {
        **{key: bool(container.get(name)) for key, name in OF_CONTAINER.items()},
        **{key: bool(dns.get(name)) for key, name in OF_DNS.items()},
        "stop_grace_period": container.get("StopGracePeriod", GRACE) != GRACE,
        "resources": any(resources.values()),
        "restart_policy": any(restart.get(name, value) != value for name, value in RESTART.items()),
        "preferences": bool((template.get("Placement") or {}).get("Preferences")),
        "logging": bool(template.get("LogDriver")),
    }


def is_elsewhere(template: Mapping[str, Any], networks: Collection[str], name: str) -> bool:
    """Whether a service is in more or fewer networks than its file says, or in one where it has not its name.

    In one of Docker's own (host, none, bridge) nobody has a name.
    """
    found = template.get("Networks") or ()
    named = sum(name in (one.get("Aliases") or ()) for one in found)
    return len(found) != len(networks) or named < sum(network not in NAMELESS for network in networks)
