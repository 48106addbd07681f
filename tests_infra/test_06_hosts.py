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
    further = {name: (name, cluster.address(name)) for name in cluster.names}
    further |= {each.alias: (each.name, each.address) for each in cluster.nodes}
    for name, (owner, address) in further.items():
        found = {line.split()[0] for line in node.run("getent -s files ahostsv4 %s", name).stdout.splitlines()}
        assert found <= {str(address), *(("127.0.0.1", "127.0.1.1") if owner == node_name else ())}, name
