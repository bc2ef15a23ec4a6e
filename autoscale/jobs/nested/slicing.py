"""A member taken out of the weights that a family shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

import torch
from torch import Tensor

from autoscale.design.architecture import Architecture
from autoscale.design.style import Style
from autoscale.network.build import Network, build
from autoscale.network.inheritance.recalibrate import recalibrate
from autoscale.training.batches import batches, normalised
from autoscale.training.nested.inner import first_of
from autoscale.training.task import Runtime, TrainingTask

#: Training images that batch norm's statistics are estimated by, at least.
IMAGES = 1280


def sliced(
    state: Mapping[str, Tensor],
    design: Architecture,
    *,
    outer: Architecture,
    style: Style,
    task: TrainingTask,
    runtime: Runtime,
) -> Network:
    """A design's part of the largest member's weights, with statistics of its own in batch norms.

    The statistics are those of the first batches of the training's last epoch, augmented as there,
    of images that were decoded at the design's size. The largest member has the statistics that its
    training followed. The same arguments give the same bits.

    Args:
        state: the largest member's weights.
        outer: the largest member.
        task: what was trained, with the images and the resolution of the design.

    Returns:
        In evaluation mode, on the CPU.
    """
    with torch.random.fork_rng(devices=[]):
        network = build(design, **style.options)
    network.load_state_dict(first_of(state, network.state_dict(), called=called))
    if design != outer:
        recalibrate(network, _seen(task, runtime))
    return network.eval()


def called(name: str) -> str:
    """A weight of a block by a name that does not tell whether the block adds its input."""
    return name.replace(".branch.", ".")


def _seen(task: TrainingTask, runtime: Runtime) -> Iterator[Tensor]:
    count = -(-IMAGES // task.recipe.batch_size)
    for batch in islice(batches(task, task.recipe.epochs, runtime), count):
        yield normalised(batch.pixels, task.preparation)
