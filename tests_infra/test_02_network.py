"""Step `network` (runbook L50): docs/steps/network.md."""

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.plugin import Verify

pytestmark = pytest.mark.step("network")


def test_network(verify: Verify) -> None:
    verify()


def test_network_witness(node: Host, node_name: str, cluster: Cluster) -> None:
    """The machine has its address, and packets find their way: by the kernel's own files and answers."""
    is_controller = node_name == cluster.controller.name
    device = cluster.controller.bridge if is_controller else cluster.node(node_name).interface
    assert str(cluster.interface_of(node_name)) in node.interface(device).addresses or (
        str(cluster.address(node_name)) in node.interface(device).addresses
    )
    way = node.run("ip route get 192.0.2.1").stdout
    if is_controller:
        assert f"dev {device} " not in way
        assert node.file("/proc/sys/net/ipv4/ip_forward").content_string == "1\n"
        with node.sudo():
            assert "MASQUERADE" in node.check_output("iptables-save -t nat")
    else:
        assert f"via {cluster.controller.address} dev {device}" in way
