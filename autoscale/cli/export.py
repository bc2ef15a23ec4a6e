"""The commands that take a network away: `autoscale export` and `autoscale quantize`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from autoscale.models.settings import ExportSettings, QuantizeSettings, published_names
from autoscale.settings.option import begun, option

if TYPE_CHECKING:
    from autoscale.models.quantized.quantize import Quantized


@dataclass(frozen=True, kw_only=True)
class ExportCommand(ExportSettings):
    """Which network, and where to."""

    command: ClassVar[str] = "export"

    model: str = option(
        help="A published network (efficientnet-b0), a design's YAML file, "
        "package.module:name, or a .safetensors file that says what it belongs to.",
        argument=True,
        complete=begun(published_names),
        place=True,
    )
    directory: Path = option(help="Where the files go.", argument=True, place=True)


def export_command(settings: ExportCommand, *, as_json: bool) -> None:
    """Write a network for other programs, each file checked against torch, and a model card.

    Beside them: preparation.json and labels.txt (how pictures are prepared, what the logits are
    called), answering.json (temperature and threshold, if calibrate chose them), reference.png and
    reference.json (a picture with its answer, to check a program by).
    """
    import pandas as pd

    from autoscale.cli.terminal import say, show_json, show_table
    from autoscale.models import export

    found = export.export(settings.model, settings.directory, settings)
    files, beside = (
        [{**asdict(file), "path": str(file.path)} for file in part]
        for part in (found.files, found.beside)
    )
    if as_json:
        card = str(found.card)
        show_json({"files": files, "beside": beside, "card": card, "notes": found.notes})
        return
    columns = ("path", "format", "bytes", "difference")
    show_table(
        pd.DataFrame([*files, *beside]),
        title="Written",
        columns=columns if settings.data is None else (*columns, "agreement"),
    )
    say(
        "difference: largest of a logit from torch's on noise, at batch 1 and 5, and on validation "
        "images if there are data, of int8 on these alone; - is not run."
    )
    if settings.data is not None:
        say("agreement: share of validation images with torch's first answer.")
    for note in found.notes:
        say(f"Note: {note}.")
    say(f"Model card -> {found.card}")


@dataclass(frozen=True, kw_only=True)
class QuantizeCommand(QuantizeSettings):
    """Which network, where to, and what is shown of the answer."""

    command: ClassVar[str] = "quantize"

    model: str = option(
        help="A .safetensors file (runs/phi-2/train/best.safetensors), or a network whose "
        "--weights are given.",
        argument=True,
        place=True,
    )
    directory: Path = option(help="Where the LiteRT file goes.", argument=True, place=True)
    layers: int = option(8, "Layers of the largest own error to show.", least=0)


def quantize_command(settings: QuantizeCommand, *, as_json: bool) -> None:
    """Write a network in int8 as a LiteRT file, and compare it with itself in float.

    Some training images calibrate it. It is not trained, unless --epochs says so. The table names
    the layers that int8 costs most, before any training.
    """
    from autoscale.cli.terminal import records, refuse, say, show_json, show_table
    from autoscale.models.quantized.quantize import quantize

    found = quantize(settings.model, settings.directory, settings)
    for notice in found.notices:
        refuse(f"note: {notice}")
    if as_json:
        show_json(
            {
                "path": str(found.path),
                "bytes": found.bytes,
                "which": found.which,
                "calibrated_on": found.calibrated_on,
                "images": found.images,
                "accuracy_float": found.accuracy_float,
                "accuracy_int8": found.accuracy_int8,
                **_as_tuned(found),
                "agreement": found.agreement,
                "difference": found.difference,
                "layers": records(found.layers),
            }
        )
        return
    if settings.layers:
        show_table(
            found.worst.head(settings.layers),
            title="Layers of the largest own error",
            columns=("layer", "operation", "alone_db", "so_far_db"),
        )
        say(
            "alone_db: signal to noise of what a layer gives, in decibels, where its inputs have "
            "no error but rounding; so_far_db: with the errors of all layers before it"
        )
    if found.accuracy_float is not None:
        before = "" if found.tuned is None else f"{found.accuracy_before:.4f} in int8 before, "
        say(
            f"Accuracy {found.accuracy_float:.4f} in float, {before}{found.accuracy_int8:.4f} in "
            f"int8{' after learning' if before else ''}"
        )
    if found.tuned is not None:
        say(f"Learning: {found.tuned.which}")
    say(
        f"The first answer is the same for {found.agreement:.4f} of {found.which}; largest "
        f"difference of a logit {found.difference:.3g}"
    )
    say(f"Calibrated on {found.calibrated_on}")
    say(f"{found.bytes:,} bytes -> {found.path}")


def _as_tuned(found: Quantized) -> dict[str, Any]:
    """What is known of an int8 network that learned; nothing of one that did not."""
    if found.tuned is None:
        return {}
    return {
        "accuracy_before": found.accuracy_before,
        "best_epoch": found.tuned.best,
        "validation_accuracies": list(found.tuned.accuracies),
    }
