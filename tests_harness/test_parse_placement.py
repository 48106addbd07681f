"""Placement constraints admit the nodes that the swarm itself would, and what it would refuse is an error."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ObservationError
from harness.parse.placement import Candidate, admits, constraint

P1 = Candidate(
    "p1", id="abc", architecture="armv6l", labels={"service": "web", "Zone": "A"}, engine_labels={"storage": "sd"}
)
CNAT = Candidate("cnat", "manager", architecture="aarch64", labels={"service": "sql"})
BARE = Candidate("p4")


@pytest.mark.parametrize(
    ("texts", "want"),
    [
        pytest.param(["node.labels.service == web "], {"p1"}, id="the runbook's, spaces and all"),
        pytest.param(["node.labels.service==sql"], {"cnat"}, id="without spaces"),
        pytest.param(["node.labels.service==WEB"], {"p1"}, id="values in any case"),
        pytest.param(["node.labels.Service==web"], set(), id="labels in their own case"),
        pytest.param(["NODE.Labels.Zone==a"], {"p1"}, id="the words before it in any case"),
        pytest.param(["node.labels.service!=web"], {"cnat", "p4"}, id="a label that is not there is not web"),
        pytest.param(["node.role==manager"], {"cnat"}, id="role"),
        pytest.param(["node.hostname!=cnat"], {"p1", "p4"}, id="host name"),
        pytest.param(["node.id==ABC"], {"p1"}, id="id"),
        pytest.param(["node.platform.os==linux", "node.platform.arch==aarch64"], {"cnat"}, id="all must hold"),
        pytest.param(["engine.labels.storage==sd"], {"p1"}, id="label of the engine"),
        pytest.param(["node.labels.==web"], set(), id="no label named"),
        pytest.param(["service==web"], set(), id="a key that the swarm does not know"),
        pytest.param(["service!=web"], set(), id="nor in the other sense"),
        pytest.param([], {"p1", "cnat", "p4"}, id="none"),
    ],
)
def test_constraints_admit(texts: list[str], want: set[str]) -> None:
    found = [constraint(text) for text in texts]
    assert {node.hostname for node in (P1, CNAT, BARE) if admits(found, node)} == want


@pytest.mark.parametrize("text", ["", "web", "node.role=manager", "==x", "node.role==", "a b==c", "node.role==man&ger"])
def test_what_the_swarm_refuses_is_an_error(text: str) -> None:
    with pytest.raises(ObservationError, match="placement: expected"):
        constraint(text)


def test_a_constraint_is_shown_as_one_writes_it() -> None:
    assert str(constraint("node.labels.service!=web")) == "node.labels.service != web"


@given(st.text(max_size=30))
def test_any_text_is_a_constraint_or_an_error_of_ours(text: str) -> None:
    with suppress(ObservationError):
        found = constraint(text)
        assert constraint(str(found)) == found
