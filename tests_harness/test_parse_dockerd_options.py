"""What dockerd is started with beside its file: the unit's command line, with the variables that systemd puts in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.parse.dockerd_options import options

DEBIAN = "/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS"
USUAL = {"hosts": "fd://", "containerd": "/run/containerd/containerd.sock"}


def shown(command: str, own: str = "", files: str = "") -> str:
    """What the node prints, as systemd 252 does."""
    path = command.split(" ", 1)[0]
    line = f"{{ path={path} ; argv[]={command} ; ignore_errors=no ; start_time=[n/a] ; status=0/0 }}"
    return f"{line}\n{own}\n\n{files}\n"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param(shown(DEBIAN, files="#DOCKER_OPTS=--dns 8.8.8.8\n# a comment"), USUAL, id="as Debian ships it"),
        pytest.param(
            shown(DEBIAN, files='DOCKER_OPTS="--log-opt max-size=10m --log-opt max-file=3"'),
            USUAL | {"log-opts": "max-size=10m max-file=3"}, id="repeated options in the file of variables",
        ),
        pytest.param(
            shown(DEBIAN, own='"DOCKER_OPTS=--data-root /mnt/a" OTHER=1'), USUAL | {"data-root": "/mnt/a"},
            id="a variable of the unit itself",
        ),
        pytest.param(
            shown(DEBIAN, own="DOCKER_OPTS=-D", files="DOCKER_OPTS=-s overlay2"),
            USUAL | {"storage-driver": "overlay2"}, id="the file overrules the unit",
        ),
        pytest.param(
            shown("/usr/bin/dockerd -g ${DATA} --graph=${DATA}/x", files="DATA='/mnt/u b'"),
            {"data-root": "/mnt/u b /mnt/u b/x"}, id="a variable within a word, an old name",
        ),
        pytest.param(shown("/usr/bin/dockerd -Hfd:// --debug"), {"hosts": "fd://", "debug": ""}, id="written together"),
        pytest.param(shown("/usr/bin/dockerd $NOBODY"), {}, id="a variable that nobody sets is no word"),
        pytest.param(
            shown(DEBIAN, files='DOCKER_OPTS="--storage-driver=overlay2 \\\n  --log-opt max-size=10m"\n'),
            USUAL | {"storage-driver": "overlay2", "log-opts": "max-size=10m"}, id="a value on two lines",
        ),
        pytest.param(shown(DEBIAN, files='DOCKER_OPTS="--label a'), USUAL | {"labels": "a"}, id="quotes left open"),
        pytest.param("\n\n\n", {}, id="no command"),
    ],
)  # fmt: skip
def test_the_command_line_by_the_keys_of_the_file(text: str, want: dict[str, str]) -> None:
    assert options(text) == want


@given(st.text())
def test_no_text_is_too_odd(text: str) -> None:
    assert all(options(shown(DEBIAN, files=text)).get(key) is not None for key in USUAL)
    options(text)
