"""Step `keys` (runbook L117, L161-176): docs/steps/keys.md."""

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.plugin import Verify

pytestmark = pytest.mark.step("keys")
SSH = "ssh -o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=yes -o UpdateHostKeys=no"


def test_keys(verify: Verify) -> None:
    verify()


def test_keys_witness(node: Host, node_name: str, cluster: Cluster, standing: frozenset[str]) -> None:
    """The machine logs in where the runbook says, and each other end says its own name."""
    is_controller = node_name == cluster.controller.name
    nodes = {each.alias: each.name for each in cluster.nodes if each.name in standing}
    others = nodes if is_controller else {cluster.controller.name: ""}
    for name, host_name in others.items():
        said = node.check_output(f"{SSH} %s hostname </dev/null", name)
        assert said.splitlines()[-1:] == [host_name or name]  # a login file may have spoken before
    folder = node.file(node.check_output("echo ~/.ssh"))
    assert (folder.mode, folder.user) == (0o700, cluster.ssh.user)
    assert node.file(f"{folder.path}/authorized_keys").mode == 0o600
