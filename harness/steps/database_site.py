"""Part of step `database`: the database as the site meets it, asked by PHP in a web container.

With the site's own settings, so its own password never leaves the container; of a user only role and verdict come out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.node import slices
from harness.parse.excerpt import excerpt
from harness.steps.web_containers import short

if TYPE_CHECKING:
    from harness.node import NodeAccess

TOO_LATE = 124
COMMAND = "timeout 28 docker exec -i --user www-data %s php -d display_errors=stderr -r %s"
PROBE = """
$asked = json_decode(stream_get_contents(STDIN), true);
$file = '/var/www/html/Config/config.json';
$settings = is_readable($file) ? json_decode(file_get_contents($file), true) : null;
$said = ['host' => '', 'user' => '', 'name' => '', 'failure' => '', 'is_early' => false, 'users' => null];
foreach (['host' => 'bd_hostname', 'user' => 'bd_user', 'name' => 'bd_name'] as $to => $from) {
    $said[$to] = (string) ($settings[$from] ?? '');
}
$secret = '/run/secrets/bd_password';
$password = is_readable($secret) ? trim(file_get_contents($secret)) : (string) ($settings['bd_password'] ?? '');
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
$until = microtime(true) + $asked['patience'];
do {
    [$said['failure'], $said['is_early']] = ['', false];
    try {
        $server = mysqli_init();
        $server->options(MYSQLI_OPT_CONNECT_TIMEOUT, 5);
        $server->options(MYSQLI_OPT_READ_TIMEOUT, 8);
        @$server->real_connect($asked['host'], $said['user'], $password, $said['name']);
        if ($asked['users']) {
            $said['users'] = [];
            $question = $server->prepare('SELECT role, password FROM Users WHERE login = ?');
            foreach ($asked['users'] as [$login, $given]) {
                $question->bind_param('s', $login);
                $question->execute();
                $row = $question->get_result()->fetch_assoc();
                $said['users'][] = $row ? [$row['role'], password_verify($given, $row['password'])] : null;
            }
        }
    } catch (mysqli_sql_exception $error) {
        $said['failure'] = 'error ' . $error->getCode() . ': ' . $error->getMessage();
        $said['is_early'] = in_array($error->getCode(), [2002, 2003, 2006, 2013], true);
    }
} while ($said['is_early'] && microtime(true) < $until && usleep(500000) === null);
echo json_encode($said, JSON_INVALID_UTF8_SUBSTITUTE);
"""


@dataclass(frozen=True)
class User:
    """A seeded user as he was found: his role, and whether the documented password is his."""

    role: str
    verifies: bool


@dataclass(frozen=True)
class Site:
    """One web container: whom its site's settings ask for what as whom, and why the database gave no answer.

    `users` are by login, None for one who is not there; where they were not asked for, the whole is None.
    """

    container: str
    host: str
    user: str
    name: str
    failure: str
    users: dict[str, User | None] | None


def ask_site(node: NodeAccess, container: str, patience: int, *, with_users: bool) -> Site:
    """Let PHP in a web container ask the database by its service's name.

    For so many seconds it may be that either of them has just been started: that they do not find each other is waited
    for, what a database answers is not.
    """
    wanted = node.cluster.database
    users = [[user.login, user.password.reveal()] for user in wanted.users] if with_users else []
    for seconds in slices(patience):
        asked = {"host": wanted.host, "patience": seconds, "users": users}
        code, out, err = node.feed(COMMAND, container, PROBE, stdin=json.dumps(asked))
        found, is_early = _answer(node, container, (code, out, err), [user.login for user in wanted.users])
        if not is_early:
            break
        node.say(f"{node.name}: waiting for the database to answer the site: {found.failure}")
    return found


def _answer(node: NodeAccess, container: str, said: tuple[int, str, str], logins: list[str]) -> tuple[Site, bool]:
    """What PHP gave, and whether it is of the kind that passes when the two have met: a name may be looked up long."""
    code, out, err = said
    if code:
        why = "PHP there does not end in time" if code == TOO_LATE else f"PHP there gives exit {code}"
        return Site(short(container), "", "", "", f"{why}: {excerpt(err or out)}", None), code == TOO_LATE
    try:
        words = json.loads(out)
        return _site(short(container), words, logins), bool(words["is_early"])
    except (ValueError, KeyError, TypeError) as error:
        raise ObservationError(f"{node.name}: the answer of PHP does not read: {excerpt(out)}") from error


def _site(container: str, said: dict[str, object], logins: list[str]) -> Site:
    host, user, name, failure = (str(said[key])[:200] for key in ("host", "user", "name", "failure"))
    rows = said["users"]
    if rows is None or failure:
        return Site(container, host, user, name, " ".join(failure.split()), None)
    if not isinstance(rows, list):
        raise TypeError("users")
    found = (User(str(row[0]), row[1] is True) if row else None for row in rows)
    return Site(container, host, user, name, "", dict(zip(logins, found, strict=True)))
