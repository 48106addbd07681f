"""Records that the tests of the report share, and the tables of hostile text."""

from __future__ import annotations

from dataclasses import replace

from harness.actions import Action, Boot, Run, Write
from harness.model import Check, Done, Mode, Outcome, Place, Record, Verdict

HOSTS = b"127.0.0.1\tlocalhost\n172.19.181.1\tpi1\n172.19.181.9\tpi2\n"
GOOD_HOSTS = b"127.0.0.1\tlocalhost\n172.19.181.1\tpi1\n172.19.181.2\tpi2\n"

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": '"><img src=x onerror=alert(1)>',
    "cdata": "]]>",
    "comment": "--><!-- <style>*{display:none}</style>",
    "template": "{{ 7 * 7 }}{% raw %}",
    "markup": "[bold red]x[/] [link=http://example.org]y[/link]",
    "ansi": "\x1b[2J\x1b]0;title\x07\x1b[31mred",
    "c1": "\x9b31mred",
    "nul": "a\x00b",
    "return": "seen\rfaked",
    "surrogate": "\udc80\ud800",
    "override": "\u202eevil\u2066",
    "long": "x" * 100_000,
    "newlines": "\n" * 50_000,
}


def place(text: str) -> Place:
    """`step[node]` as a place."""
    step, _, node = text.removesuffix("]").partition("[")
    return Place(step, node)


def outcome(where: str, verdict: Verdict = Verdict.OK, cause: str = "", reason: str = "") -> Outcome:
    """An outcome without any check."""
    return Outcome(place(where), verdict, reason, place(cause) if cause else None)


def record(*outcomes: Outcome, mode: Mode = "verify") -> Record:
    """A record of just these outcomes."""
    steps = tuple(dict.fromkeys(one.place.step for one in outcomes))
    nodes = tuple(dict.fromkeys(one.place.node for one in outcomes))
    started = "2026-11-22T16:04:05+01:00"
    return Record("lab", mode, started, 42.0, 30.5, nodes, steps, outcomes)


def write_hosts(node: str = "p2") -> Write:
    """A plan for one line of a hosts file."""
    return Write(node, "/etc/hosts", HOSTS, GOOD_HOSTS, "pi2 must be 172.19.181.2")


def wrong_hosts(node: str = "p2", fix: tuple[Action, ...] = ()) -> Check:
    """A difference in a hosts file."""
    return Check(node, "pi2", "172.19.181.2", "172.19.181.9", holds=False, fix=fix or (write_hosts(node),))


def poisoned(text: str) -> Record:
    """A record with one hostile text wherever a node's text may come to stand."""
    octets = text.encode("utf-8", "surrogatepass")
    actions = (
        Write("p1", f"/etc/{text[:50]}", octets, octets + b"\n" + octets, text, 0o600, text[:20]),
        Run("p1", ("echo", text), text, last=True),
        Boot("cnat", "p1", text[:20], "ethpi1", text),
    )
    check = Check("p1", text, text, text, holds=False, fix=actions, by_hand=text)
    advice = replace(check, level="advice")
    bad = Outcome(Place("hosts", "p1"), Verdict.DIFFERS, text, None, (check, advice), (check,), actions)
    mended = Outcome(Place("hosts", "p2"), Verdict.REPAIRED, text, None, (check,), (check,))
    done = tuple(Done(action, text) for action in actions)
    return record(
        bad,
        replace(mended, done=done),
        outcome("hosts[p3]", Verdict.UNKNOWN, reason=text),
        outcome("keys[p1]", Verdict.BLOCKED, "hosts[p1]", text),
        mode="plan",
    )
