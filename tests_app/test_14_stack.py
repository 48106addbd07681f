"""Step `stack` (runbook L408-491): docs/steps/stack.md."""

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.plugin import Verify

pytestmark = pytest.mark.step("stack")
LIST = "docker stack services --format '{{.Name}} {{.Replicas}}' %s"
MOUNTED = "{{range .Spec.TaskTemplate.ContainerSpec.Mounts}}{{.Source}} {{end}}"


def test_stack(verify: Verify) -> None:
    verify()


def test_stack_witness(node: Host, node_name: str, cluster: Cluster) -> None:
    """The commands that show a stack to a person know its services; and each machine has what its services mount."""
    documented = {"web": "/home/pi/webVolume", "sql": "/var/lib/mysql_volume_app"}
    if cluster.stack.file is None and (path := documented.get(cluster.label_of(node_name) or "")):
        with node.sudo():
            assert node.check_output("ls -d %s", path) == path
    if node_name == cluster.controller.name:
        with node.sudo():
            lines = dict(line.split()[:2] for line in node.check_output(LIST, cluster.stack.name).splitlines())
            shown = {name: node.check_output("docker service inspect -f %s %s", MOUNTED, name) for name in lines}
        assert lines
        if cluster.stack.file is None:
            assert {name.removeprefix(f"{cluster.stack.name}_") for name in lines} >= {"serviceweb", "servicebd"}
            assert {path.strip() for path in shown.values()} >= set(documented.values())
