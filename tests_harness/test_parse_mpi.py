"""What MPI and the application's programs say: real samples, everything else, and what a rank sees of its sockets."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import probe_ranks
from harness.parse import app_results, mpi
from harness.parse.app_results import PI_FORM, PRIMES_FORM, Pi, is_plausible
from harness.primes import primes, wanted


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("mpiexec (OpenRTE) 4.1.4\n", "Open MPI 4.1.4"),
        ("mpiexec (Open MPI) 5.0.11\n\nReport bugs to", "Open MPI 5.0.11"),
        ("mpirun (Open MPI) 4.0.3rc4", "Open MPI 4.0.3rc4"),
        ("mpiexec.openmpi (OpenRTE) 4.1.4", "Open MPI 4.1.4"),
        ("HYDRA build details:\n    Version:                                 4.0.2\n", "MPICH 4.0.2"),
        (
            "Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4, repo rev: v4.1.4, May 26, 2022\0\n",
            "Open MPI 4.1.4",
        ),
        ("MPICH Version:\t4.0.2\nMPICH Release date:\tThu Apr  7", "MPICH 4.0.2"),
        ("Intel(R) MPI Library for Linux* OS, Version 2021", "'Intel(R) MPI Library for Linux* OS, Version 2021'"),
        ("not Open MPI v4.1.4", "'not Open MPI v4.1.4'"),
        ("mpiexec: error while loading shared libraries", "'mpiexec: error while loading shared libraries'"),
        ("", ""),
        ("\n", ""),
    ],
)
def test_launchers_and_libraries_are_told_apart(text: str, identity: str) -> None:
    assert mpi.identity(text) == identity
    assert mpi.is_open_mpi(identity) is identity.startswith("Open MPI ")


GOOD = {"executionTime": 0.02, "primeNumbersList": list(primes(1, 100))}


def changed(**changes: object) -> str:
    return json.dumps(GOOD | changes)


def test_a_right_result_is_read() -> None:
    found = app_results.primes(json.dumps(GOOD, indent=3), 1, 100)
    assert (found.form, found.found) == (PRIMES_FORM, wanted(1, 100))
    empty = app_results.primes('{"executionTime": 0.00, "primeNumbersList": []}', 90, 96)
    assert (empty.form, empty.found) == (PRIMES_FORM, wanted(90, 96))


@pytest.mark.parametrize(
    ("text", "has_list"),
    [
        pytest.param("", False, id="nothing"),
        pytest.param('{"executionTime": 0.02, "primeNumbersL', False, id="half a file"),
        pytest.param("[2, 3]", False, id="only the list"),
        pytest.param(changed(executionTime="0.02"), True, id="time as text"),
        pytest.param(changed(executionTime=0), True, id="time as integer"),
        pytest.param(changed(more=1), True, id="one key more"),
        pytest.param(json.dumps({"primeNumbersList": [2]}), True, id="one key less"),
        pytest.param(changed(primeNumbersList=["2", "3"]), False, id="numbers as text"),
        pytest.param(changed(primeNumbersList=[2.0, 3]), False, id="numbers with a point"),
        pytest.param(changed(primeNumbersList=[True, 3]), False, id="true for 1"),
        pytest.param(changed(primeNumbersList={"2": 3}), False, id="an object"),
    ],
)
def test_another_form_is_not_the_documented_one(text: str, has_list: bool) -> None:  # noqa: FBT001 - a table
    found = app_results.primes(text, 1, 100)
    assert found.form != PRIMES_FORM
    assert (found.found is not None) is has_list


def test_the_order_of_the_keys_is_part_of_the_form() -> None:
    assert app_results.primes(json.dumps(dict(reversed(GOOD.items()))), 1, 100).form != PRIMES_FORM


def estimate(hits: int, throws: int, error: float | None = None) -> Pi:
    value = 4 * hits / throws
    return Pi(PI_FORM, value, abs(value - math.pi) / math.pi if error is None else error)


def test_an_estimate_is_taken_within_its_error_only() -> None:
    throws = 10_000
    sigma = app_results.deviation(throws) * throws / 4
    assert sigma == pytest.approx(41.05, abs=0.01)
    middle = round(throws * math.pi / 4)
    assert is_plausible(estimate(middle, throws), throws)
    assert is_plausible(estimate(middle + int(4.9 * sigma), throws), throws)
    assert not is_plausible(estimate(middle + int(5.1 * sigma), throws), throws)
    assert not is_plausible(estimate(middle - int(5.1 * sigma), throws), throws)


def test_pi_itself_and_throws_that_were_lost_are_no_estimates() -> None:
    assert not is_plausible(Pi(PI_FORM, math.pi, 0.0), 200_000)
    assert not is_plausible(estimate(157_079, 199_999), 200_000)
    assert not is_plausible(estimate(157_079, 200_000, error=0.0), 200_000)


@pytest.mark.parametrize("text", ["{}", '{"pi": 3}', "x", '{"executionTime": 0.1, "pi": "3.1", "error": 0.0}'])
def test_another_form_of_pi_gives_no_numbers(text: str) -> None:
    assert app_results.pi(text).form != PI_FORM
    assert app_results.pi('{"executionTime": 0.1, "pi": 3.1, "error": 0.01}') == Pi(PI_FORM, 3.1, 0.01)


ROW = "p1;12.5;1.0;430;100;up 2 hours, 1 minute"


@pytest.mark.parametrize(
    ("row", "is_odd"),
    [
        (ROW, False), (ROW.replace(";1.0;", ";;"), False), (ROW.replace("12.5", "100.1"), True),
        (ROW.replace("12.5", ""), True), (ROW.replace("430", "0"), True), (ROW.replace("100;", "431;"), True),
        (ROW.replace("up ", ""), True), ("p1;1", True), (ROW + ";x", True), (ROW.replace("1.0", "fast"), True),
        (ROW.replace("12.5", "nan"), True),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_true_is_odd(row: str, is_odd: bool) -> None:  # noqa: FBT001 - a table
    found = app_results.stats(f"{app_results.STATS_HEADER}\n{row}\n")
    assert (found.header, found.machines) == (app_results.STATS_HEADER, ("p1",))
    assert bool(found.odd) is is_odd


@given(st.text())
def test_no_text_breaks_a_reader(text: str) -> None:
    readers: list[Any] = [lambda one: app_results.primes(one, 1, 10), app_results.pi, app_results.stats, mpi.identity]
    for read in readers:
        read(text)


TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1 0 100 0 0 10 0
   1: 03B513AC:D2A2 FEB513AC:8C71 01 00000000:00000000 00:00000000 00000000  1000        0 101 1 0 20 4 30 10 -1
   2: 0100007F:D2A2 0100007F:8C71 01 00000000:00000000 00:00000000 00000000  1000        0 102 1 0 20 4 30 10 -1
   3: 010011AC:D2A2 020011AC:8C71 01 00000000:00000000 00:00000000 00000000  1000        0 103 1 0 20 4 30 10 -1
"""


def test_only_a_processs_own_connections_count() -> None:
    assert probe_ranks.peers(TABLE, {"100", "101", "102"}) == {"172.19.181.254", "127.0.0.1"}
    assert probe_ranks.peers(TABLE, {"103"}) == {"172.17.0.2"}


@pytest.mark.parametrize(
    ("word", "address"),
    [
        ("FEB513AC:8C71", "172.19.181.254"),
        ("0000000000000000FFFF0000FEB513AC:1", "172.19.181.254"),
        ("000080FE00000000FF005450B6AD1DFE:1", "fe80::5054:ff:fe1d:adb6"),
    ],
)
def test_the_kernels_addresses_are_read(word: str, address: str) -> None:
    """Samples as a processor with the little end first writes them, as all Raspberry Pis are."""
    assert probe_ranks.address(word) == address
