"""Step `mpi` (runbook L629-663): docs/steps/mpi.md."""

import json

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.plugin import Verify

pytestmark = pytest.mark.step("mpi")
NEAR = "--mca btl_tcp_if_include %s --mca oob_tcp_if_include %s"
OVER = f"timeout -k 1 25 mpiexec --timeout 20 {NEAR} --host %s hostname </dev/null"
PROGRAM = "/home/{}/webVolume/repoPythonScripts/prime.py"
ALONE = 'd=$(mktemp -d) && python3 -B %s 1 1000 "$d/r.json" >&2 && cat "$d/r.json"; rm -r "$d"'


def test_mpi(verify: Verify) -> None:
    verify()


def test_mpi_witness(node: Host, node_name: str, cluster: Cluster, standing: frozenset[str]) -> None:
    """A program without Python says the machines' names; and coreutils know the primes that ours finds."""
    assert node.package("openmpi-bin").is_installed
    assert "Open MPI" in node.check_output("mpiexec --version") or "OpenRTE" in node.check_output("mpiexec --version")
    found = json.loads(node.check_output(ALONE, PROGRAM.format(cluster.os.user)))
    primes = node.check_output("seq 1 1000 | factor | awk 'NF == 2 { print $2 }'").split()
    assert found["primeNumbersList"] == [int(number) for number in primes]
    if node_name == cluster.controller.name:
        nodes = {each.alias: each.name for each in cluster.nodes if each.name in standing}
        said = node.check_output(OVER, str(cluster.subnet), str(cluster.subnet), ",".join(nodes))
        assert sorted(said.split()) == sorted(nodes.values())
