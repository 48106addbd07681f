"""Step `swarm` (runbook L374-392): docs/steps/swarm.md."""

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.plugin import Verify

pytestmark = pytest.mark.step("swarm")
LIST = "docker node ls --format '{{.Hostname}} {{.Status}} {{.Availability}} {{.ManagerStatus}}'"
OWN = "docker info --format '{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}} {{.Swarm.NodeAddr}}'"


def test_swarm(verify: Verify) -> None:
    verify()


def test_swarm_witness(node: Host, node_name: str, cluster: Cluster, standing: frozenset[str]) -> None:
    """Each engine's own word on its place; and of the controller, the list as the command shows it to a person."""
    is_hub = node_name == cluster.controller.name
    with node.sudo():
        assert node.check_output(OWN) == f"active {str(is_hub).lower()} {cluster.address(node_name)}"
        if is_hub:
            lines = [line.split() for line in node.check_output(LIST).splitlines()]
            wanted = [[name, "Ready", "Active", *(["Leader"] if name == node_name else [])] for name in standing]
            assert sorted(line for line in lines if line[0] in standing) == sorted(wanted)
