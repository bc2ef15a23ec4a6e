"""On which images, and from which weights, the networks of a grid are judged."""

from dataclasses import replace
from pathlib import Path

from autoscale.datasets.data import classes_in, several_in
from autoscale.errors import InvalidSetting
from autoscale.jobs.grid.scaling_base import require_no_search
from autoscale.jobs.grid.settings import GridSettings
from autoscale.jobs.inheritance import notes_for_base
from autoscale.jobs.search.result import load_proxy, transferred, with_images
from autoscale.jobs.start import Start
from autoscale.jobs.teaching.lessons import Lessons
from autoscale.jobs.workers.kernels import choose_kernels
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.source import ImageSource
from autoscale.jobs.workers.transfer import Transfer
from autoscale.listener import Listener, Silent
from autoscale.metrics.choice import MetricChoice
from autoscale.metrics.names import USUAL
from autoscale.scaling.scalable import Design, Scalable


def proxy_of(run: Path, settings: GridSettings) -> Proxy | None:
    """How candidates are judged, the images yet to be loaded; None where a named base has none.

    Raises:
        InvalidSetting: if the run's search has decided what is set here.
    """
    if not settings.named:
        return _searched(run, settings)
    require_no_search(run)
    if settings.data is None:
        return None
    transfer = Transfer.for_many(settings, device=settings.device, threads=settings.threads)
    return Proxy(
        source=ImageSource(
            data=settings.data,
            seed=settings.seed or 0,
            limit=settings.limit,
            strict=settings.strict,
            group_by=settings.group_by,
            white_level=transfer.start.expected.preparation.white_level,
        ),
        recipe=settings.recipe_asked,
        inheriting_rate=settings.inheriting_rate,
        kernels=choose_kernels("auto", device=settings.device, listener=Silent()),
        dtype=settings.dtype or "float32",
        chosen=MetricChoice.named(settings.metric or USUAL).suited(
            several=several_in(settings.data)
        ),
        balance=settings.balance,
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
