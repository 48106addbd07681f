"""Step `arp` (runbook L83-92): docs/steps/arp.md."""

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.plugin import Verify

pytestmark = pytest.mark.step("arp")


def test_arp(verify: Verify) -> None:
    verify()


def test_arp_witness(node: Host, node_name: str, cluster: Cluster, standing: frozenset[str]) -> None:
    """`arp -an`, as the runbook shows it; and each node says itself which MAC it has."""
    if node_name == cluster.controller.name:
        table = node.check_output("/usr/sbin/arp -an")
        for each in (each for each in cluster.nodes if each.name in standing):
            assert f"({each.address}) at {each.mac} [ether] on {cluster.controller.bridge}" in table
    else:
        each = cluster.node(node_name)
        assert node.file(f"/sys/class/net/{each.interface}/address").content_string.strip() == each.mac
