"""Step `updates` (runbook L71): docs/steps/updates.md."""

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.plugin import Verify

pytestmark = pytest.mark.step("updates")


def test_updates(verify: Verify) -> None:
    verify()


def test_updates_witness(node: Host, node_name: str, cluster: Cluster) -> None:
    """dpkg finds nothing to complain about; on the controller, something that a boot starts names the upgrade."""
    with node.sudo():
        assert node.run("dpkg --audit").stdout == ""
        if node_name == cluster.controller.name:
            places = "/etc/systemd/system /var/spool/cron/crontabs /etc/cron.d /etc/crontab /etc/rc.local"
            starters = node.run(f"grep -rlsE 'update|upgrade' {places}").stdout
            assert starters, "no unit or job has to do with updates"
