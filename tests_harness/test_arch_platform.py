"""Platforms are read, compared and chosen as containerd does it, for every pair that a cluster of Pis can meet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.arch.platform import Platform, accepted, accepts, choose, normalize, parse
from harness.errors import ObservationError

V5, V6, V7, V8, ARM64, AMD64 = (
    "linux/arm/v5",
    "linux/arm/v6",
    "linux/arm/v7",
    "linux/arm/v8",
    "linux/arm64",
    "linux/amd64",
)
ALL = (V5, V6, V7, V8, ARM64, AMD64)
# What each engine takes, the best first.
ORDER = {
    V5: (V5,),
    V6: (V6, V5),
    V7: (V7, V6, V5),
    V8: (V8, V7, V6, V5),
    ARM64: (ARM64, V8, V7, V6, V5),
    AMD64: (AMD64,),
}
PAIRS = [(host, image) for host in ALL for image in ALL]


@pytest.mark.parametrize(("host", "image"), PAIRS, ids=[f"{host} takes {image}" for host, image in PAIRS])
def test_each_engine_takes_its_own_and_older_ones(host: str, image: str) -> None:
    assert accepts(parse(host), parse(image)) is (image in ORDER[host])


@pytest.mark.parametrize("host", ALL)
def test_the_best_is_chosen_wherever_it_stands_in_the_list(host: str) -> None:
    for offered in (ALL, ALL[::-1]):
        left = list(offered)
        for best in ORDER[host]:
            assert choose(parse(host), map(parse, left)) == parse(best)
            left.remove(best)
        assert choose(parse(host), map(parse, left)) is None


@pytest.mark.parametrize(
    ("host", "takes", "leaves"),
    [
        pytest.param("linux/arm/v6", [], ["linux/arm"], id="an arm without variant is v7, so a Pi Zero leaves it"),
        pytest.param("linux/arm/v7", ["linux/arm", "linux/armhf", "linux/armel"], [], id="Debian's names"),
        pytest.param("linux/arm/v4", ["linux/arm/v4"], [V5, V6], id="nothing below v5 takes another"),
        pytest.param("linux/arm/v8", ["linux/arm"], [ARM64, "linux/arm/v4"], id="32 bits never take arm64"),
        pytest.param(AMD64, ["linux/386", "linux/amd64/v1"], ["linux/amd64/v2"], id="amd64 takes 386"),
        pytest.param("linux/amd64/v3", ["linux/amd64/v2", AMD64, "linux/386"], ["linux/amd64/v4"], id="amd64 levels"),
        pytest.param("linux/386", ["linux/386", "linux/i386"], [AMD64], id="386"),
        pytest.param(
            ARM64, ["linux/arm64/v8", "linux/aarch64", V7], ["linux/arm64/v8.1", "linux/arm64/v9"], id="arm64"
        ),
        pytest.param(
            "linux/arm64/v9", ["linux/arm64/v9.0", "linux/arm64/v8.5", ARM64, V5], ["linux/arm64/v8.6"], id="v9"
        ),
        pytest.param(
            "linux/arm64/v9.6", ["linux/arm64/v9.6", "linux/arm64/v8.9"], ["linux/arm64/v9.7", "linux/arm64/v8.10"],
            id="v9.6",
        ),
        pytest.param("linux/arm64/v9.9", [], [ARM64, V7, "linux/arm64/v9.9"], id="an unheard-of arm64"),
        pytest.param("linux/riscv64", ["linux/riscv64"], [ARM64, AMD64], id="any other takes itself"),
        pytest.param(AMD64, [], ["windows/amd64", "unknown/unknown"], id="another system, and attestations"),
    ],
)  # fmt: skip
def test_what_an_engine_takes_and_leaves(host: str, takes: list[str], leaves: list[str]) -> None:
    assert [image for image in takes if not accepts(parse(host), parse(image))] == []
    assert [image for image in leaves if accepts(parse(host), parse(image))] == []


@pytest.mark.parametrize(
    ("text", "want", "shown"),
    [
        ("linux/arm64", Platform("linux", "arm64"), "linux/arm64"),
        ("linux/arm64/v8", Platform("linux", "arm64", "v8"), "linux/arm64/v8"),
        ("linux/arm", Platform("linux", "arm"), "linux/arm"),
        ("linux/arm/v7", Platform("linux", "arm", "v7"), "linux/arm/v7"),
        ("linux/arm/6", Platform("linux", "arm", "v6"), "linux/arm/v6"),
        ("armel", Platform("linux", "arm", "v6"), "linux/arm/v6"),
        ("armhf", Platform("linux", "arm"), "linux/arm"),
        ("Aarch64", Platform("linux", "arm64"), "linux/arm64"),
        ("Linux/x86_64", Platform("linux", "amd64"), "linux/amd64"),
        ("i386", Platform("linux", "386"), "linux/386"),
        ("macOS/arm64", Platform("darwin", "arm64"), "darwin/arm64"),
        ("linux/whatever", Platform("linux", "whatever"), "linux/whatever"),
    ],
)
def test_platforms_are_read_and_shown_as_containerd_does(text: str, want: Platform, shown: str) -> None:
    assert parse(text) == want
    assert str(parse(text)) == shown


@pytest.mark.parametrize(
    "text", ["", "linux", "linux/", "/arm", "a/b/c/d", "linux/arm v6", "pdp11", "linux/*", "li.x/arm"]
)
def test_what_is_no_platform_says_what_was_expected(text: str) -> None:
    with pytest.raises(ObservationError, match="expected os/architecture"):
        parse(text)


def test_a_platform_without_system_is_linux_to_compare_and_unknown_to_show() -> None:
    assert normalize(Platform("", "arm", "v6")) == parse(V6)
    assert str(Platform("", "arm", "v6")) == "unknown"
    assert Platform("unknown", "unknown").is_unknown


WORDS = st.sampled_from(
    ["", "linux", "LINUX", "arm", "ARMHF", "arm64", "amd64", "386", "v5", "V6", "7", "8", "v8.3", "v9"]
)
PLATFORMS = st.builds(Platform, WORDS, WORDS, st.one_of(WORDS, st.text(max_size=5)))


@given(st.text(max_size=30))
def test_any_text_is_a_platform_or_an_error_of_ours(text: str) -> None:
    try:
        found = parse(text)
    except ObservationError:
        return
    assert normalize(parse(str(found))) == normalize(found)


@given(PLATFORMS)
def test_one_spelling_is_enough(platform: Platform) -> None:
    assert normalize(normalize(platform)) == normalize(platform)


@given(PLATFORMS, st.lists(PLATFORMS))
def test_what_is_chosen_was_offered_and_nothing_accepted_is_better(host: Platform, offered: list[Platform]) -> None:
    chosen, order = choose(host, offered), accepted(host)
    fitting = [one for one in offered if accepts(host, one)]
    if chosen is None:
        assert fitting == []
    else:
        assert chosen in fitting
        assert order.index(normalize(chosen)) == min(order.index(normalize(one)) for one in fitting)
