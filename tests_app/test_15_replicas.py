"""Step `replicas` (runbook L231, L477): docs/steps/replicas.md."""

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.plugin import Verify

pytestmark = pytest.mark.step("replicas")
HERE = "docker ps --filter %s --format '{{.Label \"com.docker.swarm.service.name\"}}'"
LIST = "docker stack services --format '{{.Name}} {{.Replicas}}' %s"


def test_replicas(verify: Verify) -> None:
    verify()


def test_replicas_witness(node: Host, node_name: str, cluster: Cluster, standing: frozenset[str]) -> None:
    """Each engine's own list of containers has its part of the stack; and the manager's table says 4/4."""
    stack = cluster.stack.name
    with node.sudo():
        running = node.check_output(HERE, f"label=com.docker.stack.namespace={stack}").split()
        if cluster.stack.file is None:
            documented = {"web": [f"{stack}_serviceweb"], "sql": [f"{stack}_servicebd"]}
            assert running == documented.get(cluster.label_of(node_name) or "", [])
        if node_name == cluster.controller.name and standing >= set(cluster.names):
            counts = [line.split()[1].split("/") for line in node.check_output(LIST, stack).splitlines()]
            assert counts
            assert all(has == wants for has, wants in counts)
