"""Step `system` (runbook L47-55): docs/steps/system.md."""

import time

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.plugin import Verify

pytestmark = pytest.mark.step("system")


def test_system(verify: Verify) -> None:
    verify()


def test_system_witness(node: Host, node_name: str, cluster: Cluster) -> None:
    """The machine by testinfra's own modules: name, programs, user, ssh; and a clock that is no day away."""
    assert node.sysctl("kernel.hostname") == node_name
    assert node_name in node.file("/etc/hostname").content_string.split()  # beside comments
    assert node.system_info.distribution == cluster.os.id
    assert node.system_info.codename in cluster.os.codenames
    # The class of an ELF program, in its fifth byte: 1 is 32 bits, 2 is 64.
    assert node.check_output("od -An -tu1 -j4 -N1 /bin/sh").strip() == str(cluster.os.word_size // 32)
    user = node.user(cluster.os.user)
    assert user.exists
    assert node.file(user.home).user == user.name
    assert set(cluster.os.groups) <= set(user.groups)
    assert node.service("ssh").is_enabled or node.service("ssh.socket").is_enabled
    assert node.mount_point("/").exists
    assert "ro" not in node.mount_point("/").options
    assert abs(int(node.check_output("date +%s")) - time.time()) < 86_400
