"""Settings of a family that is trained, and of cutting it; light, for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from autoscale.errors import InvalidSetting
from autoscale.jobs.groups.images import DataSettings
from autoscale.jobs.groups.networks import WEIGHTS, BoardSettings, LimitSettings, WeightsSettings
from autoscale.jobs.groups.recipe import OwnRecipe
from autoscale.jobs.groups.tracking import CurveSettings
from autoscale.jobs.groups.training import BalanceSettings
from autoscale.jobs.train.settings import TYPED, TrainSettings
from autoscale.settings.command import Groups, settings_of
from autoscale.settings.option import again, option

_GROWTH = "Growth"  # a heading of the help

#: Which members learn from a batch, and what.
EACH_STEP: Mapping[str, str] = {
    "one": "one member learns the labels, all of them equally often",
    "sandwich": "the largest learns the labels, the smallest and one of the others its answers",
}
#: Of the passes over the images that the members would need one by one: those that they get where
#: each step is one's and nothing else is said.
SHARE = 0.35


@dataclass(frozen=True, kw_only=True)
class TrainFamilySettings(OwnRecipe, WeightsSettings, BalanceSettings, CurveSettings):
    """On which images the members of a family are trained, together or one out of the other.

    The recipe, the members and the weights themselves bind a resumed training, not their names.
    """

    command: ClassVar[str] = "train-family"
    usual_recipe: ClassVar[str] = "full"
    may_drop: ClassVar[bool] = True
    exclusive: ClassVar[Groups] = (*TYPED, ("each_step", "grow"))
    needs: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("grown_epochs", "grown_learning_rate"), "grow"
    )

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
        "others; with --grow to the smallest. \\[default: those that `family` wrote beside it, if "
        "it did, else random ones]",
    )
    recipe: str = again(TrainSettings, "recipe")
    set: tuple[str, ...] = again(TrainSettings, "set")
    epochs: int | None = again(
        TrainSettings,
        "epochs",
        help="Passes over the images; in each, one member sees every image, in a sandwich three. "
        f"\\[default: the recipe's; where each step is one member's, {SHARE:g} of that for each "
        "member]",
    )
    batch_size: int | None = again(TrainSettings, "batch_size")
    learning_rate: float | None = again(TrainSettings, "learning_rate")
    layer_decay: float | None = again(TrainSettings, "layer_decay")
    start_size: float | None = again(TrainSettings, "start_size")
    start_regularisation: float | None = again(TrainSettings, "start_regularisation")
    patience: int | None = again(
        TrainSettings,
        "patience",
        help="End after so many epochs without a better accuracy of the largest member (with "
        "--grow: of the one that is trained) on validation images; 0 never does. \\[default: the "
        "recipe's]",
    )
    dropout: float | None = again(
        TrainSettings,
        "dropout",
        help="Of the largest member alone; with --grow of each. \\[default: its own]",
    )
    drop_path: float | None = again(
        TrainSettings,
        "drop_path",
        help="Stochastic depth of the largest member alone; with --grow of each. \\[default: its "
        "own]",
    )
    limit: int | None = again(TrainSettings, "limit")
    strict: bool = again(TrainSettings, "strict")
    group_by: str | None = again(TrainSettings, "group_by")
    seed: int = again(TrainSettings, "seed")
    device: str = again(TrainSettings, "device")
    threads: int = again(TrainSettings, "threads")
    kernels: str = again(TrainSettings, "kernels")
    hours: float | None = again(
        TrainSettings,
        "hours",
        help="Most that all members may take, earlier calls with --hours included: as many epochs "
        "as fit in by timed steps, --epochs and --grown-epochs at most, chosen before the first.",
    )
    time_limit: float | None = again(TrainSettings, "time_limit")
    each_step: str = option(
        "one",
        "What a step of the members together is. {choices}.",
        choices=lambda: EACH_STEP,
        binds="each_step",
    )
    grow: bool = option(
        False,
        "Train the members one after another from the smallest, each with weights of its own that "
        "begin as those of the one before, in place of one set of weights for all.",
        binds=False,
        panel=_GROWTH,
    )
    grown_epochs: int | None = option(
        None,
        "Epochs of all members but the smallest. \\[default: as many as that has]",
        least=1,
        panel=_GROWTH,
    )
    grown_learning_rate: float | None = option(
        None,
        "Learning rate of all members but the smallest, at the peak. \\[default: as for any "
        "network that begins with weights of another design]",
        above=0,
        panel=_GROWTH,
    )

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


def for_member(settings: TrainFamilySettings, network: str, data: str) -> TrainSettings:
    """How one member is trained: the largest, and with it the others, or one of its own."""
    own = {s.name for s in settings_of(TrainSettings)} & {*vars(settings)} - {"data"}
    return TrainSettings(
        **{name: getattr(settings, name) for name in own}, network=network, data=data
    )


def for_grown(
    settings: TrainFamilySettings, network: str, data: str, *, before: Path
) -> TrainSettings:
    """How a member is trained that begins with what the one before learned.

    Args:
        before: the file of its weights, which says what they expect.
    """
    said = (name for name in settings.said_of_weights if name != "weights")
    unsaid: dict[str, Any] = dict.fromkeys(said)
    grown = {"epochs": settings.grown_epochs, "learning_rate": settings.grown_learning_rate}
    own = {name: value for name, value in grown.items() if value is not None}
    # In place of what --set says too.
    member = for_member(settings, network, data).but(**own)
    return replace(member, **unsaid, weights=str(before))
