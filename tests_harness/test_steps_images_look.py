"""From an engine's answers to the state of a look: the programs, owners and PHP modules of an image never started."""

from __future__ import annotations

import io
import json
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from harness.arch.platform import Platform
from harness.errors import ObservationError
from harness.parse.manifest import Offer
from harness.steps import images
from harness.steps.images_content import Owned
from harness.steps.images_documented import DATABASE, WEB, Documented
from harness.steps.images_look import Local, offers
from harness.steps.images_look import look as look_once
from tests_harness.elf_builder import Program, build
from tests_harness.fakes_cluster import differences
from tests_harness.fakes_images import CLUSTER, ZERO, digest, good_images

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.steps.images_look import Get

FOLDER = "folder"
PROGRAM = build(Program({"CPU_arch": 6}))
INI = "/usr/local/etc/php/conf.d/docker-php-ext-mysqli.ini"
MODULES = "/usr/local/lib/php/extensions/no-debug-non-zts-20220829"
SITE: dict[str, tuple[bytes | str, int, int]] = {
    "/etc/passwd": (b"root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/:/bin/false\n", 0, 0o644),
    "/etc/group": (b"root:x:0:\nwww-data:x:33:\n", 0, 0o644),
    "/var/www/html": (FOLDER, 33, 0o755),
    "/var/www/html/index.php": (b"<?php", 33, 0o644),
    "/usr/local/bin/docker-php-entrypoint": (b'#!/bin/sh\nexec "$@"\n', 0, 0o755),
    "/usr/local/bin/apache2-foreground": (b"#!/bin/sh\nexec apache2 -DFOREGROUND\n", 0, 0o755),
    "/bin": ("/usr/bin", 0, 0o777),
    "/usr/bin/sh": (PROGRAM, 0, 0o755),
    "/usr/sbin/apache2": (PROGRAM, 0, 0o755),
    INI: (b"extension=mysqli\n", 0, 0o644),
    f"{MODULES}/mysqli.so": (PROGRAM, 0, 0o644),
    f"{MODULES}/opcache.so": (PROGRAM * 50, 0, 0o644),
}


@dataclass
class FakeEngine:
    """An engine with one image, of these files: content (a link as text), owner and mode."""

    files: dict[str, tuple[bytes | str, int, int]]
    text: str | None
    registry: dict[str, str] = field(default_factory=dict)
    is_open: bool = False

    def image(self, reference: str, /) -> str | None:
        assert ":" in reference
        return self.text

    def distribution(self, reference: str, /) -> str | None:
        return self.registry.get(reference)

    @contextmanager
    def opened(self, reference: str, /) -> Iterator[Get]:
        assert reference
        self.is_open = True
        yield self._get
        self.is_open = False

    def _get(self, path: str) -> tuple[Iterable[bytes], Mapping[str, object]] | None:
        assert self.is_open
        below = {name: what for name, what in self.files.items() if name.startswith(f"{path}/")}
        what = self.files.get(path, (FOLDER, 0, 0o755) if below else None)
        if what is None:
            return None
        content, _, mode = what
        if content == FOLDER:
            return self._chunks({path: what, **below}), {"mode": (1 << 31) | mode}
        if isinstance(content, str):
            return iter(()), {"mode": (1 << 27) | mode, "linkTarget": content}
        return self._chunks({path: what}), {"mode": mode}

    def _chunks(self, files: dict[str, tuple[bytes | str, int, int]]) -> Iterator[bytes]:
        home = min(files).rpartition("/")[0]
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for path, (content, owner, mode) in files.items():
                archive.addfile(*_member(path.removeprefix(f"{home}/"), content, owner, mode))
        octets = buffer.getvalue()
        yield from (octets[start : start + 1000] for start in range(0, len(octets), 1000))


def _member(name: str, content: bytes | str, owner: int, mode: int) -> tuple[tarfile.TarInfo, io.BytesIO]:
    member = tarfile.TarInfo(name)
    member.uid = member.gid = owner
    member.mode = mode
    if isinstance(content, bytes):
        member.size = len(content)
        return member, io.BytesIO(content)
    member.type, member.linkname = (tarfile.DIRTYPE, "") if content == FOLDER else (tarfile.SYMTYPE, content)
    return member, io.BytesIO()


def look(engine: FakeEngine, image: Documented) -> Local | None:
    return look_once(engine, image, lambda _key, ask: ask())


def described(image: Documented, *argv: str) -> str:
    start = {"Entrypoint": [argv[0]], "Cmd": list(argv[1:]), "Volumes": {path: {} for path in image.volumes}}
    names = [f"{image.name}@{digest('a')}"]
    return json.dumps({"Os": "linux", "Architecture": "arm", "Config": start, "RepoDigests": names})


def web(**change: tuple[bytes | str, int, int] | None) -> Local:
    """The look at a web image with some of its files changed or taken away."""
    named = {"ini": INI, "html": "/var/www/html"}
    files = SITE | {named.get(key, key): value for key, value in change.items() if value}
    for key in (key for key, value in change.items() if not value):
        del files[named[key]]
    engine = FakeEngine(files, described(WEB, "docker-php-entrypoint", "apache2-foreground"))
    found = look(engine, WEB)
    assert found
    assert not engine.is_open
    return found


def test_a_good_image_is_seen_whole() -> None:
    found = web()
    assert found.config.platform == Platform("linux", "arm")
    assert [(part.role, part.path) for part in found.parts] == [
        ("interpreter", "/usr/bin/sh"), ("program", "/usr/sbin/apache2"),
    ]  # fmt: skip
    assert found.content.files == {"/var/www/html": Owned(0o755, "www-data:www-data")}
    assert found.content.php_modules == ("mysqli",)


def test_a_look_at_a_good_image_is_judged_good() -> None:
    seen = good_images()
    seen["p1"] = images.State(ZERO, {WEB.reference: web()}, {})
    assert differences(images.judge(seen, CLUSTER)) == {}


def test_an_image_that_is_not_there_is_none() -> None:
    assert look(FakeEngine({}, None), WEB) is None


def test_a_folder_that_is_not_there_is_none_and_a_link_is_followed() -> None:
    files = {path: what for path, what in SITE.items() if not path.startswith("/var/www/html")}
    engine = FakeEngine(files, described(WEB, "docker-php-entrypoint"))
    found = look(engine, WEB)
    assert found
    assert found.content.files == {"/var/www/html": None}
    engine.files = {**files, "/var/www/html": ("/srv", 0, 0o777), "/srv": (FOLDER, 33, 0o750)}
    found = look(engine, WEB)
    assert found
    assert found.content.files == {"/var/www/html": Owned(0o750, "www-data:www-data")}


def test_an_owner_without_name_is_a_number() -> None:
    assert web(html=(FOLDER, 1000, 0o755)).content.files == {"/var/www/html": Owned(0o755, "1000:1000")}


def test_the_script_of_the_database_is_seen() -> None:
    script = "/docker-entrypoint-initdb.d/database_script.sql"
    files = {
        "/etc/passwd": (b"mysql:x:50:50::/:/bin/false\n", 0, 0o644), "/etc/group": (b"mysql:x:50:\n", 0, 0o644),
        script: (b"create database x;", 50, 0o755), "/init": (PROGRAM, 0, 0o755),
    }  # fmt: skip
    found = look(FakeEngine(dict(files), described(DATABASE, "/init")), DATABASE)
    assert found
    assert found.content.files == {script: Owned(0o755, "mysql:mysql")}
    assert found.content.php_modules == ()


@pytest.mark.parametrize(
    ("files", "want"),
    [
        pytest.param({INI: b"; extension=mysqli\n"}, (), id="commented out"),
        pytest.param({INI: b'extension = "mysqli.so" ;\nzend_extension=opcache\n'}, ("mysqli", "opcache"), id="long"),
        pytest.param({INI: b"extension=/opt/MySQLi.so\n", "/opt/MySQLi.so": PROGRAM}, ("mysqli",), id="with its path"),
        pytest.param({INI: b"extension=/opt/mysqli.so\n"}, (), id="with a path that leads nowhere"),
        pytest.param({INI: b"extension=MySQLi\n"}, (), id="as the file is not called"),
        pytest.param({INI: b"extension=pdo_mysql\nextension=mysqli\n"}, ("mysqli",), id="one of two is not there"),
        pytest.param({INI: b"extension=x\n", "/usr/lib/php/20220829/x.so": PROGRAM}, ("x",), id="Debian's folder"),
        pytest.param({INI: b'extension=mysqli\nextension_dir = "/opt/php"\n'}, (), id="it is told another folder"),
        pytest.param({INI: b"extension=x\nextension_dir=/opt\n", "/opt/x.so": PROGRAM}, ("x",), id="and has it there"),
        pytest.param({"/usr/local/etc/php/php.ini": b"extension=mysqli\n"}, ("mysqli",), id="in php.ini"),
        pytest.param({"/usr/local/etc/php/php.ini-production": b"extension=mysqli\n"}, (), id="never read"),
        pytest.param({"/etc/php/8.2/cli/conf.d/20-mysqli.ini": b"extension=mysqli\n"}, (), id="for the command line"),
        pytest.param(
            {"/etc/php/8.2/apache2/conf.d/20-mysqli.ini": "/etc/php/8.2/mods-available/mysqli.ini",
             "/etc/php/8.2/mods-available/mysqli.ini": b"extension=mysqli.so\n"}, ("mysqli",), id="Debian's link",
        ),
        pytest.param({"/etc/php/8.2/mods-available/mysqli.ini": b"extension=mysqli.so\n"}, (), id="available only"),
        pytest.param({"/etc/php/8.2/apache2/conf.d/20-x.ini": "../gone.ini"}, (), id="a dangling link"),
    ],
)  # fmt: skip
def test_the_modules_that_apaches_php_loads(files: dict[str, bytes | str], want: tuple[str, ...]) -> None:
    rest = {path: what for path, what in SITE.items() if path != INI}
    engine = FakeEngine(rest | {path: (what, 0, 0o644) for path, what in files.items()}, described(WEB, "apache2"))
    found = look(engine, WEB)
    assert found
    assert found.content.php_modules == want


def test_the_registry_is_asked_for_every_documented_image() -> None:
    row = {"Descriptor": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest("a")},
           "Platforms": [{"os": "linux", "architecture": "arm", "variant": "v6"}]}  # fmt: skip
    found = offers(FakeEngine({}, None, {WEB.reference: json.dumps(row)}), CLUSTER)
    assert found == {
        WEB.reference: Offer(digest("a"), False, (Platform("linux", "arm", "v6"),)), DATABASE.reference: None,  # noqa: FBT003
    }  # fmt: skip


@pytest.mark.parametrize("octets", [b"", b"no tar at all", bytes(1024)])
def test_an_archive_that_is_none_is_an_error(octets: bytes) -> None:
    class Broken(FakeEngine):
        def _chunks(self, files: dict[str, tuple[bytes | str, int, int]]) -> Iterator[bytes]:
            if "/var/www/html" in files:
                yield octets
            else:
                yield from super()._chunks(files)

    with pytest.raises(ObservationError, match="/var/www/html: expected"):
        look(Broken(dict(SITE), described(WEB, "apache2")), WEB)
