"""Settings of a family that is trained in one set of weights, and of cutting it; light, for the
command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from autoscale.errors import InvalidSetting
from autoscale.jobs.groups.images import DataSettings
from autoscale.jobs.groups.networks import WEIGHTS, BoardSettings, LimitSettings, WeightsSettings
from autoscale.jobs.groups.training import BalanceSettings
from autoscale.jobs.train.settings import TrainSettings
from autoscale.settings.command import Groups
from autoscale.settings.option import again, option


@dataclass(frozen=True, kw_only=True)
class TrainFamilySettings(WeightsSettings, BalanceSettings):
    """On which images the members of a family are trained together, and how.

    The recipe, the members and the weights themselves bind a resumed training, not their names.
    """

    command: ClassVar[str] = "train-family"

    data: str | None = again(
        DataSettings,
        "data",
        None,
        help="Images, as for search-baseline. \\[default: those of the run's search or grid]",
    )
    weights: str | None = again(
        WeightsSettings,
        "weights",
        help=f"{WEIGHTS} none: random ones. They go to the largest member, and with it to the "
        "others. \\[default: those that `family` wrote beside the largest, if it did, else random "
        "ones]",
    )
    recipe: str = again(TrainSettings, "recipe")
    epochs: int | None = again(
        TrainSettings,
        "epochs",
        help="Passes over the images; in each, three members see every image. \\[default: the "
        "recipe's]",
    )
    batch_size: int | None = again(TrainSettings, "batch_size")
    learning_rate: float | None = again(TrainSettings, "learning_rate")
    layer_decay: float | None = again(TrainSettings, "layer_decay")
    patience: int | None = again(
        TrainSettings,
        "patience",
        help="End after so many epochs without a better accuracy of the largest member on "
        "validation images; 0 never does. \\[default: the recipe's]",
    )
    dropout: float | None = again(
        TrainSettings, "dropout", help="Of the largest member alone. \\[default: its own]"
    )
    drop_path: float | None = again(
        TrainSettings,
        "drop_path",
        help="Stochastic depth of the largest member alone. \\[default: its own]",
    )
    limit: int | None = again(TrainSettings, "limit")
    strict: bool = again(TrainSettings, "strict")
    seed: int = again(TrainSettings, "seed")
    device: str = again(TrainSettings, "device")
    threads: int = again(TrainSettings, "threads")
    kernels: str = again(TrainSettings, "kernels")
    time_limit: float | None = again(TrainSettings, "time_limit")
    tensorboard: bool = again(TrainSettings, "tensorboard")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data == "":
            raise InvalidSetting("data must not be empty; name a folder, or synthetic")


@dataclass(frozen=True, kw_only=True)
class CutSettings(BoardSettings):
    """Which network is cut out of a family that was trained together."""

    # It leaves no record, so nothing binds.
    command: ClassVar[str] = "cut"
    exclusive: ClassVar[Groups] = (("member", "max_cost"), ("member", "board"))

    max_cost: tuple[str, ...] = again(
        LimitSettings,
        "max_cost",
        help="The largest design along the rule, between the members too, that costs at most this, "
        "as NAME=MOST: macs=12M, params=250K; as often as you like.",
        binds=False,
    )
    board: str | None = again(
        BoardSettings,
        "board",
        help="The largest that fits this board: a shipped one (autoscale boards) or a YAML file.",
        binds=False,
    )
    member: str | None = option(None, "A member by its name, such as phi-1.", binds=False)
    output: Path | None = option(
        None,
        "The file that is written. \\[default: nested/NAME.safetensors in the run]",
        place=True,
        binds=False,
    )
    data: str | None = option(
        None,
        "Where the images of the training lie now. \\[default: where they lay]",
        place=True,
        binds=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.member is None and not self.max_cost and self.board is None:
            raise InvalidSetting(
                "say which network is to be cut: the largest within --limit macs=12M, or a member "
                "as --member phi-1"
            )


def for_largest(settings: TrainFamilySettings, network: str, data: str) -> TrainSettings:
    """How the largest member is trained, and with it the others."""
    own = {name: value for name, value in vars(settings).items() if name != "data"}
    return TrainSettings(**own, network=network, data=data)
