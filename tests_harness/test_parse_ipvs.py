"""What a kernel says of the parts of a routing mesh, asked and read."""

from __future__ import annotations

import gzip
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.errors import ObservationError
from harness.parse.ipvs import QUESTION, ingress_obstacle

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("words", "stands"),
    [
        ("loaded loaded loaded", ""),
        ("loadable loadable loadable", ""),
        ("loaded unclear unclear", ""),
        ("absent loadable loaded", "no IP_VS"),
        ("absent absent absent", "no IP_VS"),
        ("loadable absent loadable", "no xt_ipvs"),
        ("loaded loaded absent", "no vxlan"),
        ("loadable absent absent", "no xt_ipvs and no vxlan"),
    ],
)
def test_only_what_a_kernel_certainly_lacks_is_an_obstacle(words: str, stands: str) -> None:
    text = "".join(f"{name} {word}\n" for name, word in zip(("ip_vs", "xt_ipvs", "vxlan"), words.split(), strict=True))
    found = ingress_obstacle(text)
    assert bool(found) is bool(stands)
    assert stands in found


@pytest.mark.parametrize("text", ["", "loaded\n", "ip_vs loaded\n", "ip_vs maybe\nxt_ipvs loaded\nvxlan loaded\n",
                                  "ip_vs\nxt_ipvs loaded\nvxlan loaded\n", "\n\nvxlan absent\n"])  # fmt: skip
def test_anything_else_is_unknown_and_not_absent(text: str) -> None:
    with pytest.raises(ObservationError, match="IP_VS"):
        ingress_obstacle(text)


KEPT = "/lib/modules/$(uname -r)"  # where modules are kept
SHOWN = ("/proc/net/ip_vs", "/sys/module/vxlan")
SETTINGS = "CONFIG_IP_VS=y\nCONFIG_NETFILTER_XT_MATCH_IPVS=y\nCONFIG_VXLAN=m\n"


@pytest.mark.parametrize(
    ("there", "modules", "settings", "want"),
    [
        pytest.param(SHOWN, "", "", "loaded unclear loaded", id="built in, and nobody tells of the third"),
        pytest.param((*SHOWN, KEPT), "", "", "loaded absent loaded", id="there are modules, and it is none of them"),
        pytest.param((*SHOWN, KEPT), "", SETTINGS, "loaded loaded loaded", id="built in, by the kernel's settings"),
        pytest.param((*SHOWN, "/sys/module/xt_ipvs"), "", "", "loaded loaded loaded", id="loaded"),
        pytest.param((KEPT,), "ip_vs xt_ipvs vxlan", "", "loadable loadable loadable", id="modules, as on a Pi"),
        pytest.param((KEPT,), "ip_vs vxlan", "", "loadable absent loadable", id="a kernel without the match"),
        pytest.param(("/sys/module/vxlan",), "", "CONFIG_VXLAN=y\n", "absent absent loaded", id="the lab's"),
    ],
)  # fmt: skip
def test_what_is_built_in_counts_and_what_nobody_tells_is_no_obstacle(
    tmp_path: Path, there: tuple[str, ...], modules: str, settings: str, want: str
) -> None:
    """The question on a machine that consists of one folder."""
    question = QUESTION
    for top in ("/proc/", "/sys/", "/lib/modules/"):
        question = question.replace(top, f"{tmp_path}{top}")
    for path in there:
        made = tmp_path / path.replace("$(uname -r)", os.uname().release).lstrip("/")
        made.mkdir(parents=True)
    (tmp_path / "proc").mkdir(exist_ok=True)
    if settings:
        (tmp_path / "proc/config.gz").write_bytes(gzip.compress(settings.encode()))
    modprobe = f"modprobe() {{ case ' {modules} ' in *\" $3 \"*) return 0 ;; esac; return 1; }}\n"
    done = subprocess.run(["/bin/sh", "-c", modprobe + question], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()] == want.split()


def test_a_machine_that_cannot_tell_does_not_say_absent() -> None:
    question = f"PATH=/nowhere; {QUESTION.replace('/proc/net/ip_vs', '/nowhere').replace('/sys/module', '/nowhere')}"
    done = subprocess.run(["/bin/sh", "-c", question], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (127, "")
