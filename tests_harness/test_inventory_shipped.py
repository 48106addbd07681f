"""The shipped cluster.toml names every key that there is, with its default; what is commented out can be used."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import pytest
from pydantic import BaseModel

from harness.inventory import Cluster, load
from harness.inventory_errors import keys
from harness.inventory_stack import SHIPPED
from tests_harness.labkit import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINES = (ROOT / "cluster.toml").read_text(encoding="utf-8").splitlines()
HEADER = re.compile(r"(?:# )?(\[{1,2})([a-z_.]+)\]")
KEY = re.compile(r"(?:# )?([a-z_]+) = ")
# Examples: there is no default that one could write, or it is that of another key.
EXAMPLES = {
    "ssh.host", "ssh.identity", "os.id", "os.codenames", "os.architecture", "images.web", "images.database",
    "images.folder", "swarm.placement", "stack.file", "web.source", "database.users", "nodes",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A key, or a whole array of tables, and the numbers of the lines that write it with its header."""

    name: str
    lines: tuple[int, ...]

    def uncommented(self) -> str:
        """The file with this entry uncommented."""
        return "\n".join(line.removeprefix("# ") if i in self.lines else line for i, line in enumerate(LINES))


def entries() -> Iterator[Entry]:
    """All of the file; [swarm.placement] is one, too, for its keys are anybody's words."""
    table, is_whole = "", False
    block: list[int] = []
    for number, line in enumerate([*LINES, "# [end]"]):
        if header := HEADER.match(line):
            if is_whole:
                yield Entry(table, tuple(block))
            table, block = header[2], [number]
            is_whole = header[1] == "[[" or table == "swarm.placement"
        elif key := KEY.match(line):
            if is_whole:
                block.append(number)
            else:
                yield Entry(f"{table}.{key[1]}".removeprefix("."), (*block, number))


ENTRIES = {entry.name: entry for entry in entries()}


def tables(model: type[BaseModel], within: str = "") -> Iterator[str]:
    """The keys of a model that a person may write; an array of tables counts as one."""
    for key in keys(model).split(", "):
        kind = model.model_fields[key].annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from tables(kind, f"{within}{key}.")
        else:
            yield f"{within}{key}"


def test_every_key_is_named_and_no_other() -> None:
    assert sorted(ENTRIES) == sorted(tables(Cluster))


@pytest.mark.parametrize("name", ["nodes", "database.users"])
def test_an_array_of_tables_names_every_key_of_its_tables(name: str) -> None:
    model: Any = Cluster
    for part in name.split("."):
        kind = model.model_fields[part].annotation
        model = next((one for one in get_args(kind) if isinstance(one, type)), kind)
    written = [key[1] for number in ENTRIES[name].lines if (key := KEY.match(LINES[number]))]
    assert sorted(written) == sorted(model.model_fields)


@pytest.mark.parametrize("name", ENTRIES)
def test_what_is_commented_out_can_be_used_and_is_the_default(name: str, tmp_path: Path) -> None:
    shutil.copy(SHIPPED, tmp_path)
    file = tmp_path / "cluster.toml"
    file.write_text("\n".join(LINES), encoding="utf-8")
    shipped = load(file)
    file.write_text(ENTRIES[name].uncommented(), encoding="utf-8")
    used = load(file)
    if name not in EXAMPLES:
        assert used == shipped


def test_the_example_of_a_node_is_the_documented_one(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text(ENTRIES["nodes"].uncommented(), encoding="utf-8")
    assert load(file).nodes == load(ROOT / "cluster.toml").nodes[:1]


def test_the_example_of_a_placement_is_the_documented_one(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text(ENTRIES["swarm.placement"].uncommented(), encoding="utf-8")
    used, shipped = load(file), load(ROOT / "cluster.toml")
    assert [used.label_of(name) for name in used.names] == [shipped.label_of(name) for name in shipped.names]
