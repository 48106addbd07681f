"""Part of step `fail2ban`: what a look sees of the running server and of its files; asks, and changes nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.parse import fail2ban as words
from harness.parse.ban_orders import FOLLOWED, PROPERTIES
from harness.steps.fail2ban_knock import Heard, knock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.node import NodeAccess

JAILS = ("sshd", "recidive")
GETS = ("maxretry", "bantime", "findtime", "actions", "logpath", "ignoreip")
FAILURES = "get sshd failregex"
# What stands in the filter of the modes that count a connection without a login, and in no other (sshd.conf).
VISITOR = "Did not receive identification string"
# One client for all questions: on a Pi each start of Python costs about a second.
TALK = "printf %%s %s | timeout 15 fail2ban-client -i"
TIMED_OUT = 124
# sshd's own words for a wrong password, from an address that is nobody's (RFC 5737); and what stands before them where
# no line of this machine is there to be looked at.
FAILURE = "Failed password for invalid user admin from 192.0.2.1 port 4242 ssh2"
PREFIX = "Nov 22 16:00:00 cnat sshd[4242]: "
LOST = "no: not of a connection that was made just now"
# At these sshd does not say who fails to log in either; `sshd -T` calls QUIET by its older name, SILENT.
LOG_LEVEL = re.compile(r"^loglevel (SILENT|QUIET|FATAL|ERROR)$", re.IGNORECASE | re.MULTILINE)
STAMP = re.compile(r"^[-0-9]{10} [0-9:,]{12} \S+ +\[[0-9]+\]: ")
LONGEST = 300


Orders = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Settings:
    """One jail, as the server runs it or as the files would set it; times in seconds.

    `logs` is empty where the jail reads the journal; `ports` are those of its first action that has any. `orders` are
    what each action is told: its name, then the property, like actionban, then a text.
    """

    maxretry: int
    bantime: int
    findtime: int
    actions: tuple[str, ...]
    ports: str
    logs: tuple[str, ...]
    orders: Orders


@dataclass(frozen=True)
class Server:
    """A server that answers: all its jails with the addresses they ban, and the documented ones in full.

    `counts_visits` says whether jail sshd takes a mere connection for a failed login (mode ddos or aggressive).
    """

    banned: dict[str, tuple[str, ...]]
    settings: dict[str, Settings]
    ignored: dict[str, tuple[str, ...]]
    level: str
    target: str
    counts_visits: bool


@dataclass(frozen=True)
class Daemon:
    """fail2ban where it is installed.

    `complaint` is what its own test says against its files (empty: it passes); then `planned` is None, else it is
    what they would set. `server` is None where none answers. `catches` says whether the filter works. `reaches` says
    whether a line that sshd has just written came where the running jail reads (None: none runs): "yes", or why not.
    """

    complaint: str
    planned: dict[str, Settings] | None
    server: Server | None
    catches: str
    reaches: str | None


def look_at(node: NodeAccess) -> Daemon:
    """All of it; the filter is tried on a line as this machine writes them."""
    complaint = try_files(node)
    planned, server = None if complaint else ask_files(node), ask_server(node)
    jail = server.settings.get("sshd") if server else None
    heard = None
    if server and jail:
        match = () if jail.logs else _ask_match(node)
        heard = knock(node, jail.logs, match, is_counted=server.counts_visits)
    prefix = heard.prefix if heard and heard.line else PREFIX
    return Daemon(complaint, planned, server, try_filter(node, prefix), why_not(node, heard) if heard else None)


def why_not(node: NodeAccess, heard: Heard) -> str:
    """Whether a line of sshd's came where the jail reads: "yes", or why it did not."""
    if heard.trouble:
        return f"sshd gave no greeting at {heard.trouble}"
    if heard.line:
        return "yes"
    level = LOG_LEVEL.search(node.run("sshd -T", root=True)[1])
    return f"no: sshd has LogLevel {level[1]}" if level else LOST


def _ask_match(node: NodeAccess) -> tuple[str, ...]:
    return words.journal_match(_talk_on(node, ("get sshd journalmatch",))[0])


def ask_server(node: NodeAccess) -> Server | None:
    """What the server says; None where there is none, or it does not answer in time."""
    gets = (f"get {j} {g}" for j in JAILS for g in GETS)
    questions = ("ping", "status", "get loglevel", "get logtarget", FAILURES, *gets)
    said = _talk(node, questions)
    if not said or "pong" not in said[0]:
        return None
    jails = words.jails(said[1])
    answers = dict(zip(questions, said, strict=True))
    known = tuple(jail for jail in JAILS if jail in jails)
    actions = {jail: words.actions(answers[f"get {jail} actions"]) for jail in known}
    bans, orders = _ask_more(node, jails, actions)
    return Server(
        bans,
        {jail: _settings(jail, answers, actions[jail], orders[jail]) for jail in known},
        {jail: words.ignored(answers[f"get {jail} ignoreip"]) for jail in known},
        words.level(said[2]),
        words.target(said[3]),
        VISITOR in answers[FAILURES],
    )


def _talk(node: NodeAccess, questions: Sequence[str]) -> tuple[str, ...]:
    if not questions:
        return ()
    code, out, _ = node.run(TALK, "\n".join((*questions, "quit", "")), root=True)
    return () if code == TIMED_OUT else words.answers(out, len(questions))


def _ask_more(
    node: NodeAccess, jails: Sequence[str], actions: dict[str, tuple[str, ...]]
) -> tuple[dict[str, tuple[str, ...]], dict[str, Orders]]:
    """Whom each jail bans, and what the actions of each documented one are told: who they are is known only now."""
    status = [f"status {jail}" for jail in jails]
    named = [(jail, action) for jail, names in actions.items() for action in names]
    has = _properties(node, [(jail, action) for jail, action in named if action not in FOLLOWED])
    places = [(*one, what) for one in named for what in PROPERTIES if one not in has or what in has[one]]
    said = _talk_on(node, (*status, *(f"get {jail} action {action} {what}" for jail, action, what in places)))
    bans = {jail: words.jail(answer).banned for jail, answer in zip(jails, said, strict=False)}
    orders: dict[str, Orders] = {jail: {action: {} for action in names} for jail, names in actions.items()}
    for (jail, action, what), answer in zip(places, said[len(status) :], strict=True):
        order = words.order(answer)
        orders[jail][action] |= {what: order} if order is not None else {}
    return bans, orders


def _properties(node: NodeAccess, named: Sequence[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, ...]]:
    """What each action of a jail can be asked for: a question for anything else is an error in the server's log."""
    said = _talk_on(node, [f"get {jail} actionproperties {action}" for jail, action in named])
    return dict(zip(named, map(words.properties, said), strict=True))


def _talk_on(node: NodeAccess, questions: Sequence[str]) -> tuple[str, ...]:
    said = _talk(node, questions)
    if len(said) < len(questions):
        raise ObservationError(f"{node.name}: fail2ban's server answered, and then no more")
    return said


def _settings(jail: str, answers: dict[str, str], actions: tuple[str, ...], orders: Orders) -> Settings:
    maxretry, bantime, findtime = (
        words.number(answers[f"get {jail} {name}"]) for name in ("maxretry", "bantime", "findtime")
    )
    # Mail, which may come first, goes to no port.
    ports = next((_plain(words.ports(orders[action]["port"])) for action in actions if "port" in orders[action]), "")
    return Settings(
        maxretry, bantime, findtime, actions, ports, words.log_paths(answers[f"get {jail} logpath"]), orders
    )


def try_files(node: NodeAccess) -> str:
    """What the server's own test says against the files; empty where it passes.

    A question of its own: together with `-d` the test lets a missing log pass.
    """
    code, _, err = node.run("fail2ban-client -t", root=True)
    lines = [STAMP.sub("", line) for line in err.splitlines() if " WARNING " not in line]
    return " ".join(" ".join(lines).split())[:LONGEST] or f"exit {code}" if code else ""


def ask_files(node: NodeAccess) -> dict[str, Settings]:
    """The documented jails as the files would set them; one that they do not switch on is not there."""
    text = node.ask("fail2ban-client -d", root=True)
    found, orders = words.dump(text), words.orders(text)
    return {jail: _planned(found[jail], orders.get(jail, {})) for jail in JAILS if jail in found}


def _planned(said: dict[str, tuple[str, ...]], told: Orders) -> Settings:
    # What is set twice counts as it was set last.
    maxretry, bantime, findtime = (words.seconds(said[name][-1]) for name in ("maxretry", "bantime", "findtime"))
    ports = _plain(said["port"][0]) if said.get("port") else ""
    orders = {action: {what: text.strip() for what, text in all_told.items() if what in PROPERTIES}
              for action, all_told in told.items()}  # fmt: skip
    return Settings(maxretry, bantime, findtime, said.get("addaction", ()), ports, said.get("addlogpath", ()), orders)


def _plain(ports: str) -> str:
    return "22" if ports == "ssh" else ports


def try_filter(node: NodeAccess, prefix: str) -> str:
    """Whether the filter of jail sshd takes a real failed login for one: "yes", "no", or why it cannot be used."""
    code, out, err = node.run("fail2ban-regex %s sshd", prefix + FAILURE, root=True)
    if code and "Lines:" not in out:
        lines = (STAMP.sub("", line) for line in (*err.splitlines(), *out.splitlines()))
        return next((line for line in lines if "ERROR" in line), f"exit {code}")[:LONGEST]
    return "yes" if words.matched(out) else "no"
