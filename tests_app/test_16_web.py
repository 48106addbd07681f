"""Step `web` (runbook L520-524): docs/steps/web.md."""

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.parse.ipvs import QUESTION, ingress_obstacle
from harness.plugin import Verify

pytestmark = pytest.mark.step("web")
FIND = "docker ps --quiet --no-trunc --filter %s"
# The site's own way to its build (fixtures/app/README.md), by coreutils and on the files of the container.
SUMS = (
    "cd /var/www/html && find . -type f | sed 's,^\\./,,' | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c 1-12"
)
FETCH = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=20).read().decode())"
PAGE = "python3 -c %s %s"
SHOW = "{{range .Endpoint.Ports}}{{.PublishMode}} {{.PublishedPort}}{{println}}{{end}}"
PORTS = "docker service inspect --format %s %s"


def test_web(verify: Verify) -> None:
    verify()


def test_web_witness(node: Host, node_name: str, cluster: Cluster) -> None:
    """Python of the machine itself fetches the page, whose build is that of the files in the machine's container."""
    service = f"label=com.docker.swarm.service.name={cluster.web_service}"
    with node.sudo():
        tasks = node.check_output(FIND, service).split()
        assert bool(tasks) is (cluster.label_of(node_name) == "web")
        for task in tasks:
            build = node.check_output("docker exec %s sh -c %s", task, SUMS)
            page = node.check_output(PAGE, FETCH, f"http://{cluster.address(node_name)}/")
            assert f'<meta name="build" content="{build}">' in page


def test_web_through_the_mesh(node: Host, node_name: str, cluster: Cluster) -> None:
    """Where the ports are published in ingress mode, also the controller answers, who runs no task of the site."""
    if node_name != cluster.controller.name:
        pytest.skip(f"the machine without a task is {cluster.controller.name}")
    with node.sudo():
        obstacle = ingress_obstacle(node.check_output(QUESTION))
        ports = [line.split() for line in node.check_output(PORTS, SHOW, cluster.web_service).splitlines() if line]
    meshed = [port for mode, port in ports if mode == "ingress"]
    if not meshed or obstacle:
        pytest.skip(f"no routing mesh: {obstacle or 'the ports are published in host mode'}")
    for port in meshed:
        page = node.check_output(PAGE, FETCH, f"http://{cluster.controller.address}:{port}/")
        assert f'content="{cluster.web.application}"' in page
