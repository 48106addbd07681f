"""Step `updates` (runbook L71): docs/steps/updates.md."""

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.plugin import Verify

pytestmark = pytest.mark.step("updates")


def test_updates(verify: Verify) -> None:
    verify()


def test_updates_witness(node: Host, node_name: str, cluster: Cluster) -> None:
    """dpkg and apt find nothing to complain about; the controller has something of its own that upgrades by apt."""
    with node.sudo():
        assert node.run("dpkg --audit").stdout == ""
        assert node.run("apt-get check -o Debug::NoLocking=true").succeeded
        if node_name == cluster.controller.name:
            places = "/etc/systemd/system/*.service /etc/cron* /var/spool/cron/crontabs/* /etc/rc.local"
            own = f"{places} /usr/local/bin/* /usr/local/sbin/* /opt/* /home/*/* /root/*"
            assert node.run(f"grep -lsI -D skip -d skip upgrade {own} | xargs -r -d '\\n' grep -l apt").stdout
