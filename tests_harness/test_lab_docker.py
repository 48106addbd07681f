"""Docker in the lab: engines, images under their documented names, a swarm of five; and that it all goes again."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from harness.lab import NODES, PORTS, Lab, address_of
from harness.lab.cgroups import members
from harness.parse.ipvs import QUESTION, ingress_obstacle
from tests_harness.test_lab_real import await_true, holds, leftovers, said

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.field]
WEB, OURS = "php:8.2-apache", "wzehren/phpsae"
# Before the engine, as the runbook has it: an engine that has to turn on forwarding itself closes it for others.
GATEWAY = "sysctl -qw net.ipv4.ip_forward=1; iptables -t nat -A POSTROUTING -s 172.19.181.0/24 ! -o br0 -j MASQUERADE"
INSTALL = "DEBIAN_FRONTEND=noninteractive apt-get install --yes docker.io"
# The documented one (runbook L240-258) but for the site itself.
DOCKERFILE = f"""\
FROM {WEB}
VOLUME /hostpipe
RUN apt update -y && apt upgrade -y && apt clean -y
RUN echo '<?= gethostname() ?>' > /var/www/html/index.php && chown -R www-data:www-data /var/www/html/ \\
    && docker-php-ext-install mysqli && docker-php-ext-enable mysqli
"""
FETCH = "python3 -c 'import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())' {}"


def on_all(lab: Lab, nodes: tuple[str, ...], script: str) -> None:
    """Run shell text on several nodes at once; it must succeed on each."""

    def one(node: str) -> None:
        done = lab.exec(node, ["sh", "-c", script], timeout=300)
        assert done.returncode == 0, f"{node}: {script}: {done.stderr.decode()}"

    with ThreadPoolExecutor() as threads:
        list(threads.map(one, nodes))


def workers_of(lab: Lab, service: str) -> list[str]:
    """The node of each running task of a service."""
    shown = said(
        lab,
        "cnat",
        f"docker service ps {service} -f desired-state=running --format '{{{{.Node}}}} {{{{.CurrentState}}}}'",
    )
    return sorted(line.split()[0] for line in shown.splitlines() if " Running" in line)


@pytest.fixture(scope="module")
def docker(lab: Lab) -> Iterator[Lab]:
    """Bare nodes with a gateway and, by a plain apt-get, an engine each; the last test takes the lab down."""
    lab.up()
    lab.reset()
    said(lab, "cnat", GATEWAY)
    on_all(lab, NODES, INSTALL)
    yield lab
    lab.up()


@pytest.fixture(scope="module")
def swarm(docker: Lab) -> Lab:
    """A swarm as documented (runbook L386-406), and image wzehren/phpsae built and pushed by a Zero."""
    on_all(docker, PORTS, f"docker pull {WEB}")
    said(docker, "p1", f"mkdir /tmp/build; cat > /tmp/build/Dockerfile <<'END'\n{DOCKERFILE}END")
    on_all(docker, ("p1",), f"docker build -t {OURS} /tmp/build && docker push {OURS}")
    said(docker, "cnat", "docker swarm init --advertise-addr 172.19.181.254")
    token = said(docker, "cnat", "docker swarm join-token -q worker")
    on_all(docker, PORTS, f"docker swarm join --token {token} 172.19.181.254:2377")
    return docker


def test_an_engine_starts_on_overlay2_with_control_groups(docker: Lab) -> None:
    for node in NODES:
        assert said(docker, node, "docker info --format '{{.Driver}} {{len .Warnings}}'") == "overlay2 0"


def test_a_bare_node_has_no_setting_for_the_registry(docker: Lab) -> None:
    assert not holds(docker, "p1", "test -e /etc/docker/daemon.json")
    assert json.loads(said(docker, "p1", "docker info --format '{{json .RegistryConfig.Mirrors}}'")) in ([], None)


def test_five_nodes_are_ready(swarm: Lab) -> None:
    shown = said(swarm, "cnat", "docker node ls --format '{{.Hostname}} {{.Status}} {{.ManagerStatus}}'")
    assert sorted(line.split()[0] for line in shown.splitlines() if " Ready" in line) == sorted(NODES)
    assert "cnat Ready Leader" in shown


def test_what_one_node_pushed_another_pulls_with_the_same_digest(swarm: Lab) -> None:
    on_all(swarm, ("p2", "p3"), f"docker pull {OURS}")
    shown = {said(swarm, node, f"docker images --digests --format '{{{{.Digest}}}}' {OURS}") for node in ("p1", "p2")}
    assert len(shown) == 1
    assert shown.pop().startswith("sha256:")


def test_an_unknown_image_is_refused_by_name_and_at_once(swarm: Lab) -> None:
    done = swarm.exec("p1", ["docker", "pull", "wzehren/nothing"], timeout=15)
    assert done.returncode == 1
    assert b"wzehren/nothing" in done.stderr


def test_containers_belong_to_their_node(swarm: Lab) -> None:
    said(swarm, "p1", f"docker run -d --name web --restart always {OURS}")
    pid = said(swarm, "p1", "docker inspect -f '{{.State.Pid}}' web")
    command = said(swarm, "p1", f"tr '\\0' ' ' < /proc/{pid}/cmdline")
    inside = [member for member in members(f"{swarm.layout.cgroup}/p1") if _command_of(member) == command]
    assert inside, "so that a power cut ends it"


def test_the_mesh_works_exactly_where_no_obstacle_is_named(swarm: Lab) -> None:
    obstacle = ingress_obstacle(said(swarm, "p1", QUESTION))
    said(
        swarm, "cnat",
        f"docker service create -q -d --name mesh --constraint node.hostname==p1 -p 8080:80 {OURS} >/dev/null",
    )  # fmt: skip
    await_true(lambda: bool(workers_of(swarm, "mesh")) or bool(obstacle), "the task runs where a mesh can be")
    asked = FETCH.format(f"http://{address_of('p4')}:8080/")
    if obstacle:
        assert "IP_VS" in obstacle
        assert not holds(swarm, "cnat", asked)
    else:
        await_true(lambda: holds(swarm, "cnat", asked), "a node without the task answers for it")
    said(swarm, "cnat", "docker service rm mesh")


def test_docker_hub_can_be_away_and_comes_back_with_what_it_had(swarm: Lab) -> None:
    swarm.docker_hub(on=False)
    assert not holds(swarm, "p4", f"docker pull {OURS}")
    swarm.docker_hub(on=True)
    said(swarm, "p4", f"docker pull {OURS}")


def test_a_power_cut_of_everything_is_survived(swarm: Lab) -> None:
    for node in NODES:
        swarm.power(node, on=False)
    for node in NODES:
        swarm.power(node, on=True)
    swarm.up()
    await_true(lambda: holds(swarm, "cnat", "docker node ls"), "the manager manages")
    await_true(lambda: holds(swarm, "p1", "docker ps -qf name=web | grep -q ."), "the container runs again")
    said(swarm, "p4", f"docker image inspect {OURS}")


def test_a_reset_empties_dockers_directories_and_the_last_one_docker_hub(swarm: Lab) -> None:
    swarm.reset("p4")
    assert not holds(swarm, "p4", "command -v docker")
    assert said(swarm, "p4", "find /var/lib/docker /var/lib/containerd -mindepth 1 | wc -l") == "0"
    pushed = swarm.layout.registry_store / f"docker/registry/v2/repositories/{OURS}"
    assert pushed.is_dir()
    swarm.reset()
    assert not pushed.exists()


def test_down_with_running_containers_leaves_nothing(docker: Lab) -> None:
    said(docker, "cnat", GATEWAY)
    on_all(docker, ("p1",), f"{INSTALL} && docker run -d {WEB}")
    docker.down()
    assert leftovers(docker) == []


def _command_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as text:  # noqa: PTH123 - a process, not a file
            return text.read().replace("\0", " ").strip()
    except OSError:
        return ""
