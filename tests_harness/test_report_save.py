"""Saving a run: complete or not at all, readable, and `latest` always at the newest."""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from harness.errors import UsageError
from harness.model import Outcome, Place, Record, Verdict
from harness.report.save import result_json, save
from tests_harness.test_report_samples import HOSTILE, outcome, poisoned, record, write_hosts

STAMP = "2026-11-22T15-04-05Z"
RUN = record(outcome("hosts[p1]", Verdict.DIFFERS, reason="wrong"))


def test_a_run_leaves_three_readable_files(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        folder = save(RUN, '{"tape": 1}', tmp_path / "new" / "reports")
    finally:
        os.umask(before)
    assert folder.name == STAMP
    assert {file.name: oct(file.stat().st_mode)[-3:] for file in folder.iterdir()} == {
        "report.html": "644",
        "result.json": "644",
        "tape.json": "644",
    }
    assert oct(folder.stat().st_mode)[-3:] == "755"
    assert (folder / "tape.json").read_text() == '{"tape": 1}'


def test_the_folder_is_named_in_utc_so_that_names_sort(tmp_path: Path) -> None:
    later = replace(RUN, started="2026-11-22T16:04:06.5+01:00")
    names = [save(run, "", tmp_path).name for run in (RUN, later)]
    assert names == sorted(names) == [STAMP, "2026-11-22T15-04-06Z"]


def test_runs_of_the_same_second_are_numbered(tmp_path: Path) -> None:
    assert [save(RUN, "", tmp_path).name for _ in range(3)] == [STAMP, f"{STAMP}-2", f"{STAMP}-3"]


def test_latest_is_a_relative_link_to_the_newest(tmp_path: Path) -> None:
    for _ in range(2):
        save(RUN, "", tmp_path)
    assert str((tmp_path / "latest").readlink()) == f"{STAMP}-2"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [STAMP, f"{STAMP}-2", "latest"]


@pytest.mark.parametrize("name", ["latest", f".latest-{STAMP}"])
def test_a_dangling_link_of_a_killed_run_is_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("gone")
    save(RUN, "", tmp_path)
    assert (tmp_path / "latest" / "report.html").is_file()


def test_a_link_in_the_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    reports, elsewhere = tmp_path / "reports", tmp_path / "elsewhere"
    reports.mkdir()
    (reports / STAMP).symlink_to(elsewhere)
    assert save(RUN, "", reports).name == f"{STAMP}-2"
    assert not elsewhere.exists()


def test_a_folder_called_latest_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    with pytest.raises(UsageError, match="cannot be saved there: Is a directory"):
        save(RUN, "", tmp_path)
    assert (tmp_path / "latest").is_dir()


def test_a_file_in_the_place_of_reports_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("")
    with pytest.raises(UsageError, match=r"reports: the report of this run cannot be saved there: \w+"):
        save(RUN, "", tmp_path / "reports")


def test_a_place_where_not_even_root_may_write_is_one_sentence() -> None:
    with pytest.raises(UsageError, match=r"^/proc/reports: .* cannot be saved there: [^\n]+$"):
        save(RUN, "", Path("/proc/reports"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="Permission denied"):
        save(RUN, "", tmp_path)


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("harness.report.save.os.fsync", full)
    with pytest.raises(UsageError, match="No space left on device"):
        save(RUN, "", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_result_is_the_record_and_its_summary() -> None:
    planned = Outcome(Place("hosts", "p2"), Verdict.DIFFERS, "wrong", planned=(write_hosts(),))
    run = record(planned, outcome("keys[p2]", Verdict.BLOCKED, "hosts[p2]"))
    result = json.loads(result_json(run))
    assert TypeAdapter(Record).validate_python(result["record"]) == run
    assert result["summary"]["headline"] == "differs"
    assert result["summary"]["exit_code"] == 1
    assert result["summary"]["causes"] == [
        {"place": "hosts[p2]", "verdict": "differs", "reason": "wrong", "blocks": ["keys[p2]"], "amid": []}
    ]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_harmless_and_bounded_in_the_result(text: str, tmp_path: Path) -> None:
    folder = save(poisoned(text), json.dumps(text, ensure_ascii=False), tmp_path)
    result = (folder / "result.json").read_bytes()
    assert len(result) < 3_000_000
    assert not re.search(rb"[^\n -~]", result)
    TypeAdapter(Record).validate_python(json.loads(result)["record"])
    assert json.loads((folder / "tape.json").read_bytes()) == text


def test_a_tape_that_is_judged_again_is_no_latest_run_and_says_so(tmp_path: Path) -> None:
    run = save(RUN, "", tmp_path)
    again = save(RUN, "", tmp_path, tape="kept/tape.json")
    assert (tmp_path / "latest").resolve() == run
    assert "judged again from kept/tape.json" in (again / "report.html").read_text()
    assert "judged again" not in (run / "report.html").read_text()


def test_the_page_finds_the_documentation_wherever_it_lies(tmp_path: Path) -> None:
    page = save(RUN, "", tmp_path / "far" / "away") / "report.html"
    (first, *_) = re.findall(r'href="([^"]+)/hosts[.]md"', page.read_text())
    assert (page.parent / first / "hosts.md").is_file()
