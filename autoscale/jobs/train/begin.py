"""A training as settings ask for it: its network, its start and its images."""

from dataclasses import replace
from pathlib import Path

from autoscale.datasets.pictures.folds import Fold
from autoscale.datasets.pictures.pictures import shown
from autoscale.design.architecture import Architecture
from autoscale.design.rounding import at_resolution
from autoscale.errors import InvalidSetting
from autoscale.jobs.family.weights import (
    GROUPED,
    PREPARED,
    asked_of_images,
    noted,
    require_not_gone,
    weights_beside,
)
from autoscale.jobs.groups.images import place_of
from autoscale.jobs.inheritance import suited
from autoscale.jobs.names import NO_WEIGHTS
from autoscale.jobs.start import Start
from autoscale.jobs.teaching.lessons import Lessons
from autoscale.jobs.train.design import Design, design_of, fitted
from autoscale.jobs.train.settings import TrainSettings
from autoscale.jobs.train.training import Training
from autoscale.jobs.workers.kernels import choose_kernels
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.several import require_single
from autoscale.jobs.workers.source import ImageSource
from autoscale.jobs.workers.transfer import Transfer
from autoscale.listener import Listener
from autoscale.metrics.choice import MetricChoice
from autoscale.models.count import is_member
from autoscale.runs.store import StepFolder
from autoscale.settings.command import settings_of
from autoscale.training.process_group import ProcessGroup
from autoscale.training.recipe import Recipe
from autoscale.training.task import device_named


def begun(
    settings: TrainSettings,
    step: StepFolder,
    peers: ProcessGroup,
    listener: Listener,
    *,
    fold: Fold | None = None,
) -> Training:
    """The training with its network, its start and its images read.

    Args:
        fold: of the images, which the network is tested on.
    """
    device = _device_for(peers, settings.device)
    settings = _as_in_its_run(_with_member_weights(settings, step, listener), listener)
    design = design_of(settings)
    _require_something_to_drop(settings, design)
    size = settings.resolution or design.architecture.resolution
    start = Start.of(
        replace(settings, weights=None) if settings.weights == NO_WEIGHTS else settings,
        at_resolution(design.architecture, size, settings.aspect),
        network=settings.network,
    )
    for note in start.notes:
        listener.notice(note)
    lessons = Lessons.of(
        settings, unlabelled=settings.unlabelled, device=device, threads=settings.threads
    )
    task = Proxy(
        source=ImageSource(
            data=settings.data,
            seed=settings.seed,
            limit=settings.limit,
            strict=settings.strict,
            group_by=settings.group_by,
            white_level=start.expected.preparation.white_level,
            fold=fold,
        ),
        recipe=_recipe(settings),
        kernels=choose_kernels(
            settings.kernels, precision=settings.precision, device=device, listener=listener
        ),
        chosen=MetricChoice.named(settings.metric),
        balance=settings.balance,
        device=device,
        threads=settings.threads,
        transfer=Transfer(start=start, lessons=lessons and lessons.for_aspect(start.aspect)),
        inheriting_rate=None,  # the recipe has it, see `_at_suited_rate`
    ).load(size=size, test=True, listener=listener)
    if settings.frozen.features:
        require_single(task, "--freeze features, which fits one classifier to all classes,")
    if not task.images.several:
        _tell_smoothing(settings, task.recipe, listener)
    architecture = fitted(design, size, len(task.images.classes), listener, aspect=settings.aspect)
    if "learning_rate" not in settings.fields_given:
        task = _at_suited_rate(task, start, architecture, listener)
    return Training(
        settings=settings,
        design=replace(design, architecture=architecture),
        task=task,
        step=step,
        peers=peers,
        listener=listener,
    )


def _with_member_weights(
    settings: TrainSettings, step: StepFolder, listener: Listener
) -> TrainSettings:
    """With the weights that `autoscale family` wrote beside the member, unless others are named."""
    path = Path(settings.network)
    if settings.weights is not None or not (path.is_file() and is_member(path)):
        return settings
    found = weights_beside(path)
    if found is None:
        require_not_gone(path, step)
        return settings
    listener.notice(
        f"{path.stem} begins with the weights that family wrote beside it, {found}; --weights "
        f"{NO_WEIGHTS} begins with random ones"
    )
    return replace(settings, weights=str(found))


def _as_in_its_run(settings: TrainSettings, listener: Listener) -> TrainSettings:
    """With the groups and the preparation of the run whose member this is, on its images.

    Another cut would put images to the test that candidates of the run were trained on. What is
    typed goes before it, and so does what weights say of their preparation.
    """
    path = Path(settings.network)
    if not (path.is_file() and is_member(path)):
        return settings
    run = path.resolve().parent.parent
    place = noted(run, "data")
    if place_of(settings.data) != place:
        if settings.data == "synthetic" and place is not None:
            listener.notice(
                f"warning: this trains on synthetic images, and its run is of {shown(place)}; "
                f"--data {shown(place)} trains on these"
            )
        return settings
    prepared = settings.weights in (None, NO_WEIGHTS) and not any(
        getattr(settings, name) is not None for name in PREPARED
    )
    asked = asked_of_images(run, (*GROUPED, *(PREPARED if prepared else ())))
    known = {setting.name: setting for setting in settings_of(TrainSettings)}
    own = {
        name: known[name].value(plain)
        for name, plain in asked.items()
        if getattr(settings, name) is None
    }
    if not own:
        return settings
    told = " ".join(known[name].said(value) for name, value in own.items())
    listener.notice(f"as in the search or grid of {shown(run.name)}: {told}")
    return settings.but(**own)


def _require_something_to_drop(settings: TrainSettings, design: Design) -> None:
    """
    Raises:
        InvalidSetting: if regularisation is to grow, and there is none.
    """
    start = settings.fields_given.get("start_regularisation")
    drops = design.dropout or design.drop_path
    if start is not None and not drops and not settings.recipe_asked.altering:
        raise InvalidSetting(
            f"--start-regularisation {start:g} lets dropout, stochastic depth and augmentation "
            f"grow, and {design.name} has none of them; give --dropout, --drop-path or, say, --set "
            "mixup=0.2, or leave it out"
        )


def _recipe(settings: TrainSettings) -> Recipe:
    """The recipe that is asked for, in one epoch where the classifier alone is fitted."""
    recipe = settings.recipe_asked
    return replace(recipe, epochs=1) if settings.frozen.features else recipe


def _tell_smoothing(settings: TrainSettings, recipe: Recipe, listener: Listener) -> None:
    """Say that the loss takes no label smoothing, where the recipe has some."""
    usual = settings.recipe_asked.label_smoothing
    if recipe.label_smoothing != usual:
        listener.notice(
            f"--loss {settings.loss} is of labels alone: the recipe's label smoothing of {usual:g} "
            "is left out"
        )


def _at_suited_rate(
    task: Proxy, start: Start, architecture: Architecture, listener: Listener
) -> Proxy:
    """At another rate than the recipe's where that suits the weights; a notice says so."""
    recipe = suited(task.recipe, start, architecture)
    if recipe != task.recipe:
        listener.notice(
            f"the peak learning rate is {recipe.learning_rate:g} in place of the recipe's "
            f"{task.recipe.learning_rate:g}, which suits weights of another design; "
            "--learning-rate sets it"
        )
    return replace(task, recipe=recipe)


def _device_for(peers: ProcessGroup, device: str) -> str:
    """
    Raises:
        InvalidSetting: if there is no such device, or several processes are to use another than a
            CPU.
    """
    named = str(device_named(device))
    if peers.size > 1 and named != "cpu":
        raise InvalidSetting(f"several processes train on cpu only, asked for {named}")
    return named
