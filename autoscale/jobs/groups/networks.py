"""Settings of the networks: what they are scaled from and begin with, and may cost at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from autoscale.aspect import Aspect
from autoscale.design.measures.registry import COSTS, with_file
from autoscale.errors import InvalidSetting
from autoscale.jobs.names import ROUNDINGS
from autoscale.models.settings import (
    LoadSettings,
    PreparationSettings,
    packaged_names,
    published_names,
)
from autoscale.runs.sources.find import keep_names
from autoscale.settings.command import Groups, Settings, settings_of
from autoscale.settings.option import again, begun, in_words, option

#: What `--weights` takes.
WEIGHTS = (
    "Start from these weights: a file (.safetensors, or tensors of PyTorch; our names, "
    "timm's, torchvision's, EfficientNet-PyTorch's or transformers'), a network whose weights "
    "an installed package brings (efficientnet-lite0), or hf:OWNER/NAME, with @REVISION if "
    "need be, of the Hugging Face hub. Of the classifier the rows of classes that the data has "
    "too go on; others start anew. Of those of another design of mbconv, separable or "
    "mobilenet-v3 blocks what fits is taken over, fitted by some training images."
)


@dataclass(frozen=True, kw_only=True)
class WeightsSettings(PreparationSettings):
    """Weights that networks begin with, and whose they are.

    What the file holds binds a resumed run, not where it lies.
    """

    weights: str | None = option(
        None,
        WEIGHTS,
        complete=begun(packaged_names),
        place=keep_names,
        binds="start",
        panel="Weights",
    )
    weights_of: str | None = option(
        None,
        "The network that the weights are of: a published one or a design's YAML file. "
        "\\[default: as the file says, else the network itself, else the published one that they "
        "fit]",
        complete=begun(published_names),
        place=True,
        binds="inherits",
        panel="Weights",
    )

    @property
    def said_of_weights(self) -> list[str]:
        """The settings that say something of weights or of what they expect; not `white_level`."""
        names = (setting.name for setting in settings_of(WeightsSettings))
        return [n for n in names if n != "white_level" and getattr(self, n) is not None]


@dataclass(frozen=True, kw_only=True)
class LimitSettings(Settings):
    """What every network has to keep, whatever else is asked of it."""

    # The limits themselves bind a resumed run, not the words in which they were asked for.
    max_cost: tuple[str, ...] = option(
        (),
        "Most that each network may cost, as NAME=MOST: params=250K, memory=256K (bytes) or "
        f"latency=12ms; as often as you like. Costs: {in_words(COSTS)}.",
        flag="--limit",
        named=True,
        place=with_file,
        binds="max_cost",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_cost:
            from autoscale.design.measures.limits import split_limit

            for text in self.max_cost:
                split_limit(text)


def _boards() -> list[str]:
    from autoscale.devices.boards import board_names

    return board_names()


@dataclass(frozen=True, kw_only=True)
class BoardSettings(LimitSettings):
    """Where networks will run, and what they may cost there. (`device` is where they train.)"""

    # What it leaves a network binds a resumed run, not its name or where its file lies.
    board: str | None = option(
        None,
        "Every network must fit this board: a shipped one (autoscale boards) or a YAML file with "
        "its flash and RAM, and what the firmware needs of them.",
        place=True,
        complete=begun(_boards),
        binds="max_cost",
    )


@dataclass(frozen=True, kw_only=True)
class ScalingBaseSettings(Settings):
    """Which network is scaled; by default the baseline that the run's search found.

    Raises:
        InvalidSetting: if both kinds of base are named, or a resolution without either.
    """

    exclusive: ClassVar[Groups] = (("baseline", "model"),)

    # What they come to, the base itself, binds a resumed run.
    baseline: str | None = option(
        None,
        "Scale this instead of the run's own baseline: a published network (efficientnet-b0, "
        "resnet-18) or a design's YAML file.",
        place=True,
        complete=begun(published_names),
        binds="base",
        panel="Base",
    )
    model: str | None = option(
        None,
        "Scale a model of your own: package.module:build, a function of depth and width "
        "(multipliers) and resolution (pixels), and of num_classes if it takes that, that gives "
        "an nn.Module. Costs are traced.",
        binds="base",
        panel="Base",
    )
    resolution: int | None = option(
        None,
        "Pixels per side of that base; with --aspect, of the height. \\[default: its own; 224 for "
        "a model]",
        least=1,
        binds="base",
        panel="Base",
    )
    aspect: Aspect | None = again(
        LoadSettings,
        "aspect",
        help="Of images that are no squares, the width divided by the height: 4/3. \\[default: "
        "the base's own]",
        binds="base",
        panel="Base",
    )
    rounding: str | None = option(
        None,
        f"How multipliers become whole blocks, channels and pixels: {in_words(ROUNDINGS)}; behind "
        "it ',divisor=4' and ',fixed-ends' (stem and head keep their width). \\[default: the "
        "base's family's own, else tf]",
        binds="base",
        panel="Base",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("resolution", "aspect"):
            if not self.named and getattr(self, name) is not None:
                raise InvalidSetting(
                    f"the {name} of a run's own baseline is the search's; leave --{name} out or "
                    "name a base with --baseline or --model"
                )
        if self.rounding is not None:
            if self.model is not None:
                raise InvalidSetting(
                    f"{self.model} rounds for itself; leave --rounding out with --model"
                )
            from autoscale.design.rounding import rounding_policy

            rounding_policy(self.rounding)

    @property
    def named(self) -> bool:
        """Whether the base is something else than the run's own baseline."""
        return self.baseline is not None or self.model is not None


@dataclass(frozen=True, kw_only=True)
class BaseWeightsSettings(ScalingBaseSettings, WeightsSettings):
    """A base and the weights that networks scaled from it begin with.

    Raises:
        InvalidSetting: for weights with a model of the user's own.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        said = self.said_of_weights
        if self.model is not None and said:
            raise InvalidSetting(
                "weights go into designs of autoscale, not into a model of your own; leave "
                f"--{said[0].replace('_', '-')} out"
            )
