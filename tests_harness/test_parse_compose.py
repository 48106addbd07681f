"""The file of a stack: what people write, what Docker takes it for, and what is refused in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.inventory import load
from harness.inventory import parse as parse_inventory
from harness.parse.compose import parse
from harness.parse.compose_mesh import without_mesh
from harness.parse.compose_parts import Mount, Port
from tests_harness.pipekit import APP

SHIPPED = (APP / "docker-compose-stack.yml").read_text()
WHY = "on p1 its kernel has no IP_VS"


def one(service: str) -> str:
    return f"version: '3.8'\nservices:\n  a:\n    image: x\n{service}"


def service(text: str) -> Any:  # noqa: ANN401 - tests read any field
    return parse(one(text), "f.yml").services["a"]


def test_the_shipped_file_says_what_the_runbook_does() -> None:
    found = parse(SHIPPED, "x").services
    web, base = found["serviceweb"], found["servicebd"]
    assert (web.image, web.deploy.replicas, base.deploy.replicas) == ("wzehren/phpsae", 4, 1)
    assert web.deploy.placement.constraints == ("node.labels.service == web",)
    assert web.ports == (Port(target=80, published=80),)
    assert base.volumes == (Mount(source="/var/lib/mysql_volume_app", target="/var/lib/mysql"),)
    assert web.environment == {"NODE_NAME": "{{.Node.Hostname}}"}


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("    ports: ['80:80']", [(80, 80, "tcp", "ingress")]),
        ("    ports: [80]", [(80, 0, "tcp", "ingress")]),
        ("    ports: [22:22]", [(22, 22, "tcp", "ingress")]),
        ("    ports: ['127.0.0.1:53:5353/udp']", [(5353, 53, "udp", "ingress")]),
        ("    ports: ['8000-8001:80-81']", [(80, 8000, "tcp", "ingress"), (81, 8001, "tcp", "ingress")]),
        ("    ports: [{target: 80, published: '8080', mode: host}]", [(80, 8080, "tcp", "host")]),
        ("    ports:", []),
    ],
)
def test_ports_are_read_in_either_way_of_writing(text: str, want: list[tuple[int, int, str, str]]) -> None:
    assert [(port.target, port.published, port.protocol, port.mode) for port in service(text).ports] == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("    volumes: ['/a:/b']", ["/a:/b"]),
        ("    volumes: ['/a:/b:ro,z']", ["/a:/b:ro"]),
        ("    volumes: ['name:/b:ro', '/only']", ["volume name:/b:ro", "volume:/only"]),
        ("    volumes: [{type: bind, source: /a, target: /b, read_only: true}]", ["/a:/b:ro"]),
        ("    volumes: [{type: volume, source: a, target: /b}]", ["volume a:/b"]),
        ("    volumes: [{type: volume, target: /d}]", ["volume:/d"]),
        ("    volumes: [{type: tmpfs, source: , target: /c, tmpfs: {size: 9}}]", ["tmpfs:/c"]),
        ("    volumes:", []),
    ],
)
def test_mounts_are_read_in_either_way_of_writing(text: str, want: list[str]) -> None:
    found = service(text)
    assert list(map(str, found.volumes)) == want
    assert found.paths == tuple("/a" for one in want if one.startswith("/a"))


def test_a_volume_has_the_name_of_its_stack_before_it_unless_it_has_one_of_its_own() -> None:
    volumes = (
        "volumes: {mine: , plain: {driver: local}, other: {external: true}, old: {external: {name: of-old}}, "
        "named: {name: n}, both: {external: true, name: b}}\n"
    )
    mounts = "    volumes: ['mine:/1', 'plain:/2', 'other:/3', 'old:/4', 'named:/5', 'both:/6', '/7', '/a:/8']\n"
    found = parse(one(mounts) + volumes, "f.yml").of_stack("appli").services["a"]
    assert [mount.source for mount in found.volumes] == [
        "appli_mine", "appli_plain", "other", "of-old", "n", "b", "", "/a"
    ]  # fmt: skip


@pytest.mark.parametrize("table", ["[a]", "3"])
def test_volumes_that_are_no_table_are_refused(table: str) -> None:
    with pytest.raises(UsageError, match=r"f\.yml: volumes: expected a table of names"):
        parse(f"{one('')}volumes: {table}\n", "f.yml")


def test_a_service_has_one_task_anywhere_where_nothing_is_said() -> None:
    found = service("    deploy:")
    assert (found.deploy.mode, found.deploy.replicas, found.deploy.placement.constraints) == ("replicated", 1, ())
    assert not found.is_global
    assert service("    deploy: {mode: global}").is_global


@pytest.mark.parametrize("text", ["    environment: {A: 1, B: x=y, C: }", "    environment: [A=1, B=x=y, C]"])
def test_environment_is_read_in_either_way_of_writing(text: str) -> None:
    assert service(text).environment == {"A": "1", "B": "x=y", "C": None}


def test_a_doubled_dollar_is_one_and_a_template_stays() -> None:
    assert service("    environment: {A: 'a$$b', B: '{{.Node.ID}}'}").environment == {"A": "a$b", "B": "{{.Node.ID}}"}


def test_commands_are_words() -> None:
    found = service("    command: sh -c 'a b'\n    entrypoint: [x, y]")
    assert (found.command, found.entrypoint) == (("sh", "-c", "a b"), ("x", "y"))


def test_what_is_weak_is_noted_without_its_value() -> None:
    found = service("    environment: {MYSQL_ROOT_PASSWORD: aBc, DB_PASSWORD_FILE: /run/x, EMPTY_TOKEN: ''}")
    assert found.secrets_in_plain == ("MYSQL_ROOT_PASSWORD",)
    assert "aBc" not in repr(found) + found.model_dump_json()
    assert not found.healthcheck
    assert service("    healthcheck: {test: 'true'}").healthcheck
    assert not service("    healthcheck: {disable: true}").healthcheck
    assert service("    deploy: {resources: {limits: {memory: 64M}}}").deploy.limits


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected a table `services`"),
        ("a: [", "line 1: not YAML"),
        ("- 1", "expected a table `services`"),
        ("services: {}", "services: dictionary should have at least 1 item"),
        ("services:\n  a: {}", "services.a.image: field required"),
        ("services: {a: 1}", "services.a: "),
        (one("    image: y"), "line 5: not YAML: image is written twice"),
        (one("    ports: [http]"), 'services.a.ports: expected a port like "80:80"'),
        (one("    ports: ['1-3:1-2']"), "two ranges of the same length"),
        (one("    ports: ['1-9999:1-9999']"), "at most 1000 ports"),
        (one("    ports: ['99999:80']"), "services.a.ports.0.published: input should be less than or equal to 65535"),
        (one("    ports: 80"), "services.a.ports: expected a list of ports"),
        (one("    volumes: ['./a:/b']"), "expected a folder from the root on"),
        (one("    volumes: ['~/a:/b']"), "expected a folder from the root on"),
        (one("    deploy: {replicas: many}"), "services.a.deploy.replicas: input should be a valid integer"),
        (one("    deploy: {placement: {constraints: [web]}}"), "expected KEY == VALUE or KEY != VALUE"),
        (
            one("    environment: ['A=${HOME}']"),
            "services.a.environment[0]: expected a value, got a variable",
        ),
        (one("    command: echo $$$x"), "services.a.command: expected a value, got a variable"),
        (one("    environment: {A: true}"), "put true and false in quotes"),
        (one("    env_file: x.env"), "services.a.env_file: expected no file beside this one"),
        (one("secrets: {s: {file: ./s}}"), "secrets.s.file: expected no file beside this one"),
        ("services: &a {b: *a}", "expected fewer levels"),
    ],
)
def test_what_is_wrong_is_named_in_one_sentence(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, "f.yml")
    assert str(caught.value).startswith("f.yml: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        one("    environment: {DB_PASSWORD: aBc, OTHER: true}"),
        one("    environment: [[aBc]]\n    command: {aBc: 1}"),
        one("    command: {PASSWORD: aBc}"),
        one("    command: echo 'aBc"),
        "services: [aBc]",
        "services: {a: [aBc]}",
    ],
)
def test_what_is_refused_shows_no_password(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, "f.yml")
    assert "aBc" not in str(caught.value)


@given(st.text(max_size=200))
def test_any_text_is_a_stack_or_a_wrong_one(text: str) -> None:
    try:
        lines = len(parse(text, "f").services) and 1
    except UsageError as error:
        lines = str(error).count("\n") + 1
    assert lines == 1


PORTS = st.builds(lambda a, b: f"{a}:{b}", st.integers(1, 65535), st.integers(1, 65535))
SERVICES = st.fixed_dictionaries(
    {"image": st.just("x")},
    optional={
        "ports": st.lists(PORTS, max_size=3),
        "volumes": st.just(["/a:/b", "v:/c"]),
        "deploy": st.fixed_dictionaries({}, optional={"replicas": st.integers(0, 9), "mode": st.just("replicated")}),
        "environment": st.dictionaries(st.sampled_from("AB"), st.just("{{.Node.ID}} $$")),
    },
)


@given(st.dictionaries(st.sampled_from(["web", "db"]), SERVICES, min_size=1))
def test_without_a_mesh_only_ports_and_names_differ_and_nothing_is_lost(services: dict[str, Any]) -> None:
    text = yaml.safe_dump({"version": "3.0", "services": services})
    made = without_mesh(text, "f.yml", WHY)
    assert parse(made, "made") == parse(text, "f.yml").in_host_mode()
    assert without_mesh(made, "f.yml", WHY) == made
    assert made.startswith(f"# Made by hatcheck from f.yml, because {WHY}:\n")


@pytest.mark.parametrize(("version", "want"), [("'3.0'", "3.8"), ("'3.9'", "3.9"), ("3", "3.8"), ("'3.10'", "3.10")])
def test_the_made_file_has_a_version_with_words_for_it(version: str, want: str) -> None:
    made = without_mesh(f"version: {version}\nservices: {{a: {{image: x}}}}", "f", WHY)
    assert yaml.safe_load(made)["version"] == want


def test_what_is_read_survives_a_tape_but_for_the_values_of_environments() -> None:
    cluster = parse_inventory({}, "x", Path())
    again = parse_inventory(cluster.model_dump(mode="json"), "tape", Path())
    assert again.stack.content.compose.model_dump() == cluster.stack.content.compose.model_dump()
    assert "Node.Hostname" not in cluster.model_dump_json()


def test_the_file_is_found_beside_the_inventory_and_a_wrong_one_is_a_wrong_inventory(tmp_path: Path) -> None:
    inventory = tmp_path / "cluster.toml"
    inventory.write_text('[stack]\nfile = "mine.yml"\n')
    with pytest.raises(UsageError, match=r"stack.file: .*mine.yml: no such file"):
        load(inventory)
    (tmp_path / "mine.yml").write_text("services: 1")
    with pytest.raises(UsageError, match=r"mine.yml: expected a table `services`"):
        load(inventory)
    (tmp_path / "mine.yml").write_text(one(""))
    assert list(load(inventory).stack.content.compose.services) == ["a"]
