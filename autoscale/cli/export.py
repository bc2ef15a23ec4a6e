"""The command that takes a network away: `autoscale export`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from autoscale.models.settings import ExportSettings, published_names
from autoscale.settings import begun, option


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
    called), reference.png and reference.json (a picture with its answer, to check a program by).
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
    show_table(
        pd.DataFrame([*files, *beside]),
        title="Written",
        columns=("path", "format", "bytes", "difference"),
    )
    say(
        "difference: largest of a logit from torch's on noise, at batch 1 and 5, or of int8 on "
        "held-out images; - is not run."
    )
    for note in found.notes:
        say(f"Note: {note}.")
    say(f"Model card -> {found.card}")
