"""The MPI programs of the application, without MPI: what they find, what they write, and what they refuse."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.primes import primes
from tests_harness.labkit import ROOT

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

FOLDER = ROOT / "fixtures" / "app" / "mpi"
RANGES = [(1, 100), (2, 100), (10, 30), (1, 97), (97, 97), (90, 96), (0, 1), (1, 1), (0, 0), (2, 3), (1, 600_000)]
LIMIT = 64 * 1024  # KiB


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"app_{name}", FOLDER / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


prime, pi, stats = load("prime"), load("pi_monte_carlo"), load("node_stats")


@dataclass
class World:
    """Ranks that are threads: `gather` waits for all, as MPI's does."""

    size: int
    barrier: threading.Barrier = field(init=False)
    given: dict[int, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.barrier = threading.Barrier(self.size, timeout=60)


@dataclass
class Rank:
    world: World
    rank: int

    @property
    def size(self) -> int:
        return self.world.size

    def gather(self, value: Any, root: int = 0) -> list[Any] | None:  # noqa: ANN401 - any value
        self.world.given[self.rank] = value
        self.world.barrier.wait()
        found = [self.world.given[rank] for rank in range(self.size)] if self.rank == root else None
        self.world.barrier.wait()
        return found


def names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


def run_ranks(size: int, run: Any, *arguments: object) -> None:  # noqa: ANN401 - a program's `run`
    world = World(size)
    with ThreadPoolExecutor(size) as threads:
        list(threads.map(lambda rank: run(Rank(world, rank), f"p{rank}", *arguments), range(size)))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize(("low", "high"), RANGES)
def test_all_ranks_together_find_each_prime_once(size: int, low: int, high: int, tmp_path: Path) -> None:
    run_ranks(size, prime.run, low, high, tmp_path / "result.json")
    found = json.loads((tmp_path / "result.json").read_text())
    assert found["primeNumbersList"] == list(primes(low, high))
    assert [type(value) for value in found.values()] == [float, list]
    assert names(tmp_path) == ["result.json"]


@given(st.integers(0, 400_000), st.integers(0, 5000), st.integers(1, 9))
def test_any_range_in_any_number_of_blocks(low: int, more: int, size: int) -> None:
    high = low + more
    parts = prime.blocks(low, high, size)
    assert [number for start, end in parts for number in range(start, end + 1)] == list(range(low, high + 1))
    small = prime.small_primes(max(2, math.isqrt(high)))
    assert [one for part in parts for one in prime.sieve(*part, small)] == list(primes(low, high))


def test_the_file_has_the_documented_form(tmp_path: Path) -> None:
    run_ranks(1, prime.run, 1, 7, tmp_path / "result.json")
    lines = (tmp_path / "result.json").read_text().splitlines()
    assert lines[0] == "{"
    assert lines[1].split() == ['"executionTime":', "0.00,"]
    assert lines[2:] == ['   "primeNumbersList": [', "      2,", "      3,", "      5,", "      7", "   ]", "}"]


def test_each_rank_says_its_machine_and_its_share(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_ranks(3, prime.run, 1, 100, tmp_path / "result.json")
    said = json.loads(capsys.readouterr().out)
    assert said == {"size": 3, "hosts": ["p0", "p1", "p2"], "found": [11, 8, 6]}


def test_what_fails_midway_leaves_the_old_result_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    target.write_text("old")

    def failing() -> Any:  # noqa: ANN401 - a generator
        yield b"      2"
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        prime.write(target, failing(), 0.0)
    assert (target.read_text(), names(tmp_path)) == ("old", ["result.json"])


def test_a_hundred_million_stay_below_64_mib(tmp_path: Path) -> None:
    """Rank 0 of 4, which has most to hold: it also gets what the others found, and that weighs as much as its own."""
    program = f"""
import json, sys
sys.path.insert(0, {str(FOLDER)!r})
from pathlib import Path
import prime
class Rank:
    rank, size = 0, 4
    def gather(self, value, root=0):
        return [value, *(bytes(bytearray(value)) for _ in range(3))] if isinstance(value, bytes) else [value]
prime.run(Rank(), "p1", 1, 100_000_000, Path({str(tmp_path / "result.json")!r}))
status = Path("/proc/self/status").read_text()
print(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
"""
    done = subprocess.run([sys.executable, "-B", "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout.splitlines()[-1]) < LIMIT


@pytest.mark.parametrize(
    "words",
    ["", "1 100", "1 x out", "-1 5 out", "5 1 out", "1 100000001 out", "1 2 3 4", "1.5 2 out", "1;id 2 out"],
)
def test_prime_refuses_other_arguments(words: str) -> None:
    with pytest.raises(SystemExit) as end:
        prime.parse(words.split())
    assert end.value.code == 2


def test_the_parameters_that_the_runbook_puts_after_the_program_are_not_its_own() -> None:
    tail = ["--mca", "btl_tcp_if_include", "172.19.181.0/24"]
    assert prime.parse(["1", "100", "out.json", *tail]).high == 100
    assert pi.parse(["10", "out.json", *tail]).throws == 10
    assert stats.parse(["out.csv", *tail]).outfile.name == "out.csv"


@given(st.integers(1, 10_000), st.integers(1, 20))
def test_all_shares_together_are_all_throws(throws: int, size: int) -> None:
    shares = [pi.share(throws, rank, size) for rank in range(size)]
    assert sum(shares) == throws
    assert max(shares) - min(shares) <= 1


def test_pi_is_pi_within_its_error(tmp_path: Path) -> None:
    throws = 200_000
    hits = pi.hits(throws, Random(7))  # noqa: S311 - the same throws each time
    assert abs(4 * hits / throws - math.pi) < 5 * 4 * math.sqrt(math.pi / 4 * (1 - math.pi / 4) / throws)
    run_ranks(3, pi.run, 10, tmp_path / "pi.json")
    found = json.loads((tmp_path / "pi.json").read_text())
    assert list(found) == ["executionTime", "pi", "error"]
    assert found["pi"] * 10 / 4 == round(found["pi"] * 10 / 4), "a whole number of hits in exactly 10 throws"
    assert found["error"] == abs(found["pi"] - math.pi) / math.pi


@pytest.mark.parametrize("words", ["", "0 out", "x out", "100000001 out", "1"])
def test_pi_refuses_other_arguments(words: str) -> None:
    with pytest.raises(SystemExit) as end:
        pi.parse(words.split())
    assert end.value.code == 2


def test_the_load_is_the_part_of_the_time_that_was_not_idle() -> None:
    before, after = "cpu  100 0 100 700 100 0 0 0 5 5\ncpu0 1\n", "cpu  150 0 120 720 110 0 0 0 9 9\ncpu0 2\n"
    assert stats.usage(before, after) == 70.0
    assert stats.usage(before, before) == 0.0


def test_memory_is_in_mib_and_what_can_be_had_is_not_in_use() -> None:
    assert stats.memory("MemTotal: 441024 kB\nMemFree: 1 kB\nMemAvailable: 338624 kB\n") == (430, 100)


@pytest.mark.parametrize(
    ("text", "words"),
    [("59.9 1.0", "up 0 minutes"), ("61 1", "up 1 minute"), ("7260 1", "up 2 hours, 1 minute"),
     ("1197060 1", "up 13 days, 20 hours, 31 minutes"), ("86400 1", "up 1 day")],
)  # fmt: skip
def test_uptime_is_said_as_uptime_says_it(text: str, words: str) -> None:
    assert stats.uptime(text) == words


def test_there_is_a_row_for_each_machine(tmp_path: Path) -> None:
    run_ranks(3, stats.run, tmp_path / "stats.csv")
    header, *rows = (tmp_path / "stats.csv").read_text().splitlines()
    assert header == "piName;cpuUsage;cpuFrequency;memTotal;memUsed;uptime"
    assert [row.split(";")[0] for row in rows] == ["p0", "p1", "p2"]
    run_ranks(2, stats.run, tmp_path / "stats.json")
    assert [row["piName"] for row in json.loads((tmp_path / "stats.json").read_text())] == ["p0", "p1"]


def test_two_ranks_of_one_machine_are_one_row_and_an_unknown_frequency_is_none() -> None:
    row = dict.fromkeys(stats.KEYS, 1) | {"piName": "p1", "cpuFrequency": None}
    assert stats.rendered([row, row], ".csv").splitlines()[1:] == ["p1;1;;1;1;1"]
    assert json.loads(stats.rendered([row], ".json"))[0]["cpuFrequency"] is None


def test_statistics_are_csv_or_json() -> None:
    with pytest.raises(SystemExit):
        stats.parse(["stats.txt"])
