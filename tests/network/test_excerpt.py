"""Definitions taken out of modules are those that are needed, as they stand there."""

import types
from pathlib import Path

import pytest

from autoscale.network.excerpt import definitions, imports, names_used

FIRST = """
import math
from collections.abc import Sequence as Row

SIZE, OTHER = 3, 4  # two at once


def root(row: Row[float]) -> float:
    return math.sqrt(sum(row)) / SIZE


def alone() -> None: ...
"""
SECOND = """
from functools import cache
from first import root

HALF: float = 0.5


@cache
def half(row: object) -> float:
    root_of = root(row)  # type: ignore[arg-type]
    return HALF * root_of
"""


@pytest.fixture
def modules(tmp_path: Path) -> list[types.ModuleType]:
    """Two modules, of which the second imports the first."""
    made = []
    for name, text in (("first", FIRST), ("second", SECOND)):
        (tmp_path / f"{name}.py").write_text(text)
        module = types.ModuleType(name)
        module.__file__ = str(tmp_path / f"{name}.py")
        made.append(module)
    return made


def test_what_is_needed_comes_with_what_that_needs(modules: list[types.ModuleType]) -> None:
    text = definitions(modules, "half([1])")
    assert "SIZE, OTHER = 3, 4  # two at once\nHALF: float = 0.5\n" in text
    assert "def root" in text
    assert "@cache\ndef half" in text
    assert "def alone" not in text
    assert "type: ignore" not in text


def test_the_definitions_run_with_their_imports(modules: list[types.ModuleType]) -> None:
    text = definitions(modules, "half((9, 16))")
    lines = [line for line in imports(modules, text) if "first" not in line]
    assert lines == [
        "import math", "from collections.abc import Sequence as Row", "from functools import cache",
    ]  # fmt: skip
    scope: dict[str, object] = {}
    exec("\n".join([*lines, text, "found = half((9, 16))"]), scope)
    assert scope["found"] == 5 / 3 / 2


def test_given_names_are_not_looked_for(modules: list[types.ModuleType]) -> None:
    assert "def root" not in definitions(modules, "half([1])", given=("root",))


def test_a_functions_own_names_are_not_needed_from_outside() -> None:
    assert names_used("def f(a):\n    b = a + c\n    return b") == {"c"}
