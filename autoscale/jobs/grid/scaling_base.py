"""What is to be scaled."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoscale.aspect import SQUARE, written
from autoscale.design.architecture import Architecture
from autoscale.design.published import FAMILIES
from autoscale.design.rounding import fit_strides, rounding_policy
from autoscale.devices.board import Board
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.costs import board_of, hold_to_board
from autoscale.jobs.grid.settings import GridSettings
from autoscale.jobs.groups.networks import BoardSettings, ScalingBaseSettings
from autoscale.jobs.names import SEARCH
from autoscale.listener import Listener
from autoscale.models.count import load_architecture
from autoscale.runs.store import StepFolder
from autoscale.scaling.scalable import Design, Scalable

# A named design is scaled and counted without torch: what other bases need is imported for them.

#: The rounding of a family's own released code; all others take `tf`.
OWN_ROUNDING = {
    "efficientnet-lite": "lite",
    "efficientnetv2": "v2",
    "mobilenet-v1": "int",
    "mobilenet-v2": "mobilenet-v2",
    "resnet": "int",
    "tinynet": "tinynet",
}

#: Classes and pixels of a user's model as long as no images say otherwise.
USUAL_CLASSES, USUAL_RESOLUTION = 1000, 224


def policy_of(settings: ScalingBaseSettings) -> str:
    """The name of the rounding policy: the one asked for, else that of the base's family."""
    if settings.rounding is not None:
        return rounding_policy(settings.rounding).name
    family = next((f for f, members in FAMILIES.items() if settings.baseline in members), None)
    return OWN_ROUNDING.get(family or "", "tf")


def scalable_of(settings: ScalingBaseSettings, run: Path, *, num_classes: int | None) -> Scalable:
    """The base, for images of `num_classes` classes where that is known.

    Raises:
        AutoscaleError: one of its kinds, if there is no such base.
    """
    if settings.model is not None:
        from autoscale.models.user_model import UserModel

        classes = num_classes or USUAL_CLASSES
        if settings.aspect not in (None, SQUARE):
            raise InvalidSetting(
                f"--aspect {written(settings.aspect)} is of designs, and {settings.model} is a "
                "model of your own, which is scaled by squares; leave --aspect out"
            )
        return UserModel(settings.model, settings.resolution or USUAL_RESOLUTION, classes)
    policy = rounding_policy(policy_of(settings))
    if settings.baseline is None:
        from autoscale.jobs.search.result import load_baseline

        return Design(load_baseline(run).trial.architecture, policy)
    architecture = load_architecture(settings.baseline)
    architecture = replace(
        architecture,
        resolution=settings.resolution or architecture.resolution,
        num_classes=num_classes or architecture.num_classes,
        aspect=architecture.aspect if settings.aspect is None else settings.aspect,
    )
    return Design(fit_strides(architecture), policy)


def require_no_search(run: Path) -> None:
    """
    Raises:
        InvalidSetting: if the run has a baseline of its own, where another is named.
    """
    if StepFolder(run, SEARCH).read() is not None:
        raise InvalidSetting(
            f"{run} holds a search with a baseline of its own; leave --baseline and --model "
            "out or choose another --run"
        )


def board_after_search(run: Path, settings: BoardSettings, listener: Listener) -> Board | None:
    """The board of a step, told; where it has none, that the run's search kept to one.

    Raises:
        InvalidSetting: if there is no such board.
        StorageProblem: if its file cannot be read.
    """
    found = board_of(settings, listener)
    searched = (StepFolder(run, SEARCH).read() or {}).get("notes", {}).get("board")
    if found is None and searched is not None:
        listener.notice(
            f"the run's search kept to the board {searched}; these networks need not, unless "
            "--board names it too"
        )
    return found


def require_scorable(
    run: Path, base: Scalable, settings: GridSettings, dtype: str, listener: Listener
) -> None:
    """Say what a board leaves networks, and refuse numbers that a base or board cannot have.

    Args:
        dtype: of the networks that are scored.

    Raises:
        InvalidArchitecture: for int8 of a design that has none.
        InvalidSetting: for int8 of a user's model, or for a board of other networks.
    """
    hold_to_board(board_after_search(run, settings, listener), dtype, listener)
    if dtype == "int8":
        from autoscale.models.quantized.in_loop import require_int8_design

        name = settings.model or settings.baseline or "the run's baseline"
        require_int8_design(base.at(1.0, 1.0, base.resolution), name=name)


def describe(base: Scalable) -> dict[str, Any]:
    """A base as plain data, for a run's settings; `scalable_from` reads it back."""
    if isinstance(base, Design):
        return {"design": base.base.to_dict(), "rounding": base.rounding.name}
    from autoscale.models.user_model import UserModel

    assert isinstance(base, UserModel)
    return {"model": base.name, "resolution": base.resolution, "num_classes": base.num_classes}


def scalable_from(description: Mapping[str, Any], *, model: str | None = None) -> Scalable:
    """Read what `describe` wrote.

    Args:
        model: the user's code that the command names. A run directory alone has nothing imported.

    Raises:
        InvalidSetting: if it describes another model than that.
        RunConflict: if it is something else.
    """
    described = description.get("model") if isinstance(description, Mapping) else None
    if described is not None and described != model:
        raise InvalidSetting(
            f"the grid scales {described}, code of your own, which is imported only when a command "
            f"names it: add --model {described}"
        )
    if described is None and model is not None:
        raise InvalidSetting(
            f"the grid scales no model of yours, asked for {model}; leave --model out, or give "
            "--coefficients with it"
        )
    try:
        if model is not None:
            from autoscale.models.user_model import UserModel

            return UserModel(
                str(description["model"]),
                int(description["resolution"]),
                int(description["num_classes"]),
            )
        design = Architecture.from_dict(description["design"])
        return Design(design, rounding_policy(str(description["rounding"])))
    except (KeyError, TypeError, ValueError) as problem:
        raise RunConflict(f"the settings of a grid are damaged ({problem}); repeat it") from None
