"""Step `pipes` (runbook L530-640): docs/steps/pipes.md."""

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.plugin import Verify

pytestmark = pytest.mark.step("pipes")
PIPES = ("pipe_module_calcul_pi", "pipe_module_nb_premiers", "pipe_stats_cluster_hat")


def test_pipes(verify: Verify) -> None:
    verify()


def test_pipes_witness(node: Host, node_name: str, cluster: Cluster) -> None:
    """stat on the node and in the container name the same pipes; one process group listens; an empty open is heard."""
    if cluster.label_of(node_name) != "web":
        pytest.skip("no web task runs here, so there are no pipes")
    volume = f"/home/{cluster.os.user}/webVolume"
    with node.sudo():
        box = node.check_output("docker ps -q --filter label=com.docker.swarm.service.name=appli_serviceweb").split()[0]
        for pipe in PIPES:
            kind, inode, _ = node.check_output("stat -c '%%F/%%i/%%n' %s", f"{volume}/{pipe}").split("/", 2)
            assert kind == "fifo"
            assert node.check_output("docker exec %s stat -c %%i %s", box, f"/hostpipe/{pipe}") == inode
            assert node.check_output("pgrep -u %s -f %s", cluster.os.user, f"[ /](start_)?{pipe}(.sh)?( |$)")
            heard = "timeout 5 dd if=/dev/null of=%s oflag=nonblock conv=nocreat,notrunc status=none"
            assert node.run(heard, f"{volume}/{pipe}").rc == 0, f"nobody listens on {pipe}"
        assert node.check_output("find %s/repoOutputResults -name 'hatcheck-*'", volume) == ""
