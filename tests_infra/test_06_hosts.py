"""Step `hosts` (runbook L97-115): docs/steps/hosts.md."""

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.plugin import Verify

pytestmark = pytest.mark.step("hosts")


def test_hosts(verify: Verify) -> None:
    verify()


def test_hosts_witness(node: Host, node_name: str, cluster: Cluster) -> None:
    """The resolver of the machine itself gives the address for each name."""
    names = {each.alias: each.address for each in cluster.nodes if each.name != node_name}
    if node_name != cluster.controller.name:
        names[cluster.controller.name] = cluster.controller.address
    for name, address in names.items():
        assert node.check_output("getent ahostsv4 %s", name).split()[0] == str(address)
