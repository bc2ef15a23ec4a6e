"""Dropout and stochastic depth whose rates grow while a network is trained."""

from __future__ import annotations

from torch import nn


class DropRates:
    """The rates of all modules of a network that drop something while it is trained.

    These are modules with a number `p` in (0, 1): torch's dropout, torchvision's stochastic depth
    and ours.
    """

    def __init__(self, network: nn.Module) -> None:
        found = ((module, getattr(module, "p", None)) for module in network.modules())
        self._rates = [(m, p) for m, p in found if isinstance(p, float) and 0 < p < 1]

    def scale(self, share: float) -> None:
        """Let each module drop at `share` of its rate; 1 restores it."""
        for module, rate in self._rates:
            module.p = share * rate  # type: ignore[assignment]
