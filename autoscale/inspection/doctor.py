"""What would spoil hours of work, looked for before they begin."""

import os
import platform
import shutil
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import torch

from autoscale.aspect import SQUARE, Aspect
from autoscale.datasets import synthetic
from autoscale.datasets.pictures.depth import range_notices
from autoscale.datasets.pictures.preparation import OURS
from autoscale.datasets.survey import Survey, survey
from autoscale.design.amounts import several
from autoscale.distribution import EXTRAS, VERSION, install, missing
from autoscale.errors import AutoscaleError
from autoscale.inspection.shapes import shapes_in_words
from autoscale.jobs.workers.kernels import load_kernels
from autoscale.network.kernels.library import compiler
from autoscale.training.loss.balance import ADJUSTED, BALANCED
from autoscale.training.task import device_named

Verdict = Literal["ok", "warn", "fail"]

#: Free space at the run directory below which there is a warning, and below which work fails: a
#: search keeps kilobytes a trial, a training of a large network some hundred megabytes.
ROOM, NO_ROOM = 2 * 2**30, 50 * 2**20
#: Free memory below which there is a warning; torch alone takes half of it.
MEMORY = 1 * 2**30
#: Training images of a class below which a validation split of a fifth holds one or two of them.
FEW = 10
#: Images of the largest class / those of the smallest, above which something is to be done about
#: it. There is no agreed limit: Google's course calls two classes mildly uneven from 1.5 to 4 to 1;
#: Buda et al. 2018 find harm that grows with the ratio.
UNEVEN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    verdict: Verdict  # warn: work can begin, but read this; fail: it would break
    found: str
    advice: str = ""  # the way out; empty if nothing is to be done

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return asdict(self)


def examine(
    *,
    run: str | Path = "runs/default",
    data: str | Path | None = None,
    group_by: str | None = None,
    aspect: Aspect | None = None,
    device: str = "cpu",
) -> list[Finding]:
    """Look at software, machine, disk and images; nothing is written but compiled kernels.

    Args:
        run: where a run would be written.
        data: images to read through, as `search_baseline` takes them; without, none are.
        group_by: what a cut of them is to keep together, as `search_baseline` takes it.
        aspect: of what networks are to see of the images, width / height; None for squares.
        device: "auto" is the first CUDA device if there is one, else the CPU.

    Returns:
        What was found, in order. A `verdict` "fail" would stop a run, "warn" would spoil it.
    """
    looks: list[Callable[[], Iterator[Finding]]] = [
        _software,
        lambda: _device(device),
        _kernels,
        _machine,
        lambda: _disk(Path(run)),
        _extras,
    ]
    if data is not None:
        looks.append(lambda: _data(str(data), group_by, aspect or SQUARE))
    return [finding for look in looks for finding in look()]


def _software() -> Iterator[Finding]:
    names = ("torch", "optuna", "numpy", "pillow")
    found = ", ".join(f"{name} {_version(name)}" for name in names)
    yield Finding(
        subject="software",
        verdict="ok",
        found=f"autoscale {VERSION}, Python {platform.python_version()}, {found}",
    )


def _device(name: str) -> Iterator[Finding]:
    try:
        device = device_named(name)
    except AutoscaleError as problem:
        yield Finding(subject="device", verdict="fail", found=str(problem))
        return
    title = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    yield Finding(subject="device", verdict="ok", found=f"{device} ({title})")


def _kernels() -> Iterator[Finding]:
    try:
        load_kernels("native")
    except AutoscaleError as problem:
        yield Finding(
            subject="kernels",
            verdict="warn",
            found=str(problem),
            advice="trainings on the CPU take about twice as long without; --kernels torch says so",
        )
        return
    yield Finding(
        subject="kernels", verdict="ok", found=f"compiled for this processor by {compiler()}"
    )


def _machine() -> Iterator[Finding]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg()[0]
    busy = load > 0.75 * (usable or 1)
    yield Finding(
        subject="cores",
        verdict="warn" if busy else "ok",
        found=f"{usable} usable, load {load:.1f}, torch takes "
        f"{several(torch.get_num_threads(), 'thread')}",
        advice="others use them too: trainings take longer, and latencies scatter" if busy else "",
    )
    free = _free_memory()
    if free is None:
        yield Finding(subject="memory", verdict="ok", found="cannot be read on this system")
        return
    short = free < MEMORY
    yield Finding(
        subject="memory",
        verdict="warn" if short else "ok",
        found=f"{_gib(free)} available",
        advice="close other programs, or choose a smaller --resolution or --limit" if short else "",
    )


def _free_memory() -> int | None:
    """Bytes that can be taken without swapping; None where the system does not tell."""
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return None
    found = [line.split() for line in text.splitlines() if line.startswith("MemAvailable:")]
    return int(found[0][1]) * 1024 if found else None


def _disk(run: Path) -> Iterator[Finding]:
    there = run.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        yield Finding(
            subject="disk",
            verdict="fail",
            found=f"{there} is no folder",
            advice="choose another --run",
        )
        return
    if not os.access(there, os.W_OK | os.X_OK):
        yield Finding(
            subject="disk",
            verdict="fail",
            found=f"{there} cannot be written",
            advice="change its owner or mode, or choose another --run",
        )
        return
    free = shutil.disk_usage(there).free
    verdict: Verdict = "fail" if free < NO_ROOM else "warn" if free < ROOM else "ok"
    yield Finding(
        subject="disk",
        verdict=verdict,
        found=f"{_gib(free)} free at {there}",
        advice="" if verdict == "ok" else "free some space, or choose another --run",
    )


def _extras() -> Iterator[Finding]:
    for extra, packages in EXTRAS.items():
        if lacking := missing(extra):
            yield Finding(
                subject=f"extra {extra}",
                verdict="ok",
                found=f"not installed: {', '.join(lacking)}",
                advice=f"if needed: {install(extra)}",
            )
        else:
            yield Finding(subject=f"extra {extra}", verdict="ok", found=", ".join(packages))


def _data(source: str, group_by: str | None, aspect: Aspect) -> Iterator[Finding]:
    if source == "synthetic" and group_by is None:
        total = sum(synthetic.COUNTS.values())
        yield Finding(
            subject="data",
            verdict="ok",
            found=f"{total:,} images drawn in memory, {len(synthetic.CLASSES)} classes",
        )
        return
    try:
        found = survey(source, group_by=group_by)
    except AutoscaleError as problem:
        yield Finding(subject="data", verdict="fail", found=str(problem))
        return
    training = found.counts["train"]
    bands = "" if found.bands is None else f" of {found.bands} bands"
    advice = f"spaces and designs for them say channels: {found.bands}" if bands else ""
    splits = ", ".join(f"{images:,} {part}" for part, images in found.totals.items())
    yield Finding(
        subject="data",
        verdict="ok",
        found=f"{found.images:,} readable images{bands} ({splits}), {len(training)} classes",
        advice=advice,
    )
    yield _layout(found)
    if found.groups:
        yield Finding(subject="groups", verdict="ok", found=found.groups)
    if found.refused:
        yield Finding(subject="cut", verdict="fail", found=found.refused)
    yield _unreadable(found)
    yield from _balance(found)
    yield _duplicates(found)
    if found.shapes:
        sides = [min(shape) for shape in found.shapes]
        yield Finding(
            subject="sizes",
            verdict="ok",
            found=f"shorter sides of {sides[0]} to {sides[-1]} pixels, half of them at "
            f"most {statistics.median_low(sides)}",
            advice="a --resolution above the median enlarges most of them",
        )
        told, advice = shapes_in_words(found.shapes, aspect)
        yield Finding(subject="shapes", verdict="ok", found=told, advice=advice)
    for notice in range_notices(found.peaks, pictures=found.images, preparation=OURS):
        reason, _, advice = notice.partition("; ")
        yield Finding(subject="16 bits", verdict="warn", found=reason, advice=advice)


def _layout(found: Survey) -> Finding:
    """What was understood of the source, and what of it goes unused."""
    told = [found.summary.sentence, *found.notices]
    doubtful = bool(found.notices or found.summary.unused)
    return Finding(
        subject="layout",
        verdict="warn" if doubtful else "ok",
        found="; ".join(told),
        advice="see that these are your classes and splits" if doubtful else "",
    )


def _duplicates(found: Survey) -> Finding:
    """Pictures that are in two classes or splits, or would be once their split is cut."""
    told = (*found.duplicates.sentences, *(found.duplicates.before_a_cut if found.cut else ()))
    return Finding(
        subject="duplicates",
        verdict="warn" if told else "ok",
        found="; ".join(told) or "no picture is in two classes or two splits",
    )


def _unreadable(found: Survey) -> Finding:
    if not found.unreadable:
        return Finding(subject="unreadable", verdict="ok", found="no file")
    shown = "; ".join(found.unreadable[:5])
    more = len(found.unreadable) - 5
    return Finding(
        subject="unreadable",
        verdict="warn",
        found=f"{len(found.unreadable):,} not read: {shown}" + (f"; {more:,} more" * (more > 0)),
        advice="they are skipped; repair or remove them, or refuse them with --strict",
    )


def _balance(found: Survey) -> Iterator[Finding]:
    training = found.counts["train"]
    if empty := [name for name, count in training.items() if count == 0]:
        yield Finding(
            subject="classes",
            verdict="fail",
            found=f"no training image of {', '.join(map(repr, empty[:5]))} can be read",
            advice="repair the files or remove the class",
        )
        return
    for part, images in found.totals.items():
        if images == 0:
            yield Finding(
                subject="classes",
                verdict="fail",
                found=f"no {part} image can be read",
                advice="repair the files or remove the split",
            )
            return
    for part, own in found.counts.items():
        missing = [name for name, count in own.items() if count == 0]
        if missing:
            yield Finding(
                subject="classes",
                verdict="warn",
                found=f"no {part} image of {', '.join(map(repr, missing[:5]))}",
                advice=f"{part} accuracy says nothing of them; add images",
            )
    least, most = min(training, key=training.__getitem__), max(training, key=training.__getitem__)
    if training[least] < FEW:
        few = sorted((name for name in training if training[name] < FEW), key=training.__getitem__)
        shown = ", ".join(f"{name!r} has {training[name]}" for name in few[:5])
        yield Finding(
            subject="classes",
            verdict="warn",
            found=f"{len(few)} of {len(training)} with fewer than {FEW} training images: {shown}",
            advice="add images to them, or leave them out",
        )
    if training[most] > UNEVEN * training[least]:
        yield _uneven(most, training[most], least, training[least], several=found.several)
    elif training[least] >= FEW:
        yield Finding(
            subject="classes",
            verdict="ok",
            found=f"{training[least]:,} to {training[most]:,} training images each",
        )


def _uneven(most: str, many: int, least: str, few: int, *, several: bool) -> Finding:
    """What to do about the largest class and the smallest.

    Of what `train` has for it the loss that is consistent for balanced accuracy, by Menon et al.
    2021, section 4, is named; which gains most on given images only trying tells. Of several labels
    an image mAP is the usual metric, which counts all classes alike.
    """
    advice = (
        "accuracy says little of small classes: judge by --metric balanced-accuracy, and "
        f"train for it with --loss {ADJUSTED}:1 (or --sampling {BALANCED}, or --class-weights "
        f"{BALANCED})"
    )
    if several:
        advice = (
            f"--class-weights {BALANCED} weighs the images that have a rare label; mean average "
            "precision, the usual metric, counts all labels alike"
        )
    return Finding(
        subject="uneven classes",
        verdict="warn",
        found=f"{most!r} has {many:,} training images and {least!r} {few:,}, {many / few:.1f} to 1",
        advice=advice,
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _gib(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"
