"""What runs on a node for step `pipes`, over real pipes with real listeners: it sees them, and never waits."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import probe_pipes
from harness.probe_pipes import ASK, came_back, entry, is_heard, is_ready, listeners, look, process, sweep
from tests_harness.pipekit import APP, PRIMES, Volume, make_volume, running, send, start, until

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBERS = [str(number) * 20 for number in range(1, 6)]


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return make_volume(tmp_path)


@contextmanager
def documented(volume: Volume) -> Iterator[subprocess.Popen[str]]:
    """The documented listener by its start script, as a boot starts it."""
    script = volume.folder / "repoBashScripts" / f"start_{PRIMES}.sh"
    text = (APP / "repoBashScripts" / script.name).read_text()
    script.write_text(text.replace("/home/pi/webVolume", str(volume.folder)))
    command = ["/bin/bash", str(script)]
    with running(subprocess.Popen(command, text=True, start_new_session=True, stderr=subprocess.PIPE)) as one:
        yield one


def around(*listeners: subprocess.Popen[str]) -> dict[int, Any]:
    """The processes of these listeners; others of this machine may not be ours to look at."""
    sessions = {one.pid for one in listeners}
    numbers = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    mine = [number for number in numbers if _session(number) in sessions]
    return {one.pid: one for number in mine if (one := process(Path(f"/proc/{number}")))}


def _session(number: int) -> int:
    try:
        return os.getsid(number)
    except ProcessLookupError:
        return -1


def seen(volume: Volume, *listeners: subprocess.Popen[str]) -> dict[str, Any]:
    return look(volume.pipe(), around(*listeners))


def await_ready(volume: Volume, *listeners: subprocess.Popen[str]) -> dict[str, Any]:
    return until(lambda: found if is_ready(found := seen(volume, *listeners)) else None, "a listener")


def await_cat(one: subprocess.Popen[str]) -> int:
    """The number of the documented listener's cat, once it waits in open(2); nothing is opened to find out."""

    def waits(number: int) -> bool:
        try:
            return Path(f"/proc/{number}/wchan").read_text() == "wait_for_partner"
        except (FileNotFoundError, ProcessLookupError):
            return False

    return until(lambda: next((pid for pid in around(one) if waits(pid)), None), "a cat that waits")


def test_the_documented_listener_is_one_with_its_cat(volume: Volume) -> None:
    os.mkfifo(volume.pipe())
    with documented(volume) as one:
        await_cat(one)
        found = seen(volume, one)
        assert is_ready(found)
        (listener,) = found["listeners"]
        assert (listener["kind"], listener["is_stopped"], listener["job"]) == ("documented", False, "")
        assert listener["name"].startswith(f"{one.pid}:")
        assert len(listener["members"]) == 2, "the shell and its cat"


def test_the_hardened_listener_is_one(volume: Volume) -> None:
    with running(start(volume)) as one:
        (listener,) = await_ready(volume, one)["listeners"]
        assert (listener["kind"], listener["members"]) == ("hardened", [listener["name"]])


def test_two_are_two(volume: Volume) -> None:
    os.mkfifo(volume.pipe())
    with documented(volume) as one, documented(volume) as other:
        found = until(lambda: found if len((found := seen(volume, one, other))["listeners"]) == 2 else None, "both")
        assert not is_ready(found)


def test_the_cat_of_a_listener_that_was_killed_is_left_over(volume: Volume) -> None:
    os.mkfifo(volume.pipe())
    with documented(volume) as one:
        cat = await_cat(one)
        one.kill()
        one.wait()
        try:
            left = process(Path(f"/proc/{cat}"))
            assert left
            # Who takes it over differs from machine to machine; on a node it is the first process.
            (found,) = listeners(volume.pipe(), {cat: left._replace(parent=1)})
            assert found["kind"] == "orphan"
        finally:
            os.kill(cat, signal.SIGKILL)


def test_the_cat_of_a_person_is_none(volume: Volume) -> None:
    os.mkfifo(volume.pipe())
    with (volume.top / "log").open("w") as log:
        command = ["cat", str(volume.pipe())]
        started = subprocess.Popen(command, stdout=log, text=True, start_new_session=True, stderr=subprocess.PIPE)
        with running(started) as one:
            await_cat(one)
            found = process(Path(f"/proc/{one.pid}"))
            assert found
            (listener,) = listeners(volume.pipe(), {one.pid: found._replace(parent=1)})
            assert listener["kind"] == "reader"


@pytest.mark.parametrize("replacement", ["nothing", "file", "pipe"])
def test_one_that_waits_on_a_pipe_that_is_gone_is_alive_and_not_heard(volume: Volume, replacement: str) -> None:
    os.mkfifo(volume.pipe())
    with documented(volume) as one:
        await_cat(one)
        volume.pipe().unlink()
        if replacement == "file":
            volume.pipe().touch()
        elif replacement == "pipe":
            os.mkfifo(volume.pipe())
        found = seen(volume, one)
        assert len(found["listeners"]) == 1
        assert not found["is_heard"]


def test_one_that_was_stopped_says_so(volume: Volume) -> None:
    os.mkfifo(volume.pipe())
    with documented(volume) as one:
        await_cat(one)
        os.killpg(one.pid, signal.SIGSTOP)
        until(lambda: seen(volume, one)["listeners"][0]["is_stopped"] or None, "the stop")
        assert not is_ready(seen(volume, one))


def test_one_that_is_at_work_says_at_what_and_is_not_ready(volume: Volume) -> None:
    os.mkfifo(volume.pipe())
    with documented(volume) as one:
        send(volume.pipe(), b"sleep 60\n")
        job = until(lambda: seen(volume, one)["listeners"][0]["job"] or None, "the job")
        assert job == "sleep 60"
        assert not is_ready(seen(volume, one))


@pytest.mark.parametrize("kind", ["nothing", "file", "folder", "link to a pipe", "pipe without a reader"])
def test_a_look_at_anything_else_is_never_heard_and_changes_nothing(volume: Volume, kind: str) -> None:
    pipe = volume.pipe()
    if kind == "file":
        pipe.write_text("mine")
    elif kind == "folder":
        pipe.mkdir()
    elif kind == "link to a pipe":
        os.mkfifo(volume.top / "other")
        pipe.symlink_to(volume.top / "other")
    elif kind != "nothing":
        os.mkfifo(pipe)
    before = volume.seen()
    assert not look(pipe, {})["is_heard"]
    assert volume.seen() == before
    assert (entry(pipe) or {"kind": "nothing"})["kind"] == kind.split(maxsplit=1)[0]
    assert kind != "file" or pipe.read_text() == "mine"


def test_a_pipe_whose_reader_waits_is_heard_and_nothing_is_written(volume: Volume) -> None:
    os.mkfifo(volume.pipe())
    reader = os.open(volume.pipe(), os.O_RDONLY | os.O_NONBLOCK)
    assert is_heard(volume.pipe())
    assert os.read(reader, 10) == b""
    os.close(reader)


def ask(volume: Volume, limit: int = 20) -> dict[str, Any]:
    """The script that runs in the container, here."""
    words = [str(volume.results), str(volume.results), str(limit), str(volume.pipe()), *NUMBERS]
    done = subprocess.run(
        ["sh", "-c", ASK, "sh", *words], env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    return came_back(str(volume.pipe()), NUMBERS, done.stdout)


@pytest.mark.parametrize("kind", ["documented", "hardened"])
def test_requests_of_two_writers_come_back_once_each(volume: Volume, kind: str) -> None:
    if kind == "documented":
        os.mkfifo(volume.pipe())
    with documented(volume) if kind == "documented" else running(start(volume)) as one:
        await_ready(volume, one)
        assert ask(volume) == {"error": "", "writers": [1, 1, 1, 1], "last": 1}


def test_without_a_listener_the_deadline_is_kept_and_no_file_is_made(volume: Volume) -> None:
    os.mkfifo(volume.pipe())
    before = volume.seen()
    assert ask(volume, limit=1) == {"error": "No such device or address", "writers": [0] * 4, "last": 0}
    assert volume.seen() == before


def test_a_missing_pipe_is_not_made_into_a_file(volume: Volume) -> None:
    before = volume.seen()
    assert ask(volume, limit=1)["error"] == "No such file or directory"
    assert volume.seen() == before


def test_a_listener_that_carries_out_twice_is_caught(volume: Volume) -> None:
    os.mkfifo(volume.pipe())
    twice = f'while [ -p {volume.pipe()} ]; do line=$(cat {volume.pipe()}); eval "$line"; eval "$line"; done'
    with running(subprocess.Popen(["bash", "-c", twice], text=True, start_new_session=True, stderr=subprocess.PIPE)):
        assert ask(volume) == {"error": "", "writers": [2, 2, 2, 2], "last": 2}


@given(st.lists(st.sampled_from([0, 1, 2]), min_size=5, max_size=5))
def test_every_count_is_read_as_it_was_told(counts: list[int]) -> None:
    lines = [f"/p {number} {f'{number},' * count}" for number, count in zip(NUMBERS, counts, strict=True) if count]
    said = "\n".join([*lines, f"/other {NUMBERS[0]} {NUMBERS[0]},", ""])
    assert came_back("/p", NUMBERS, said) == {"error": "", "writers": counts[:4], "last": counts[4]}


def test_only_what_an_old_look_left_is_swept(volume: Volume) -> None:
    old, fresh, foreign = (volume.results / name for name in (
        f"hatcheck-{NUMBERS[0]}.txt", f"hatcheck-{NUMBERS[1]}.txt", "hatcheck-notes.txt"))  # fmt: skip
    for file in (old, fresh, foreign):
        file.touch()
    for file in (old, foreign):
        os.utime(file, (0, time.time() - 2 * probe_pipes.OLD))
    sweep(volume.results)
    assert set(volume.results.iterdir()) == {fresh, foreign}
