"""What a shell offers when a command is half typed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from autoscale.cli.app import main
from autoscale.design.published import FAMILIES, NETWORKS
from autoscale.jobs.search.spaces import space_names
from autoscale.search.samplers import SAMPLERS
from autoscale.training.recipe import RECIPES

VARIABLE = "_AUTOSCALE_COMPLETE"


def offered(
    typed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    """What fish would show behind `typed`, without the explanations."""
    monkeypatch.setenv(VARIABLE, "complete_fish")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", typed)
    with pytest.raises(SystemExit) as ended:  # as typer ends every completion
        main([])
    assert ended.value.code == 0
    return [line.split("\t")[0] for line in capsys.readouterr().out.split("\n") if line]


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("autoscale count ", [*NETWORKS]),
        ("autoscale train resnet-1", [name for name in NETWORKS if name.startswith("resnet-1")]),
        ("autoscale export ", [*NETWORKS]),
        ("autoscale latency resnet-18 tiny", [n for n in NETWORKS if n.startswith("tiny")]),
        ("autoscale compare ", [*FAMILIES, *NETWORKS]),
        ("autoscale grid --baseline ", [*NETWORKS]),
        ("autoscale search-baseline --space ", space_names()),
        ("autoscale search-baseline --sampler ", [*SAMPLERS]),
        ("autoscale search-baseline --recipe ", [*RECIPES]),
        ("autoscale train --recipe ", [*RECIPES]),
        ("autoscale ex", ["export"]),
    ],
)
def test_names_are_completed_from_where_they_are_registered(
    typed: str,
    names: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = offered(typed, monkeypatch, capsys)
    assert sorted(found) == sorted(names)
    assert names


def test_a_file_that_is_half_typed_is_left_to_the_shell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert offered("autoscale count runs/ph", monkeypatch, capsys) == []


@pytest.mark.parametrize(
    "command",
    [
        {"_TYPER_COMPLETE_ARGS": "autoscale count eff", VARIABLE: "complete_zsh"},
        {"_TYPER_COMPLETE_ARGS": "autoscale train --d", VARIABLE: "complete_zsh"},
        {"ARGUMENTS": "train --help"},
    ],
    ids=lambda command: next(iter(command.values())),
)
def test_a_completion_and_the_help_wait_for_no_large_library(command: dict[str, str]) -> None:
    code = """
import os, sys
from autoscale.cli.app import main
try:
    main(os.environ.get("ARGUMENTS", "").split())
finally:
    print({"torch", "optuna", "pandas"} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | command
    )
    *shown, loaded = done.stdout.splitlines()
    assert loaded == "set()", done.stderr
    assert shown
