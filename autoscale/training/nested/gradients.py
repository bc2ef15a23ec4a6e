"""Gradients of a batch for a network and the networks inside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from autoscale.training.batches import Batch
from autoscale.training.nested.inner import Inner
from autoscale.training.nested.turns import InnerGradients


class NestedGradients(InnerGradients):
    """Of each batch the network learns the labels, and of networks inside it two its answers.

    These two are the smallest and one of the others, by chance from torch's global generator (the
    sandwich rule); their loss is the divergence from the network's softmax on the same crops, at
    their own resolution (in-place distillation); where an image may have several classes, the mean
    over classes of that from its sigmoids. All gradients are added. The loss that is told is
    the network's. Source: Yu & Huang 2019, sections 3.1 and 3.2; with several resolutions, and
    dropout in the largest alone, Yu et al. 2020 (BigNAS), sections 3.1 and 3.2.

    Args:
        inner: the networks inside, smallest first.
    """

    def __init__(
        self,
        network: nn.Module,
        device: torch.device,
        *,
        inner: Sequence[Inner],
        **rest: Any,
    ) -> None:
        super().__init__(network, device, **rest)
        self._inner = tuple(inner)
        self._answers: list[Tensor] = []
        for one in self._inner:
            one.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _sum(self, parts: list[Batch]) -> Tensor:
        self._answers = []
        total = super()._sum(parts)
        for inner in self._drawn():
            self._teach(inner, parts)
        return total

    def _logits(self, part: Batch) -> Tensor:
        logits = super()._logits(part)
        self._answers.append(logits.detach())
        return logits

    def _drawn(self) -> Iterator[Inner]:
        """The smallest, and one of the others if there are any."""
        smallest, *others = self._inner
        yield smallest
        if others:
            yield others[int(torch.randint(len(others), ()))]

    def _teach(self, inner: Inner, parts: list[Batch]) -> None:
        """Add the gradients of a network inside."""
        inner.take()
        inner.network.train()
        inner.network.zero_grad(set_to_none=True)
        images = sum(len(part.labels) for part in parts)
        for part, answers in zip(parts, self._answers, strict=True):
            with self._autocast():
                logits = inner.network(self._seen(inner, part))
                loss = _divergence(logits, answers, several=part.labels.ndim == 2)
            (loss / images).backward()
        inner.give()


def _divergence(logits: Tensor, answers: Tensor, *, several: bool) -> Tensor:
    """From the answers to the logits, added over images: (N, classes), (N, classes) -> ()."""
    if not several:
        return functional.kl_div(
            functional.log_softmax(logits, dim=1),
            functional.log_softmax(answers, dim=1),
            reduction="sum",
            log_target=True,
        )
    pairs = (
        functional.kl_div(
            functional.logsigmoid(sign * logits),
            functional.logsigmoid(sign * answers),
            reduction="sum",
            log_target=True,
        )
        for sign in (1, -1)
    )
    return sum(pairs, torch.zeros((), device=logits.device)) / logits.shape[1]
