"""Averaged weights: a copy of a network that trails it."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class EMA:
    """A copy of a network that trails its weights and running statistics."""

    def __init__(self, network: nn.Module, decay: float, *, steps: int = 0) -> None:
        self.network = copy.deepcopy(network).eval()
        self.steps = steps  # taken so far
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move one step towards the weights and statistics of `network`."""
        # Short at first, so that a run of a hundred steps is not an average with its random start.
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        trailing, leading = [], []
        for slow, fast in zip(_tensors(self.network), _tensors(network), strict=True):
            if slow.is_floating_point():
                trailing.append(slow)
                leading.append(fast)
            else:
                slow.copy_(fast)
        torch._foreach_lerp_(trailing, leading, 1 - decay)


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    yield from network.parameters()
    yield from network.buffers()
