"""Which designs of a space learn in the steps of a training of shared weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from autoscale.design.space import SearchSpace
from autoscale.jobs.workers.kernels import accelerated
from autoscale.network.shared.weights import SharedWeights, Slices, slice_of
from autoscale.training.nested.inner import Inner

Point = tuple[int, ...]


class FairPaths:
    """One design a step; over a round of steps every option of a choice learns equally often.

    A round has as many steps as the choice with the most options has options; a choice with fewer
    begins anew within it. The order is by chance from torch's global generator, and a round ends
    with its epoch. Source: Chu et al. 2021 (FairNAS), strict fairness, section 4.1; there the
    gradients of a round are added and make one step, here each makes one, so that a short training
    has more steps.

    Args:
        kernels: that compute the passes.
    """

    def __init__(self, weights: SharedWeights, kernels: str) -> None:
        self._weights, self._kernels = weights, kernels
        self._slices = Slices(weights.space)
        self._round: list[Point] = []
        self._epoch = 0

    def __call__(self) -> Sequence[Inner]:
        if torch.initial_seed() != self._epoch:  # each epoch has a seed of its own
            self._round, self._epoch = [], torch.initial_seed()
        if not self._round:
            self._round = drawn_round(self._weights.space)
        return [self.inner(self._round.pop())]

    def inner(self, point: Point) -> Inner:
        """The design of a point, inside the shared weights."""
        return inside(self._weights, self._slices, point, self._kernels)


def drawn_round(space: SearchSpace) -> list[Point]:
    """Points that together have each option of a choice equally often, or within one of that."""
    counts = [len(parameter.options) for parameter in space.parameters]
    steps = max(counts, default=1)
    columns = [_repeated(count, steps) for count in counts]
    return [tuple(column[step] for column in columns) for step in range(steps)]


def _repeated(count: int, steps: int) -> list[int]:
    orders = [torch.randperm(count) for _ in range(-(-steps // count))]
    return [int(option) for option in torch.cat(orders)[:steps]]


def inside(weights: SharedWeights, slices: Slices, point: Point, kernels: str) -> Inner:
    """The network of a point as a slice of shared weights, fast."""
    design = weights.space.architecture_at(point)
    network, names = slices.network(design), slices.names(design)

    def called(name: str) -> str:
        return names.get(name.removeprefix("network."), name)

    return Inner(
        accelerated(network, kernels),
        weights,
        resolution=design.resolution,
        called=called,
        part=slice_of,
    )
