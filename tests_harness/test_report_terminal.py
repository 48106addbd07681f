"""The end of a run in a terminal, and that all faces of the report say the same."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from rich.cells import cell_len
from rich.console import Console

from harness.actions import Write
from harness.model import Check, Done, Outcome, Place, Record, Verdict
from harness.report.html import render_html
from harness.report.save import result_json
from harness.report.summary import summarize
from harness.report.terminal import render_summary, summary_lines
from tests_harness.test_report_html import RECORDS
from tests_harness.test_report_samples import HOSTILE, outcome, poisoned, record, write_hosts, wrong_hosts

CAUSE = Outcome(Place("hosts", "p2"), Verdict.DIFFERS, checks=(wrong_hosts(),), planned=(write_hosts(),))


def printed(
    run: Record, width: int = 80, *, colour: bool = False, encoding: str = "utf-8", is_brief: bool = False
) -> str:
    """What the console would write, as it would write it."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    system = "truecolor" if colour else None
    console = Console(file=stream, width=width, force_terminal=colour, color_system=system)  # type: ignore[arg-type]
    render_summary(run, console, is_brief=is_brief)
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_causes_come_with_their_reason_and_what_they_block() -> None:
    text = printed(record(CAUSE, outcome("keys[p2]", Verdict.BLOCKED, "hosts[p2]"), mode="plan"))
    assert text.splitlines()[:7] == [
        "step   p2",
        "hosts  differs",
        "keys   blocked",
        "",
        "1 cause explains 1 of 2 that are not met:",
        "  hosts[p2] differs: pi2: want 172.19.181.2, seen 172.19.181.9",
        "    blocks 1: keys[p2]",
    ]
    assert text.endswith("\ndiffers: 1 differs, 1 blocked in 42.0 s\n")


def test_a_difference_of_the_whole_is_said_to_be_perhaps_only_what_is_blocked() -> None:
    whole = Check("cnat", "machines that serve", "all", "not p3", holds=False, stops=False)
    cause = Outcome(Place("web", "cnat"), Verdict.DIFFERS, checks=(whole,))
    run = record(outcome("engine[p3]", Verdict.DIFFERS), cause, outcome("web[p3]", Verdict.BLOCKED, "engine[p3]"))
    assert "    perhaps only because of what is blocked: web[p3] by engine[p3]\n" in printed(run)
    page = re.sub(r"<[^>]+>", "", render_html(run))
    assert "Perhaps only because of what is blocked: web[p3] by engine[p3]" in page


def test_a_plan_is_shown_as_a_diff() -> None:
    text = printed(record(CAUSE, mode="plan"))
    assert "plan for hosts[p2]\n  p2: pi2 must be 172.19.181.2\n  write /etc/hosts\n" in text
    assert "\n  +172.19.181.2 pi2\n" in text


def test_a_reading_run_says_what_a_repair_would_do() -> None:
    text = printed(record(replace(CAUSE, planned=())))
    assert "    --repair would do: write /etc/hosts\n" in text


def test_a_repair_says_what_was_done_and_what_failed() -> None:
    tried = (Done(write_hosts()), Done(write_hosts(), "p2: the disk is full"))
    text = printed(record(replace(CAUSE, planned=(), done=tried), mode="repair"))
    assert "repair of hosts[p2]: differs\n" in text
    assert "\n  done\n" in text
    assert "\n  failed: p2: the disk is full\n" in text
    assert "    left to do: write /etc/hosts\n" in text


def test_a_brief_summary_leaves_what_was_repaired_to_the_report_and_shows_what_failed() -> None:
    mended = Outcome(Place("hosts", "p1"), Verdict.REPAIRED, done=(Done(write_hosts()),))
    failed = replace(CAUSE, planned=(), done=(Done(write_hosts(), "p2: the disk is full"),))
    text = printed(record(mended, failed, mode="repair"), is_brief=True)
    assert "repair of hosts[p1]" not in text
    assert "repaired by 1 action; the report shows each of them, and the change to each file\n" in text
    assert "repair of hosts[p2]: differs\n" in text
    assert "\n  failed: p2: the disk is full\n" in text


def test_a_repair_that_failed_in_part_is_not_left_to_the_report() -> None:
    tried = (Done(write_hosts(), "p2: the disk is full"), Done(write_hosts()))
    text = printed(record(Outcome(Place("hosts", "p2"), Verdict.REPAIRED, done=tried), mode="repair"), is_brief=True)
    assert "\n  failed: p2: the disk is full\n" in text


def test_a_plan_is_whole_however_brief_the_summary_and_long_the_file() -> None:
    content = "".join(f"{number}\n" for number in range(300))
    write = Write("p1", "/etc/long", None, content.encode(), "be long")
    run = record(Outcome(Place("hosts", "p1"), Verdict.DIFFERS, checks=(wrong_hosts(),), planned=(write,)), mode="plan")
    text = printed(run)
    assert printed(run, is_brief=True) == text
    assert "\n  +299\n" in text
    assert "left out" not in text


def test_what_only_a_person_can_do_is_said() -> None:
    check = Check("p1", "architecture", "armv6l", "x86_64", holds=False, by_hand="flash the other image")
    text = printed(record(Outcome(Place("system", "p1"), Verdict.DIFFERS, checks=(check,))))
    assert "    by hand: flash the other image\n" in text


def test_the_same_advice_is_named_once_for_all_its_machines() -> None:
    weak = Check("p1", "key type", "ed25519", "rsa", holds=False, level="advice")
    kinds = {"p1": "rsa", "p2": "dsa", "p3": "rsa"}
    text = printed(
        record(
            *(
                Outcome(Place("keys", name), Verdict.OK, checks=(replace(weak, node=name, seen=kind),))
                for name, kind in kinds.items()
            )
        )
    )
    assert "  advice keys[p1, p3] key type: want ed25519, seen rsa\n" in text
    assert "  advice keys[p2] key type: want ed25519, seen dsa\n" in text


def test_a_step_that_nobody_asked_for_is_called_so() -> None:
    text = printed(replace(record(outcome("hosts[p1]")), steps=("system", "hosts")))
    assert [line.split()[0] for line in text.splitlines()[:3] if line] == ["step", "hosts"]
    assert "  looked at only because others need it: system\n" in text


def test_no_colour_means_no_escape_at_all() -> None:
    assert "\x1b" not in printed(poisoned("x"))


def test_colour_changes_nothing_of_the_text() -> None:
    run = record(CAUSE, outcome("keys[p2]", Verdict.BLOCKED, "hosts[p2]"), mode="plan")
    assert re.sub(r"\x1b\[[0-9;]*m", "", printed(run, colour=True)) == printed(run)


@pytest.mark.parametrize("width", [40, 80, 132])
def test_no_row_of_the_matrix_is_wider_than_the_terminal(width: int) -> None:
    nodes = ("cnat", *(f"p{number}" for number in range(1, 31)))
    steps = ("hosts", "a_step_with_quite_a_long_name_indeed")
    run = record(*(outcome(f"{step}[{node}]") for step in steps for node in nodes))
    rows = [line.plain for line in summary_lines(run, width)]
    assert max(cell_len(row) for row in rows[:-2]) <= width
    assert sum(row.count(" ok") for row in rows[:-1]) == len(steps) * len(nodes)


def test_five_nodes_fit_in_one_block_of_eighty_columns() -> None:
    nodes = ("cnat", "p1", "p2", "p3", "p4")
    run = record(*(outcome(f"overlay_network[{node}]", Verdict.REPAIRED) for node in nodes))
    assert printed(run).splitlines()[1].split() == ["overlay_network", *["repaired"] * 5]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_harmless_and_bounded(text: str) -> None:
    shown = printed(poisoned(text))
    assert shown.replace("\n", "").isprintable()
    assert len(shown) < 60_000


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_old_terminal_gets_escapes_and_no_traceback(encoding: str) -> None:
    assert "\\u241b[2J" in printed(poisoned(HOSTILE["ansi"]), encoding=encoding)


def test_brackets_are_text_and_no_markup() -> None:
    assert "[bold red]x[/]" in printed(poisoned(HOSTILE["markup"]))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(RECORDS)
def test_any_record_prints_safely(run: Record) -> None:
    assert printed(run).replace("\n", "").isprintable()


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(RECORDS)
def test_page_result_and_terminal_agree(run: Record) -> None:
    summary = summarize(run)
    counts = {str(verdict): number for verdict, number in summary.counts.items()}
    found = re.findall(r'<li class="\w+(?: none)?"><b>(\d+)</b> (\w+)</li>', render_html(run))
    assert {verdict: int(number) for number, verdict in found} == counts
    assert json.loads(result_json(run))["summary"]["counts"] == counts
    closing, _, _ = printed(run).splitlines()[-1].rpartition(" in ")
    said = {verdict: int(number) for number, verdict in re.findall(r"(\d+) ([a-z]+)", closing)}
    assert {verdict: number for verdict, number in counts.items() if number} == said
    assert closing.startswith(summary.headline)
