"""Step `boot`: the start scripts, the lines that start them, and edits that touch nothing else."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.actions import Run, Write
from harness.node import File
from harness.parse.startup import CRONTABS
from harness.parse.units import Unit
from harness.steps import boot
from harness.steps.boot_interpreters import ABSENT, programs
from harness.steps.boot_scripts import PIPES, TEXT, script_of, volume_of
from harness.steps.pipes_hardened import PROGRAM, UNIT
from tests_harness.fakes_boot import CLUSTER, CRONTAB, HUB, JOBS, SYSTEM, good_boot, start_script, with_crontab
from tests_harness.fakes_cluster import differences
from tests_harness.pipekit import APP

if TYPE_CHECKING:
    from pathlib import Path

    from harness.model import Check

GOOD = good_boot()["p1"]
PI, PRIMES, STATISTICS = PIPES
SCRIPT = script_of(PRIMES, CLUSTER)
JOB = f"@reboot {SCRIPT}\n".encode()
LISTENS, MAY_RUN, STARTS = (
    f"start_{PRIMES}.sh listens", f"start_{PRIMES}.sh may be run by pi", f"a boot starts start_{PRIMES}.sh",
)  # fmt: skip
UNDERSTANDS, ENDED, ACCEPTS = (
    "cron understands the crontab of pi", "the last job of the crontab of pi has a line's end",
    "cron accepts the rights of the crontab of pi",
)  # fmt: skip
ALL_START = {f"a boot starts start_{pipe}.sh" for pipe in PIPES}
RC = "/etc/rc.local"
LOOP = TEXT.format(volume=volume_of(CLUSTER), pipe=PRIMES).encode()
OWN_LOOP = LOOP + b"# mine\n"


def judge(state: boot.State) -> list[Check]:
    return list(boot.judge({"p1": state}, CLUSTER))


def aspects(state: boot.State) -> dict[str, tuple[str, ...]]:
    return {aspect: kinds for (_, aspect), kinds in differences(judge(state)).items()}


def seen(state: boot.State, aspect: str) -> str:
    return next(check.seen for check in judge(state) if check.aspect == aspect)


def with_script(content: bytes | None, mode: int = 0o755, owner: str = "pi:pi") -> boot.State:
    others = {path: file for path, file in GOOD.scripts.items() if path != SCRIPT}
    scripts = others if content is None else others | {SCRIPT: File(content, mode, owner)}
    return replace(GOOD, scripts=scripts, absent=("/bin/bsh", "bsh"))


def with_jobs(content: bytes, mode: int = 0o600, owner: str = "pi:crontab") -> boot.State:
    return replace(GOOD, starters=with_crontab(content, mode, owner))


def mended(state: boot.State, *, advice: bool = False) -> boot.State:
    """What the actions make of the files, each only from the bytes that it was made from."""
    files = state.scripts | state.starters
    failing = [check for check in judge(state) if not check.holds and (advice or check.level == "must")]
    for action in dict.fromkeys(action for check in failing for action in check.fix):
        assert isinstance(action, Write)
        old = files.get(action.path)
        assert action.before == (old.content if old else None), "a second write would be refused"
        mode, owner = (old.mode, old.owner) if old else (0, "")
        files[action.path] = File(
            action.after, mode if action.mode is None else action.mode, action.owner or owner
        )  # fmt: skip
    scripts = {path for path in files if path.startswith(volume_of(CLUSTER))}
    return replace(
        state,
        scripts={path: files[path] for path in scripts},
        starters={path: file for path, file in files.items() if path not in scripts},
    )


def test_a_good_cluster_holds_on_every_machine() -> None:
    checks = list(boot.judge(good_boot(), CLUSTER))
    assert [check for check in checks if not check.holds] == []
    assert {check.node for check in checks} == set(CLUSTER.names)


def test_from_nothing_three_scripts_and_one_crontab_are_written() -> None:
    bare = replace(GOOD, scripts={}, starters=SYSTEM)
    assert set(aspects(bare)) == ALL_START | {f"start_{pipe}.sh listens" for pipe in PIPES}
    after = mended(bare)
    assert aspects(after) == {}
    assert after.starters[CRONTAB] == File(JOBS.removeprefix(b"# mine\n"), 0o600, "pi:crontab")
    assert after.scripts == GOOD.scripts


@pytest.mark.parametrize("pipe", PIPES)
def test_the_script_that_a_repair_writes_is_the_shipped_one(pipe: str) -> None:
    assert start_script(pipe).content == (APP / "repoBashScripts" / f"start_{pipe}.sh").read_bytes()


@pytest.mark.parametrize("pipe", PIPES)
def test_the_hardened_script_starts_the_same_listener(pipe: str) -> None:
    hardened = (APP / "listener" / f"start_{pipe}.sh").read_bytes()
    scripts = GOOD.scripts | {script_of(pipe, CLUSTER): File(hardened, 0o755, "pi:pi")}
    installed = {path: File(b"", 0o755, "root:root") for path in (PROGRAM, UNIT)}
    assert aspects(replace(GOOD, scripts=scripts, hardened=installed)) == {}


@pytest.mark.parametrize("missing", [(PROGRAM,), (UNIT,), (PROGRAM, UNIT)])
def test_a_script_that_starts_a_unit_that_is_gone_starts_nothing(missing: tuple[str, ...]) -> None:
    hardened = (APP / "listener" / f"start_{PIPES[0]}.sh").read_bytes()
    scripts = GOOD.scripts | {script_of(PIPES[0], CLUSTER): File(hardened, 0o755, "pi:pi")}
    installed = {path: File(b"", 0o755, "root:root") for path in (PROGRAM, UNIT) if path not in missing}
    state = replace(GOOD, scripts=scripts, hardened=installed)
    (check,) = [check for check in judge(state) if not check.holds]
    assert check.seen == f"no {' and no '.join(missing)}"
    assert tuple(one.path for one in check.fix if isinstance(one, Write)) == missing


@pytest.mark.parametrize(
    ("state", "want"),
    [
        pytest.param(with_script(None), {LISTENS}, id="missing"),
        pytest.param(with_script(b""), {LISTENS}, id="empty, as the runbook makes it"),
        pytest.param(with_script(b"#!/bin/bash\n# later\n"), {LISTENS}, id="only comments"),
        pytest.param(with_script(b"while true; do cat pipe_module_nb_premiers; done\n"), {LISTENS}, id="no #!"),
        pytest.param(with_script(LOOP, 0o644), {MAY_RUN}, id="not executable"),
        pytest.param(with_script(LOOP, 0o700, "root:root"), {MAY_RUN}, id="only root may run it"),
        pytest.param(with_script(LOOP, 0o711, "root:root"), {MAY_RUN}, id="he may not read it"),
        pytest.param(with_script(b"", 0o644), {LISTENS, MAY_RUN}, id="as `touch` leaves it"),
        pytest.param(with_script(LOOP, 0o755, "root:root"), set(), id="of root, but all may run it"),
        pytest.param(with_script(LOOP, 0o750, "root:pi"), set(), id="of the user's group"),
        pytest.param(with_script(LOOP.replace(b"/home/pi/webVolume/", b"")), set(), id="a relative name"),
        pytest.param(with_script(LOOP.replace(b"\n", b"\r\n")), {LISTENS}, id="the documented one, from Windows"),
        pytest.param(with_script(LOOP.replace(b"/bash", b"/bsh")), {LISTENS}, id="by a program that is not there"),
        pytest.param(with_script(LOOP.replace(b"/bash", b"/bsh"), 0o644), {LISTENS, MAY_RUN}, id="nor executable"),
        pytest.param(with_script(LOOP.replace(b"/bin/bash", b"/usr/bin/env bash")), set(), id="by env"),
    ],
)  # fmt: skip
def test_a_script_differs_exactly_there_and_one_write_mends_it(state: boot.State, want: set[str]) -> None:
    assert aspects(state) == dict.fromkeys(want, ("write",))
    assert aspects(mended(state)) == {}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(LOOP.replace(PRIMES.encode(), PI.encode()), f"on {PI}", id="on another's pipe"),
        pytest.param(b"#!/bin/bash\nsleep 5\n", f"nothing: it does not name {PRIMES}", id="on none"),
        pytest.param(b"#!/bin/bash\n# pipe_module_nb_premiers\nsleep 5\n", f"nothing: it does not name {PRIMES}",
                     id="only in a comment"),
        pytest.param(b"#!/bin/bash\ncat pipe_module_nb_premiers2\n", f"nothing: it does not name {PRIMES}",
                     id="a longer name"),
        pytest.param(b"#!/bin/bash\n./start_pipe_module_nb_premiers.sh\n", f"nothing: it does not name {PRIMES}",
                     id="only itself"),
        pytest.param(OWN_LOOP.replace(b"\n", b"\r\n"), "nothing: a CR ends its first line", id="from Windows"),
        pytest.param(OWN_LOOP.replace(b"/bash", b"/bsh"), "nothing: its first line names /bin/bsh, which is not there",
                     id="by a program that is not there"),
        pytest.param(OWN_LOOP.replace(b"/bin/bash", b"/usr/bin/env bsh"), "nothing: its first line names bsh",
                     id="by one that env does not find"),
    ],
)  # fmt: skip
def test_what_a_person_wrote_is_left_to_him(content: bytes, says: str) -> None:
    state = with_script(content)
    assert aspects(state) == {LISTENS: ()}
    assert seen(state, LISTENS).startswith(says)


@pytest.mark.parametrize(
    ("first", "found"),
    [
        ("#!/bin/bash", ("/bin/bash",)), ("#! /bin/sh -e ", ("/bin/sh",)), ("#!\t/bin/sh\t-e", ("/bin/sh",)),
        ("#!bash", ("./bash",)), ("#!/usr/bin/env bash", ("/usr/bin/env", "bash")), ("", ()), ("#!", ()), ("#! ", ()),
        ("#!/usr/bin/env bash -x", ("/usr/bin/env", "bash -x")), ("#!/usr/bin/env", ("/usr/bin/env",)),
        ("#!/usr/bin/env -S A=b bash -x", ("/usr/bin/env", "bash")), ("# !/bin/sh", ()),
        ("#!/usr/bin/env -S", ("/usr/bin/env", "-S")),
    ],
)  # fmt: skip
def test_a_first_line_names_its_programs(first: str, found: tuple[str, ...]) -> None:
    assert programs(f"{first}\n#!/bin/false\n".encode()) == found


def test_a_machine_says_which_of_them_are_not_there(tmp_path: Path) -> None:
    for name, mode in (("mine", 0o755), ("shut", 0o644)):
        (tmp_path / name).touch(mode)
    named = ("/bin/sh", "sh", "./mine", "./shut", "./none", "/", "bash -x", "no\rsh", "mine")
    argv = ("sh", "-c", ABSENT.replace("{}", '"$@"').replace("%%", "%"), "sh", *named)
    done = subprocess.run(argv, env={"HOME": str(tmp_path)}, capture_output=True, check=True)
    assert done.stdout.decode() == "./shut\n./none\n/\nbash -x\nno\rsh\nmine\n"


def test_a_missing_first_line_is_added_and_the_rest_kept() -> None:
    own = b"while :; do sh < /home/pi/webVolume/pipe_module_nb_premiers; done # mine\n"
    assert mended(with_script(own, 0o644)).scripts[SCRIPT] == File(b"#!/bin/bash\n" + own, 0o755, "pi:pi")


def script_that(*lines: str) -> bytes:
    return "\n".join(("#!/bin/bash", *lines, "")).encode()


@pytest.mark.parametrize(
    ("content", "is_known"),
    [
        pytest.param(LOOP, True, id="the documented loop"),
        pytest.param(script_that(f'while true; do eval "$(cat /home/pi/webVolume/{PRIMES})"; done'), True, id="L615"),
        pytest.param(script_that("cd", f"while :; do eval `cat {PRIMES}`; done"), True, id="backticks"),
        pytest.param(script_that(f"p={PRIMES}", "until false", 'do eval "$(<"$p")"', "done"), True, id="no cat"),
        pytest.param((APP / "listener" / f"start_{PRIMES}.sh").read_bytes(), True, id="the unit"),
        pytest.param(script_that(f"exec python3 clusterhat_pipe.py /x/{PRIMES}"), True, id="its program"),
        pytest.param(script_that(f"rm -f /home/pi/webVolume/{PRIMES}"), False, id="takes the pipe away"),
        pytest.param(script_that(f"tail -f /home/pi/webVolume/{PRIMES}"), False, id="only shows what comes"),
        pytest.param(script_that(f'eval "$(cat {PRIMES})"'), False, id="once"),
        pytest.param(script_that(f"echo {PRIMES}", f'while true; do eval "$(cat {PI})"; done'), False, id="another's"),
        pytest.param(script_that(PRIMES, "while eval " * 50_000), False, id="made to be looked at for ever"),
    ],
)  # fmt: skip
def test_a_script_that_listens_in_no_known_way_is_named_and_decides_nothing(content: bytes, *, is_known: bool) -> None:
    installed = {path: File(b"", 0o755, "root:root") for path in (PROGRAM, UNIT)}
    state = replace(with_script(content), hardened=installed)
    assert aspects(state) == {}
    (check,) = [one for one in judge(state) if one.aspect == f"start_{PRIMES}.sh is a known listener"]
    assert (check.level, check.seen, check.fix) == ("advice", "yes" if is_known else "not recognised", ())


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_that_others_may_change_a_script_is_advice(mode: int) -> None:
    state = with_script(LOOP, mode)
    assert aspects(state) == {}
    (check,) = [check for check in judge(state) if not check.holds]
    assert (check.aspect, check.level) == (f"only pi may change start_{PRIMES}.sh", "advice")
    assert mended(state, advice=True).scripts[SCRIPT].mode == 0o755


def test_advice_waits_for_what_must_be_mended_first() -> None:
    state = with_script(b"", 0o666)
    once = mended(state, advice=True)
    assert mended(once, advice=True).scripts[SCRIPT] == File(LOOP, 0o755, "pi:pi")


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(b"", ALL_START, id="empty"),
        pytest.param(JOBS.replace(JOB, b""), {STARTS}, id="one is missing"),
        pytest.param(JOBS.replace(JOB, b"#" + JOB), {STARTS}, id="one is commented out"),
        pytest.param(JOBS.replace(JOB, JOB.replace(b"\n", b"\r\n")), {STARTS}, id="one ends with CR"),
        pytest.param(JOBS.replace(JOB, JOB.replace(b"@reboot", b"@daily")), {STARTS}, id="one at another time"),
        pytest.param(JOBS + JOB, {STARTS}, id="one twice"),
        pytest.param(JOBS + JOBS, ALL_START, id="all twice"),
        pytest.param(JOBS.replace(JOB, JOB.replace(b".sh", b".sh.old")), {STARTS}, id="a longer name"),
        pytest.param(JOBS.replace(JOB, JOB.replace(b"/start_", b"/old.start_")), {STARTS}, id="a like name"),
        pytest.param(JOBS.rstrip(b"\n"), {ENDED}, id="the last line has no end"),
        pytest.param(JOBS + b"# c", set(), id="a last comment without an end"),
        pytest.param(JOBS + b'MAILTO=""\n*/5 * * * * caf\xe9\n', set(), id="foreign lines"),
        pytest.param(JOBS.replace(JOB, b"@reboot " + b"~" + JOB.removeprefix(b"@reboot /home/pi")), set(), id="~"),
        pytest.param(JOBS.replace(JOB, JOB.replace(b"/home/pi", b"$HOME")), set(), id="$HOME"),
        pytest.param(JOBS.replace(JOB, JOB.replace(b"\n", b" >/tmp/log 2>&1 &\n")), set(), id="with a log"),
        pytest.param(JOBS.replace(JOB, JOB.replace(b"@reboot", b"@reboot pi")), {STARTS}, id="as in /etc/crontab"),
        pytest.param(JOBS + JOB.replace(b"@reboot", b"@reboot chmod +x"), set(), id="made executable, too"),
        pytest.param(JOBS.replace(JOB, b"@reboot cd /home/pi && sleep 9 && ./start_pipe_module_nb_premiers.sh\n"),
                     set(), id="by a relative way"),
    ],
)  # fmt: skip
def test_a_crontab_differs_exactly_there_and_one_write_mends_it(content: bytes, want: set[str]) -> None:
    state = with_jobs(content)
    assert aspects(state) == dict.fromkeys(want, ("write",))
    assert aspects(mended(state)) == {}


@pytest.mark.parametrize(
    ("line", "aspect"),
    [
        ("SHELL=/bin/bash", ""), ("A=b", ""), ("PATH=/usr/local/bin:/usr/bin/", ""), ('PATH="/opt:/bin"', ""),
        ("SHELL=/bin/false", "the crontab of pi runs its jobs by a shell"),
        ("PATH=/home/pi/bin", "the jobs of the crontab of pi find their programs"),
        ("PATH=$PATH:/home/pi/bin", "the jobs of the crontab of pi find their programs"),
    ],
)  # fmt: skip
def test_a_crontab_whose_jobs_cannot_run_is_for_a_person(line: str, aspect: str) -> None:
    state = with_jobs(f"{line}\n".encode() + JOBS)
    assert aspects(state) == ({aspect: ()} if aspect else {})


def test_a_variable_counts_for_the_jobs_below_it() -> None:
    assert aspects(with_jobs(JOBS + b"PATH=/home/pi/bin\nSHELL=/bin/false\n")) == {}
    broken = with_jobs(b"PATH=/home/pi/bin\n" + JOBS + b"PATH=/usr/bin\n")
    assert aspects(broken) == {"the jobs of the crontab of pi find their programs": ()}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"# start_pipe_module_nb_premiers.sh\nSHELL=/bin/false\n" + JOBS, id="behind a comment"),
        pytest.param(JOBS.replace(JOB, b"SHELL=/bin/false\n" + JOB), id="before one of them"),
    ],
)
def test_each_job_has_its_own_variables(content: bytes) -> None:
    assert aspects(with_jobs(content)) == {"the crontab of pi runs its jobs by a shell": ()}


@pytest.mark.parametrize(
    ("path", "mode"), [(RC, 0o644), ("/etc/cron.d/listeners.bak", 0o644), (f"{CRONTABS}tmp.Ab12cd", 0o600)]
)
def test_a_file_that_nothing_runs_starts_nothing(path: str, mode: int) -> None:
    text = JOBS if CRONTABS in path else JOBS.replace(b"@reboot", b"@reboot pi") if "cron" in path else SCRIPT.encode()
    assert aspects(replace(GOOD, starters=with_crontab(JOBS) | {path: File(text, mode, "root:root")})) == {}


def test_only_lines_are_added() -> None:
    content = b"MAILTO=x\r\n" + JOBS.replace(JOB, b"") + b"# caf\xe9"
    after = mended(with_jobs(content)).starters[CRONTAB]
    assert after == File(content + b"\n" + JOB, 0o600, "pi:crontab")


@pytest.mark.parametrize(
    ("mode", "owner"), [(0o644, "pi:crontab"), (0o640, "pi:pi"), (0o400, "pi:crontab"), (0o600, "nobody:crontab")]
)
def test_rights_that_cron_refuses_are_mended(mode: int, owner: str) -> None:
    state = with_jobs(JOBS, mode, owner)
    assert aspects(state) == {ACCEPTS: ("write",)}
    assert mended(state).starters[CRONTAB] == File(JOBS, 0o600, "pi:crontab")


def test_a_crontab_of_root_is_accepted_as_cron_accepts_it() -> None:
    assert aspects(with_jobs(JOBS, 0o600, "root:root")) == {}


def test_one_bad_line_stops_them_all_and_only_a_person_can_say_what_it_means() -> None:
    state = with_jobs(JOBS + b"nonsense line\n")
    assert aspects(state) == {UNDERSTANDS: ()}
    assert "nonsense line" in seen(state, UNDERSTANDS)


@pytest.mark.parametrize(
    ("starters", "says"),
    [
        pytest.param(with_crontab(JOBS + JOB.replace(b"\n", b" >/tmp/log\n")), "2 times, by the crontab of pi",
                     id="twice, not alike"),
        pytest.param(with_crontab(JOBS) | {f"{CRONTABS}root": File(JOB, 0o600, "root:root")},
                     f"once, by the crontab of pi and once, by {CRONTABS}root", id="by root, too"),
        pytest.param(with_crontab(JOBS.replace(JOB, b"")) | {RC: File(SCRIPT.encode(), 0o755, "root:root")},
                     f"once, by {RC}", id="by rc.local instead"),
        pytest.param(with_crontab(JOBS.replace(JOB, JOB.replace(b"webVolume", b"old"))),
                     f"once, by the crontab of pi with {SCRIPT.replace('webVolume', 'old')}", id="another script"),
    ],
)  # fmt: skip
def test_a_second_starter_is_named_and_left_to_a_person(starters: dict[str, File], says: str) -> None:
    state = replace(GOOD, starters=starters)
    assert aspects(state) == {STARTS: ()}
    assert seen(state, STARTS) == says


@pytest.mark.parametrize(
    ("unit", "want"),
    [
        (Unit(is_there=True, is_active=False, is_enabled=True, unmet=()), {"cron runs": ("run",)}),
        (Unit(is_there=True, is_active=True, is_enabled=False, unmet=()), {"cron starts at boot": ("run",)}),
        (Unit(is_there=False, is_active=False, is_enabled=False, unmet=()),
         {"cron starts at boot": ("run", "run"), "cron runs": ("run", "run")}),
        (Unit(is_there=False, is_active=False, is_enabled=False, is_masked=True, unmet=()),
         {"cron starts at boot": (), "cron runs": ()}),
        (Unit(is_there=True, is_active=True, is_enabled=True, unmet=("ConditionHost=p9 in /etc/x",)),
         {"cron starts at boot": ()}),
        (Unit(is_there=True, is_active=False, is_enabled=True, unmet=("ConditionHost=p9 in /etc/x",)),
         {"cron starts at boot": (), "cron runs": ()}),
    ],
)  # fmt: skip
def test_cron_must_run_now_and_at_boot(unit: Unit, want: dict[str, tuple[str, ...]]) -> None:
    state = replace(GOOD, cron=unit)
    assert aspects(state) == want
    actions = {action for check in judge(state) if not check.holds for action in check.fix}
    assert {action.argv[-1] for action in actions if isinstance(action, Run)} <= {"cron", "cron.service"}


def test_a_listener_on_the_controller_is_named_and_decides_nothing() -> None:
    state = boot.State({}, with_crontab(JOBS), GOOD.cron, absent=())
    (check,) = boot.judge({HUB: state}, CLUSTER)
    assert (check.holds, check.level, check.seen) == (False, "advice", CRONTAB)


LINES = st.lists(
    st.one_of(
        st.binary(max_size=20).filter(lambda raw: b"\n" not in raw and b"start_" not in raw and b"@reboot" not in raw),
        st.sampled_from([JOB.strip(), JOB.strip() + b"\r", b"# c", b"A=b", b"@daily a", *JOBS.split()]),
    )
)


@given(LINES, st.sampled_from([b"", b"\n"]), st.integers(0, 0o7777))
def test_whatever_a_crontab_holds_its_lines_stay_and_ours_are_there_once(
    lines: list[bytes], end: bytes, mode: int
) -> None:
    content = b"\n".join(lines) + end
    after = mended(with_jobs(content, mode))
    assert set(aspects(after)) <= {UNDERSTANDS}, "what cron does not understand is a person's"
    ours = {line.strip() for line in JOBS.splitlines() if line.startswith(b"@")}
    kept = after.starters[CRONTAB].content.split(b"\n")
    assert [line for line in kept if line and line.strip(b" \t") not in ours] == [
        line for line in lines if line and line.strip(b" \t") not in ours
    ]
    assert kept.count(JOB.strip()) == 1
