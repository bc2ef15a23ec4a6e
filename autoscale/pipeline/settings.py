"""The settings of `autoscale make`; light, for the command line."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from typing import Any, ClassVar

from autoscale.aspect import Aspect
from autoscale.design.measures.registry import kind_named
from autoscale.errors import InvalidSetting
from autoscale.jobs.groups.images import DataSettings, ImageSettings
from autoscale.jobs.groups.networks import BoardSettings, WeightsSettings
from autoscale.jobs.groups.time import TimeSettings
from autoscale.jobs.groups.workers import DeviceSettings, KernelSettings, WorkerSettings
from autoscale.jobs.names import NO_WEIGHTS
from autoscale.models.settings import LoadSettings
from autoscale.settings.command import settings_of
from autoscale.settings.option import again, option

#: Instead of a source of weights: look for one.
AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class MakeSettings(
    WorkerSettings,
    KernelSettings,
    DeviceSettings,
    ImageSettings,
    BoardSettings,
    WeightsSettings,
):
    """What a network is made of, what it may cost, and how long that may take.

    Raises:
        InvalidSetting: without a limit or a board, for a limit on what only a device tells, or for
            settings of weights without weights.
    """

    command: ClassVar[str] = "make"

    data: str = again(
        DataSettings,
        "data",
        MISSING,
        help="A folder with one sub-folder per class, with or without train/validation/test, "
        "a list (.csv, .tsv, .jsonl), Parquet in the Hugging Face image layout, .tar, .npz, "
        "hf:OWNER/NAME, or 'synthetic' (drawn in memory).",
        argument=True,
    )
    hours: float = again(
        TimeSettings,
        "hours",
        1.0,
        help="Most that all may take, earlier calls included; a larger number goes on.",
    )
    weights: str = again(
        WeightsSettings,
        "weights",
        AUTO,
        help="Weights to begin with, as search-baseline takes them; auto: of those that autoscale "
        "weights lists, the first whose blocks can give them to other designs, else none; none: "
        "random ones.",
    )

    aspect: Aspect | None = again(
        LoadSettings,
        "aspect",
        help="Of images that are no squares, the width divided by the height: 4/3. "
        "\\[default: that of the weights' network, else 1]",
    )
    teach: bool = option(
        False,
        "Let the network of the weights teach the training that is kept, where the time allows. In "
        "what was measured that gained nothing.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.data:
            raise InvalidSetting("data must not be empty; name a folder, or synthetic")
        if not self.max_cost and self.board is None:
            raise InvalidSetting(
                "say what the network may cost, as in --limit macs=30M, or name the board that it "
                "must fit, as in --board nano-33-ble-sense"
            )
        for text in self.max_cost:
            kind = kind_named(text.rpartition("=")[0])
            if text is self.max_cost[0] and kind.counted and not kind.reads:
                raise InvalidSetting(
                    f"make grows a network to the first limit, and {kind.name} does not grow in a "
                    f"formula; name macs or memory first, as in --limit macs=30M --limit {text}"
                )
            if not kind.counted:
                raise InvalidSetting(
                    f"make keeps limits that can be counted, asked for {text}; limit macs or "
                    f"memory, or search with search-baseline --limit {text}"
                )
        if self.weights == NO_WEIGHTS and (said := self.said_beside_weights):
            raise InvalidSetting(
                f"--{said[0].replace('_', '-')} says something of weights; name some with --weights"
            )

    @property
    def said_beside_weights(self) -> list[str]:
        """The settings that say something of weights, but where they are."""
        return [name for name in self.said_of_weights if name != "weights"]

    def of_weights(self, source: str | None) -> dict[str, Any]:
        """The settings of weights for the steps, where those are of `source`."""
        names = [s.name for s in settings_of(WeightsSettings) if s.name != "white_level"]
        return {name: getattr(self, name) for name in names} | {"weights": source}

    def shared(self, *groups: type[Any]) -> dict[str, Any]:
        """The settings of groups that a step shares with this command."""
        return {s.name: getattr(self, s.name) for group in groups for s in settings_of(group)}
