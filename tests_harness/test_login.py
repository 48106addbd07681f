"""Who we are when we log in: few keys, one password, and one sentence where a key is of no use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import paramiko
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness import login
from harness.errors import UsageError
from harness.login import MOST_KEYS, PASSWORD_VARIABLE, Login
from harness.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without agent, keys and password."""
    (tmp_path / ".ssh").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv(PASSWORD_VARIABLE, "hunter2")
    return tmp_path


def saved(path: Path, passphrase: str | None = None) -> paramiko.PKey:
    key = paramiko.ECDSAKey.generate()
    key.write_private_key_file(str(path), passphrase)
    return key


def save_as_ssh_keygen_does(path: Path, passphrase: bytes) -> None:
    cipher = serialization.BestAvailableEncryption(passphrase)
    kind = serialization.PrivateFormat.OpenSSH
    path.write_bytes(Ed25519PrivateKey.generate().private_bytes(serialization.Encoding.PEM, kind, cipher))


def test_the_usual_keys_are_found_in_the_home(home: Path) -> None:
    key = saved(home / ".ssh" / "id_ecdsa")
    assert login.find("pi", None).keys == (key,)


def test_a_key_of_the_home_that_is_of_no_use_is_passed_over(home: Path) -> None:
    saved(home / ".ssh" / "id_ecdsa", "passphrase")
    (home / ".ssh" / "id_rsa").write_text("nonsense")
    assert login.find("pi", None).keys == ()


def test_no_more_keys_are_tried_than_sshd_and_fail2ban_bear(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_KEYS < 5  # fail2ban's maxretry (runbook L198); the password is one more
    monkeypatch.setattr(login, "DEFAULT_KEYS", [f"id_{number}" for number in range(9)])
    for name in login.DEFAULT_KEYS:
        saved(home / ".ssh" / name)
    assert len(login.find("pi", None).keys) == MOST_KEYS


def test_a_key_that_was_named_is_the_only_one(home: Path) -> None:
    saved(home / ".ssh" / "id_ecdsa")
    named = saved(home / "named")
    assert login.find("pi", home / "named").keys == (named,)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "No such file", id="missing"),
        pytest.param(b"", "not a usable private key", id="empty"),
        pytest.param(b"nonsense\n", "not a usable private key", id="nonsense"),
        pytest.param(b"\xff\x00\xfe", "not a usable private key", id="binary"),
        pytest.param(b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "not a usable private key", id="cut off"),
    ],
)
def test_a_named_key_that_is_of_no_use_is_one_sentence(home: Path, content: bytes | None, words: str) -> None:
    file = home / "named"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        login.find("pi", file)
    assert str(caught.value).startswith(f"{file}: not a usable private key: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("style", ["PEM", "OpenSSH"])
def test_a_named_key_with_a_passphrase_says_where_to_put_it(home: Path, style: str) -> None:
    if style == "PEM":
        saved(home / "named", "passphrase")
    else:
        save_as_ssh_keygen_does(home / "named", b"passphrase")
    with pytest.raises(UsageError, match=r"the key has a passphrase; add it to your ssh-agent"):
        login.find("pi", home / "named")


def test_the_password_comes_from_the_environment(home: Path) -> None:
    assert home.exists()
    secret = login.find("pi", None).reveal_once_known()
    assert secret is not None
    assert secret.reveal() == "hunter2"
    assert "hunter2" not in repr(login.find("pi", None))


def test_a_person_is_asked_once_however_many_nodes_log_in() -> None:
    asked: list[str] = []

    def ask() -> Secret:
        asked.append("?")
        return Secret("hunter2")

    who = Login("pi", (), ask)
    sources = [source for _ in range(5) for source in who.strategy().get_sources()]
    assert (len(sources), asked) == (5, ["?"])


def test_keys_come_first_and_the_password_is_asked_for_only_then() -> None:
    def refuse() -> Secret:
        raise AssertionError("asked before the key was tried")

    first = next(iter(Login("pi", (paramiko.ECDSAKey.generate(),), refuse).strategy().get_sources()))
    assert type(first).__name__ == "InMemoryPrivateKey"
