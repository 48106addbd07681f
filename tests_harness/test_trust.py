"""`hatcheck trust`: a key is kept when a person accepts it, and never without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness import cli
from harness.errors import ObservationError, UsageError
from harness.inventory import Cluster, parse
from harness.trust import trust
from tests_harness.fakes_sshd import FakeSshd, closed_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def hub() -> Iterator[FakeSshd]:
    with FakeSshd() as hub:
        yield hub


@pytest.fixture(autouse=True)
def _no_keys_of_a_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HATCHECK_PASSWORD", "unused")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


class Person:
    """Says yes, and remembers the questions."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.changes: list[bool] = []

    def __call__(self, question: str, is_changed: bool) -> bool:  # noqa: FBT001 - the words of trust
        self.changes.append(is_changed)
        self.asked.append(question)
        return True


def cluster(folder: Path, port: int) -> Cluster:
    ssh = {"host": "127.0.0.1", "port": port, "wait": 5.0}
    return parse({"ssh": ssh, "nodes": [{"name": "p1"}]}, "cluster.toml", folder)


def test_a_new_key_is_shown_and_kept_once_accepted(hub: FakeSshd, tmp_path: Path) -> None:
    person = Person()
    said: list[str] = []
    for _ in range(2):
        trust(cluster(tmp_path, hub.port), ["cnat"], person, said.append)
    shown = f"{hub.host_key.get_name()} {hub.host_key.fingerprint}"
    assert person.asked == [f"cnat ([127.0.0.1]:{hub.port}) shows {shown}. Trust it?"]
    assert said == [f"cnat: {shown} is trusted from now on", f"cnat: {shown} is trusted already"]
    line = f"[127.0.0.1]:{hub.port} {hub.host_key.get_name()} {hub.host_key.get_base64()}\n"
    assert (tmp_path / "known_hosts").read_text() == line
    assert hub.attempts == []


def test_a_key_that_is_not_accepted_is_not_kept(hub: FakeSshd, tmp_path: Path) -> None:
    with pytest.raises(ObservationError, match=r"^cnat: .* is not trusted"):
        trust(cluster(tmp_path, hub.port), ["cnat"], lambda *_: False, lambda _: None)
    assert not (tmp_path / "known_hosts").exists()


def test_another_key_than_the_trusted_one_is_called_that_and_replaces_it(hub: FakeSshd, tmp_path: Path) -> None:
    old = FakeSshd().host_key
    known = tmp_path / "known_hosts"
    known.write_text(
        f"[127.0.0.1]:{hub.port} {old.get_name()} {old.get_base64()}\nother {old.get_name()} {old.get_base64()}\n"
    )
    person = Person()
    trust(cluster(tmp_path, hub.port), ["cnat"], person, lambda _: None)
    assert "shows ANOTHER key than the trusted one" in person.asked[0]
    assert old.fingerprint in person.asked[0]
    assert person.changes == [True]
    assert hub.host_key.get_base64() in known.read_text()
    assert known.read_text().count(old.get_base64()) == 1


def test_a_machine_that_is_not_there_is_said_after_the_others_were_asked(tmp_path: Path) -> None:
    with pytest.raises(ObservationError, match=r"^cnat: no connection to .*; p1: the way to it is closed: "):
        trust(cluster(tmp_path, closed_port()), [], lambda *_: True, lambda _: None)


def test_a_stranger_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^p9 is not in the inventory; expected one of cnat, p1$"):
        trust(cluster(tmp_path, 1), ["p9"], lambda *_: True, lambda _: None)


def test_a_folder_that_cannot_be_written_is_one_sentence(hub: FakeSshd, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"known_hosts: cannot be written: "):
        trust(cluster(tmp_path / "missing", hub.port), ["cnat"], lambda *_: True, lambda _: None)


def test_the_command_enrols_what_the_inventory_names(
    hub: FakeSshd, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text(f'ssh = {{host = "127.0.0.1", port = {hub.port}}}\n')
    assert cli.main(["trust", "--cluster", str(file), "--yes", "cnat"]) == 0
    assert capsys.readouterr().out.endswith(
        f"cnat: {hub.host_key.get_name()} {hub.host_key.fingerprint} is trusted from now on\n"
    )
    assert (tmp_path / "known_hosts").exists()


def test_yes_does_not_replace_a_changed_key_but_replace_does(
    hub: FakeSshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "n")
    file, old = tmp_path / "cluster.toml", FakeSshd().host_key
    file.write_text(f'ssh = {{host = "127.0.0.1", port = {hub.port}}}\n')
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{hub.port} {old.get_name()} {old.get_base64()}\n")
    assert cli.main(["trust", "--cluster", str(file), "--yes", "cnat"]) == 10
    assert old.get_base64() in known.read_text()
    assert cli.main(["trust", "--cluster", str(file), "--replace", "cnat"]) == 0
    assert hub.host_key.get_base64() in known.read_text()
