"""Step `power` (runbook L71-81): docs/steps/power.md."""

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.plugin import Verify

pytestmark = pytest.mark.step("power")


def test_power(verify: Verify) -> None:
    verify()


def test_power_witness(node: Host, node_name: str, cluster: Cluster, standing: frozenset[str]) -> None:
    """The HAT lists every port as on, and a node has been up for some time."""
    if node_name == cluster.controller.name:
        with node.sudo():
            status = node.check_output("clusterhat status").splitlines()
        assert {f"{each.port}:1" for each in cluster.nodes if each.name in standing} <= set(status)
    assert float(node.file("/proc/uptime").content_string.split()[0]) > 0
