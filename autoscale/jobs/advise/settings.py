"""The settings of `autoscale advise`; light, for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from autoscale.jobs.groups.networks import WeightsSettings
from autoscale.jobs.groups.workers import DeviceSettings, WorkerSettings
from autoscale.jobs.search.settings import CheckChoices
from autoscale.settings.command import Settings
from autoscale.settings.option import again, option


@dataclass(frozen=True, kw_only=True)
class AdviceChoices(Settings):
    """What is asked about, around which network, and how many trainings answer."""

    # Questions bind nothing: other ones are answered by the same trainings.
    images: int | None = option(
        None,
        "What would so many more images buy, in the proportions of the classes? "
        "\\[default: as many again]",
        least=1,
        binds=False,
    )
    epochs: int | None = option(
        None,
        "What would so many more epochs of each training buy? \\[default: as many again]",
        least=1,
        binds=False,
    )
    member: str | None = option(
        None,
        "A member of the run's family, such as phi-1, instead of the run's own baseline.",
        binds="network",
    )
    # Further subsets and seeds only add trainings.
    halvings: int = option(
        2,
        "How often the training images are halved, to see what fewer are worth.",
        least=1,
        binds=False,
    )
    seeds: int = option(2, "Trainings of each kind.", least=2, binds=False)
    data: str | None = again(
        CheckChoices,
        "data",
        help="Where the images lie now, if they were moved since the search or the grid.",
    )
    weights: str | None = again(
        WeightsSettings,
        "weights",
        help="Where the weights lie now that the run's networks began with, if they were moved.",
        panel="",
    )


@dataclass(frozen=True, kw_only=True)
class AdviseSettings(WorkerSettings, DeviceSettings, AdviceChoices):
    """Everything that an advice can be asked for."""

    command: ClassVar[str] = "advise"
