"""Commands that only count answer without the libraries that train, search and draw up tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LARGE = {"torch", "optuna", "pandas", "fvcore", "PIL", "safetensors", "sqlalchemy", "sympy"}
DESIGN = """
resolution: 32
channels: 1
stem: {width: 8}
stages: [{block: mbconv, width: 16, depth: 2, expand_ratio: 3, stride: 2}]
num_classes: 10
"""
CODE = """
import sys
from autoscale.cli.app import main
status = main(sys.argv[1:])
print(status, *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def loaded(folder: Path, command: str) -> set[str]:
    """The libraries that a command has loaded when it has answered."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, *command.split()], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    *shown, last = done.stdout.splitlines()
    status, *names = last.split()
    assert status == "0", done.stderr
    assert shown
    return set(names)


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "--version",
        "grid --help",
        "count efficientnet-b0",
        "count efficientnet-b0 --per-stage --json",
        "count design.yaml",
        "spaces",
        "spaces --json",
    ],
)
def test_a_command_that_only_counts_loads_no_large_library(tmp_path: Path, command: str) -> None:
    (tmp_path / "design.yaml").write_text(DESIGN)
    assert not loaded(tmp_path, command) & LARGE


@pytest.mark.parametrize("base", ["efficientnet-b0", "design.yaml"])
def test_the_plan_of_a_named_base_needs_tables_alone(tmp_path: Path, base: str) -> None:
    (tmp_path / "design.yaml").write_text(DESIGN)
    found = loaded(tmp_path, f"grid --baseline {base} --plan --step 0.1")
    assert found & LARGE == {"pandas"}


def test_the_help_waits_for_no_library_of_numbers_and_none_of_checked_files(tmp_path: Path) -> None:
    assert not loaded(tmp_path, "--help") & {"numpy", "yaml"}


def test_a_module_is_counted_with_torch(tmp_path: Path) -> None:
    assert "torch" in loaded(tmp_path, "count torch.nn:Identity")
