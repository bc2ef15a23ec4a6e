"""What is to be scaled, and on which images it is judged."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autoscale.datasets.data import ImageData, classes_in
from autoscale.datasets.pictures.preparation import OURS
from autoscale.design.architecture import Architecture
from autoscale.design.published import FAMILIES
from autoscale.design.rounding import fit_strides, rounding_policy
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.search.job import STEP as SEARCH
from autoscale.jobs.search.job import load_baseline, load_images, load_task
from autoscale.jobs.workers.kernels import choose_kernels
from autoscale.jobs.workers.proxy import Task, recipe_named
from autoscale.listener import Listener, Silent
from autoscale.models.count import load_architecture
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingBase:
    """Which network is scaled; by default the baseline that the run's search found.

    Raises:
        InvalidSetting: if both kinds of base are named, or a resolution without either.
    """

    baseline: str | None = None  # a published network's name or a YAML file
    model: str | None = None  # package.module:build
    resolution: int | None = None  # pixels per side of the base, instead of its own
    rounding: str | None = None  # by default the base's family's own, else "tf"

    def __post_init__(self) -> None:
        if self.baseline is not None and self.model is not None:
            raise InvalidSetting("give either --baseline or --model, not both")
        if not self.named and self.resolution is not None:
            raise InvalidSetting(
                "the resolution of a run's own baseline is the search's; leave --resolution out or "
                "name a base with --baseline or --model"
            )
        if self.resolution is not None and self.resolution < 1:
            raise InvalidSetting(f"resolution must be at least 1 pixel, got {self.resolution}")
        if self.rounding is not None:
            if self.model is not None:
                raise InvalidSetting(
                    f"{self.model} rounds for itself; leave --rounding out with --model"
                )
            rounding_policy(self.rounding)

    @property
    def named(self) -> bool:
        """Whether the base is something else than the run's own baseline."""
        return self.baseline is not None or self.model is not None

    @property
    def policy(self) -> str:
        """The name of the rounding policy."""
        if self.rounding is not None:
            return rounding_policy(self.rounding).name
        family = next((f for f, members in FAMILIES.items() if self.baseline in members), None)
        return OWN_ROUNDING.get(family or "", "tf")

    def scalable(self, run: Path, *, num_classes: int | None) -> Scalable:
        """The base, for images of `num_classes` classes where that is known.

        Raises:
            AutoscaleError: one of its kinds, if there is no such base.
        """
        if self.model is not None:
            classes = num_classes or USUAL_CLASSES
            return UserModel(self.model, self.resolution or USUAL_RESOLUTION, classes)
        if self.baseline is None:
            return Design(load_baseline(run).trial.architecture, rounding_policy(self.policy))
        found = load_architecture(self.baseline)
        found = replace(
            found,
            resolution=self.resolution or found.resolution,
            num_classes=num_classes or found.num_classes,
        )
        return Design(fit_strides(found), rounding_policy(self.policy))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSettings:
    """The images and the recipe of a base that no search chose; None is the usual.

    With a run's own baseline they are the search's, and only `data` may say where they lie now.
    """

    data: str | None = None
    recipe: str | None = None
    epochs: int | None = None
    limit: int | None = None
    seed: int | None = None
    strict: bool = False
    white_level: int | None = None

    def task(self, run: Path, base: ScalingBase, *, device: str = "cpu") -> Task | None:
        """What a score means; None where a named base has no images.

        Raises:
            InvalidSetting: if the run's search has decided what is set here.
        """
        if not base.named:
            found = load_task(run, data=self.data)
            given = [
                name
                for name in ("recipe", "epochs", "limit", "seed", "white_level")
                if getattr(self, name) is not None
            ]
            if given or self.strict:
                raise InvalidSetting(
                    f"the search in {run} has decided "
                    f"--{(given or ['strict'])[0].replace('_', '-')}; leave it out, or name a base "
                    "with --baseline or --model"
                )
            return found
        if StepFolder(run, SEARCH).read() is not None:
            raise InvalidSetting(
                f"{run} holds a search with a baseline of its own; leave --baseline and --model "
                "out or choose another --run"
            )
        if self.data is None:
            return None
        return Task(
            data=self.data,
            recipe=recipe_named(self.recipe or "proxy", epochs=self.epochs),
            seed=self.seed or 0,
            limit=self.limit,
            strict=self.strict,
            white_level=OURS.white_level if self.white_level is None else self.white_level,
            kernels=choose_kernels("auto", device=device, listener=Silent()),
        )


def class_count(base: ScalingBase, task: Task | None) -> int | None:
    """Classes of the images of a named base; None where no images are named.

    Raises:
        DataProblem: if there are no such images.
    """
    return len(classes_in(task.data)) if base.named and task is not None else None


def images_of(
    run: Path, base: ScalingBase, task: Task, *, size: int, listener: Listener
) -> ImageData:
    """The images, `size` pixels per side, without the test images.

    Raises:
        DataProblem: if they cannot be read.
        RunConflict: if they are not those of the run's search.
    """
    if base.named:
        return task.load(size=size, test=False, listener=listener)
    return load_images(run, task, size=size, test=False, listener=listener)


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
