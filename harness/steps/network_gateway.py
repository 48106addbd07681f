"""Part of step `network`: the controller forwards and translates for the nodes, now and after a reboot; pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.actions import Action, Run, Write
from harness.model import Check
from harness.node import File
from harness.parse import iptables, sysctl, units
from harness.parse.forward import obstacle
from harness.step import expect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.inventory import Cluster

FORWARD = "net.ipv4.ip_forward"
FORWARD_TOO = "net.ipv4.conf.all.forwarding"  # another name of the same switch of the kernel
SYSCTL_PATTERNS = (
    "/etc/sysctl.d/*.conf",
    "/run/sysctl.d/*.conf",
    "/usr/local/lib/sysctl.d/*.conf",
    "/usr/lib/sysctl.d/*.conf",
)
# What reads them at boot.
SYSCTL_UNIT = "systemd-sysctl.service"
# Sorts after Debian's own 99-sysctl.conf, so it has the last word.
SYSCTL_PATH = "/etc/sysctl.d/99-zz-clusterhat.conf"
RULES_PATH = "/etc/iptables/rules.v4"
NAT_UNIT = "clusterhat-nat.service"
UNIT_PATH = f"/etc/systemd/system/{NAT_UNIT}"
# What may overrule the unit, whatever its own file says.
DROP_INS = tuple(
    f"{home}/systemd/system/{NAT_UNIT}.d/*.conf" for home in ("/etc", "/run", "/usr/local/lib", "/usr/lib")
)
# A unit that adds each of its rules if it is missing. Loading a saved rule set instead would wipe the chains of Docker
# and fail2ban.
UNIT_TEXT = """\
[Unit]
Description=NAT for the nodes of the ClusterHAT
After=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
{starts}

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class Gateway:
    """The controller's forwarding and NAT as seen: kernel value, files, and `iptables -S` of two tables.

    `reader` is what sets the kernel's values at boot, `exits` are the interfaces of its default routes.
    """

    forwarding: int
    files: dict[str, File]
    nat: str
    forward: str
    reader: units.Unit
    exits: tuple[str, ...] = ()

    @property
    def overruled_by(self) -> tuple[str, ...]:
        """Files that may change what our unit does."""
        return tuple(path for path in self.files if f"{NAT_UNIT}.d/" in path)

    @property
    def first_jump(self) -> str:
        """The chain for a rule that must come before Docker's own."""
        return "DOCKER-USER" if "DOCKER-USER" in self.forward else "FORWARD"


def judge_gateway(seen: Gateway, enabled: tuple[str, ...], cluster: Cluster) -> Iterator[Check]:
    """Forwarding and MASQUERADE, each now and at the next boot. `enabled` are the units that start then."""
    name = cluster.controller.name
    yield expect(
        name, FORWARD, want=1, seen=seen.forwarding,
        fix=(Run(name, ("sysctl", "-q", "-w", f"{FORWARD}=1"), "forward packets for the nodes"),),
    )  # fmt: skip
    yield _judge_forward_at_boot(seen, name)
    nat, *forward = _rules(cluster)
    bridge = cluster.controller.bridge
    has_nat = iptables.masquerades(iptables.table(seen.nat), cluster.subnet, bridge, seen.exits)
    yield expect(
        name, f"MASQUERADE for {cluster.subnet}", want="yes", seen=_yes(has_nat),
        fix=() if _is_there(seen.nat, nat) else (_ensure(name, nat, "translate the nodes' addresses on the way out"),),
        by_hand="a rule in front of it takes the packets: see `iptables -t nat -S`",
    )  # fmt: skip
    hindrance = obstacle(iptables.table(seen.forward), bridge, cluster.subnet, seen.exits)
    # Our rules go to the end: they help against a policy, not against somebody's rule in front of them.
    fix = tuple(_ensure(name, rule, "let the nodes' packets out and the answers in") for rule in forward)
    yield expect(
        name, "FORWARD lets the nodes out", want="yes", seen=f"no: {hindrance}" if hindrance else "yes",
        fix=() if hindrance.startswith("rule") else fix,
        by_hand="a rule of somebody's stops the nodes' packets: see `iptables -S`, and where it comes from",
    )  # fmt: skip
    unit = seen.files.get(UNIT_PATH)
    text = _unit_text(cluster)
    yield expect(
        name, "MASQUERADE after a reboot", want="yes", seen=_yes(_has_nat_at_boot(seen, enabled, text, cluster)),
        fix=(
            *_written(name, UNIT_PATH, unit, text, "add the NAT rule at every boot"),
            Run(name, ("systemctl", "enable", NAT_UNIT), "start it at boot"),
        ) if not seen.overruled_by else (),
        by_hand=f"{', '.join(seen.overruled_by)} may change what {NAT_UNIT} does: take it away",
    )  # fmt: skip


def _judge_forward_at_boot(seen: Gateway, name: str) -> Check:
    texts = [(path, file.content.decode(errors="replace")) for path, file in seen.files.items() if "sysctl.d" in path]
    setting, same = sysctl.persistent(texts, FORWARD), sysctl.persistent(texts, FORWARD_TOO)
    # Whichever of the two names the boot sets last counts, and nothing promises which that is.
    is_overruled = same is not None and same.value != "1"
    if same and is_overruled:
        setting = replace(same, value=f"{same.value} by {FORWARD_TOO}")
    found = setting.value if setting else "not set"
    write: tuple[Action, ...] = ()
    if found != "1":
        why = "forward after a reboot too"
        write = _written(name, SYSCTL_PATH, seen.files.get(SYSCTL_PATH), f"{FORWARD} = 1\n", why)
    fix, by_hand = (() if is_overruled else write), []
    if found != "1":
        by_hand.append(f"{setting.path if setting else 'another file'} sets it beside {SYSCTL_PATH}: correct it there")
    if not seen.reader.starts_at_boot:
        found += f" in the files, and {SYSCTL_UNIT}, which reads them at boot, does not start then: {_why(seen.reader)}"
        by_hand.append(_way_out(seen.reader))
        allow = Run(name, ("systemctl", "unmask", SYSCTL_UNIT), "have a boot read the settings of the kernel")
        # Nothing else of it is mended by a tool, and half of a repair is none.
        fix = (allow, *fix) if seen.reader.is_masked and (fix or found.startswith("1")) else ()
    return expect(name, f"{FORWARD} after a reboot", want="1", seen=found, fix=fix, by_hand="; and ".join(by_hand))


def _why(reader: units.Unit) -> str:
    return "it is masked" if reader.is_masked else ", ".join(reader.unmet) or "no target of the boot wants it"


def _way_out(reader: units.Unit) -> str:
    if reader.is_masked:
        return f"`sudo systemctl unmask {SYSCTL_UNIT}`"
    if reader.unmet:
        return units.BY_HAND
    return f"bring its link in sysinit.target.wants back: `sudo systemctl add-wants sysinit.target {SYSCTL_UNIT}`"


def _has_nat_at_boot(seen: Gateway, enabled: tuple[str, ...], text: str, cluster: Cluster) -> bool:
    """By our unit, or by the saved rules of the CNAT image."""
    unit = seen.files.get(UNIT_PATH)
    if NAT_UNIT in enabled and unit and unit.content == text.encode() and not seen.overruled_by:
        return True
    saved = seen.files.get(RULES_PATH)
    if "netfilter-persistent.service" not in enabled or not saved:
        return False
    tables, bridge = iptables.tables(saved.content.decode(errors="replace")), cluster.controller.bridge
    nat, filters = tables.get("nat"), tables.get("filter")
    if filters and "FORWARD" in filters.policies and obstacle(filters, bridge, cluster.subnet, seen.exits):
        return False
    return nat is not None and iptables.masquerades(nat, cluster.subnet, bridge, seen.exits)


def _is_there(listing: str, rule: Rule) -> bool:
    """Whether the very rule is in the listing, so that adding it again would change nothing."""
    return f"-A {' '.join(rule[1:])}" in listing.splitlines()


def _written(name: str, path: str, file: File | None, text: str, why: str) -> tuple[Write, ...]:
    before = file.content if file else None
    after = text.encode()
    return (Write(name, path, before, after, why, 0o644, "root:root"),) if before != after else ()


Rule = tuple[str, ...]  # table, chain, and the words of the rule


def _rules(cluster: Cluster) -> tuple[Rule, ...]:
    """NAT first, then what a FORWARD policy of DROP (Docker's) would stop: out, between nodes, and answers in."""
    bridge = cluster.controller.bridge
    return (
        ("nat", "POSTROUTING", "-s", str(cluster.subnet), "!", "-o", bridge, "-j", "MASQUERADE"),
        ("filter", "FORWARD", "-i", bridge, "-j", "ACCEPT"),
        ("filter", "FORWARD", "-o", bridge, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"),
    )


def _shell_text(rule: Rule) -> str:
    """Add the rule unless it is there: a repair that is repeated must not pile them up."""
    table, *words = rule
    exists, add = (shlex.join(("iptables", "-w", "-t", table, verb, *words)) for verb in ("-C", "-A"))
    return f"{exists} 2>/dev/null || {add}".replace("'!'", "!")


def _ensure(name: str, rule: Rule, why: str) -> Run:
    return Run(name, ("sh", "-c", _shell_text(rule)), why)


def _unit_text(cluster: Cluster) -> str:
    starts = "\n".join(f"ExecStart=/bin/sh -c '{_shell_text(rule)}'" for rule in _rules(cluster))
    return UNIT_TEXT.format(starts=starts)


def _yes(is_so: bool) -> str:  # noqa: FBT001 - it is the whole question
    return "yes" if is_so else "no"
