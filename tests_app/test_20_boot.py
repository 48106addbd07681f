"""Step `boot` (runbook L668-712): docs/steps/boot.md."""

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.plugin import Verify
from harness.probe_reboot import await_whole, reboot
from harness.run import KEY

pytestmark = pytest.mark.step("boot")
NAMES = ("pipe_module_calcul_pi", "pipe_module_nb_premiers", "pipe_stats_cluster_hat")
PATIENCE = 240.0  # seconds; a Pi Zero boots in one minute, and its engine needs another


def test_boot(verify: Verify) -> None:
    verify()


def test_boot_witness(node: Host, node_name: str, cluster: Cluster) -> None:
    """`crontab -l` starts each script once, the script may be executed, and cron is up."""
    if cluster.label_of(node_name) != "web":
        pytest.skip("no web task runs here, so there are no pipes")
    user = cluster.os.user
    with node.sudo():
        lines = node.check_output("crontab -u %s -l", user).splitlines()
        for pipe in NAMES:
            script = f"/home/{user}/webVolume/repoBashScripts/start_{pipe}.sh"
            assert len([line for line in lines if line.startswith("@reboot") and f"start_{pipe}.sh" in line]) == 1
            assert node.run("sudo -n -u %s test -x %s", user, script).rc == 0
            assert node.file(script).content.startswith(b"#!")
        assert node.service("cron").is_running
        assert node.service("cron").is_enabled


@pytest.mark.disruptive
def test_after_a_reboot_everything_comes_back(
    node: Host, node_name: str, cluster: Cluster, request: pytest.FixtureRequest
) -> None:
    """Engine, membership, task, pipes and listeners of the last web node; what does not is named by its step."""
    if node_name != [name for name in cluster.names if cluster.label_of(name) == "web"][-1]:
        pytest.skip("one machine is rebooted, the last of those with a web task")
    # Cron's own shell has the script behind -c and is none; the documented cat is none either.
    listeners = "pgrep -u %s -fc '^[^ ]+ [^ -][^ ]*/(start_pipe_[a-z_]+[.]sh|clusterhat_pipe[.]py)( |$)'"
    assert node.check_output(listeners, cluster.os.user) == str(len(NAMES))
    connections = request.config.stash[KEY].connections
    reboot(node_name, connections, PATIENCE)
    missing = await_whole(cluster, connections, PATIENCE)
    assert [f"{outcome.place}: {outcome.reason}" for outcome in missing] == []
    back = connections.access(node_name).host
    assert back.check_output(listeners, cluster.os.user) == str(len(NAMES)), "one listener for each pipe"
