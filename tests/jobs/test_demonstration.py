"""What the demonstration asks for; a run of it takes minutes and is no test."""

import random
import shlex
from pathlib import Path

import pytest

from autoscale.cli.app import main
from autoscale.cli.pipeline import _typed, demo_commands
from autoscale.design.cost import cost
from autoscale.design.rounding import rounding_policy
from autoscale.jobs.grid.candidates import counted_budget, grid_around
from autoscale.jobs.grid.settings import GridSettings
from autoscale.jobs.search.spaces import load_space
from autoscale.scaling.scalable import Design

BUDGET = 500_000


def options(command: str) -> dict[str, str]:
    words = shlex.split(command)[1:]
    return dict(zip(words[::2], words[1::2], strict=True))


def test_seed_and_kernels_go_to_the_search_from_which_the_other_steps_have_them() -> None:
    (_, search), *others = demo_commands(Path("runs/x y"), seed=7, kernels="none")
    assert options(search)["--seed"] == "7"
    assert options(search)["--kernels"] == "none"
    assert {options(command)["--run"] for _, command in [("", search), *others]} == {"runs/x y"}
    assert not any("--seed 7" in command or "--kernels" in command for _, command in others)


def test_a_step_is_shown_as_a_shell_takes_it_in_eighty_columns() -> None:
    for _, command in demo_commands(Path("runs/demo"), seed=12345, kernels="native"):
        shown = _typed(command)
        assert max(map(len, shown.splitlines())) <= 80
        assert shlex.split(shown.replace("\\\n", "")) == ["$", "autoscale", *shlex.split(command)]


def test_a_step_that_is_interrupted_ends_the_demonstration(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("autoscale.jobs.search.job.search_baseline", interrupted)
    assert main(["demo", "--run", str(tmp_path / "run")]) == 130
    captured = capsys.readouterr()
    assert "1. Search" in captured.out
    assert "2. Is it" not in captured.out
    assert captured.err.splitlines()[-1].startswith("autoscale: stopped")


def test_most_designs_within_the_budget_have_few_pixels_and_every_side_is_within_it() -> None:
    space = load_space("pixels-or-width")
    assert options(demo_commands(Path("r"))[0][1])["--target"] == "500K"
    rng = random.Random(0)
    drawn = [a for a in (space.sample(rng) for _ in range(3000)) if cost(a).macs <= BUDGET]
    assert {a.resolution for a in drawn} == set(space.resolution)
    assert sum(a.resolution <= 24 for a in drawn) / len(drawn) == pytest.approx(0.92, abs=0.03)


def test_a_grid_around_what_the_search_may_choose_holds_several_networks() -> None:
    space, rng = load_space("pixels-or-width"), random.Random(1)
    asked = options(demo_commands(Path("r"))[2][1])
    rounding = rounding_policy(asked["--rounding"])
    drawn = (space.sample(rng) for _ in range(20_000))
    likely = [a for a in drawn if a.resolution >= 32 and 300_000 <= cost(a).macs <= BUDGET]
    for design in likely[:5]:
        base, settings = Design(design, rounding), GridSettings(budget=asked["--flops-budget"])
        assert len(grid_around(base, counted_budget(settings, base), settings).candidates) >= 2
