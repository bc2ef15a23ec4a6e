"""The rules of the house, read from the sources."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType

import pytest

import autoscale
from autoscale.design.space import SearchSpace

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "autoscale"
SOURCES = sorted(PACKAGE.rglob("*.py"))
SPACES = sorted((ROOT / "search_spaces").glob("*.yaml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# Which rooms a room may import, besides itself and `errors`. Those that talk to people (`cli`,
# `terminal`, `report`) may also read and print the values of `design`.
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "design": set(),
    "training": set(),
    "engines": set(),
    "network": {"design"},
    "search": {"design"},
    "runs": {"design", "search", "training"},
    "workflows": {"design", "network", "training", "search", "engines", "runs"},
    "report": {"design", "search", "runs"},
    "terminal": {"design", "workflows"},
    "cli": {"design", "workflows", "report", "runs", "terminal"},
    "__main__": {"cli"},
    "__init__": {"design", "network", "training", "search", "runs", "workflows", "report"},
}


def room(name: str) -> str:
    """The room of a folder or file at the top; the command line has several files."""
    return "cli" if name.startswith("cli_") else name


def room_of(path: Path) -> str:
    return room(path.relative_to(PACKAGE).parts[0].removesuffix(".py"))


def imports_of(path: Path) -> Iterator[str]:
    """Every imported module of a file, wherever the import stands, with relative names resolved."""
    package = ".".join(path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            if module == "autoscale":
                yield from (f"autoscale.{alias.name}" for alias in node.names)
            else:
                yield module


def by_room(names: set[str]) -> list[str]:
    """`file: module` for every import of one of the top-level modules `names`."""
    return [
        f"{path.relative_to(ROOT)}: {module}"
        for path in SOURCES
        for module in imports_of(path)
        if module.partition(".")[0] in names
    ]


# Imports


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    own = room_of(path)
    assert own in ARROWS, "a new room: say above what it may import"
    allowed = ARROWS[own] | {own, "errors"}
    targets = {
        room(parts[1])
        for parts in (module.split(".") for module in imports_of(path))
        if parts[0] == "autoscale" and len(parts) > 1 and not parts[1].startswith("__")
    }
    assert targets <= allowed


def test_the_design_room_loads_neither_torch_nor_optuna() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in SOURCES
        if room_of(path) == "design" and path.stem != "__init__"
    ]
    code = f"import sys, {', '.join(modules)}; print({{'torch', 'optuna'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "set()", done.stderr


def test_only_the_search_names_optuna_and_workflows_its_studies() -> None:
    rooms = {found.split("/")[1] for found in by_room({"optuna"})}
    assert rooms <= {"search", "workflows"}


def test_nothing_requires_another_library_of_networks() -> None:
    assert by_room({"torchvision", "timm"}) == []
    required = [*PROJECT["project"]["dependencies"]]
    for extra in PROJECT["project"].get("optional-dependencies", {}).values():
        required += extra
    assert not [name for name in required if re.match(r"torchvision|timm", name)]


def test_the_library_does_not_import_experiments_or_tests() -> None:
    assert by_room({"experiments", "tests"}) == []


# What is shipped


def test_the_public_names_are_the_visible_ones() -> None:
    public = {name for name in getattr(autoscale, "__all__", ()) if not name.startswith("__")}
    visible = {
        name
        for name in dir(autoscale)
        if not name.startswith("_") and not isinstance(getattr(autoscale, name), ModuleType)
    }
    assert public == visible


def test_the_wheel_ships_the_folder_of_spaces() -> None:
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included["search_spaces"] == "autoscale/search_spaces"
    assert SPACES


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_every_shipped_space_loads_and_bears_its_files_name(path: Path) -> None:
    space = SearchSpace.from_yaml(path.read_text(encoding="utf-8"), source=path.name)
    assert space.name == path.stem
    assert space.description


def test_no_file_mentions_a_path_of_somebodys_machine() -> None:
    place = re.compile(r"(?<![\w.:/~-])/(home|root|work|tmp|Users|mnt|opt|srv|var|usr)\b|\b[CD]:\\")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in [*SOURCES, *SPACES]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if place.search(line)
    ]
    assert found == []


# Tools


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]],
    ids=" ".join,
)
def test_the_sources_pass(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
