"""The settings of shared weights: whether a search has some, and what they may cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from autoscale.settings.command import Settings
from autoscale.settings.option import option

SHARED = "Shared weights"  # heading of the help
#: Epochs of shared weights in those of a training, if no number is asked for.
TIMES = 5
DESIGNS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPlan:
    """How long shared weights are trained, and how many designs are ranked by them."""

    epochs: int
    designs: int


@dataclass(frozen=True, kw_only=True)
class SharedSettings(Settings):
    """One set of weights for all designs of the space, trained once before the search.

    Raises:
        InvalidSetting: if something is said of shared weights and none are asked for.
    """

    needs: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("shared_epochs", "shared_designs"), "shared_weights"
    )

    shared_weights: bool = option(
        False,
        "Train one set of weights for all networks of the space first, rank random networks by it, "
        "and let that guide the search, as far as it turns out to agree.",
        binds="shared",
        panel=SHARED,
    )
    shared_epochs: int | None = option(
        None,
        f"Epochs of the shared weights. \\[default: {TIMES} times those of a training]",
        least=1,
        binds="shared",
        panel=SHARED,
    )
    shared_designs: int | None = option(
        None,
        f"Random networks that are ranked by them. \\[default: {DESIGNS}]",
        least=8,
        binds="shared",
        panel=SHARED,
    )

    def shared_plan(self, epochs: int) -> SharedPlan | None:
        """What is asked for, where a training has so many epochs; None if nothing is."""
        if not self.shared_weights:
            return None
        return SharedPlan(
            epochs=self.shared_epochs or TIMES * epochs,
            designs=self.shared_designs or DESIGNS,
        )
