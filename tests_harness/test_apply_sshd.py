"""The guarded change of sshd's configuration: its order, and what is said and done where a part of it fails."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from harness.actions import WriteSshd
from harness.apply_sshd import CHANGE, CONFIRM, GUARD, UNDO, change_sshd
from harness.errors import ObservationError, Refused, RepairError, Unreachable
from harness.shell import Answer

ACTION = WriteSshd("p1", "/etc/ssh/sshd_config.d/00-x.conf", b"old\n", b"new\n", "because")
FINE = Answer(0, b"", b"")
SCRIPTS = {"change": CHANGE, "confirm": CONFIRM, "undo": UNDO}


@dataclass
class FakeDoors:
    """A node and its door: keeps the order of what was done; `answers` are what differs from success."""

    answers: dict[str, Answer | ObservationError] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)

    def connection(self, name: str) -> FakeDoors:
        assert name == ACTION.node
        return self

    def ask(self, script: str, *, root: bool, limit: float | None) -> Answer:
        assert root
        assert limit
        return self._give(next(name for name, text in SCRIPTS.items() if text in script))

    def log_in_anew(self, name: str) -> None:
        assert name == ACTION.node
        self._give("log in")

    def _give(self, name: str) -> Answer:
        self.done.append(name)
        answer = self.answers.get(name, FINE)
        if isinstance(answer, ObservationError):
            raise answer
        return answer


def test_a_change_is_kept_only_after_a_new_login() -> None:
    doors = FakeDoors()
    change_sshd(ACTION, doors)
    assert doors.done == ["change", "log in", "confirm"]


@pytest.mark.parametrize(
    ("answers", "done", "words"),
    [
        pytest.param(
            {"change": Answer(5, b"", b"\nline 1: Bad option\nterminating\n")}, ["change", "undo"],
            "is as it was: sshd rejects it: line 1: Bad option; terminating", id="sshd -t fails",
        ),
        pytest.param(
            {"change": Answer(4, b"", b"")}, ["change"], "left as it was: it has changed since", id="another writer"
        ),
        pytest.param(
            {"change": Answer(3, b"", b"")}, ["change"], "left as it was: an earlier change", id="an earlier change"
        ),
        pytest.param(
            {"change": Unreachable("p1: gone"), "undo": Unreachable("p1: gone")}, ["change", "undo"],
            "is taken back by the node itself within 90 s: p1: gone", id="the connection is lost",
        ),
        pytest.param(
            {"log in": Refused("p1 refuses")}, ["change", "log in", "undo"], "is as it was: p1 refuses", id="locked out"
        ),
        pytest.param(
            {"log in": Refused("p1 refuses"), "undo": Answer(1, b"", b"")}, ["change", "log in", "undo"],
            "is taken back by the node itself", id="locked out, and no undo at once",
        ),
        pytest.param(
            {"confirm": Answer(1, b"", b"")}, ["change", "log in", "confirm"], "came too late", id="time ran out"
        ),
        pytest.param(
            {"confirm": Unreachable("p1: gone")}, ["change", "log in", "confirm", "undo"], "is as it was: p1: gone",
            id="lost before it is confirmed",
        ),
    ],
)  # fmt: skip
def test_a_failure_takes_the_change_back(
    answers: dict[str, Answer | ObservationError], done: list[str], words: str
) -> None:
    doors = FakeDoors(answers)
    with pytest.raises(RepairError, match=r"^p1: /etc/ssh/sshd_config.d/00-x.conf ") as error:
        change_sshd(ACTION, doors)
    assert words in str(error.value)
    assert doors.done == done


def test_the_node_is_told_to_take_it_back_before_anything_is_touched() -> None:
    armed, written, tested, loaded = (
        CHANGE.index(words) for words in ("systemd-run", 'mv -T -- "$new" "$path"', "sshd -t", "systemctl reload")
    )
    assert CHANGE.index("sync -- ") < armed < written < tested < loaded
    assert f"--unit={GUARD} " in CHANGE
