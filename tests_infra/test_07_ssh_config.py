"""Step `ssh_config` (runbook L133-159): docs/steps/ssh_config.md."""

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.plugin import Verify

pytestmark = pytest.mark.step("ssh_config")


def test_ssh_config(verify: Verify) -> None:
    verify()


def test_ssh_config_witness(node: Host, node_name: str, cluster: Cluster) -> None:
    """The controller's file as the runbook shows it, and what ssh makes of it; a node knows itself as what it is."""
    if node_name != cluster.controller.name:
        assert node.check_output("hostname") == node_name
        return
    file = node.file(node.check_output("echo ~/.ssh/config"))
    assert file.mode == 0o600
    assert file.user == cluster.ssh.user
    for each in cluster.nodes:
        lines = node.check_output("ssh -G %s", each.alias).splitlines()
        assert {f"hostname {each.alias}", f"user {cluster.ssh.user}"} <= set(lines)
