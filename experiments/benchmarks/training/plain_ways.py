"""Ways to train a network of modules quickly on a CPU with what PyTorch has, without a compiler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

#: What each does; all but `plain` are in channels-last order, and all but the first two take the
#: fused optimiser. Weights are float32 in all of them: in bfloat16 they lose small steps.
WAYS = {
    "plain": "as a tutorial writes it: NCHW, float32",
    "channels-last": "the same in channels-last order",
    "fused": "and the fused optimiser",
    "bfloat16 products": "and oneDNN told that it may multiply float32 maps in bfloat16",
    "autocast": "and torch.autocast to bfloat16",
    "autocast but depthwise": "the same with depthwise convolutions left in float32",
}


class InFloat32(nn.Module):
    """A module that autocast leaves alone."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            found: Tensor = self.inner(x.float())
        return found


def stepper(way: str, module: nn.Module, x: Tensor, labels: Tensor) -> Callable[[], float]:
    """A function that takes one step of SGD with momentum and gives the loss.

    Args:
        module: is trained, and changed as the way asks.
    """
    module.train()
    if way != "plain":
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = x.contiguous(memory_format=torch.channels_last)
    if way == "autocast but depthwise":
        _keep_depthwise(module)
    fused = True if way not in ("plain", "channels-last") else None
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9, fused=fused)
    cast = way.startswith("autocast")

    def step() -> float:
        with _products(in_bfloat16=way == "bfloat16 products"):
            with torch.autocast("cpu", torch.bfloat16, enabled=cast):
                logits = module(x)
            loss = functional.cross_entropy(logits.float(), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        return loss.item()

    return step


@contextmanager
def _products(*, in_bfloat16: bool) -> Iterator[None]:
    """Where oneDNN may round what float32 products multiply."""
    onednn: Any = torch.backends.mkldnn
    backends = (onednn.conv, onednn.matmul)
    before = [one.fp32_precision for one in backends]
    if in_bfloat16:
        for one in backends:
            one.fp32_precision = "bf16"
    try:
        yield
    finally:
        for one, precision in zip(backends, before, strict=True):
            one.fp32_precision = precision


def _keep_depthwise(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d) and child.groups == child.in_channels > 1:
            setattr(module, name, InFloat32(child))
        else:
            _keep_depthwise(child)
