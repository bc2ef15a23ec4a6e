"""Memory of a training, foretold."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from autoscale.aspect import aspect_of
from autoscale.design.architecture import Architecture
from autoscale.design.published import published
from autoscale.design.rounding import fit_strides
from autoscale.design.style import Padding
from autoscale.jobs.names import BFLOAT16_KERNELS, KERNELS
from autoscale.jobs.workers.kernels import accelerated
from autoscale.jobs.workers.memory import HELD, numbers_kept, training_bytes
from autoscale.network.build import build
from autoscale.network.kernels.accelerate import Accelerated

SCRIPT = Path(__file__).parents[2] / "experiments/benchmarks/memory/peak.py"
BATCH = 2


def tensors_in(kept: Any) -> Iterator[Tensor]:
    """Every tensor on a tape."""
    if isinstance(kept, Tensor):
        yield kept
    elif isinstance(kept, tuple | list):
        for part in kept:
            yield from tensors_in(part)
    elif is_dataclass(kept):
        for field in fields(kept):
            yield from tensors_in(getattr(kept, field.name))


def test_every_kind_of_kernels_is_foretold() -> None:
    assert set(HELD) == {*KERNELS, BFLOAT16_KERNELS}


def test_twice_the_batch_takes_less_than_twice_the_memory_and_more_than_before() -> None:
    network = published("efficientnet-b0")
    one, two = training_bytes(network, 32), training_bytes(network, 64)
    assert one < two < 2 * one


@pytest.mark.parametrize("padding", ["symmetric", "same"])
@pytest.mark.parametrize("kernels", HELD)
@pytest.mark.parametrize(
    ("name", "aspect"),
    [("efficientnet-b0", "1"), ("efficientnet-b0", "4/3"), ("mobilenet-v1-0.5", "1"),
     ("mobilenet-v2-0.5", "1"), ("resnet-18", "1"), ("efficientnetv2-b0", "1"),
     ("tinynet-e", "1")],
)  # fmt: skip
def test_as_many_numbers_are_kept_as_was_foretold(
    name: str, aspect: str, kernels: str, padding: Padding
) -> None:
    design = replace(published(name), resolution=64, num_classes=10, aspect=aspect_of(aspect))
    assert_foretold(fit_strides(design), kernels, padding)


def assert_foretold(design: Architecture, kernels: str, padding: Padding) -> None:
    network = accelerated(build(design, padding=padding), kernels).train()
    images = torch.randn(BATCH, 3, *design.image_size).to(memory_format=torch.channels_last)
    found: dict[int, int] = {}  # of each storage, whoever sees it

    def note(kept: Tensor) -> Tensor:
        found[kept.untyped_storage().data_ptr()] = kept.untyped_storage().nbytes() // 4
        return kept

    with torch.autograd.graph.saved_tensors_hooks(note, lambda kept: kept):
        if isinstance(network, Accelerated):
            tape: list[Any] = []
            with torch.no_grad():
                maps = images.permute(0, 2, 3, 1).contiguous().to(network.kernels.maps)
                network._plan.forward(maps, tape)
            for tensor in tensors_in(tape):
                note(tensor)
        else:
            result = network(images)
            assert result.requires_grad
    for parameter in network.parameters():
        found.pop(parameter.untyped_storage().data_ptr(), None)
    kept = sum(found.values()) / BATCH
    close = 0.05 if padding == "symmetric" else 0.07
    if kernels == BFLOAT16_KERNELS:  # maps weigh half, the statistics of a batch as much as ever
        close *= 2
    assert numbers_kept(design, kernels, padding) == pytest.approx(kept, rel=close)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's /proc")
@pytest.mark.parametrize("network", ["efficientnet-b0", "resnet-18"])
def test_the_peak_is_near_what_was_foretold(network: str) -> None:
    code = f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); import peak; " + (
        f"print(peak.measure({network!r}, 32, 64, 'none')); "
        "from autoscale.jobs.workers.memory import training_bytes; "
        f"print(training_bytes(peak.design({network!r}, 32), 64))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    measured, foretold = map(json.loads, done.stdout.split())
    assert foretold == pytest.approx(measured, rel=0.25)
