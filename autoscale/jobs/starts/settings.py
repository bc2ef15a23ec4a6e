"""The settings of `autoscale try-weights`; light, for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from autoscale.aspect import Aspect
from autoscale.design.measures.registry import COSTS, kind_named
from autoscale.errors import InvalidSetting
from autoscale.jobs.grid.settings import FamilySettings
from autoscale.jobs.groups.images import DataSettings, ImageSettings
from autoscale.jobs.groups.networks import WeightsSettings
from autoscale.jobs.groups.recipe import RecipeSettings
from autoscale.jobs.groups.workers import DeviceSettings, KernelSettings, WorkerSettings
from autoscale.models.settings import LatencySettings, published_names
from autoscale.settings.command import Settings
from autoscale.settings.option import MISSING, again, begun, in_words, option


@dataclass(frozen=True, kw_only=True)
class StartChoices(Settings):
    """Which networks are tried, and how often."""

    # Each network is a comparison of its own, and each pair a further one: so they bind nothing.
    network: tuple[str, ...] = option(
        (),
        "A design's or a member's YAML file, or a published network, to be tried; as often as you "
        "like.",
        complete=begun(published_names),
        place=True,
        binds=False,
    )
    budgets: str | None = again(
        FamilySettings,
        "budgets",
        help="Sizes to be tried: the weights' own design, scaled to cost at most 10M,30M or 0.1x.",
    )
    measure: str = again(
        FamilySettings,
        "measure",
        help=f"Of the budgets: {in_words(COSTS)}; but not latency, which is measured.",
    )
    aspect: Aspect | None = again(
        LatencySettings,
        "aspect",
        help="Of images that are no squares, the width divided by the height: 4/3. \\[default: "
        "the networks' own]",
        binds=False,
    )
    pairs: int = option(
        3,
        "Pairs of trainings of each network, with the weights and without, from the same seed.",
        least=2,
        binds=False,
    )
    epochs: int = again(
        RecipeSettings,
        "epochs",
        3,
        help="Of each training with the weights; one without them gets as many as cost the same.",
        least=1,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.network and self.budgets is None:
            raise InvalidSetting(
                "say which networks are to be tried: sizes of the weights' own design as "
                "--budgets 10M,30M, or a design as --network FILE"
            )
        if not kind_named(self.measure).counted:
            raise InvalidSetting(
                f"budgets are of what can be counted, asked for {self.measure}; name macs or "
                "memory, or a design with --network"
            )


@dataclass(frozen=True, kw_only=True)
class TryWeightsSettings(
    WorkerSettings,
    KernelSettings,
    DeviceSettings,
    ImageSettings,
    WeightsSettings,
    StartChoices,
    DataSettings,
):
    """Everything that a trial of weights can be asked for."""

    command: ClassVar[str] = "try-weights"

    weights: str = again(
        WeightsSettings,
        "weights",
        MISSING,
        help="The weights to be tried: a file, a network whose weights an installed package brings "
        "(efficientnet-lite0), or hf:OWNER/NAME of the Hugging Face hub; autoscale weights lists "
        "what is here.",
        argument=True,
        panel="",
    )
