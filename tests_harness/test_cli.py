"""`hatcheck`: wrong words are usage, which is 4, and every error is one sentence on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness import cli
from tests_harness.fakes_sshd import closed_port

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param([], "required: COMMAND", id="no command"),
        pytest.param(["levitate"], "invalid choice", id="unknown command"),
        pytest.param(["trust", "--colour"], "unrecognized arguments: --colour", id="unknown option"),
        pytest.param(["trust", "--cluster"], "expected one argument", id="option without its value"),
        pytest.param(["trust", "--cluster", "nowhere.toml"], "nowhere.toml: no such inventory", id="no inventory"),
        pytest.param(["lab"], "", id="lab without command"),
        pytest.param(["lab", "levitate"], "", id="unknown lab command"),
    ],
)
def test_wrong_words_are_usage(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == cli.USAGE
    output = capsys.readouterr()
    assert said in output.err
    assert "Traceback" not in output.err
    assert output.out == ""


@pytest.mark.parametrize("words", [["--help"], ["trust", "--help"]], ids=" ".join)
def test_help_is_no_mistake(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 0
    assert "trust" in capsys.readouterr().out


def test_a_machine_that_cannot_be_reached_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HATCHECK_PASSWORD", "unused")
    file = tmp_path / "cluster.toml"
    file.write_text(f'ssh = {{host = "127.0.0.1", port = {closed_port()}}}\n')
    assert cli.main(["trust", "--cluster", str(file), "--yes", "cnat"]) == cli.UNKNOWN
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("answer", "is_accepted"), [("y", True), ("YES ", True), ("n", False), ("", False), (None, False)]
)
def test_only_a_yes_is_a_yes(
    answer: str | None, is_accepted: bool, monkeypatch: pytest.MonkeyPatch  # noqa: FBT001
) -> None:  # fmt: skip
    def reply(_: str) -> str:
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr("builtins.input", reply)
    assert cli._ask() is is_accepted  # noqa: SLF001 - the one place where a person decides
