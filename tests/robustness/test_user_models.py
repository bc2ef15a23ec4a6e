"""The user's own code that is wrong: refused in one line, before any training is done."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from tests.robustness.attempts import attempt, is_clear, seeds
from tests.robustness.conftest import Finished

RIGHT = """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, depth, width, classes):
        super().__init__()
        wide = max(1, round(8 * width))
        self.stem = nn.Conv2d(3, wide, 3, stride=2, padding=1)
        self.body = nn.Sequential(*[nn.Conv2d(wide, wide, 3, padding=1)
                                    for _ in range(max(1, round(2 * depth)))])
        self.head = nn.Linear(wide, classes)
    def forward(self, x):
        return self.head(self.body(self.stem(x)).mean((2, 3)))

def build(depth, width, resolution, num_classes):
    return Net(depth, width, num_classes)
"""
WHOLE: tuple[tuple[str, str], ...] = (  # what replaces what
    ("import torch\n", "import nowhere_to_be_found\n"),
    ("import torch\n", "raise RuntimeError('\\x1b[2J at import')\n"),
    ("import torch\n", "raise SystemExit(3)\n"),
    ("import torch\n", "import sys; sys.exit('gone')\n"),
    ("import torch\n", "this is no Python\n"),
    ("import torch\n", "\\x00\n"),
    ("import torch\n", "import torch; 1 / 0\n"),
    ("def build(", "def other("),
    ("def build(depth, width, resolution, num_classes)", "def build()"),
    ("def build(depth, width, resolution, num_classes)", "def build(depth, width)"),
    ("def build(depth, width, resolution, num_classes)", "def build(*, depth, kind)"),
    ("return Net(", "return (lambda *a: None)("),
    ("return Net(", "return 3, ("),
    ("return Net(", "raise KeyError(("),
    ("return Net(", "raise SystemExit(("),
    ("return Net(", "raise ValueError('a' * 5000 + '\\nline')  # ("),
    ("return Net(depth, width, num_classes)", "return Net"),
    ("return Net(depth, width, num_classes)", "return build(depth, width, resolution, 3)"),
    ("return Net(depth, width, num_classes)", "return nn.Identity()"),
    ("return self.head(", "raise RuntimeError('forward'); ("),
    ("return self.head(", "raise MemoryError; ("),
    ("return self.head(", "raise SystemExit(4); ("),
    ("return self.head(", "return None; ("),
    ("return self.head(", "return 'text'; ("),
    ("return self.head(", "return {'logits': x}; ("),
    ("return self.head(", "return [x]; ("),
    ("return self.head(", "return x; ("),
    ("return self.head(", "return self.nothing(x); ("),
    ("return self.head(", "return x.item(); ("),
    ("mean((2, 3))", "mean()"),
    ("mean((2, 3))", "mean(7)"),
    ("wide, classes)", "wide + 1, classes)"),
    ("wide, classes)", "wide, classes + 1)"),
    ("nn.Conv2d(3, wide", "nn.Conv2d(4, wide"),
    ("super().__init__()", "pass"),
    ("max(1, round(8 * width))", "0"),
    ("max(1, round(8 * width))", "-1"),
    (
        "build(depth, width, resolution, num_classes):",
        "build(depth, width, resolution, num_classes, more):",
    ),
)


@pytest.mark.parametrize("place", range(len(WHOLE)))
@pytest.mark.parametrize("plan", [True, False], ids=["plan", "work"])
def test_a_model_that_is_wrong_is_refused_in_one_line(
    whole: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int, plan: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    module = f"own_{place}_{plan}".lower()
    old, new = WHOLE[place]
    assert old in RIGHT
    (tmp_path / f"{module}.py").write_text(RIGHT.replace(old, new))
    run = tmp_path / "run"
    planned = ["--plan"] if plan else []
    answer = attempt("grid", "--model", f"{module}:build", "--run", run, "--data", whole.photos,
                     "--resolution", 16, "--flops-budget", "2x", "--tolerance", 0.3, "--seeds", 1,
                     "--max-candidates", 2, "--epochs", 1, "--step", 0.25, *planned)  # fmt: skip
    sys.modules.pop(module, None)
    assert is_clear(answer)
    if not plan:
        assert answer.status in (1, 2)
        assert not (run / "grid" / "trainings.jsonl").exists()


@pytest.mark.parametrize("seed", seeds(10, 20))
def test_a_name_that_is_no_model_is_refused(tmp_path: Path, seed: int) -> None:
    rng = random.Random(f"model {seed}")
    pieces = ("os", ":", ".", "path", "json", "loads", "", " ", "\x1b", "naïve", "a" * 3000, "-",
              "build", "torch.nn", "Linear", "/", "..")  # fmt: skip
    name = "".join(rng.choice(pieces) for _ in range(rng.randrange(1, 6)))
    answer = attempt("grid", "--model", f"x{name}", "--run", tmp_path / "run", "--data", tmp_path)
    assert answer.status in (1, 2)
    assert is_clear(answer)
    assert not (tmp_path / "run").exists()
