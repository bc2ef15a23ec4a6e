"""Take a network away: files for other programs, each checked against torch, and a model card.

Beside them stand how pictures are prepared and what the logits are called, and a picture with its
answer, so that another program can tell whether it does the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from autoscale.design.cost import Cost
from autoscale.devices.timing.latency import measure_latency
from autoscale.distribution import install
from autoscale.errors import InvalidSetting, cause
from autoscale.models.card import BESIDE, model_card
from autoscale.models.formats.check import BATCHES, Check
from autoscale.models.formats.format import File, Format, answer, write_file
from autoscale.models.formats.litert import LiteRT
from autoscale.models.formats.registry import FORMATS, possible_formats
from autoscale.models.formats.timm import Timm, hub_config
from autoscale.models.formats.use import script, script_name
from autoscale.models.input_spec import ANSWERING, LABELS, escaped, text_files
from autoscale.models.load import Model, as_model
from autoscale.models.reference import ANSWER, Reference, reference
from autoscale.models.settings import ExportSettings
from autoscale.network.image import image_shape
from autoscale.network.measuring.trace import traced_cost
from autoscale.runs.sources.releases import CONFIG
from autoscale.runs.store import guarded, require_folder, write_text
from autoscale.settings.function import takes_settings

CARD = "MODEL_CARD.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What `export` wrote."""

    files: tuple[File, ...]  # of the formats
    beside: tuple[File, ...]  # how to use them: preparation, names of classes, a reference
    card: Path
    notes: tuple[str, ...]  # what a person should know, in sentences


@takes_settings(ExportSettings)
def export(model: Model | str | Path, directory: str | Path, settings: ExportSettings) -> Exported:
    """Write a network in other programs' formats, how to use it, and a card that says what it is.

    Every file that can be run here is run, before and not after it is written, and held against
    torch.

    Args:
        model: what `load_model` gave, or a name or file that it takes.
        directory: where the files go; made if it is not there.
        settings: those of `load_model` are for a name.

    Raises:
        InvalidSetting: for a format that is not there or that this network cannot have, if a
            package is missing, or if the weights name another number of classes than there are.
        ExportProblem: if a format does not give torch's logits; the files before it are kept.
        StorageProblem: if the disk does not take it.
    """
    folder = Path(directory)
    require_folder(folder)
    model = as_model(model, settings)
    wanted = _requested(model, settings)
    check = _check(model, settings)
    files, notes = list[File](), [*model.notes, *_left_out(model, settings)]
    for one in wanted:
        written = one.write(model, folder, check)
        files += written
        notes += one.notes(written)
    beside = _write_beside(model, folder, check.reference, _texts_of(wanted, model, check))
    latency = (
        measure_latency(model.network, resolution=model.resolution, aspect=model.aspect)
        if settings.measure
        else None
    )
    if escaped(model.header.classes or ()):
        notes.append(
            f"names of classes hold line breaks, which {LABELS} writes as escapes such as \\n, and "
            "backslashes doubled"
        )
    if earlier := _of_an_earlier_export(folder, [*files, *beside]):
        notes.append(f"{' and '.join(earlier)} in that folder are of an earlier export")
    card = folder / CARD
    write_text(
        card,
        model_card(
            model,
            cost=_cost(model),
            files=[
                (f.path.name, f.format, f.bytes, f.sha256, f.difference, f.agreement)
                for f in (*files, *beside)
            ],
            latency=latency,
            num_classes=check.num_classes,
            notes=notes,
        ),
    )
    return Exported(files=tuple(files), beside=tuple(beside), card=card, notes=tuple(notes))


def _requested(model: Model, settings: ExportSettings) -> list[Format]:
    """The formats to write, quickest first: those asked for, else all that can be had here.

    Raises:
        InvalidSetting: if one that is asked for cannot be had.
    """
    asked = settings.formats or [
        name
        for name in possible_formats(model)
        if not FORMATS[name].by_name
        and (not FORMATS[name].missing or (settings.dtype == "int8" and name == LiteRT.name))
    ]
    wanted = [one for one in FORMATS.values() if one.name in asked]
    for one in wanted:
        one.require(model, settings)
    return wanted


def _left_out(model: Model, settings: ExportSettings) -> list[str]:
    """What to say of formats that nobody asked for by name and whose packages are missing."""
    if settings.formats:
        return []
    found = [FORMATS[name] for name in possible_formats(model)]
    lacking = [one for one in found if one.missing and not one.by_name]
    return [
        f"no {one.name} file was written, which needs: {install(one.extra)}"
        for one in lacking
        if one.extra is not None
    ]


def _check(model: Model, settings: ExportSettings) -> Check:
    """Noise, and what torch answers.

    Raises:
        InvalidSetting: if the network takes no such images, or its weights name other classes.
    """
    source = torch.Generator().manual_seed(0)
    shape = image_shape(model.network, model.resolution, model.aspect, batch=max(BATCHES))
    images = torch.randn(shape, generator=source)
    expected = {batch: _logits(model, images[:batch]) for batch in BATCHES}
    _require_names(model, expected[1].shape[-1])
    return Check(
        model=model,
        images=images,
        expected=expected,
        reference=reference(model),
        settings=settings,
    )


def _require_names(model: Model, num_classes: int) -> None:
    classes = model.header.classes
    if classes is not None and len(classes) != num_classes:
        raise InvalidSetting(
            f"{model.name} gives {num_classes:,} logits, but its weights name {len(classes):,} "
            "classes; take the weights that belong to it"
        )


def _texts_of(wanted: Sequence[Format], model: Model, check: Check) -> dict[str, str]:
    """What goes beside the files of these formats: text by file name."""
    uses = [(one.name, one.use(check.settings)) for one in wanted]
    texts = {script_name(name): script(name, use, model) for name, use in uses if use is not None}
    if any(isinstance(one, Timm) for one in wanted):
        texts[CONFIG] = hub_config(model, num_classes=check.num_classes)
    return texts


def _write_beside(
    model: Model, folder: Path, known: Reference, more: Mapping[str, str]
) -> list[File]:
    """What is needed to use the formats' files as `predict` uses the network."""
    classes, answering = model.header.classes, model.header.answering
    texts = text_files(model.preparation, model.resolution, classes, answering)
    for name in {LABELS, ANSWERING} - set(texts):
        with guarded(folder / name):  # another network's would be taken for this one's
            (folder / name).unlink(missing_ok=True)
    texts[ANSWER] = known.answer(classes, answering)
    texts |= more
    contents = {name: text.encode() for name, text in texts.items()} | {known.name: known.picture}
    return [write_file(folder / name, content, BESIDE) for name, content in contents.items()]


def _of_an_earlier_export(folder: Path, written: list[File]) -> list[str]:
    """Names of files of formats that lie there and were not written now."""
    names = dict.fromkeys(name for one in FORMATS.values() for name in one.files)
    now = {file.path.name for file in written}
    return [name for name in names if name not in now and (folder / name).exists()]


def _cost(model: Model) -> Cost | None:
    """None if the user's module runs what autoscale cannot count."""
    try:
        return traced_cost(model.network, resolution=model.resolution, aspect=model.aspect)
    except InvalidSetting:
        return None


def _logits(model: Model, images: Tensor) -> Tensor:
    try:
        found = answer(model.network, images)
    except Exception as problem:  # the user's code may raise anything
        raise InvalidSetting(
            f"{model.name} does not take images of shape {tuple(images.shape)}: {cause(problem)}; "
            "correct it or try another --resolution"
        ) from problem
    if not isinstance(found, Tensor) or found.ndim != 2:
        raise InvalidSetting(f"{model.name} must give logits of shape (N, classes)")
    return found
