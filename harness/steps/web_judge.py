"""Part of step `web`: what each machine's pages and logins must be, and which other step is to blame. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from harness.model import Check
from harness.parse.excerpt import excerpt
from harness.step import expect
from harness.steps.web_containers import NOT_HERE
from harness.steps.web_look import HOST
from harness.steps.web_visit import is_ours

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from harness.inventory import Cluster
    from harness.steps.web_look import Inside, Service
    from harness.steps.web_visit import Answer, Trial, Visit

UNAUTHORIZED, BROKEN = 401, 500
OTHER_BUILD = (
    "blame `images`: this is another site than the source's, or an old one; build and push the image, and "
    "`docker service update --force --image IMAGE SERVICE`; where only this container was changed (`docker diff` shows "
    "it), `docker rm -f` it, and the swarm makes a new one"
)
Pages = tuple[tuple["Inside", ...], tuple["Visit", ...]]  # from inside, from outside


class Hub(Protocol):
    """What the controller saw of the whole."""

    @property
    def service(self) -> Service | None:
        """How the site is published."""

    @property
    def source(self) -> str:
        """The build of its source."""

    @property
    def obstacle(self) -> str:
        """Why there is no routing mesh."""


def judge_service(hub: str, service: Service | None, cluster: Cluster) -> Check:
    """There is one, and it can be reached from outside."""
    found = f"no service {cluster.web_service}" if service is None else ""
    if service and not service.ports:
        found = f"port {cluster.web.port} of its tasks is not published"
    return expect(hub, "site is published", want="yes", seen=found or "yes", by_hand="blame `stack`")


def judge_presence(hub: str, answered: Container[str], cluster: Cluster) -> Check:
    """Of a machine that is not there nobody says anything below its own name, so it is said of the whole."""
    placed = [name for name in cluster.names if cluster.label_of(name) == "web"]
    gone = [name for name in placed if name not in answered]
    seen = f"not {', '.join(gone)}" if gone else "all"
    by_hand = f"each could not be asked: the first step that does not hold on {', '.join(gone)} says why"
    return Check(hub, "machines that serve the site", "all", seen, not gone, by_hand=by_hand, stops=False)


def judge_mesh(hub: str, service: Service, obstacle: str, cluster: Cluster) -> Iterator[Check]:
    """Whether the controller's address answers is asked only where it can: what was not asked is not called good."""
    for one in service.ports:
        if one.mode != HOST and not obstacle:
            continue  # visited like any other
        reason = f"it is published in {one.mode} mode" + (f", for {obstacle}" if obstacle else "")
        where = f"{cluster.controller.address}:{one.port}"
        yield Check(
            hub, f"page at {where}", "a page of the site, through the routing mesh", f"skipped: {reason}", holds=False,
            level="advice", by_hand="a kernel with IP_VS, and ingress mode in the stack's file, would make it answer",
        )  # fmt: skip


def judge_machine(
    name: str,
    tasks: Sequence[str],
    inside: Sequence[Inside],
    visits: Sequence[Visit],
    hub: Hub,
    cluster: Cluster,
) -> Iterator[Check]:
    """One machine: whether it runs the site, its tasks' own pages, and what a visitor meets."""
    is_placed = cluster.label_of(name) == "web"
    yield expect(
        name,
        "runs the site",
        want="yes" if is_placed else "no",
        seen="yes" if tasks else "no",
        by_hand=NOT_HERE,
    )
    for one in inside:
        seen = one.complaint or one.said.build or f"no build (title {excerpt(one.said.title)})"
        by_hand = f"`docker logs {one.container}` here; blame `replicas`" if one.complaint else OTHER_BUILD
        yield expect(name, "build of its task", want=hub.source, seen=seen, by_hand=by_hand)
    for visit in visits:
        yield from _judge_visit(name, visit, inside, hub, cluster)


def _judge_visit(name: str, visit: Visit, inside: Sequence[Inside], hub: Hub, cluster: Cluster) -> Iterator[Check]:
    want = f"{cluster.web.application} {hub.source}"
    yield expect(
        name, f"page at {visit.where}", want=want, seen=_page(visit.start, cluster),
        by_hand=_blame_page(name, visit.start, inside, hub, cluster),
    )  # fmt: skip
    if visit.form is None:
        return
    if visit.is_own and visit.start.said.task:
        yield expect(
            name, f"task behind {visit.where}", want=name, seen=visit.start.said.task,
            by_hand="another machine's task answers here: two machines have one address; blame `network`",
        )  # fmt: skip
    fields = ", ".join(sorted(set(visit.form.said.fields))) or _page(visit.form, cluster)
    yield expect(name, f"login form at {visit.where}", want="form, login, password", seen=fields, by_hand=OTHER_BUILD)
    if visit.signed_in and visit.then:
        yield _judge_login(name, visit, visit.signed_in, visit.then, cluster)


def _judge_login(name: str, visit: Visit, signed_in: Answer, then: Answer, cluster: Cluster) -> Check:
    login = cluster.web.login
    return expect(
        name, f"{login} signs in at {visit.where}", want=f"303 to index.php, then {login} is signed in",
        seen=f"{_status(signed_in)}, then {then.said.login or 'nobody'} is signed in", by_hand=_blame_login(signed_in),
    )  # fmt: skip


def judge_trial(hub: str, trial: Trial | None, cluster: Cluster) -> Iterator[Check]:
    """The seeded user is let in, and a wrong password is not; said of the site as a whole."""
    login = cluster.web.login
    visit = trial.visit if trial else None
    seen = "not tried: no address has a login form"
    if visit and visit.signed_in and visit.then:
        seen = f"{_status(visit.signed_in)}, then {visit.then.said.login or 'nobody'} is signed in"
    yield expect(
        hub, f"{login} signs in", want=f"303 to index.php, then {login} is signed in", seen=seen,
        by_hand=_blame_login(visit.signed_in) if visit and visit.signed_in else "see what is said of the pages",
    )  # fmt: skip
    if trial and trial.refused and trial.after:
        status = trial.refused.status
        seen = str(status) if status == UNAUTHORIZED else _status(trial.refused)
        yield expect(
            hub, "wrong password", want="401, then nobody is signed in",
            seen=f"{seen}, then {trial.after.said.login or 'nobody'} is signed in", by_hand=_blame_login(trial.refused),
        )  # fmt: skip


def judge_builds(hub: str, machines: Mapping[str, Pages]) -> Check:
    """All tasks and all addresses serve one site; what gives no build has its own line."""
    found: dict[str, list[str]] = {}
    for name, (inside, visits) in machines.items():
        for build in {one.said.build for one in inside} | {one.start.said.build for one in visits}:
            found.setdefault(build, []).append(name)
    found.pop("", None)
    told = "; ".join(f"{build} on {', '.join(names)}" for build, names in sorted(found.items()))
    return Check(
        hub, "one build everywhere", "one build", "one build" if len(found) == 1 else told or "no page with a build",
        len(found) == 1, by_hand="blame `images`: the machines have different copies of one tag", stops=False,
    )  # fmt: skip


def _page(answer: Answer, cluster: Cluster) -> str:
    """What came, in the words of what is wanted."""
    said = answer.said
    if is_ours(answer, cluster):
        return f"{said.application} {said.build}"
    if not answer.status:
        return f"no answer: {answer.complaint}"
    if said.application == cluster.web.application:
        return _status(answer)
    return f"{_status(answer)}, not a page of {cluster.web.application} (title {excerpt(said.title)})"


def _status(answer: Answer) -> str:
    if not answer.status:
        return f"no answer: {answer.complaint}"
    where = f" to {answer.location}" if answer.location else ""
    return f"{answer.status}{where}" + (f": {answer.said.problem}" if answer.said.problem else "")


def _blame_page(name: str, answer: Answer, inside: Sequence[Inside], hub: Hub, cluster: Cluster) -> str:
    """By what the task says from inside: it is well, and the way to it is not; or it is ill itself."""
    is_well = any(one.said.application == cluster.web.application for one in inside)
    is_meshed = hub.service is not None and any(one.mode != HOST for one in hub.service.ports)
    if hub.obstacle and is_meshed:
        return (
            f"blame `stack`: the port is published through the routing mesh, but {hub.obstacle}; publish in host mode"
        )
    if not inside:
        return _blame_absence(name, cluster, is_meshed=is_meshed)
    if is_well and not answer.status:
        return "its task answers inside its container: `sudo iptables -L -n`, and restart Docker here; blame `stack`"
    if is_well and answer.status and answer.said.application != cluster.web.application:
        return "its task is well, so another program holds the port: `sudo ss -ltnp` here"
    if not answer.status:
        return "`docker logs` of the task here; blame `replicas`"
    return OTHER_BUILD


def _blame_absence(name: str, cluster: Cluster, *, is_meshed: bool) -> str:
    """A machine without a task answers by the mesh or not at all; some kernels have all of it, and it is dead."""
    replicas = "blame `replicas`: no task of the site runs here"
    if not is_meshed:
        return replicas
    mesh = "the routing mesh does not carry it: publish in host mode (step `stack`)"
    return f"{mesh}; and {replicas}" if cluster.label_of(name) == "web" else mesh


def _blame_login(answer: Answer) -> str:
    if answer.status >= BROKEN or not answer.status:
        return "blame `database`"
    if answer.status == UNAUTHORIZED:
        return "the password is another one: write it into [[database.users]] of the inventory; else blame `database`"
    return "the log of the task here; blame `images`"
