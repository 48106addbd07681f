"""Steps `swarm` and `labels`: who must be what in the swarm, one fault a row, and what a repair may never do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from harness.actions import JoinSwarm, Run
from harness.errors import ObservationError
from harness.inventory import parse
from harness.model import Check, Verdict
from harness.steps import labels, swarm
from harness.steps.swarm_members import Member, Membership
from tests_harness.fakes import outcomes_of
from tests_harness.fakes_cluster import CLUSTER, HUB, NODES, differences, without
from tests_harness.fakes_docker import MEMBERS, RULES, good_labels, good_swarm, member

Seen = Mapping[str, swarm.State]
READY = ("cnat", "every node is ready")
NONE = Membership("inactive", "", False, "", None, "", "/var/lib/docker")  # noqa: FBT003
DEAD = replace(member("p2"), id="dead", state="down", labels={})
# As Docker says it of a wrong clock: it knows no number then.
BROKEN: dict[str, Any] = {
    "local": "error",
    "id": "",
    "complaint": "x509: certificate has expired or is not yet valid",
}
RUN, JOIN = ("run",), ("join_swarm",)


def judge(seen: Seen) -> list[Check]:
    return list(swarm.judge(seen, CLUSTER))


def listing(*members: Member) -> dict[str, swarm.State]:
    """The good cluster, with these members in place of those with the same number."""
    changed = {one.id: one for one in (*MEMBERS, *members)}
    hub = good_swarm()[HUB]
    return good_swarm() | {HUB: replace(hub, membership=replace(hub.membership, members=tuple(changed.values())))}


def own(name: str, seen: Seen | None = None, **change: object) -> dict[str, swarm.State]:
    """The good cluster, with another word of one machine on its own membership."""
    found = dict(seen or good_swarm())
    found[name] = replace(found[name], membership=replace(found[name].membership, **change))  # type: ignore[arg-type]
    return found


def outside(*names: str, seen: Seen | None = None) -> dict[str, swarm.State]:
    """These machines are in no swarm."""
    found = dict(seen or good_swarm())
    return found | {name: swarm.State(NONE, None, ("22/tcp",), RULES) for name in names}


def unlisted(*names: str) -> dict[str, swarm.State]:
    hub = good_swarm()[HUB]
    members = tuple(one for one in MEMBERS if one.hostname not in names)
    return good_swarm() | {HUB: replace(hub, membership=replace(hub.membership, members=members))}


def path(name: str, **change: object) -> dict[str, swarm.State]:
    return good_swarm() | {name: replace(good_swarm()[name], **change)}  # type: ignore[arg-type]


def test_a_good_swarm_holds_on_every_machine() -> None:
    checks = judge(good_swarm())
    assert differences(checks) == {}
    assert {check.node for check in checks} == set(CLUSTER.names)


IN = "in the swarm of cnat"
P1 = member("p1")
FAULTS: dict[str, tuple[Seen, Mapping[tuple[str, str], tuple[str, ...]]]] = {
    "bare": (
        outside(*CLUSTER.names),
        {("cnat", "manages the swarm"): RUN} | {(name, IN): JOIN for name in NODES},
    ),
    "one left": (
        outside("p2", seen=listing(replace(member("p2"), state="down"))),
        {("p2", IN): JOIN, ("p2", "other entries of its name"): RUN, READY: ()},
    ),
    "one never joined": (outside("p2", seen=unlisted("p2")), {("p2", IN): JOIN, READY: ()}),
    "down": (listing(replace(P1, state="down")), {("p1", "state in the swarm"): JOIN, READY: ()}),
    "pending": (own("p1", local="pending"), {("p1", IN): JOIN}),
    "of another swarm": (unlisted("p1"), {("p1", IN): (), READY: ()}),
    "of another swarm, and its old entry is dead": (
        own("p1", id="other", seen=listing(replace(P1, state="down"))),
        {("p1", IN): (), ("p1", "other entries of its name"): (), READY: ()},
    ),
    "its swarm part does not start, and its own entry is down": (
        own("p1", **BROKEN, seen=listing(replace(P1, state="down"))), {("p1", IN): (), READY: ()},
    ),
    "its swarm part does not start, and one of two entries is its own": (
        own("p2", **BROKEN, seen=listing(DEAD, replace(member("p2"), state="down"))),
        {("p2", IN): (), ("p2", "other entries of its name"): (), READY: ()},
    ),
    "its swarm part is only about to start": (own("p1", **BROKEN | {"local": "pending"}), {("p1", IN): ()}),
    "its swarm part is locked": (own("p1", **BROKEN | {"local": "locked"}), {("p1", IN): ()}),
    "drained": (listing(replace(P1, availability="drain")), {("p1", "availability"): RUN}),
    "controller drained": (listing(replace(member(HUB), availability="drain")), {("cnat", "availability"): RUN}),
    "a second manager": (listing(replace(P1, role="manager")), {("p1", "role"): RUN}),
    "another leader": (
        listing(replace(P1, role="manager", is_leader=True), replace(member(HUB), is_leader=False)),
        {("p1", "role"): RUN, ("cnat", "leader of the swarm"): RUN},
    ),
    "a dead namesake": (listing(DEAD), {("p2", "other entries of its name"): RUN}),
    "a living namesake": (listing(replace(DEAD, state="ready")), {("p2", "other entries of its name"): ()}),
    "another address": (own("p1", address="192.168.0.9"), {("p1", "address in the swarm"): ()}),
    "an old host name": (listing(replace(P1, hostname="raspberrypi")), {("p1", "name in the swarm"): (), READY: ()}),
    "the address of the other network": (
        listing(replace(member(HUB), advertised="192.168.0.25:2377")), {("cnat", "advertised address"): ()},
    ),
    "an unreachable manager": (
        listing(replace(member(HUB), reachability="unreachable")), {("cnat", "manager is reachable"): ()},
    ),
    "no leader": (
        own(HUB, members=None, complaint="The swarm does not have a leader."),
        {("cnat", "swarm has a leader"): ()} | {(name, IN): () for name in NODES},
    ),
    "locked": (
        own(HUB, members=None, local="locked", is_manager=False),
        {("cnat", "manages the swarm"): ()} | {(name, IN): () for name in NODES},
    ),
    "the controller lost its swarm, the others did not": (
        outside(HUB), {("cnat", "manages the swarm"): ()} | {(name, IN): () for name in NODES},
    ),
    "a certificate that ends": (path("p3", certificate=13 * 86_400), {("p3", "certificate is good"): ()}),
    "a certificate that has ended": (path("p3", certificate=-86_400), {("p3", "certificate is good"): ()}),
    "gossip is dropped": (
        path("p3", rules=RULES + "-A INPUT -p udp -m udp --dport 7946 -j DROP\n"),
        {("p3", "firewall lets the swarm in"): ()},
    ),
    "one is dropped by all others": (
        path("p3", rules=RULES + "-A INPUT -s 172.19.181.1/32 -j DROP\n"), {("p3", "firewall lets the swarm in"): ()},
    ),
    "a shut door": (path("p3", shut=("cnat:2377",)), {("p3", "gets through to the others"): ()}),
    "nobody listens": (path("p3", listens=("22/tcp",)), {("p3", "listens for the others"): ()}),
}  # fmt: skip


@pytest.mark.parametrize(("seen", "want"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_differs_exactly_there(seen: Seen, want: dict[tuple[str, str], tuple[str, ...]]) -> None:
    checks = judge(seen)
    assert differences(checks) == want
    assert all(check.fix or check.by_hand for check in checks if not check.holds)


def test_a_swarm_part_that_does_not_start_says_why_and_what_to_do() -> None:
    (check,) = [check for check in judge(own("p1", **BROKEN)) if (check.node, check.aspect) == ("p1", IN)]
    assert check.seen == f"no: Docker's swarm part does not start (error: {BROKEN['complaint']})"
    assert "clock" in check.by_hand
    assert "systemctl restart docker" in check.by_hand
    assert "leave" not in check.by_hand


def test_a_stranger_on_the_list_is_only_worth_an_advice() -> None:
    checks = judge(listing(replace(DEAD, hostname="old-pi")))
    assert differences(checks) == {}
    assert [check.seen for check in checks if not check.holds] == ["old-pi (down, dead)"]


@pytest.mark.parametrize(("locks", "seen"), [(True, ["no"]), (False, ["yes"]), (None, [])])
def test_a_swarm_that_waits_for_a_key_after_a_reboot_is_worth_an_advice(locks: bool | None, seen: list[str]) -> None:  # noqa: FBT001
    found = [check for check in judge(own(HUB, locks=locks)) if check.aspect == "swarm comes back by itself"]
    assert [check.seen.partition(":")[0] for check in found] == seen
    for check in found:
        (fix,) = check.fix
        assert isinstance(fix, Run)
        assert (check.node, check.level) == (HUB, "advice")
        assert fix.argv == ("docker", "swarm", "update", "--autolock=false")


def test_a_demoted_controller_is_promoted_by_a_machine_that_manages() -> None:
    seen = own("p1", is_manager=True, members=MEMBERS, seen=own(HUB, is_manager=False, members=None))
    (check,) = [check for check in judge(seen) if check.aspect == "manages the swarm"]
    (action,) = check.fix
    assert isinstance(action, Run)
    assert (action.node, action.argv[-1]) == ("p1", "id-cnat")


def test_no_action_leaves_forces_or_prunes_and_only_dead_entries_are_removed() -> None:
    actions = [action for seen, _ in FAULTS.values() for check in judge(seen) for action in check.fix]
    runs = [action for action in actions if isinstance(action, Run)]
    words = {word for action in runs for argument in action.argv for word in argument.split()}
    assert words & {"leave", "--force", "-f", "--force-new-cluster", "prune", "drain", "--rotate"} <= {"-f"}
    removed = {action.argv[-1] for action in runs if "rm" in action.argv}
    assert removed == {"dead", "id-p2"}


def test_no_action_has_a_token() -> None:
    actions = [action for seen, _ in FAULTS.values() for check in judge(seen) for action in check.fix]
    (join,) = {action for action in actions if isinstance(action, JoinSwarm) and action.node == "p1"} & {
        JoinSwarm("p1", "cnat", "172.19.181.1", "172.19.181.254:2377", "have p1 work for the swarm of cnat")
    }
    assert "SWMTKN" not in str(actions)
    assert join.limit > 0


def test_a_machine_that_gives_no_answer_makes_the_whole_differ_and_stops_nobody() -> None:
    seen = without(listing(replace(member("p2"), state="down")), "p2")
    found = {str(one.place): one for one in outcomes_of(swarm, seen, CLUSTER)}
    assert {where: str(one.verdict) for where, one in found.items() if one.verdict is not Verdict.OK} == {
        "swarm[cnat]": "differs", "swarm[p2]": "unknown",
    }  # fmt: skip
    assert "p2 down" in found["swarm[cnat]"].reason
    assert found["swarm[cnat]"].lets_on
    assert not found["swarm[p2]"].lets_on


def test_a_difference_of_the_controller_itself_stops_the_others() -> None:
    seen = listing(replace(member(HUB), availability="drain"), replace(member("p2"), state="down"))
    (hub,) = [one for one in outcomes_of(swarm, seen, CLUSTER) if str(one.place) == "swarm[cnat]"]
    assert not hub.lets_on


def labelled(change: Callable[[Member], Member], *names: str) -> dict[str, labels.State]:
    (state,) = good_labels().values()
    return {HUB: labels.State(tuple(change(one) if one.hostname in names else one for one in state.members))}


def with_labels(**wanted: str) -> Callable[[Member], Member]:
    return lambda one: replace(one, labels=wanted)


ADD, RM = "--label-add", "--label-rm"


@pytest.mark.parametrize(
    ("seen", "want"),
    [
        pytest.param(good_labels(), {}, id="as documented"),
        pytest.param(labelled(with_labels(), "p2"), {"p2": [(ADD, "service=web", "id-p2")]}, id="lost"),
        pytest.param(
            labelled(with_labels(service="sql"), "p2"), {"p2": [(ADD, "service=web", "id-p2")]}, id="wrong value"
        ),
        pytest.param(
            labelled(with_labels(service="web"), HUB), {"cnat": [(ADD, "service=sql", "id-cnat")]}, id="controller"
        ),
        pytest.param(labelled(with_labels(service="web", mine="1"), "p2"), {}, id="a label of somebody else"),
        pytest.param(
            {HUB: labels.State((*MEMBERS, replace(DEAD, hostname="old", labels={"service": "web"})))},
            {"cnat": [(RM, "service", "dead")]}, id="on a stranger",
        ),
        pytest.param({HUB: labels.State((*MEMBERS, DEAD))}, {}, id="a dead namesake does not count"),
        pytest.param(
            {HUB: labels.State((*MEMBERS, replace(DEAD, state="ready")))},
            {"p2": [(ADD, "service=web", "dead")]}, id="a living namesake is labelled by its own number",
        ),
        pytest.param(
            labelled(lambda one: replace(one, hostname="x"), "p2"),
            {"p2": [], "cnat": [(RM, "service", "id-p2")]}, id="not in the swarm",
        ),
        pytest.param(
            labelled(lambda one: replace(one, hostname="P2", address=str(CLUSTER.address("p2"))), "p2"),
            {"p2": []}, id="under another name: its tasks are not taken from it",
        ),
    ],
)  # fmt: skip
def test_each_label_stands_where_the_runbook_says_and_nowhere_else(
    seen: Mapping[str, labels.State], want: dict[str, list[tuple[str, ...]]]
) -> None:
    failing = [check for check in labels.judge(seen, CLUSTER) if not check.holds]
    found = {
        check.node: [action.argv[3:] for action in check.fix if isinstance(action, Run) and action.node == HUB]
        for check in failing
    }
    assert found == want


def test_the_inventory_may_place_otherwise() -> None:
    tables: dict[str, object] = {"swarm": {"label": "role", "placement": {"db": ["p4"], "web": ["p1", "p2"]}}}
    cluster = parse(tables, "x", CLUSTER.folder)
    assert [cluster.label_of(name) for name in cluster.names] == [None, "web", "web", None, "db"]
    seen = {HUB: labels.State(tuple(replace(one, labels={"role": "db"}) for one in MEMBERS))}
    fixes = {
        check.node: [one.argv[3:5] for one in check.fix if isinstance(one, Run)]
        for check in labels.judge(seen, cluster)
    }
    assert fixes["p4"] == []
    assert fixes["p3"] == [(RM, "role")]
    assert fixes["p1"] == [(ADD, "role=web")]


def test_nothing_is_concluded_of_a_controller_that_did_not_answer() -> None:
    assert list(labels.judge({}, CLUSTER)) == []
    assert judge(without(good_swarm(), HUB)) == []


def test_a_node_is_not_judged_where_the_controller_gave_no_answer() -> None:
    class Nobody:
        name, cluster = "p1", CLUSTER

    with pytest.raises(ObservationError, match="only cnat knows the swarm") as caught:
        swarm.look_again(Nobody(), without(good_swarm(), HUB))  # type: ignore[arg-type]
    assert caught.value.via == HUB
