"""Step `fail2ban` (runbook L185-220): docs/steps/fail2ban.md."""

import time

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.plugin import Verify
from harness.probe_ban import stranger

pytestmark = pytest.mark.step("fail2ban")
DOCUMENTED = {
    ("sshd", "maxretry"): "5",
    ("sshd", "bantime"): "120",
    ("sshd", "actions"): "iptables",
    ("recidive", "bantime"): "3600",
}
PATIENCE = 20  # seconds until fail2ban has read a new line of a log, even on a busy Pi


def test_fail2ban(verify: Verify) -> None:
    verify()


def test_fail2ban_witness(node: Host, node_name: str, cluster: Cluster) -> None:
    """The controller's server by its own words, its firewall by iptables-save; and no machine shuts out another."""
    ours = [f"-s {cluster.address(name)}/" for name in cluster.names]
    with node.sudo():
        rules = [rule for rule in node.check_output("iptables-save").splitlines() if "REJECT" in rule or "DROP" in rule]
        assert [rule for rule in rules if any(one in rule for one in ours)] == []
        if node_name == cluster.controller.name:
            assert node.service("fail2ban").is_running
            assert node.service("fail2ban").is_enabled
            for (jail, name), want in DOCUMENTED.items():
                assert want in node.check_output("fail2ban-client get %s %s", jail, name).split(), (jail, name)


@pytest.mark.disruptive
def test_five_failed_logins_are_banned_and_released(node: Host, node_name: str, cluster: Cluster) -> None:
    """A stranger is shut out, his neighbour and we are not; once released, he is let in again, and nothing is left."""
    if node_name != cluster.controller.name:
        pytest.skip(f"only {cluster.controller.name} bans")
    with node.sudo():
        before = _addresses(node)
        with stranger(node) as someone:
            assert someone.is_greeted(someone.address)
            someone.fail(5)
            assert _comes_true(node, someone.address, want=True), "five failed logins led to no ban"
            assert not someone.is_greeted(someone.address)
            assert someone.is_greeted(someone.bystander)
            assert node.check_output("id -u") == "0", "the harness itself is still let in"
            someone.release()
            assert _comes_true(node, someone.address, want=False), "the ban was not lifted"
            assert someone.is_greeted(someone.address)
        assert _addresses(node) == before


def _comes_true(node: Host, address: str, *, want: bool) -> bool:
    """Whether jail and firewall soon agree that an address is banned, or is not."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        is_listed = address in node.check_output("fail2ban-client status sshd").split()
        is_refused = f"-s {address}/32" in node.check_output("iptables-save")
        if is_listed is is_refused is want:
            return True
        time.sleep(0.5)
    return False


def _addresses(node: Host) -> list[str]:
    """Links, addresses and namespaces, without how long they last."""
    names = node.check_output("ip -br addr; ip netns list")
    return [line.split("%")[0] for line in str(names).splitlines()]
