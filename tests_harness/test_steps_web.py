"""Step `web`: what a page, a build and a login must be, one fault a row, and which step is blamed for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self, cast

import pytest

from harness.errors import NoAnswer, ObservationError
from harness.http_client import Page
from harness.parse.page import Said
from harness.steps import web
from harness.steps.web_look import Inside, Published, Service
from harness.steps.web_source import SHIPPED, build_of
from harness.steps.web_visit import WRONG, Answer, Trial, Visit, try_first, visit
from tests_harness.appkit import build_of as build_by_the_book
from tests_harness.fakes_app import BUILD, CLUSTER, FIELDS, HUB, NODES, good_web, page, tried, visited
from tests_harness.fakes_cluster import differences, without

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.http_client import Browser
    from harness.model import Check
    from harness.node import NodeAccess

Seen = Mapping[str, web.State]
OBSTACLE = "its kernel has no IP_VS"
PASSWORD = "count-on-the-hat"  # noqa: S105 - documented
REFUSED, SILENT = page(fields=FIELDS, status=401), Answer(0, complaint="nobody takes a connection there")
BROKEN = Answer(503, Said("BlitzCalc", BUILD, problem="The database does not answer; try again in a moment."))
OLD = Said("BlitzCalc", "ba9876543210", "Start", "p2")
SIGN_IN, PAGE = "user signs in", "page at 172.19.181.{}:80"


def judge(seen: Seen) -> list[Check]:
    return list(web.judge(seen, CLUSTER))


def on(name: str, **change: object) -> dict[str, web.State]:
    """The good site, with another state of one machine."""
    return good_web() | {name: replace(good_web()[name], **change)}  # type: ignore[arg-type]


def met(name: str, **change: object) -> dict[str, web.State]:
    """The good site, with another visit to one machine."""
    return on(name, visits=(replace(visited(name), **change),))  # type: ignore[arg-type]


def trial(**change: object) -> dict[str, web.State]:
    return on(HUB, trial=replace(tried(), **change))  # type: ignore[arg-type]


def alone(start: Answer) -> dict[str, object]:
    return {"start": start, "form": None, "signed_in": None, "then": None}


def test_a_good_site_holds_on_every_machine() -> None:
    checks = judge(good_web())
    assert differences(checks) == {}
    assert {check.node for check in checks} == set(CLUSTER.names)


def test_what_the_mesh_would_carry_is_shown_as_skipped_with_its_reason_and_never_called_good() -> None:
    (check,) = [check for check in judge(good_web("host", OBSTACLE)) if not check.holds]
    assert (check.node, check.aspect, check.level) == (HUB, "page at 172.19.181.254:80", "advice")
    assert check.seen == f"skipped: it is published in host mode, for {OBSTACLE}"


def test_through_a_mesh_that_works_the_controller_answers_like_the_others() -> None:
    checks = judge(good_web("ingress"))
    assert all(check.holds for check in checks)
    assert (HUB, "page at 172.19.181.254:80") in {(check.node, check.aspect) for check in checks}


def test_a_mesh_that_cannot_work_is_blamed_on_how_the_stack_is_published() -> None:
    seen = good_web("ingress", OBSTACLE)
    seen |= {name: replace(seen[name], visits=(Visit(f"{name}:80", False, SILENT),)) for name in NODES}  # noqa: FBT003
    found = [check for check in judge(seen) if not check.holds and check.level == "must"]
    assert {check.node for check in found} == set(NODES)
    assert all("blame `stack`" in check.by_hand and OBSTACLE in check.by_hand for check in found)


def test_a_mesh_that_is_dead_on_a_kernel_that_has_all_of_it_is_blamed_where_no_task_runs() -> None:
    """Seen on ARMv6 (moby#47496): `ip_vs` can be loaded, and the mesh carries nothing."""
    seen = good_web("ingress")
    silent = (Visit("172.19.181.254:80", False, SILENT),)  # noqa: FBT003
    seen[HUB] = replace(seen[HUB], visits=silent)
    seen["p2"] = replace(seen["p2"], tasks=(), inside=(), visits=silent)
    blamed = {check.node: check.by_hand for check in judge(seen) if check.aspect == PAGE.format(254)}
    mesh = "the routing mesh does not carry it: publish in host mode (step `stack`)"
    assert blamed == {HUB: mesh, "p2": f"{mesh}; and blame `replicas`: no task of the site runs here"}


# The seen, where it differs, and a word of who is to blame for the first.
FAULTS: dict[str, tuple[Seen, set[tuple[str, str]], str]] = {
    "no service": (on(HUB, service=None), {(HUB, "site is published")}, "stack"),
    "not published": (on(HUB, service=Service((), NODES, 0)), {(HUB, "site is published")}, "stack"),
    "no task": (
        on("p2", tasks=(), inside=(), visits=(Visit("172.19.181.2:80", True, SILENT),)),  # noqa: FBT003
        {("p2", "runs the site"), ("p2", PAGE.format(2))}, "replicas",
    ),
    "a task on the controller": (on(HUB, tasks=("x",)), {(HUB, "runs the site")}, "replicas"),
    "the way to a good task is shut": (met("p2", **alone(SILENT)), {("p2", PAGE.format(2))}, "iptables"),
    "another program has the port": (
        met("p2", **alone(Answer(200, Said(title="Apache2 Debian Default Page")))), {("p2", PAGE.format(2))},
        "ss -ltnp",
    ),
    "the start page is broken": (
        met("p2", **alone(replace(BROKEN, status=500))), {("p2", PAGE.format(2))}, "images"
    ),
    "a page without a build": (
        met("p2", **alone(Answer(200, Said("BlitzCalc")))), {("p2", PAGE.format(2))}, "images"
    ),
    "an old copy": (
        on("p2", inside=(Inside("x", OLD),), visits=(replace(visited("p2"), start=Answer(200, OLD)),)),
        {("p2", "build of its task"), ("p2", PAGE.format(2)), (HUB, "one build everywhere")}, "images",
    ),
    "all have an old copy": (
        on(HUB, source="ffffffffffff"),
        {(name, aspect) for name in NODES for aspect in ("build of its task", PAGE.format(name[1]))}, "images",
    ),
    "a task that does not answer itself": (
        on("p2", inside=(Inside("x", complaint="its web server does not answer"),)), {("p2", "build of its task")},
        "docker logs",
    ),
    "another machine's task": (
        met("p2", start=page("p3")), {("p2", "task behind 172.19.181.2:80")}, "network"
    ),
    "no form": (
        met("p2", form=page("p2"), signed_in=None, then=None), {("p2", "login form at 172.19.181.2:80")}, "images"
    ),
    "one machine cannot ask the database": (
        met("p2", signed_in=BROKEN, then=page("p2")), {("p2", "user signs in at 172.19.181.2:80")}, "database"
    ),
    "no address has a form": (on(HUB, trial=None), {(HUB, SIGN_IN)}, "pages"),
    "the seeded password is another one": (
        trial(visit=replace(visited("p1"), signed_in=REFUSED, then=page()), refused=None, after=None),
        {(HUB, SIGN_IN)}, "database.users",
    ),
    "no database": (
        trial(visit=replace(visited("p1"), signed_in=BROKEN, then=page()), refused=None, after=None),
        {(HUB, SIGN_IN)}, "database",
    ),
    "the login hangs": (
        trial(visit=replace(visited("p1"), signed_in=SILENT, then=SILENT), refused=None, after=None),
        {(HUB, SIGN_IN)}, "database",
    ),
    "let in and forgotten": (trial(visit=replace(visited("p1"), then=page())), {(HUB, SIGN_IN)}, "images"),
    "sent to another site": (
        trial(visit=replace(visited("p1"), signed_in=Answer(303, Said(), "http://192.0.2.1/"))), {(HUB, SIGN_IN)},
        "images",
    ),
    "a wrong password is taken": (
        trial(refused=Answer(303, Said(), "index.php"), after=page(login="user")), {(HUB, "wrong password")}, "images"
    ),
    "a wrong password is refused and lets in": (trial(after=page(login="user")), {(HUB, "wrong password")}, "database"),
}  # fmt: skip


@pytest.mark.parametrize(("seen", "want", "blamed"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_differs_exactly_there_and_names_whom_to_blame(
    seen: Seen, want: set[tuple[str, str]], blamed: str
) -> None:
    checks = judge(seen)
    assert set(differences(checks)) == want
    assert all(check.by_hand for check in checks if not check.holds)
    assert any(blamed in check.by_hand for check in checks if not check.holds and check.level == "must")


def test_there_is_no_repair_of_its_own() -> None:
    assert {action for seen, _, _ in FAULTS.values() for check in judge(seen) for action in check.fix} == set()


def test_of_a_machine_that_could_not_be_asked_no_step_is_blamed_that_nobody_knows() -> None:
    (check,) = [check for check in judge(without(good_web(), "p2", "p3")) if not check.holds and check.level == "must"]
    assert (check.node, check.aspect, check.seen) == (HUB, "machines that serve the site", "not p2, p3")
    assert check.by_hand == "each could not be asked: the first step that does not hold on p2, p3 says why"


def test_without_the_controller_nothing_is_concluded() -> None:
    assert judge(without(good_web(), HUB)) == []


def test_the_build_is_that_of_the_pages_themselves(tmp_path: Path) -> None:
    assert build_of(SHIPPED) == build_by_the_book(SHIPPED)
    with pytest.raises(ObservationError, match="has no files: write"):
        build_of(tmp_path / "nowhere")


FORM = '<meta name="application-name" content="BlitzCalc"><meta name="build" content="0123456789ab">'
FORM += '<input name="form" value="f00"><input name="login"><input name="password">'


@dataclass
class Site:
    """A site that lets in whoever has one of its passwords; `asked` are the passwords that were tried, by address.

    `waited` are the passwords with the patience that each was given; `broken` addresses have no database.
    """

    passwords: frozenset[str] = frozenset({PASSWORD})
    dead: frozenset[str] = frozenset()
    broken: frozenset[str] = frozenset()
    waited: list[tuple[str, float]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def access(self) -> NodeAccess:
        """What a look needs of a machine."""
        return cast("NodeAccess", _Access(self))


@dataclass
class _Access:
    site: Site
    cluster: Any = CLUSTER

    def http(self, address: str, _port: int) -> Browser:
        return cast("Browser", _Visitor(self.site, address))

    def say(self, what: str) -> None:
        self.site.said.append(what)


@dataclass
class _Visitor:
    site: Site
    address: str
    login: str = ""
    patience: float = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def wait(self, patience: float, say: Callable[[str], None]) -> None:
        self.patience, self.say = patience, say

    def get(self, path: str) -> Page:
        if self.address in self.site.dead:
            if self.patience:
                self.say("waiting for an answer: nobody takes a connection there")
            raise NoAnswer("nobody takes a connection there")
        return Page(200, FORM + (f'<b id="login">{self.login}</b>' if path == "index.php" else ""))

    def post(self, _path: str, fields: dict[str, str]) -> Page:
        assert (fields["form"], fields["login"]) == ("f00", "user")
        self.site.asked.append((self.address, fields["password"]))
        self.site.waited.append((fields["password"], self.patience))
        if self.address in self.site.broken:
            return Page(503, "")
        if fields["password"] not in self.site.passwords:
            return Page(401, FORM)
        self.login = "user"
        return Page(303, "", "index.php")


PLACES = [(name, Published(80, "host")) for name in NODES]


def tries(site: Site) -> Trial | None:
    return tries_for(site, 0)


def tries_for(site: Site, patience: int) -> Trial | None:
    return try_first(site.access(), PLACES, patience)


def test_a_good_site_is_asked_for_one_wrong_password_by_a_visitor_of_its_own() -> None:
    site = Site()
    found = tries(site)
    assert site.asked == [("172.19.181.1", PASSWORD), ("172.19.181.1", WRONG)]
    assert found
    assert found.refused
    assert found.after
    assert (found.refused.status, found.after.said.login) == (401, "")


def test_where_the_seeded_password_is_refused_that_was_the_one_failed_login() -> None:
    site = Site(frozenset({"changed"}))
    found = tries(site)
    assert site.asked == [("172.19.181.1", PASSWORD)]
    assert found
    assert (found.refused, found.visit.is_let_in) == (None, False)


def test_a_dead_address_is_passed_over_for_the_next() -> None:
    site = Site(dead=frozenset({"172.19.181.1"}))
    found = tries(site)
    assert found
    assert found.visit.where == "172.19.181.2:80"
    assert tries(Site(dead=frozenset(str(CLUSTER.address(name)) for name in NODES))) is None


def test_a_site_that_is_waited_for_is_named_with_the_reason_and_so_is_its_silence_at_the_deadline() -> None:
    site = Site(dead=frozenset({"172.19.181.1"}))
    found = visit(site.access(), "p1", PLACES[0][1], 5)
    assert site.said == ["p1: waiting for an answer: nobody takes a connection there"]
    assert found.start.complaint == "nobody takes a connection there"


def test_signing_in_waits_for_a_site_whose_database_comes_late_but_a_wrong_password_does_not() -> None:
    site = Site()
    tries_for(site, 60)
    assert site.waited == [(PASSWORD, 60), (WRONG, 0)]


def test_where_one_address_has_no_database_the_next_one_tells_whether_the_user_is_let_in() -> None:
    site = Site(broken=frozenset({"172.19.181.1"}))
    found = tries(site)
    assert found
    assert (found.visit.where, found.visit.is_let_in, found.refused is None) == ("172.19.181.2:80", True, False)
    nowhere = tries(Site(broken=frozenset(str(CLUSTER.address(name)) for name in NODES)))
    assert nowhere
    assert (nowhere.visit.where, nowhere.visit.is_let_in, nowhere.refused) == ("172.19.181.1:80", False, None)


def test_a_site_that_takes_any_password_is_seen() -> None:
    found = tries(Site(frozenset({PASSWORD, WRONG})))
    assert {check.aspect for check in judge(on(HUB, trial=found)) if not check.holds and check.level == "must"} == {
        "wrong password"
    }
