"""The page on Python says what is there, and its examples run."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import autoscale
from tests.conftest import draw_photos

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "python.md"
TEXTS = {
    "docs/python.md": PAGE.read_text(encoding="utf-8"),
    "README.md": (ROOT / "README.md").read_text(encoding="utf-8"),
}
#: What makes the examples small.
SMALLER: dict[str, dict[str, Any]] = {
    "search_baseline": {
        "space": "tiny", "resolution": 16, "trials": 12, "epochs": 1, "kernels": "none",
        "target": 200_000,
    },
    "make_network": {"max_cost": ["macs=8M"], "hours": 0.03, "kernels": "none"},
    "plan_network": {"max_cost": ["macs=8M"], "kernels": "none"},
    "check_baseline": {"networks": 2, "seeds": 2},
    "AdviseSettings": {"halvings": 1},
    "GridSettings": {"tolerance": 0.2, "max_candidates": 2, "seeds": 1},
    "try_weights": {"epochs": 1, "pairs": 2, "kernels": "none"},
    "train": {"epochs": 1, "kernels": "none"},
    "train_folds": {"epochs": 1, "kernels": "none"},
    "train_family": {"epochs": 1, "kernels": "none"},
    "calibrate": {"reject": 0.2},
    "latency": {"repeats": 5},
}  # fmt: skip


def examples(text: str) -> str:
    return "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))


def calls(source: str) -> list[tuple[str, ast.Call]]:
    """Every call of a name of ours."""
    return [
        (node.func.attr, node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value) == "autoscale"
    ]


@pytest.mark.parametrize("place", TEXTS)
def test_the_calls_of_the_examples_have_options_that_are_there(place: str) -> None:
    made = calls(examples(TEXTS[place]))
    for name, call in made:
        assert name in autoscale.__all__
        keywords = {word.arg or "": None for word in call.keywords}
        inspect.signature(getattr(autoscale, name)).bind(*call.args, **keywords)
    assert len(made) > 4


def test_every_public_name_has_an_example() -> None:
    source = examples(TEXTS["docs/python.md"]) + TEXTS["docs/python.md"]
    assert [n for n in autoscale.__all__ if not re.search(rf"autoscale\.{n}\b", source)] == []


def smaller(name: str) -> Callable[..., Any]:
    """A public name whose calls take `SMALLER` instead of what the page gives."""
    found = getattr(autoscale, name)
    if name not in SMALLER:
        return found
    return lambda *given, **options: found(*given, **options | SMALLER[name])


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photos = draw_photos(tmp_path / "photos", count=120)  # of which enough validate to calibrate
    (tmp_path / "new").mkdir()
    for number, path in enumerate(sorted(photos.glob("*/*.png"))[:2], start=1):
        # The content decides what a file is, not its name.
        (tmp_path / "new" / f"{number}.jpg").write_bytes(path.read_bytes())
    names = {name: smaller(name) for name in autoscale.__all__}
    printed: list[str] = []

    def show(*values: object) -> None:
        printed.append(" ".join(map(str, values)))

    source = examples(TEXTS["docs/python.md"]).replace("import autoscale\n", "")
    exec(source, {"autoscale": SimpleNamespace(**names), "print": show})
    assert "385814752" in printed
    assert "[0 1]" in printed
    assert any("did you mean" in line for line in printed)
    assert {"race.svg", "sizes.svg", "report.html", "out"} <= {p.name for p in tmp_path.iterdir()}
