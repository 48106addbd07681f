"""Step `labels` (runbook L394-406): docs/steps/labels.md."""

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.plugin import Verify

pytestmark = pytest.mark.step("labels")
FIND = "docker node ls -q --filter %s"
SHOW = "docker node inspect --format {{.Description.Hostname}} %s"


def test_labels(verify: Verify) -> None:
    verify()


def test_labels_witness(node: Host, node_name: str, cluster: Cluster, standing: frozenset[str]) -> None:
    """Docker's own filter finds for each value the machines that shall have it."""
    if node_name != cluster.controller.name:
        return
    for value in {cluster.label_of(name) for name in standing} - {None}:
        with node.sudo():
            numbers = node.check_output(FIND, f"node.label={cluster.swarm.label}={value}").split()
            found = {node.check_output(SHOW, number) for number in numbers}
        assert found & standing == {name for name in standing if cluster.label_of(name) == value}
