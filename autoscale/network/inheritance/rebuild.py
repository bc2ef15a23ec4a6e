"""Channels that can be spared, because the layers that read them can rebuild them from the others.

A reader multiplies its input x, with covariance C, by W. Without the channels outside S its best
weights are B = W C[:, S] inv(C[S, S]), and its output loses trace((W C - B C[S, :]) W'). Channels
are left out backwards from all, always those whose loss is least: with P = inv(C[S, S]), leaving
out j costs |B[:, j]|^2 / P[j, j]. Sources: He et al. 2017 (channel pruning by reconstruction), with
the elimination of Hassibi & Stork 1993 (optimal brain surgeon) instead of a lasso.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from autoscale.errors import InvalidSetting

#: Added to every variance, in shares of their mean: inputs that never vary say nothing.
_RIDGE = 1e-4
#: Channels leave in so many groups at most; one by one takes ten times as long.
_ROUNDS = 32


@dataclass(frozen=True, eq=False)
class Moments:
    """Of the inputs of a layer, over images and places, in double precision."""

    mean: Tensor  # (C,)
    covariance: Tensor  # (C, C)

    @cached_property
    def precision(self) -> Tensor:
        """Inverse of the covariance, to which a little is added; (C, C)."""
        return torch.linalg.inv(_ridged(self.covariance))


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """A linear layer that reads the channels of an axis."""

    weight: Tensor  # (outputs, C), double precision
    inputs: Moments
    kept: Tensor  # outputs that matter


@dataclass(frozen=True, slots=True, eq=False)
class Rebuilt:
    """A reader that makes up for channels that left."""

    weight: Tensor  # (outputs, C), 0 for those that left
    shift: Tensor  # (outputs,), to be added to the output so that its mean stays


def input_moments(network: nn.Module, batches: Iterable[Tensor]) -> dict[str, Moments]:
    """Mean and covariance of what each 1x1 convolution and linear layer of a network reads.

    The network is used in evaluation mode and left as it was.

    Args:
        batches: normalised images, (N, C, H, W), of the size that matters: a few hundred suffice.

    Returns:
        By the names of the layers.

    Raises:
        InvalidSetting: if there are no batches.
    """
    sums: dict[str, tuple[int, Tensor, Tensor]] = {}

    def add(name: str, x: Tensor) -> None:
        rows = x.movedim(1, -1).flatten(0, -2)
        count, total, squares = sums.get(name, (0, torch.zeros(()), torch.zeros(())))
        sums[name] = (
            count + len(rows),
            total + rows.sum(0, dtype=torch.float64),
            squares + (rows.T @ rows).double(),
        )

    was_training = network.training
    network.eval()
    try:
        with _watched(network, add), torch.inference_mode():
            for batch in batches:
                network(batch)
    finally:
        network.train(was_training)
    if not sums:
        raise InvalidSetting("no images to take the moments of; give at least one batch")
    return {name: _moments(*found) for name, found in sums.items()}


def reduce_channels(readers: Sequence[Reader], count: int) -> tuple[Tensor, list[Rebuilt]]:
    """The `count` channels that the readers need most, in order; and weights for these alone.

    Each reader's loss counts as a share of what it would lose without any channel.
    """
    covariances = [_ridged(reader.inputs.covariance) for reader in readers]
    precisions = [reader.inputs.precision for reader in readers]
    weights = [reader.weight.clone() for reader in readers]
    scales = [
        float(((reader.weight[reader.kept] @ covariance) * reader.weight[reader.kept]).sum()) or 1.0
        for reader, covariance in zip(readers, covariances, strict=True)
    ]
    alive = torch.arange(len(covariances[0]))
    step = max(1, -(-(len(alive) - count) // _ROUNDS))
    while len(alive) > count:
        loss = torch.zeros(len(alive), dtype=torch.float64)
        for reader, weight, precision, scale in zip(
            readers, weights, precisions, scales, strict=True
        ):
            loss += weight[reader.kept].square().sum(0) / precision.diagonal() / scale
        leaving = loss.sort(stable=True).indices[: min(step, len(alive) - count)]
        staying = torch.ones(len(alive), dtype=torch.bool)
        staying[leaving] = False
        for number, precision in enumerate(precisions):
            # What the leaving channels tell of the staying ones, and the other way round.
            link = torch.linalg.solve(
                precision[leaving][:, leaving], precision[leaving][:, staying]
            )
            weights[number] = weights[number][:, staying] - weights[number][:, leaving] @ link
            precisions[number] = (
                precision[staying][:, staying] - precision[staying][:, leaving] @ link
            )
        alive = alive[staying]
    return alive, [
        _rebuilt(reader, weight, alive) for reader, weight in zip(readers, weights, strict=True)
    ]


def _rebuilt(reader: Reader, weight: Tensor, alive: Tensor) -> Rebuilt:
    full = torch.zeros_like(reader.weight)
    full[:, alive] = weight
    return Rebuilt(full, (reader.weight - full) @ reader.inputs.mean)


def _ridged(covariance: Tensor) -> Tensor:
    mean = float(covariance.diagonal().mean()) or 1.0
    return covariance + _RIDGE * mean * torch.eye(len(covariance), dtype=torch.float64)


def _moments(count: int, total: Tensor, squares: Tensor) -> Moments:
    mean = total / count
    return Moments(mean, squares / count - mean.outer(mean))


@contextmanager
def _watched(network: nn.Module, add: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Call `add` with the name and the input of every linear layer that runs meanwhile."""
    hooks = []
    for name, module in network.named_modules():
        dense = isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1)
        if (dense and module.groups == 1) or isinstance(module, nn.Linear):
            hooks.append(
                module.register_forward_pre_hook(lambda _, inputs, name=name: add(name, inputs[0]))
            )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
