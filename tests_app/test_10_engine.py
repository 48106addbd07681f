"""Step `engine` (runbook L378): docs/steps/engine.md."""

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.plugin import Verify

pytestmark = pytest.mark.step("engine")


def test_engine(verify: Verify) -> None:
    verify()


def test_engine_witness(node: Host, cluster: Cluster) -> None:
    """systemd runs it now and at boot, and the command docker gets an answer, also as the user of a new login."""
    assert node.service("docker").is_running
    assert node.service("docker").is_enabled
    asked = "docker version --format '{{.Server.Version}}'"
    with node.sudo():
        version = node.check_output(asked)
    with node.sudo(cluster.os.user):
        assert node.check_output(asked) == version
    assert version[:1].isdigit()
