"""The settings of `autoscale search-baseline` and of `autoscale check-baseline`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from autoscale.aspect import Aspect
from autoscale.design.measures.registry import COSTS, kind_named, with_file
from autoscale.errors import InvalidSetting
from autoscale.jobs.groups.images import DataSettings, ImageSettings
from autoscale.jobs.groups.networks import BoardSettings, WeightsSettings
from autoscale.jobs.groups.recipe import RecipeSettings
from autoscale.jobs.groups.runtime import DtypeSettings, RuntimeSettings
from autoscale.jobs.groups.time import TimeSettings
from autoscale.jobs.groups.tracking import CurveSettings, TrackingSettings
from autoscale.jobs.groups.training import (
    BalanceSettings,
    TeacherSettings,
    TransferSettings,
)
from autoscale.jobs.groups.workers import DeviceSettings, KernelSettings, WorkerSettings
from autoscale.jobs.names import OBJECTIVES, SAMPLERS
from autoscale.jobs.reference.settings import ReferenceSettings
from autoscale.jobs.shared.settings import SharedSettings
from autoscale.metrics.names import METRICS, require_metric
from autoscale.models.settings import LoadSettings, MetricSettings
from autoscale.settings.command import Groups, Settings
from autoscale.settings.option import again, in_words, option

if TYPE_CHECKING:
    from autoscale.search.rungs import Rungs

# What a parser or a completion needs is imported where it is asked for, see `jobs.groups`.


def parse_epochs(text: str) -> tuple[int, ...]:
    """Numbers of epochs from text such as ``1,2``.

    Raises:
        InvalidSetting: for anything else.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InvalidSetting(f"rungs must be numbers of epochs such as 1,2; got {text!r}") from None


def _show_epochs(epochs: tuple[int, ...]) -> str:
    return ",".join(map(str, epochs))


def _parse_count(text: str) -> int:
    from autoscale.design.amounts import parse_count

    return parse_count(text)


def _spaces(incomplete: str) -> list[str]:
    from autoscale.jobs.search.spaces import space_names

    return [name for name in space_names() if name.startswith(incomplete)]


@dataclass(frozen=True, kw_only=True)
class SearchChoices(Settings):
    """What is searched, for what, and how."""

    # The text of the space binds a resumed search, not its name or place; in the same way the
    # objective and the rungs, not the words in which they were asked for.
    space: str = option(
        "mbconv-small",
        "A shipped space (autoscale spaces) or a YAML file.",
        place=True,
        complete=_spaces,
        binds="space",
    )
    trials: int = option(20, "Networks to train.", least=1, binds=False)
    sampler: str = option(
        "guided",
        "{choices} (needs scipy).",
        choices=lambda: SAMPLERS,
    )
    metric: str = again(
        MetricSettings,
        "metric",
        help="What networks are judged by, on validation images; the search, the later steps and "
        f"--rungs go by it. {in_words(METRICS)}.",
    )
    learn_from: tuple[str, ...] = option(
        (),
        "A run whose search is of the same or a similar space, on whatever images: its accuracies "
        "guide this one, as far as they turn out to agree; as often as you like.",
        place=True,
        binds="learn_from",
    )
    objective: str = option(
        "hard",
        "{choices}.",
        choices=lambda: OBJECTIVES,
        binds="objective",
    )
    cost_measure: str = option(
        "macs",
        f"What networks cost: {in_words(COSTS)}. macs are multiply-adds (FLOPs); memory is "
        "bytes of the most activations alive at once, float32; flash and ram are bytes of an int8 "
        "file and of what TensorFlow Lite Micro needs to run it (ram:float32 of a float one); "
        "latency on this device, in --runtime, is predicted from some networks that are timed.",
        flag="--cost",
        place=with_file,
        binds="objective",
    )
    # A text, since the measure decides how it is read.
    target: str | float | int | None = option(
        None,
        "Cost to aim at, such as 5M (multiply-adds) or 12ms. \\[default: the median]",
        parse=str,
        binds="objective",
    )
    w: float = option(-0.07, "Exponent of the soft reward.", binds="objective")
    max_macs: int | None = option(
        None,
        "Never train a design that costs more, such as 8M.",
        flag="--max-flops",
        parse=_parse_count,
    )
    confirm: int = option(
        0,
        "Train so many of the best with two more seeds; choose by the mean.",
        least=0,
        binds=False,
    )
    rungs: tuple[int, ...] | None = option(
        None,
        "Stop trainings that are left behind after so many epochs, as 1,2.",
        parse=parse_epochs,
        show=_show_epochs,
        binds="rungs",
    )
    caution: float | None = option(
        None,
        "How far behind, in standard deviations of what may still change. \\[default: 0.5]",
        binds="rungs",
    )
    resolution: int | None = option(
        None, "Pixels per side; with --aspect, of the height. \\[default: the space's]", least=1
    )
    aspect: Aspect | None = again(
        LoadSettings,
        "aspect",
        help="Of images that are no squares, the width divided by the height: 4/3. \\[default: the "
        "space's, which is 1 where it says none]",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require_metric(self.metric)
        kind_named(self.cost_measure)  # refuses what there is not
        if not self.rungs:  # an empty sequence asks for none
            object.__setattr__(self, "rungs", None)
        if self.target is not None:
            number = self.target_cost  # refuses what is no cost
            object.__setattr__(self, "target", _show_cost(number, self.cost_measure))

    def stages(self, epochs: int) -> Rungs | None:
        """When trainings of so many epochs are looked at; None if they never are.

        Raises:
            InvalidSetting: for rungs that do not rise or lie above `epochs`, or for caution without
                rungs.
        """
        from autoscale.search.rungs import Rungs

        if self.rungs is None:
            if self.caution is not None:
                raise InvalidSetting(
                    f"caution {self.caution:g} needs rungs to stop at; add --rungs"
                )
            return None
        below = tuple(number for number in self.rungs if number != epochs)
        if below and max(below) > epochs:
            raise InvalidSetting(
                f"rungs must be below the {epochs} epochs of a training, got {max(below)}; "
                "lower them or raise --epochs"
            )
        whole = (*below, epochs)
        return (
            Rungs(epochs=whole)
            if self.caution is None
            else Rungs(epochs=whole, caution=self.caution)
        )

    @property
    def target_cost(self) -> float | None:
        """The target in the unit of the cost; None if it is to be the median.

        Raises:
            InvalidSetting: if it is no cost of the measure.
        """
        if not isinstance(self.target, str):
            return self.target
        return kind_named(self.cost_measure).parse(self.target)


def _show_cost(number: float | None, measure: str) -> str | float | None:
    """A cost as `target_cost` reads it back."""
    if number is None or not number > 0:  # refused where the objective is made
        return number
    kind = kind_named(measure)
    return round(number) if kind.whole else kind.write(number)


@dataclass(frozen=True, kw_only=True)
class SearchCopies(Settings):
    """For which other programs a search is written down."""

    storage: str | None = option(
        None,
        "Copy the search into a PostgreSQL database as an Optuna study: postgresql://user@host/"
        "database (needs the extra postgresql; a password may be in PGPASSWORD).",
        envvar="AUTOSCALE_STORAGE",
        binds=False,
        recorded=False,  # it may hold a password
    )


@dataclass(frozen=True, kw_only=True)
class SearchSettings(
    TimeSettings,
    CurveSettings,
    SearchCopies,
    WorkerSettings,
    KernelSettings,
    DeviceSettings,
    ImageSettings,
    BalanceSettings,
    RecipeSettings,
    DtypeSettings,
    RuntimeSettings,
    BoardSettings,
    TransferSettings,
    SharedSettings,
    SearchChoices,
    DataSettings,
):
    """Everything that a search of a baseline can be asked for."""

    command: ClassVar[str] = "search-baseline"
    exclusive: ClassVar[Groups] = (
        ("max_macs", "max_cost=macs"),
        # Shared weights begin fresh and learn the labels alone.
        ("shared_weights", "weights"),
        ("shared_weights", "teacher"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._take_macs()
        if self.shared_weights and self.sampler != "guided":
            raise InvalidSetting(
                f"the {self.sampler} sampler learns nothing from shared weights; leave "
                "--shared-weights out, or use --sampler guided"
            )

    def _take_macs(self) -> None:
        """Keep a limit on multiply-adds where --max-flops keeps it, however it was given."""
        own = [text for text in self.max_cost if text.partition("=")[0].strip() == "macs"]
        if not own:
            return
        rest = tuple(text for text in self.max_cost if text not in own)
        object.__setattr__(self, "max_macs", _parse_count(own[0].partition("=")[2]))
        object.__setattr__(self, "max_cost", rest)


@dataclass(frozen=True, kw_only=True)
class CheckChoices(Settings):
    """What the baseline is compared with, and where the images are."""

    networks: int = option(8, "Random networks to train.")
    seeds: int = option(3, "New trainings of the baseline.")
    data: str | None = option(
        None,
        "Where the images lie now, if they were moved since the search.",
        place=True,
        binds="images",
    )
    weights: str | None = again(
        WeightsSettings,
        "weights",
        help="Where the weights lie now that the search began with, if they were moved.",
        panel="",
    )
    teacher: str | None = again(
        TeacherSettings,
        "teacher",
        help="Where the teacher lies now that the search learned from, if it was moved.",
        panel="",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.networks < 2 or self.seeds < 2:
            raise InvalidSetting(
                f"a comparison needs at least 2 networks and 2 seeds, got {self.networks} and "
                f"{self.seeds}"
            )


@dataclass(frozen=True, kw_only=True)
class CheckSettings(
    TimeSettings,
    TrackingSettings,
    WorkerSettings,
    DeviceSettings,
    ReferenceSettings,
    CheckChoices,
):
    """Everything that a check of the baseline can be asked for."""

    command: ClassVar[str] = "check-baseline"
    exclusive: ClassVar[Groups] = (("hours", "reference"),)
