"""Processes that train one network together, each on its part of every batch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """This process among `size`, which have joined a torch.distributed group if they are several.

    Sums are made in one order, so all processes hold the same bits afterwards.
    """

    rank: int = 0
    size: int = 1

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the processes."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(flat)
        flat /= self.size
        start = 0
        for tensor in tensors:
            tensor.copy_(flat[start : start + tensor.numel()].view(tensor.shape))
            start += tensor.numel()

    def total(self, number: float) -> float:
        """The sum over the processes."""
        if self.size == 1:
            return number
        held = torch.tensor([number], dtype=torch.float64)
        distributed.all_reduce(held)
        return held.item()

    def together(self, numbers: NDArray[np.float32]) -> NDArray[np.float32]:
        """The sums over the processes, element by element."""
        if self.size == 1:
            return numbers
        held = torch.from_numpy(numbers).clone()
        distributed.all_reduce(held)
        return held.numpy()


ALONE = ProcessGroup()


@contextmanager
def joined() -> Iterator[ProcessGroup]:
    """This process among those that `torchrun` started together; alone without it.

    They talk by gloo, on CPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    distributed.init_process_group("gloo")
    try:
        yield ProcessGroup(rank=distributed.get_rank(), size=size)
    finally:
        distributed.destroy_process_group()
