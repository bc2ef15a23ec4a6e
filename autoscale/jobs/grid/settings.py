"""The settings of `autoscale grid` and of `autoscale family`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from autoscale.design.measures.registry import BUDGETS as MEASURES
from autoscale.design.measures.registry import kind_named, with_file
from autoscale.errors import InvalidSetting
from autoscale.jobs.groups.images import DataSettings, ImageSettings
from autoscale.jobs.groups.networks import (
    BaseWeightsSettings,
    BoardSettings,
    ScalingBaseSettings,
    WeightsSettings,
)
from autoscale.jobs.groups.recipe import OwnRecipe, RecipeSettings, either_way
from autoscale.jobs.groups.runtime import DtypeSettings, RuntimeSettings
from autoscale.jobs.groups.time import TimeSettings
from autoscale.jobs.groups.tracking import TrackingSettings
from autoscale.jobs.groups.training import BalanceSettings, TransferSettings
from autoscale.jobs.groups.workers import DeviceSettings, WorkerSettings
from autoscale.jobs.reference.settings import ReferenceSettings
from autoscale.metrics.names import METRICS, USUAL, require_metric
from autoscale.models.settings import MetricSettings
from autoscale.settings.command import Groups, Settings, settings_of
from autoscale.settings.option import again, in_words, option
from autoscale.training.loss.balance import Balance

# What a parser or a completion needs is imported where it is asked for, see `jobs.groups`.

#: The option of its own that gives a budget of a cost, without its strokes; --budget takes any.
BUDGETS = {
    "macs": "flops_budget",
    "params": "params_budget",
    "activations": "activations_budget",
    "memory": "memory_budget",
    "latency": "latency_budget",
}
#: What --solve moves unless told otherwise.
MOVED = "resolution"


@dataclass(frozen=True, kw_only=True)
class RaceSettings(Settings):
    """Which networks a grid holds and how they are raced.

    From Python, `budget` and `measure` may say what the option of one measure says, and are kept as
    that: `budget="2x", measure="macs"` is `flops_budget="2x"`. `budget` may also name the cost, as
    in `budget="params=2x"`.

    Raises:
        InvalidSetting: for a value that makes no grid, or more than one budget.
    """

    exclusive: ClassVar[Groups] = (
        (*BUDGETS.values(), "budget"),
        (*BUDGETS.values(), "measure"),
        ("race", "trainings"),
    )
    needs: ClassVar[Mapping[str, str]] = {"move": "solve"}

    # What the budget comes to binds a resumed grid, not its text.
    flops_budget: str | None = option(
        None, "2x the base, 0.5x, or multiply-adds such as 800M. \\[default: 2x]", binds="budget"
    )
    params_budget: str | None = option(None, "Instead: parameters, 2x or 5M.", binds="budget")
    activations_budget: str | None = option(
        None, "Instead: outputs of all convolutions, 2x or 20M.", binds="budget"
    )
    memory_budget: str | None = option(
        None,
        "Instead: bytes of the most activations alive at once, one image, float32; 2x or 10M.",
        binds="budget",
    )
    latency_budget: str | None = option(
        None,
        "Instead: milliseconds of one image in --runtime with --threads, measured; 2x or 12ms.",
        binds="budget",
    )
    budget: str | None = option(
        None,
        f"Instead: any cost and the budget of it, such as params=2x. Costs: {in_words(MEASURES)}.",
        place=with_file,
        binds="budget",
    )
    measure: str | None = option(
        None,
        "Of the budget.",
        recorded=False,
        binds=False,
        hidden=True,
    )
    alpha: str | None = option(None, "Depth: a range or values 1,1.2. \\[default: 1..2, or 0.5..1]")
    beta: str | None = option(None, "Width. \\[default: 1..1.5, or 0.5..1 below 1x]")
    gamma: str | None = option(None, "Resolution. \\[default: 1..1.5, or 0.5..1 below 1x]")
    step: float = option(0.05, "Step of the ranges.")
    tolerance: float | None = option(
        None,
        "Largest distance of the counted cost to the budget; where fewer than three networks keep "
        "it, the nearest others race too, and it is said how far they are. \\[default: 0.05, or "
        "0.01 with --solve]",
    )
    solve: bool = option(False, "Move each point until it meets the budget.")
    move: str | None = option(
        None,
        "What --solve moves: resolution, width or depth, or several, the next where the one before "
        f"is too coarse. \\[default: {MOVED}]",
    )
    max_candidates: int | None = option(
        None, "Race at most so many, spread over the grid.", least=1, binds=False
    )
    rivals: bool = option(
        True,
        "Race depth only, width only, resolution only, fast scaling (dWr) and the paper's "
        "coefficients too, at the same counted cost.",
        binds=False,
    )
    seeds: int = option(3, "Trainings of one candidate at most.", least=1, binds=False)
    trainings: int | None = option(
        None,
        "Trainings in all at most. \\[default: 40 % of all seeds of all]",
        least=1,
        binds=False,
    )
    race: bool = option(True, "Or train every candidate with every seed (--no-race).", binds=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.budget is not None or self.measure is not None:
            self._take_budget()
        if self.solve and not self.move:
            object.__setattr__(self, "move", MOVED)

    def _take_budget(self) -> None:
        """Keep the budget where the option of its cost keeps it, however it was given.

        Raises:
            InvalidSetting: for a cost that there is not, or that is named twice.
        """
        named, sign, text = (self.budget or "2x").rpartition("=")
        measure = named.strip() if sign else self.measure or "macs"
        kind_named(measure)
        if self.measure not in (None, measure):
            raise InvalidSetting(
                f"the budget {self.budget} is of {measure}, but measure={self.measure}; give one"
            )
        own = BUDGETS.get(measure, "budget")
        object.__setattr__(self, "budget", None)
        object.__setattr__(self, "measure", None)
        object.__setattr__(self, own, text if own in BUDGETS.values() else f"{measure}={text}")

    @property
    def moved(self) -> tuple[str, ...]:
        """The dimensions that solving moves, in order."""
        names = (name.strip() for name in (self.move or "").split(","))
        return tuple(dict.fromkeys(name for name in names if name))

    @property
    def distance(self) -> float:
        """The largest distance to the budget that is wished for."""
        return self.tolerance if self.tolerance is not None else 0.01 if self.solve else 0.05

    @property
    def cost_measure(self) -> str:
        """What the budget limits, as `design.measures.registry` names it."""
        return next(iter(self._budgets), "macs")

    @property
    def budget_text(self) -> str:
        """The budget as people write it."""
        return next(iter(self._budgets.values()), "2x")

    @property
    def _budgets(self) -> dict[str, str]:
        """Those that are given, by measure."""
        texts = {measure: getattr(self, name) for measure, name in BUDGETS.items()}
        if self.budget is not None:
            measure, _, text = self.budget.rpartition("=")
            texts[measure] = text
        return {measure: text for measure, text in texts.items() if text is not None}


@dataclass(frozen=True, kw_only=True)
class BaseImageSettings(OwnRecipe):
    """The images and the recipe of a base that no search chose; None is the usual.

    With a run's own baseline they are the search's, and only `data` may say where they lie now.
    """

    exclusive: ClassVar[Groups] = either_way("epochs")

    # What they come to binds a resumed grid.
    data: str | None = option(
        None,
        "Images for a base of your own (as search-baseline), or where the search's images lie now.",
        place=True,
        binds="images",
    )
    recipe: str | None = again(
        RecipeSettings,
        "recipe",
        None,
        help="Recipe, for a base of your own: a name or a YAML file. \\[default: proxy]",
        panel="Base",
    )
    set: tuple[str, ...] = again(
        RecipeSettings,
        "set",
        help="A field of that recipe, as NAME=VALUE: mixup=0.2, epochs=8; as often as you like.",
        about="",
        panel="Base",
    )
    epochs: int | None = option(
        None, "Epochs of each training of that base.", binds="recipe", panel="Base"
    )
    limit: int | None = option(
        None, "Use at most so many training images for that base.", binds="limit", panel="Base"
    )
    seed: int | None = option(
        None,
        "Of splits and trainings of that base. \\[default: 0]",
        least=0,
        binds="seed",
        panel="Base",
    )
    strict: bool = option(
        False, "Refuse unreadable images of that base.", binds="strict", panel="Base"
    )
    group_by: str | None = again(
        ImageSettings,
        "group_by",
        help="What the cut keeps together, for that base: a column, or path:REGEX.",
        binds="group_by",
        panel="Base",
    )
    white_level: int | None = option(
        None,
        "White of pictures of 16 bits, for that base. \\[default: 65535]",
        binds="white_level",
        panel="Base",
    )

    @property
    def decided(self) -> list[str]:
        """Those that are set although a run's own search would have decided them."""
        names = ("recipe", "epochs", "limit", "seed", "group_by", "white_level")
        given = [name for name in names if getattr(self, name) is not None]
        return given + ["set"] * bool(self.set) + ["strict"] * self.strict


#: What is asked for of uneven classes.
_BALANCE = tuple(setting.name for setting in settings_of(BalanceSettings))


@dataclass(frozen=True, kw_only=True)
class GridSettings(
    TimeSettings,
    TrackingSettings,
    WorkerSettings,
    DeviceSettings,
    BaseImageSettings,
    BaseWeightsSettings,
    TransferSettings,
    RuntimeSettings,
    BoardSettings,
    ReferenceSettings,
    RaceSettings,
):
    """Everything that a grid can be asked for.

    With a run's own baseline networks begin and learn as the search's did; where those did without
    weights or without a teacher, the grid's may have them.
    """

    command: ClassVar[str] = "grid"
    exclusive: ClassVar[Groups] = (("hours", "reference"),)

    dtype: str | None = again(
        DtypeSettings,
        "dtype",
        None,
        help="Of the networks that are scored, as for search-baseline: {choices}. \\[default: as "
        "the run's search, else float32]",
    )
    metric: str | None = again(
        MetricSettings,
        "metric",
        None,
        help="What networks are judged by, on validation images. "
        f"{in_words(METRICS)}. \\[default: as the run's search, else {USUAL}]",
    )
    loss: str | None = again(
        BalanceSettings,
        "loss",
        None,
        help="What trainings of that base minimise, as for search-baseline: cross-entropy, "
        r"focal:2, logit-adjusted:1. \[default: as the run's search, else cross-entropy]",
    )
    sampling: str | None = again(
        BalanceSettings,
        "sampling",
        None,
        help="Which images an epoch of that base shows, as for search-baseline: shuffled or "
        r"balanced. \[default: as the run's search, else shuffled]",
    )
    class_weights: str | None = again(
        BalanceSettings,
        "class_weights",
        None,
        help="By which the loss of an image counts, for that base, as for search-baseline: none or "
        r"balanced. \[default: as the run's search, else none]",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.metric is not None:
            require_metric(self.metric)
        balance = self.balance  # refuses what does not go together
        if self.loss is not None:
            object.__setattr__(self, "loss", balance.loss)

    @property
    def balance(self) -> Balance:
        """What is done about uneven classes, for a base of one's own."""
        given = {name: getattr(self, name) for name in _BALANCE}
        return Balance(**{name: value for name, value in given.items() if value is not None})

    @property
    def decided(self) -> list[str]:
        """Those that are set although a run's own search would have decided them."""
        own = [name for name in ("metric", *_BALANCE) if getattr(self, name) is not None]
        return super().decided + own


#: What older versions took as values of their own.
GONE = {"base": ScalingBaseSettings, "images": BaseImageSettings, "staff": WorkerSettings}


def parse_coefficients(text: str) -> Any:
    """Read `1.2,1.1,1.15` as alpha, beta, gamma: a `Coefficients`.

    Raises:
        InvalidSetting: for anything else, or a value that is not above 0.
    """
    from autoscale.design.rounding import Coefficients

    try:
        alpha, beta, gamma = (float(part) for part in text.split(","))
    except ValueError:
        raise InvalidSetting(
            f"not coefficients: {text!r}; write alpha,beta,gamma as 1.2,1.1,1.15"
        ) from None
    return Coefficients(alpha=alpha, beta=beta, gamma=gamma)


def _show_coefficients(point: Any) -> str:
    return f"{point.alpha!r},{point.beta!r},{point.gamma!r}"


@dataclass(frozen=True, kw_only=True)
class MemberSettings(Settings):
    """Which members a family gets, and by which coefficients."""

    exclusive: ClassVar[Groups] = (("phi", "budgets"),)

    phi: str | None = option(None, "Sizes: 0..7, -2..3 or 0,0.5,1; 0 is the base.", binds=False)
    budgets: str | None = option(
        None, "Most that each member may cost: 20M,40M or 0.5x,2x,4x.", binds=False
    )
    measure: str = option(
        "macs",
        f"Of the budgets: {in_words(MEASURES)}; but not latency, which is measured.",
        place=with_file,
        binds=False,
    )
    # A `Coefficients` or None; its type would load numpy.
    coefficients: Any = option(
        None,
        "Alpha, beta, gamma to use instead of a grid's, such as 1.2,1.1,1.15.",
        parse=parse_coefficients,
        show=_show_coefficients,
        binds="growing",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.coefficients is not None and not hasattr(self.coefficients, "gamma"):
            raise InvalidSetting(
                f"coefficients must be a Coefficients, got {self.coefficients!r}; write "
                "1.2,1.1,1.15 or Coefficients(alpha=1.2, beta=1.1, gamma=1.15)"
            )


@dataclass(frozen=True, kw_only=True)
class FamilySettings(BaseWeightsSettings, RuntimeSettings, BoardSettings, MemberSettings):
    """Everything that a family can be asked for."""

    command: ClassVar[str] = "family"

    data: str | None = again(
        DataSettings,
        "data",
        None,
        help="Images that weights are fitted by. \\[default: those of the run's search or grid]",
        binds=False,
        panel="Weights",
    )

    dtype: str | None = again(
        DtypeSettings,
        "dtype",
        None,
        help="Of the networks whose latency is limited: {choices}. \\[default: as a --board that "
        "limits milliseconds, else as the run's search or grid, else float32]",
        binds=False,
    )

    num_classes: int | None = option(
        None,
        "Classes of that base. \\[default: its own]",
        flag="--classes",
        least=1,
        binds="base",
        panel="Base",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights is None:
            names = ["data", *(setting.name for setting in settings_of(WeightsSettings))]
            if given := [name for name in names if getattr(self, name) is not None]:
                flag = f"--{given[0].replace('_', '-')}"
                raise InvalidSetting(
                    f"{flag} says something of weights, which a family has if it is given some; "
                    f"add --weights, or leave {flag} out"
                )
