"""Links of an image lead where they would in a container, never out of it, and Docker's own answers are a tree."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.arch.tree import ArchiveTree, Folder, Other, Regular, TarTree, resolve
from harness.errors import ObservationError
from tests_harness.fakes_images import DictTree, tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FILES: dict[str, bytes | str] = {
    "/usr/bin/dash": b"dash",
    "/usr/bin/sh": "dash",
    "/bin": "usr/bin",
    "/usr/lib/arm/ld-2.36.so": b"ld",
    "/lib": "usr/lib",
    "/usr/lib/ld-linux.so.3": "/lib/arm/ld-2.36.so",
    "/usr/bin/up": "../../../../../../usr/bin/dash",
    "/usr/bin/out": "../../../../etc/shadow",
    "/usr/bin/gone": "nowhere",
    "/usr/bin/round": "round",
    "/usr/bin/dot": "./dash",
    "/usr/bin/home": "/",
}


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("/usr/bin/dash", "/usr/bin/dash"),
        ("/bin/sh", "/usr/bin/dash"),
        ("/lib/ld-linux.so.3", "/usr/lib/arm/ld-2.36.so"),
        ("/usr/bin/up", "/usr/bin/dash"),
        ("//usr/./bin//dot", "/usr/bin/dash"),
        ("/usr/bin/../../../bin/sh", "/usr/bin/dash"),
        ("/usr/bin/home/bin/home/usr/bin/dash", "/usr/bin/dash"),
    ],
)
def test_a_path_leads_to_its_file(path: str, want: str) -> None:
    real, entry = resolve(tree(FILES), path)
    assert real == want
    assert isinstance(entry, Regular)


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("/usr/bin/gone", "/usr/bin/nowhere"),
        ("/usr/bin/out", "/etc"),
        ("/usr/bin/dash/x", "/usr/bin/dash"),
        ("/nothing/../at/all", "/nothing"),
    ],
)
def test_a_path_that_leads_nowhere_says_how_far_it_goes(path: str, want: str) -> None:
    assert resolve(tree(FILES), path) == (want, None)


def test_the_root_is_a_folder() -> None:
    assert resolve(tree(FILES), "/") == ("/", Folder())


def test_links_that_go_round_are_an_error() -> None:
    with pytest.raises(ObservationError, match="symbolic links"):
        resolve(tree(FILES), "/usr/bin/round")


NAMES = st.sampled_from(["a", "b", "..", ".", ""])
PATHS = st.lists(NAMES, max_size=5).map("/".join)


@given(st.dictionaries(PATHS.map(lambda path: "/" + path), st.one_of(PATHS, PATHS.map(lambda path: "/" + path))), PATHS)
def test_no_links_lead_out_of_the_tree(links: dict[str, str], path: str) -> None:
    asked: list[str] = []

    class Watched(DictTree):
        def find(self, path: str, /) -> object:  # type: ignore[override]
            asked.append(path)
            return super().find(path)

    try:
        real, _ = resolve(Watched(tree(dict(links)).files), path)  # type: ignore[arg-type]
    except ObservationError:
        real = "/"
    for one in (real, *asked):
        assert one.startswith("/")
        assert not {"..", "."} & set(one.split("/"))


def tar_of(files: dict[str, bytes | str], *, kind: bytes = b"") -> bytes:
    """A tar archive as Docker writes it: names without a slash before them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, what in files.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.mode = 0o755
            if isinstance(what, str):
                member.type, member.linkname = kind or tarfile.SYMTYPE, what
                archive.addfile(member)
            else:
                member.size = len(what)
                archive.addfile(member, io.BytesIO(what))
    return buffer.getvalue()


def open_tar(octets: bytes) -> TarTree:
    return TarTree(tarfile.open(fileobj=io.BytesIO(octets)))


def test_an_exported_archive_is_a_tree() -> None:
    seen = open_tar(tar_of(FILES))
    assert resolve(seen, "/lib/ld-linux.so.3") == ("/usr/lib/arm/ld-2.36.so", Regular(b"ld", 0o755))
    assert resolve(seen, "/usr") == ("/usr", Folder())
    assert resolve(seen, "/usr/bin/gone") == ("/usr/bin/nowhere", None)


def test_a_hard_link_is_the_file_itself() -> None:
    linked = tar_of({"/bin/busybox": b"box", "/bin/sh": "bin/busybox"}, kind=tarfile.LNKTYPE)
    assert resolve(open_tar(linked), "/bin/sh") == ("/bin/sh", Regular(b"box", 0o755))


def test_a_hard_link_to_nothing_is_an_error() -> None:
    with pytest.raises(ObservationError, match="cannot be read"):
        open_tar(tar_of({"/bin/sh": "bin/none"}, kind=tarfile.LNKTYPE)).find("/bin/sh")


def test_a_device_is_no_program() -> None:
    assert open_tar(tar_of({"/dev/null": ""}, kind=tarfile.CHRTYPE)).find("/dev/null") == Other()


class Docker:
    """`GET /containers/{id}/archive` over a few files; it answers for folders and links without their content."""

    def __init__(self, files: dict[str, bytes | str]) -> None:
        self.files, self.asked = files, list[str]()

    def __call__(self, path: str) -> tuple[Iterable[bytes], Mapping[str, object]] | None:
        self.asked.append(path)
        what = self.files.get(path)
        if isinstance(what, bytes):
            return [tar_of({path.rpartition("/")[2]: what})], {"name": "x", "mode": 0o755, "linkTarget": ""}
        if isinstance(what, str):
            return self._never(), {"name": "x", "mode": (1 << 27) | 0o777, "linkTarget": what}
        if any(name.startswith(path + "/") for name in self.files):
            return self._never(), {"name": "x", "mode": (1 << 31) | 0o755}
        return None

    def _never(self) -> Iterable[bytes]:
        yield from self._fail()

    def _fail(self) -> list[bytes]:
        raise AssertionError("the content of a folder was fetched")


def test_a_container_is_asked_path_by_path_and_each_path_once() -> None:
    docker = Docker(FILES)
    seen = ArchiveTree(docker)
    for _ in range(2):
        assert resolve(seen, "/lib/ld-linux.so.3") == ("/usr/lib/arm/ld-2.36.so", Regular(b"ld", 0o755))
    assert len(docker.asked) == len(set(docker.asked))
    assert seen.find("/usr/bin/none") is None


@pytest.mark.parametrize(
    ("chunks", "stat"),
    [
        pytest.param([b""], {}, id="no mode"),
        pytest.param([b""], {"mode": "0755"}, id="a mode that is no number"),
        pytest.param([b""], {"mode": 1 << 27}, id="a link without target"),
        pytest.param([b"no tar"], {"mode": 0o755}, id="no tar archive"),
        pytest.param([tar_of({"a": b"", "b": b""})], {"mode": 0o755}, id="two files"),
        pytest.param([tar_of({})], {"mode": 0o755}, id="none"),
    ],
)
def test_an_answer_that_is_none_is_an_error(chunks: list[bytes], stat: dict[str, object]) -> None:
    with pytest.raises(ObservationError, match="expected"):
        ArchiveTree(lambda _: (chunks, stat)).find("/x")


def test_a_socket_of_a_container_is_no_program() -> None:
    assert ArchiveTree(lambda _: ([], {"mode": (1 << 24) | 0o755})).find("/run/x") == Other()


@pytest.mark.parametrize(("count", "is_followed"), [(40, True), (41, False)])
def test_as_many_links_are_followed_as_the_kernel_follows(count: int, is_followed: bool) -> None:  # noqa: FBT001
    chain: dict[str, bytes | str] = {f"/{number}": f"{number + 1}" for number in range(count)} | {f"/{count}": b"end"}
    if is_followed:
        assert resolve(tree(chain), "/0") == (f"/{count}", Regular(b"end", 0o755))
    else:
        with pytest.raises(ObservationError, match="40 symbolic links"):
            resolve(tree(chain), "/0")
