"""Part of step `fail2ban`: the jails have the documented values, and the server those of its files; pure."""

from __future__ import annotations

from dataclasses import fields
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, NamedTuple

from harness.actions import Action
from harness.model import Check
from harness.step import expect
from harness.steps import fail2ban_fixes as fixes
from harness.steps.fail2ban_fixes import AUTH_LOG, IGNORE_SITE, OWN_LOG
from harness.steps.fail2ban_look import JAILS, Server, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.node import File

JOURNAL = "the journal"
ALWAYS_IGNORED = ("127.0.0.1/8", "::1")


class Value(NamedTuple):
    """One documented value of a jail, and whether the one that was seen will do."""

    aspect: str
    want: str
    seen: str
    holds: bool


def values(jail: str, seen: Settings) -> Iterator[Value]:
    """What the runbook says of this jail."""
    if jail == "sshd":
        if seen.actions:  # which have the port
            yield _value("sshd port", "22", seen.ports)
        yield _value("sshd maxretry", 5, seen.maxretry)
        yield _value("sshd bantime", 120, seen.bantime)
        # A person may have it send mail, too.
        yield Value("sshd action", "iptables", ", ".join(seen.actions) or "none", "iptables" in seen.actions)
        # sshd writes the same words there, and without a syslog daemon only there.
        yield Value("sshd log", f"{AUTH_LOG} or {JOURNAL}", _logs(seen), seen.logs in {(AUTH_LOG,), ()})
    else:
        yield _value("recidive bantime", 3600, seen.bantime)
        yield Value("recidive action", "any", ", ".join(seen.actions) or "none", bool(seen.actions))
        yield _value("recidive log", OWN_LOG, _logs(seen))


def are_right(planned: Mapping[str, Settings]) -> bool:
    """Whether files that plan this need no change."""
    return all(jail in planned and all(value.holds for value in values(jail, planned[jail])) for jail in JAILS)


def judge_values(name: str, server: Server, fix: tuple[Action, ...], by_hand: str) -> Iterator[Check]:
    """Each documented value, as the server has it."""
    for jail in JAILS:
        settings = server.settings.get(jail)
        is_on = "yes" if settings else "no"
        yield expect(name, f"jail {jail} is on", want="yes", seen=is_on, fix=fix, by_hand=by_hand)
        for value in values(jail, settings) if settings else ():
            mend = () if value.holds else fix
            yield Check(name, *value, fix=mend, by_hand="" if mend else by_hand)


def judge_agreement(
    name: str, server: Server, planned: Mapping[str, Settings], fix: tuple[Action, ...]
) -> Iterator[Check]:
    """The server has what its files say: nobody edited without a reload, or set a value by hand."""
    seen = list(_disagreements(server.settings, planned))
    yield expect(name, "server has what its files say", want="yes", seen="; ".join(seen) or "yes", fix=fix)


def _disagreements(running: Mapping[str, Settings], planned: Mapping[str, Settings]) -> Iterator[str]:
    for jail in JAILS:
        if jail in running and jail in planned:
            # The orders of its actions are judged by what they do: fail2ban_orders.py.
            for field in (one for one in fields(Settings) if one.name != "orders"):
                now, then = getattr(running[jail], field.name), getattr(planned[jail], field.name)
                is_moot = field.name == "ports" and running[jail].actions != planned[jail].actions
                if now != then and not is_moot:
                    yield f"{jail} {field.name}: {_shown(now)}, in the files {_shown(then)}"
        elif jail in running or jail in planned:
            yield f"{jail}: only {'runs' if jail in running else 'in the files'}"


STRANGERS = IPv4Network("192.0.2.0/24")  # nobody's (RFC 5737)


def is_to_be_rebuilt(server: Server, planned: Mapping[str, Settings] | None) -> bool:
    """Whether an action must be added, which a reload does not do, or told anew, with the bans that it has."""
    wanted = {jail: settings.actions for jail, settings in (planned or {}).items()}
    orders = {jail: settings.orders for jail, settings in (planned or {}).items()}
    return any(
        not settings.actions or settings.actions != wanted.get(jail, settings.actions)
        or settings.orders != orders.get(jail, settings.orders)
        or not all(value.holds for value in values(jail, settings) if value.aspect.endswith("action"))
        for jail, settings in server.settings.items()
    )  # fmt: skip


def judge_ignored(name: str, server: Server, files: Mapping[str, File], cluster: Cluster) -> Iterator[Check]:
    """A stranger can be banned; and, as advice, no machine of the cluster, for that would cut off MPI and ourselves."""
    blind = [jail for jail in server.ignored if _covers(server.ignored[jail], STRANGERS)]
    seen = f"not by {', '.join(blind)}: ignoreip has them" if blind else "yes"
    yield expect(
        name, "strangers can be banned", want="yes", seen=seen,
        by_hand="take that network out of ignoreip in /etc/fail2ban and `sudo fail2ban-client reload`",
    )  # fmt: skip
    short = [jail for jail in server.ignored if not _covers(server.ignored[jail], cluster.subnet)]
    wanted = {
        jail: {"ignoreip": " ".join(dict.fromkeys((*(server.ignored[jail] or ALWAYS_IGNORED), str(cluster.subnet))))}
        for jail in short
    }
    yield expect(
        name, "no jail may ban the cluster", want="yes", seen=f"{', '.join(short)} may" if short else "yes",
        level="advice",
        fix=(
            *fixes.with_options(name, IGNORE_SITE, files, wanted, "never ban the cluster itself"),
            fixes.go(name, fixes.RELOAD),
        ),
    )  # fmt: skip


def _covers(ignored: tuple[str, ...], subnet: IPv4Network) -> bool:
    # fail2ban shows 0.0.0.0/0 without its prefix, and no machine has that address.
    networks = (text if text != "0.0.0.0" else "0.0.0.0/0" for text in ignored)  # noqa: S104 - nobody binds here
    return any(subnet.subnet_of(IPv4Network(text, strict=False)) for text in networks if _is_network(text))


def _is_network(text: str) -> bool:
    try:
        IPv4Network(text, strict=False)
    except ValueError:
        return False
    return True


def _value(aspect: str, want: object, seen: object) -> Value:
    return Value(aspect, str(want), str(seen), want == seen)


def _logs(seen: Settings) -> str:
    return ", ".join(seen.logs) or JOURNAL


def _shown(value: object) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value)
