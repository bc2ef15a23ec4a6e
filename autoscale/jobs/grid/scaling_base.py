"""What is to be scaled, and on which images it is judged."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoscale.datasets.data import classes_in
from autoscale.design.architecture import Architecture
from autoscale.design.published import FAMILIES
from autoscale.design.rounding import fit_strides, rounding_policy
from autoscale.devices.board import Board
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.costs import board_of, hold_to_board
from autoscale.jobs.grid.settings import GridSettings
from autoscale.jobs.groups.networks import BoardSettings, ScalingBaseSettings
from autoscale.jobs.inheritance import notes_for_base
from autoscale.jobs.search.result import STEP as SEARCH
from autoscale.jobs.search.result import load_baseline, load_proxy, transferred, with_images
from autoscale.jobs.start import Start
from autoscale.jobs.teaching.lessons import Lessons
from autoscale.jobs.workers.kernels import choose_kernels
from autoscale.jobs.workers.proxy import Proxy, recipe_named
from autoscale.jobs.workers.source import ImageSource
from autoscale.jobs.workers.transfer import Transfer
from autoscale.listener import Listener, Silent
from autoscale.metrics.choice import MetricChoice
from autoscale.metrics.names import USUAL
from autoscale.models.count import load_architecture
from autoscale.models.quantized.in_loop import require_int8_design
from autoscale.models.user_model import UserModel
from autoscale.runs.store import StepFolder
from autoscale.scaling.scalable import Design, Scalable

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
        classes = num_classes or USUAL_CLASSES
        return UserModel(settings.model, settings.resolution or USUAL_RESOLUTION, classes)
    policy = rounding_policy(policy_of(settings))
    if settings.baseline is None:
        return Design(load_baseline(run).trial.architecture, policy)
    architecture = load_architecture(settings.baseline)
    architecture = replace(
        architecture,
        resolution=settings.resolution or architecture.resolution,
        num_classes=num_classes or architecture.num_classes,
    )
    return Design(fit_strides(architecture), policy)


def proxy_of(run: Path, settings: GridSettings) -> Proxy | None:
    """How candidates are judged, the images yet to be loaded; None where a named base has none.

    Raises:
        InvalidSetting: if the run's search has decided what is set here.
    """
    if not settings.named:
        return _searched(run, settings)
    if StepFolder(run, SEARCH).read() is not None:
        raise InvalidSetting(
            f"{run} holds a search with a baseline of its own; leave --baseline and --model "
            "out or choose another --run"
        )
    if settings.data is None:
        return None
    transfer = Transfer.for_many(settings, device=settings.device, threads=settings.threads)
    return Proxy(
        source=ImageSource(
            data=settings.data,
            seed=settings.seed or 0,
            limit=settings.limit,
            strict=settings.strict,
            white_level=transfer.start.expected.preparation.white_level,
        ),
        recipe=recipe_named(settings.recipe or "proxy", epochs=settings.epochs),
        kernels=choose_kernels("auto", device=settings.device, listener=Silent()),
        dtype=settings.dtype or "float32",
        chosen=MetricChoice.named(settings.metric or USUAL),
        device=settings.device,
        threads=settings.threads,
        transfer=transfer,
    )


def _searched(run: Path, settings: GridSettings) -> Proxy:
    """How the run's search judged, the images yet to be loaded.

    Raises:
        InvalidSetting: if the search has decided what is set here.
    """
    had = transferred(run)
    proxy = load_proxy(
        run,
        data=settings.data,
        weights=settings.weights if "weights" in had else None,
        teacher=settings.teacher if "teacher" in had else None,
        device=settings.device,
        threads=settings.threads,
    )
    decided, transfer = settings.decided, proxy.transfer
    if transfer.start.settings():
        decided += [name for name in settings.said_of_weights if name != "weights"]
    elif settings.said_of_weights:
        transfer = replace(transfer, start=Start.for_many(settings))
    if transfer.lessons is not None:
        decided += [name for name in settings.said_of_teacher if name != "teacher"]
    else:
        lessons = Lessons.of(settings, device=settings.device, threads=settings.threads)
        transfer = replace(transfer, lessons=lessons)
    if decided:
        raise InvalidSetting(
            f"the search in {run} has decided --{decided[0].replace('_', '-')}; leave it out, "
            "or name a base with --baseline or --model"
        )
    return replace(proxy, transfer=transfer, dtype=settings.dtype or proxy.dtype)


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
        name = settings.model or settings.baseline or "the run's baseline"
        require_int8_design(base.at(1.0, 1.0, base.resolution), name=name)


def notes_on_start(start: Start, base: Scalable) -> list[str]:
    """What a person should know of the weights that a grid's networks begin with, in sentences.

    Raises:
        InvalidSetting: if they cannot take them over.
    """
    return notes_for_base(start, base.base) if isinstance(base, Design) else []


def class_count(settings: GridSettings, proxy: Proxy | None) -> int | None:
    """Classes of the images of a named base; None where no images are named.

    Raises:
        DataProblem: if there are no such images.
    """
    if not settings.named or proxy is None:
        return None
    return len(classes_in(proxy.source.data))


def with_grid_images(
    run: Path, settings: GridSettings, proxy: Proxy, *, size: int, listener: Listener
) -> Proxy:
    """With the images, `size` pixels per side, without the test images.

    Raises:
        DataProblem: if they cannot be read.
        RunConflict: if they are not those of the run's search.
    """
    if settings.named:
        return proxy.load(size=size, listener=listener)
    return with_images(run, proxy, size=size, test=False, listener=listener)


def describe(base: Scalable) -> dict[str, Any]:
    """A base as plain data, for a run's settings; `scalable_from` reads it back."""
    if isinstance(base, Design):
        return {"design": base.base.to_dict(), "rounding": base.rounding.name}
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
            return UserModel(
                str(description["model"]),
                int(description["resolution"]),
                int(description["num_classes"]),
            )
        design = Architecture.from_dict(description["design"])
        return Design(design, rounding_policy(str(description["rounding"])))
    except (KeyError, TypeError, ValueError) as problem:
        raise RunConflict(f"the settings of a grid are damaged ({problem}); repeat it") from None
