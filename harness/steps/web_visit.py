"""Part of step `web`: what a visitor meets at one address, from the first page to being signed in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.errors import NoAnswer
from harness.parse import page
from harness.parse.excerpt import excerpt
from harness.parse.page import Said
from harness.steps.web_look import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.http_client import Browser, Page
    from harness.inventory import Cluster
    from harness.node import NodeAccess
    from harness.steps.web_look import Published

GOOD, SEE_OTHER, BROKEN = 200, 303, 500
# Nobody's password: a site that takes it takes any.
WRONG = "hatcheck tries one that is wrong"


@dataclass(frozen=True)
class Answer:
    """What came back: status (0: nothing, and `complaint` says why), the page's own words, where it sends us."""

    status: int
    said: Said = field(default_factory=Said)
    location: str = ""
    complaint: str = ""


@dataclass(frozen=True)
class Visit:
    """One visitor's way at "address:port", from the first page to being signed in as the seeded user.

    What was not tried after a failure before it is None. `is_own` says that only a task of the same machine can answer.
    """

    where: str
    is_own: bool
    start: Answer
    form: Answer | None = None
    signed_in: Answer | None = None
    then: Answer | None = None

    @property
    def is_let_in(self) -> bool:
        """Whether the site took the seeded user."""
        return self.signed_in is not None and self.signed_in.status == SEE_OTHER


@dataclass(frozen=True)
class Trial:
    """The first sign-in of a look, at one address, and what a wrong password gave there.

    A site may count failed logins, so a look makes one at most: where the seeded user is refused, nothing else is
    tried, there or elsewhere, and `refused` and `after` are None; and so where each address that has a form is broken.
    """

    visit: Visit
    refused: Answer | None = None
    after: Answer | None = None


def try_first(node: NodeAccess, places: Sequence[tuple[str, Published]], patience: int) -> Trial | None:
    """Sign in at the first address that can tell; None where none has a form.

    A wrong password is tried by a new visitor. Where the site itself fails (5xx) nobody has judged a password, so the
    next address is asked.
    """
    broken = None
    for number, (name, at) in enumerate(places):
        # Whoever has not answered when the first one's time is over has had the same time.
        found = visit(node, name, at, 0 if number else patience)
        if found.signed_in is None:
            continue
        if found.signed_in.status >= BROKEN:
            broken = broken or Trial(found)
            continue
        if not found.is_let_in:
            return Trial(found)
        with node.http(str(node.cluster.address(name)), at.port) as browser:
            form = _heard(lambda: browser.get("login.php"))
            refused = _sign_in(browser, form, node.cluster, WRONG)
            return Trial(found, refused, _heard(lambda: browser.get("index.php")))
    return broken


def visit(node: NodeAccess, name: str, at: Published, patience: int, *, may_sign_in: bool = True) -> Visit:
    """Look at the first page of a machine's address, and sign in; waits for both for `patience` seconds in all."""
    address = str(node.cluster.address(name))
    where, is_own = f"{address}:{at.port}", at.mode == HOST
    with node.http(address, at.port) as browser:
        browser.wait(patience, lambda why: node.say(f"{name}: {why}"))
        start = _heard(lambda: browser.get(""))
        if not is_ours(start, node.cluster):
            return Visit(where, is_own, start)
        form = _heard(lambda: browser.get("login.php"))
        if not may_sign_in or not is_ours(form, node.cluster) or not form.said.form:
            return Visit(where, is_own, start, form)
        signed_in = _sign_in(browser, form, node.cluster, None)
        return Visit(where, is_own, start, form, signed_in, _heard(lambda: browser.get("index.php")))


def _sign_in(browser: Browser, form: Answer, cluster: Cluster, wrong: str | None) -> Answer:
    user = next(one for one in cluster.database.users if one.login == cluster.web.login)
    password = user.password.reveal() if wrong is None else wrong
    fields = {"form": form.said.form, "login": user.login, "password": password}
    return _heard(lambda: browser.post("login.php", fields))


def _heard(ask: Callable[[], Page]) -> Answer:
    """An address that gives no answer is a fact about it; the way to the controller that breaks is not."""
    try:
        found = ask()
    except NoAnswer as error:
        return Answer(0, complaint=str(error))
    location = excerpt(found.location).strip("'") if found.location else ""
    return Answer(found.status, page.read(found.text), location)


def is_ours(answer: Answer, cluster: Cluster) -> bool:
    """Whether it is a page of the application."""
    said = answer.said
    return answer.status == GOOD and said.application == cluster.web.application and bool(said.build)
