"""Step `visualizer` (runbook L515-528): docs/steps/visualizer.md."""

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.plugin import Verify

pytestmark = pytest.mark.step("visualizer")
NAMES = "docker service ls --format '{{.Name}} {{.Replicas}}'"


def test_visualizer(verify: Verify) -> None:
    verify()


def test_visualizer_witness(node: Host, node_name: str, cluster: Cluster) -> None:
    """The kernel's own list of doors, and Docker's table of services."""
    wanted, is_hub = cluster.visualizer, node_name == cluster.controller.name
    if not wanted.enabled:
        assert f":{wanted.port} " not in node.check_output("ss -H -l -t -n")
    if is_hub:
        with node.sudo():
            services = node.check_output(NAMES).splitlines()
        assert (f"{wanted.service} 1/1" in services) is wanted.enabled
