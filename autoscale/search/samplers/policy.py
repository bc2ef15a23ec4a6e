"""The controller's network, in a file of its own so that torch is imported only if it is used."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from autoscale.search.designs import Point
from autoscale.search.model.conditions import ABSENT


class Policy(nn.Module):
    """An LSTM that chooses one level of each parameter in turn, told of its choices so far.

    Args:
        sizes: levels of each parameter.
    """

    def __init__(self, sizes: Sequence[int], *, seed: int, hidden: int = 100) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.embed = nn.Embedding(1 + sum(self.sizes), hidden)
        self.cell = nn.LSTMCell(hidden, hidden)
        self.heads = nn.ModuleList(nn.Linear(hidden, size) for size in self.sizes)
        self._offsets = np.concatenate([[1], 1 + np.cumsum(self.sizes)[:-1]]).astype(int).tolist()
        generator = torch.Generator().manual_seed(seed)
        # Source: Zoph et al. 2018: weights uniform between -0.1 and 0.1. A first choice is nearly
        # uniform.
        with torch.no_grad():
            for weight in self.parameters():
                weight.uniform_(-0.1, 0.1, generator=generator)

    def log_probability(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithm of the probability of each row of choices, and the mean entropy of its choices.

        Shape: (N, parameters) -> (N,), (N,).
        """
        state = self._start(len(tokens))
        previous = torch.zeros(len(tokens), dtype=torch.long)
        total, entropy = torch.zeros(len(tokens)), torch.zeros(len(tokens))
        for place, head in enumerate(self.heads):
            state = self.cell(self.embed(previous), state)
            logs = torch.log_softmax(head(state[0]), dim=1)
            chosen = tokens[:, place]
            there = chosen != ABSENT  # what a design does not have was not chosen
            log = logs.gather(1, chosen.clamp(min=0)[:, None])[:, 0]
            total = total + torch.where(there, log, 0.0)
            spread = (logs.exp() * logs).sum(dim=1) / len(self.sizes)
            entropy = entropy - torch.where(there, spread, 0.0)
            previous = torch.where(there, chosen + self._offsets[place], 0)
        return total, entropy

    @torch.no_grad()
    def sample(
        self, rng: np.random.Generator, *, count: int, temperature: float = 1.0
    ) -> list[Point]:
        """`count` designs; a higher `temperature` is more even-handed."""
        state = self._start(count)
        previous = torch.zeros(count, dtype=torch.long)
        chosen = []
        for place, head in enumerate(self.heads):
            state = self.cell(self.embed(previous), state)
            chances = torch.softmax(head(state[0]).double() / temperature, dim=1).numpy()
            drawn = rng.random((count, 1)) > np.cumsum(chances, axis=1)
            levels = np.minimum(drawn.sum(axis=1), self.sizes[place] - 1)
            chosen.append(levels.tolist())
            previous = torch.from_numpy(levels + self._offsets[place])
        return list(zip(*chosen, strict=True))

    def _start(self, count: int) -> tuple[Tensor, Tensor]:
        zero = torch.zeros(count, self.cell.hidden_size)
        return zero, zero
