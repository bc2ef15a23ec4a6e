"""Memory of a training, foretold."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from autoscale.design.published import published
from autoscale.training.recipe import RECIPES
from autoscale.workflows.kernels import KERNELS
from autoscale.workflows.memory import KEPT, training_bytes

SCRIPT = Path(__file__).parents[2] / "experiments/benchmarks/memory/peak.py"


def test_every_kind_of_kernels_is_foretold() -> None:
    assert set(KEPT) == set(KERNELS)


def test_twice_the_batch_takes_less_than_twice_the_memory_and_more_than_before() -> None:
    network, recipe = published("efficientnet-b0"), RECIPES["proxy"]
    one = training_bytes(network, recipe)
    two = training_bytes(network, replace(recipe, batch_size=2 * recipe.batch_size))
    assert one < two < 2 * one


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's /proc")
@pytest.mark.parametrize("network", ["efficientnet-b0", "resnet-18"])
def test_the_peak_is_near_what_was_foretold(network: str) -> None:
    code = f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); import peak; " + (
        f"print(peak.measure({network!r}, 32, 64, 'none')); "
        f"print(peak.training_bytes(peak.design({network!r}, 32), "
        "peak.replace(peak.RECIPES['proxy'], batch_size=64)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    measured, foretold = map(json.loads, done.stdout.split())
    assert foretold == pytest.approx(measured, rel=0.35)
