"""The walls of design.md hold: who may import what, what a step is made of, and where its page and file are."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.steps import STEPS, load

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
HARNESS = ROOT / "harness"
MODULES = {
    str(file.relative_to(HARNESS).with_suffix("")).replace("/", "."): file
    for file in sorted(HARNESS.rglob("*.py"))
    if file.relative_to(HARNESS).parts[0] != "lab"  # the lab is a machine room, not a part of the way of the data
}
STEP_MODULES = [name for name in MODULES if name.startswith("steps.") and name != "steps.__init__"]
PURE = [
    "model",
    "errors",
    "plan",
    "judgement",
    "inventory",
    "inventory_app",
    "primes",
    "secret",
    *(n for n in MODULES if n.startswith(("parse.", "arch."))),
]
OUTSIDE = {"os", "time", "random", "secrets", "subprocess", "socket", "threading", "datetime", "requests", "docker"}
QUESTIONS = {"ask", "run", "test", "check_output", "run_test", "run_expect"}


class Imports(ast.NodeVisitor):
    """The modules that a file imports when it runs, with their names: `from a import b` gives a and a.b."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def visit_If(self, node: ast.If) -> None:
        """What only the type checker imports does not count."""
        if ast.unparse(node.test) != "TYPE_CHECKING":
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.found |= {alias.name for alias in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        self.found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}


def imports_of(source: str) -> set[str]:
    visitor = Imports()
    visitor.visit(ast.parse(source))
    return visitor.found


def importers(*modules: str) -> set[str]:
    """The modules of the harness that import one of these, or something inside of it."""
    return {
        name for name, file in MODULES.items()
        if any(f"{found}.".startswith(f"{module}.") for module in modules for found in imports_of(file.read_text()))
    }  # fmt: skip


def test_the_walls_see_through_every_way_of_importing() -> None:
    source = "if TYPE_CHECKING:\n import a\nimport b.c\nfrom d import e\ndef f():\n  import g\nif x:\n  import h\n"
    assert imports_of(source) == {"b.c", "d", "d.e", "g", "h"}


def test_only_connections_and_logins_know_paramiko() -> None:
    assert importers("paramiko") == {"connect", "connection", "login", "refusal"}


def test_only_connections_open_sockets() -> None:
    assert importers("socket", "http", "urllib.request", "asyncio") == {"connect"}
    assert importers("requests", "docker") == {"docker_client", "http_client"}
    assert importers("urllib3") == {"channel_pool", "docker_client", "http_client"}
    assert importers("harness.docker_client", "harness.http_client") == {"connect", "connection"}
    assert importers("harness.channel_pool") == {"docker_client", "http_client"}


def test_only_a_run_and_its_crew_can_change_a_node() -> None:
    assert importers("harness.apply") == {"session", "live"}
    kinds = ("sshd", "images", "swarm", "stack", "database")
    assert importers(*(f"harness.apply_{kind}" for kind in kinds)) == {"apply"}


def test_a_run_and_its_crew_know_nothing_of_the_report() -> None:
    seeing = {"apply", "connect", "converge", "judgement", "live", "plan", "step", "tape"}
    assert {name for name in importers("harness.report") if name in seeing or name.startswith("steps.")} == set()


def test_what_the_disruptive_tests_do_is_no_part_of_a_run() -> None:
    # The two changes to a node outside of apply.py: nothing that verifies or repairs may come by it.
    assert importers("harness.probe_ban", "harness.probe_reboot") == set()


@pytest.mark.parametrize("name", ["probe_ranks", "probe_pipes"])
def test_what_is_sent_to_a_machine_needs_nothing_of_the_harness(name: str) -> None:
    # It is sent as text to machines that have Python only.
    assert {found for found in imports_of(MODULES[name].read_text()) if found.startswith("harness")} == set()


def test_only_what_asks_or_changes_nodes_has_connections() -> None:
    # apply.py gets them from its caller and names them for the type checker only.
    assert importers("harness.connect") == {"session", "trust"}
    assert importers("harness.connection") == {"connect"}


@pytest.mark.parametrize("name", STEP_MODULES)
def test_a_step_can_neither_connect_nor_change_nor_reach_outside(name: str) -> None:
    found = imports_of(MODULES[name].read_text())
    assert {module.partition(".")[0] for module in found} & OUTSIDE == set()
    assert {
        "harness.apply",
        "harness.apply_images",
        "harness.apply_sshd",
        "harness.apply_stack",
        "harness.connect",
        "harness.connection",
        "harness.session",
        "harness.live",
        "harness.shell",
    } & found == set()


@pytest.mark.parametrize("name", PURE)
def test_what_is_pure_imports_no_host_clock_or_chance(name: str) -> None:
    assert {module.partition(".")[0] for module in imports_of(MODULES[name].read_text())} & OUTSIDE == set()


def built_questions(source: str) -> Iterator[str]:
    """Calls of `node.ask` and its like whose command is put together on the spot."""
    for call in ast.walk(ast.parse(source)):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in QUESTIONS:
            for command in call.args[:1]:
                is_format = isinstance(command, ast.Call) and ast.unparse(command.func).endswith(".format")
                if is_format or isinstance(command, ast.JoinedStr | ast.BinOp):
                    yield ast.unparse(call)


@pytest.mark.parametrize("name", STEP_MODULES)
def test_no_value_becomes_shell_text_in_a_step(name: str) -> None:
    assert list(built_questions(MODULES[name].read_text())) == []


@pytest.mark.parametrize(
    ("source", "is_built"),
    [
        ('node.ask(f"ls {path}")', True),
        ('node.root.run("ls " + path)', True),
        ('node.test("ls %s" % path)', True),
        ('node.ask("ls {}".format(path))', True),
        ('node.ask("ls %s", path)', False),
        ("node.ask(COMMAND, path)", False),
    ],
)
def test_the_wall_of_questions_sees_every_way_to_build_one(source: str, is_built: bool) -> None:  # noqa: FBT001
    assert bool(list(built_questions(source))) is is_built


def test_the_steps_are_listed_once_each_and_no_module_is_forgotten() -> None:
    assert len(set(STEPS)) == len(STEPS)
    modules = {name.removeprefix("steps.") for name in STEP_MODULES}
    parts = {name for name in modules if any(name.startswith(f"{step}_") for step in STEPS)}
    assert modules - parts == set(STEPS)


def test_mypy_checks_every_listed_step() -> None:
    tree = ast.parse((HARNESS / "steps/__init__.py").read_text())
    (checked,) = [node for node in ast.walk(tree) if isinstance(node, ast.AnnAssign) and "CHECKED" in ast.unparse(node)]
    assert checked.value
    assert ast.unparse(checked.value).strip("()").split(", ") == list(STEPS)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_needs_only_what_comes_before_it(name: str) -> None:
    assert set(load(name).NEEDS) <= set(STEPS[: STEPS.index(name)])


@pytest.mark.parametrize("name", STEPS)
def test_a_step_says_what_it_is_and_where_the_runbook_says_so(name: str) -> None:
    first = (load(name).__doc__ or "").partition("\n")[0]
    assert first.startswith(f"Step `{name}`: ")
    assert "(runbook L" in first


@pytest.mark.parametrize("name", STEPS)
def test_a_step_has_its_page(name: str) -> None:
    page = ROOT / "docs" / "steps" / f"{name}.md"
    assert page.is_file()
    assert page.read_text(encoding="utf-8").startswith("# ")


def test_the_acceptance_files_are_the_steps_in_documented_order() -> None:
    files = sorted([*ROOT.glob("tests_infra/test_*.py"), *ROOT.glob("tests_app/test_*.py")], key=lambda file: file.name)
    numbered = [f"test_{number:02}_{name}" for number, name in enumerate(STEPS, 1)]
    assert [file.stem for file in files] == numbered


@pytest.mark.parametrize("name", STEPS)
def test_an_acceptance_file_reports_its_step_and_hears_a_witness(name: str) -> None:
    (file,) = ROOT.glob(f"tests_*/test_[0-9][0-9]_{name}.py")
    tree = ast.parse(file.read_text())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert {f"test_{name}", f"test_{name}_witness"} <= functions
    assert f"pytest.mark.step('{name}')" in ast.unparse(tree)
    assert not {found for found in imports_of(file.read_text()) if found.startswith("harness.steps")}
