"""From the start command to what really runs: scripts, wrappers, loader and C library are found, or said to lack."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.arch.programs import MOST_READ, Part, Start, parts
from harness.arch.tree import Folder, Link, Regular
from harness.errors import ObservationError
from tests_harness.elf_builder import Program, build
from tests_harness.fakes_images import DictTree, tree

V5 = {"CPU_arch": 4}
STATIC = build(Program(V5))
ARMEL = build(Program(V5, loader="/lib/ld-linux.so.3", needed=("libm.so.6", "libc.so.6")))
MUSL = build(Program(V5, loader="/lib/ld-musl-armhf.so.1", needed=("libc.musl-armv7.so.1",)))
LIBRARY = build(Program({"CPU_arch": 10}))
FOREIGN = build(Program(None, machine=8))
# A system like Debian's: merged /usr, the loader a link of its own.
SYSTEM: dict[str, bytes | str] = {
    "/bin": "usr/bin",
    "/lib": "usr/lib",
    "/usr/bin/dash": ARMEL,
    "/usr/bin/sh": "dash",
    "/usr/bin/env": ARMEL,
    "/usr/lib/ld-linux.so.3": "arm-linux-gnueabi/ld-linux.so.3",
    "/usr/lib/arm-linux-gnueabi/ld-linux.so.3": STATIC,
    "/usr/lib/arm-linux-gnueabi/libc.so.6": STATIC,
    "/usr/sbin/apache2": LIBRARY,
    "/usr/bin/php": STATIC,
}
LD, LIBC = ("loader", "/usr/lib/arm-linux-gnueabi/ld-linux.so.3"), ("C library", "/usr/lib/arm-linux-gnueabi/libc.so.6")
SH = [("interpreter", "/usr/bin/dash"), LD, LIBC]


def found(files: dict[str, bytes | str], *argv: str, folder: str = "/") -> tuple[Part, ...]:
    return parts(tree(SYSTEM | files), Start(argv, folder=folder))


def places(seen: tuple[Part, ...]) -> list[tuple[str, str]]:
    return [(part.role, part.path) for part in seen]


STARTS: dict[str, tuple[dict[str, bytes | str], tuple[str, ...], list[tuple[str, str]]]] = {
    "a static program": ({}, ("/usr/bin/php",), [("entrypoint", "/usr/bin/php")]),
    "a name in the search path": ({}, ("php", "-a"), [("entrypoint", "/usr/bin/php")]),
    "a dynamic program": ({}, ("/bin/dash",), [("entrypoint", "/usr/bin/dash"), LD, LIBC]),
    "a script": ({"/run.sh": b"#!/bin/sh\necho\n"}, ("/run.sh",), SH),
    "a script by way of env": (
        {"/run.php": b"#!/usr/bin/env php\n"}, ("/run.php",),
        [("interpreter", "/usr/bin/env"), LD, LIBC, ("program", "/usr/bin/php")],
    ),
    "a script of a script": ({"/a": b"#!/b\n", "/b": b"#!/bin/sh\n"}, ("/a",), SH),
    "the documented image: a script that is given a script": (
        {
            "/usr/local/bin/docker-php-entrypoint": b'#!/bin/sh\nset -e\nexec "$@"\n',
            "/usr/local/bin/apache2-foreground": b"#!/bin/sh\n# exec php\nexec apache2 -DFOREGROUND\n",
        },
        ("docker-php-entrypoint", "apache2-foreground"), [*SH, ("program", "/usr/sbin/apache2")],
    ),
    "a wrapper with options": (
        {"/sbin/tini": STATIC}, ("/sbin/tini", "-g", "--", "php", "x"),
        [("entrypoint", "/sbin/tini"), ("program", "/usr/bin/php")],
    ),
    "a wrapper with a word of its own": (
        {"/usr/bin/gosu": STATIC}, ("gosu", "php", "apache2"),
        [("entrypoint", "/usr/bin/gosu"), ("program", "/usr/sbin/apache2")],
    ),
    "env with a variable": (
        {}, ("env", "A=b", "php"), [("entrypoint", "/usr/bin/env"), LD, LIBC, ("program", "/usr/bin/php")]
    ),
    "the shell's form of a command": (
        {}, ("/bin/sh", "-c", "A=b exec php -S 0.0.0.0:80 | tee x"),
        [("entrypoint", "/usr/bin/dash"), LD, LIBC, ("program", "/usr/bin/php")],
    ),
    "a quoted text that does not end": (
        {}, ("/bin/sh", "-c", "php 'x"), [("entrypoint", "/usr/bin/dash"), LD, LIBC]
    ),
    "an argument that is a file and no program": (
        {"/run.sh": b"#!/bin/sh\n", "/etc/run.conf": b"x=1\n"}, ("/run.sh", "/etc/run.conf"), SH
    ),
    "a program's own arguments": ({}, ("/usr/bin/php", "apache2"), [("entrypoint", "/usr/bin/php")]),
    "a script that starts itself": ({"/run.sh": b"#!/bin/sh\nexec /run.sh\n"}, ("/run.sh",), SH),
    "musl's loader is its C library": (
        {"/lib/ld-musl-armhf.so.1": STATIC, "/usr/lib/ld-musl-armhf.so.1": STATIC, "/x": MUSL}, ("/x",),
        [("entrypoint", "/x"), ("loader", "/usr/lib/ld-musl-armhf.so.1")],
    ),
    "a C library of another machine is passed over": (
        {"/usr/lib/arm-linux-gnueabi/libc.so.6": FOREIGN, "/usr/lib/libc.so.6": STATIC}, ("/bin/dash",),
        [("entrypoint", "/usr/bin/dash"), LD, ("C library", "/usr/lib/libc.so.6")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STARTS)
def test_a_start_leads_to_its_files(name: str) -> None:
    files, argv, want = STARTS[name]
    seen = found(files, *argv)
    assert places(seen) == want
    assert all(part.elf for part in seen)


def test_a_relative_name_starts_in_the_working_directory() -> None:
    assert places(found({"/app/run": STATIC}, "./run", folder="/app")) == [("entrypoint", "/app/run")]


BROKEN: dict[str, tuple[dict[str, bytes | str], tuple[str, ...], str]] = {
    "no command": ({}, (), "names no command"),
    "a program that is not there": ({}, ("nginx",), "nginx is not in the image"),
    "a dangling link": ({"/x": "/y"}, ("/x",), "/x is not in the image"),
    "a folder": ({}, ("/usr",), "/usr is not in the image"),
    "an interpreter that is not there": (
        {"/run.sh": b"#!/bin/bash\n"}, ("/run.sh",), "wants '/bin/bash', which is not in the image"
    ),
    "a script written on Windows": (
        {"/run.sh": b"#!/bin/sh\r\necho\r\n"}, ("/run.sh",), r"wants '/bin/sh\\r', which is not in the image"
    ),
    "no interpreter": ({"/run.sh": b"#!\n"}, ("/run.sh",), "leads to no interpreter"),
    "a script for ever": ({"/a": b"#!/b\n", "/b": b"#!/c\n", "/c": b"#!/d\n", "/d": b"#!/e\n", "/e": b"#!/f\n",
                           "/f": b"#!/bin/sh\n"}, ("/a",), "leads to no interpreter"),
    "an interpreter of itself": ({"/a": b"#!/b\n", "/b": b"#!/a\n"}, ("/a",), "leads to no interpreter"),
    "text without #!": ({"/run.sh": b"echo\n"}, ("/run.sh",), "neither a program nor a script"),
    "the loader of another port": (
        {"/x": build(Program(V5, loader="/lib/ld-linux-armhf.so.3"))}, ("/x",),
        "wants the loader /lib/ld-linux-armhf.so.3, which is not in the image",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_start_says_why(name: str) -> None:
    files, argv, why = BROKEN[name]
    assert [part for part in found(files, *argv) if why.replace("\\\\", "\\") in part.broken]


def test_a_program_that_may_not_be_executed_cannot_start_and_one_later_in_the_path_is_taken() -> None:
    files = tree(SYSTEM).files
    plain = DictTree({**files, "/usr/sbin/only": Regular(STATIC, 0o644)})
    (part,) = parts(plain, Start(("only",)))
    assert "may not be executed" in part.broken
    both = DictTree({**plain.files, "/usr/bin/only": Regular(STATIC, 0o755)})
    assert places(parts(both, Start(("only",)))) == [("entrypoint", "/usr/bin/only")]


@pytest.mark.parametrize(
    ("files", "why"),
    [
        pytest.param({"/x": b"\x7fELF and nothing"}, "sound ELF", id="a damaged program"),
        pytest.param({"/usr/lib/arm-linux-gnueabi/ld-linux.so.3": b"", "/x": ARMEL}, "expected an ELF", id="loader"),
        pytest.param({"/usr/lib/arm-linux-gnueabi/libc.so.6": "gone", "/x": ARMEL}, "no usual folder", id="no libc"),
    ],
)
def test_what_cannot_be_told_says_why(files: dict[str, bytes | str], why: str) -> None:
    assert [part for part in found(files, "/x") if why in part.unclear and not part.broken]


def test_a_start_that_leads_through_too_many_scripts_is_an_error() -> None:
    many = {f"/s{number}": b"#!/bin/sh\nexec /s%d\n" % (number + 1) for number in range(MOST_READ + 2)}
    with pytest.raises(ObservationError, match="more than"):
        found(dict(many), "/s0")


WORDS = st.sampled_from(["/a", "/b", "a", "b", "-c", "env", "exec /a", "sh", "A=1", "", "./a", "/usr/bin/env", "gosu"])
CONTENT = st.sampled_from([STATIC, ARMEL, MUSL, b"#!/a\n", b"#!/bin/sh\nexec b\n", b"#! /usr/bin/env a b\n", b"", b"x"])
ENTRIES = st.one_of(
    st.builds(Regular, CONTENT, st.sampled_from([0o755, 0o644])), st.builds(Link, WORDS), st.just(Folder())
)


@given(
    st.dictionaries(st.sampled_from(["/a", "/b", "/usr/bin/a", "/usr/bin/env", "/bin/sh", "/lib"]), ENTRIES),
    st.lists(WORDS, max_size=4),
)
def test_any_image_gives_parts_or_an_error_of_ours(files: dict[str, Regular | Link | Folder], argv: list[str]) -> None:
    with suppress(ObservationError):
        seen = parts(DictTree(dict(files)), Start(tuple(argv)))
        assert seen
        assert all(sum((part.elf is not None, bool(part.broken), bool(part.unclear))) == 1 for part in seen)
