"""What a person gave a service by hand, told from what Docker fills in and from what the file has."""

from __future__ import annotations

from typing import Any

import pytest

from harness.parse.compose import parse
from harness.parse.service_settings import is_elsewhere, unwritten

# What the manager of a real swarm (20.10) has where the file says nothing.
TEMPLATE: dict[str, Any] = {
    "ContainerSpec": {
        "Image": "wzehren/phpsae:latest@sha256:12e7", "Env": ["NODE_NAME={{.Node.Hostname}}"],
        "Labels": {"com.docker.stack.namespace": "appli"},
        "Privileges": {"CredentialSpec": None, "SELinuxContext": None},
        "StopGracePeriod": 10_000_000_000, "DNSConfig": {}, "Isolation": "default",
    },
    "Resources": {}, "RestartPolicy": {"Condition": "any", "Delay": 5_000_000_000, "MaxAttempts": 0},
    "Placement": {"Constraints": ["node.labels.service == web"]},
    "Networks": [{"Target": "qzkt42", "Aliases": ["serviceweb"]}], "ForceUpdate": 0, "Runtime": "container",
}  # fmt: skip


@pytest.mark.parametrize(
    ("part", "key", "value", "want"),
    [
        ("ContainerSpec", "User", "nobody", "user"),
        ("ContainerSpec", "StopSignal", "SIGKILL", "stop_signal"),
        ("ContainerSpec", "StopGracePeriod", 0, "stop_grace_period"),
        ("ContainerSpec", "Hosts", ["10.9.9.9 servicebd"], "extra_hosts"),
        ("ContainerSpec", "DNSConfig", {"Nameservers": ["10.9.9.9"]}, "dns"),
        ("ContainerSpec", "Healthcheck", {"Test": ["CMD", "false"]}, "healthcheck"),
        ("ContainerSpec", "Init", False, ""),
        ("ContainerSpec", "Groups", ["docker"], "group_add"),
        ("RestartPolicy", "Condition", "none", "restart_policy"),
        ("RestartPolicy", "MaxAttempts", 1, "restart_policy"),
        ("Resources", "Limits", {"MemoryBytes": 8_000_000}, "resources"),
        ("Resources", "Limits", {}, ""),
        ("Placement", "Preferences", [{"Spread": {"SpreadDescriptor": "node.id"}}], "preferences"),
        ("LogDriver", "Name", "none", "logging"),
    ],
)
def test_what_nobody_wrote_is_told_by_the_key_that_the_file_would_need(
    part: str, key: str, value: object, want: str
) -> None:
    template = {**TEMPLATE, part: {**TEMPLATE.get(part, {}), key: value}}
    assert unwritten(template, ()) == ((want,) if want else ())
    assert unwritten(template, (want,)) == ()


@pytest.mark.parametrize("part", ["RestartPolicy", "Resources", "Placement", "LogDriver"])
def test_what_docker_fills_in_itself_or_leaves_out_is_nobodys_setting(part: str) -> None:
    assert unwritten(TEMPLATE, ()) == ()
    assert unwritten({**TEMPLATE, part: None}, ()) == ()


def test_either_key_of_the_file_asks_for_restarts() -> None:
    template = {**TEMPLATE, "RestartPolicy": {"Condition": "on-failure"}}
    assert unwritten(template, ("restart",)) == unwritten(template, ("restart_policy",)) == ()


def test_the_keys_of_a_file_are_noted_wherever_they_stand() -> None:
    (found,) = parse(
        "version: '3.8'\nservices:\n  w:\n    image: x\n    user: '7'\n    stop_signal:\n    restart: always\n"
        "    deploy: {resources: {limits: {memory: 8M}}, placement: {preferences: [{spread: node.id}]}}\n", "f.yml",
    ).services.values()  # fmt: skip
    assert found.written == ("preferences", "resources", "restart", "user")
    assert parse("services: {w: {image: x, deploy: }}", "f.yml").services["w"].written == ()


@pytest.mark.parametrize(
    ("networks", "wanted", "want"),
    [
        (TEMPLATE["Networks"], ("default",), False),
        (TEMPLATE["Networks"], ("a", "b"), True),
        ([*TEMPLATE["Networks"], {"Target": "b", "Aliases": ["x", "serviceweb"]}], ("a", "b"), False),
        ([*TEMPLATE["Networks"], {"Target": "b"}], ("a", "b"), True),
        ([], ("default",), True),
        (None, ("default",), True),
    ],
)
def test_a_network_left_or_joined_by_hand_is_seen(
    networks: list[dict[str, Any]] | None, wanted: tuple[str, ...], want: bool  # noqa: FBT001
) -> None:  # fmt: skip
    assert is_elsewhere({"Networks": networks}, wanted, "serviceweb") is want


@pytest.mark.parametrize(
    ("text", "want"), [("", ("default",)), ("networks: [a, b]", ("a", "b")), ("networks: {a: {aliases: [x]}}", ("a",))]
)
def test_networks_are_read_in_either_way_of_writing(text: str, want: tuple[str, ...]) -> None:
    assert parse(f"services:\n  w:\n    image: x\n    {text}\n", "f.yml").services["w"].networks == want
