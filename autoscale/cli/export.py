"""The command that takes a network away: `autoscale export`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from autoscale.cli.completion import networks
from autoscale.cli.weights import Deviation, Interpolation, Mean, Style, WhiteLevel
from autoscale.models.formats import formats_in_words


def export_command(
    model: Annotated[
        str,
        typer.Argument(
            help="A published network (efficientnet-b0), a design's YAML file, "
            "package.module:name, or a .safetensors file that says what it belongs to.",
            autocompletion=networks,
        ),
    ],
    directory: Annotated[Path, typer.Argument(help="Where the files go.")],
    weights: Annotated[
        str | None, typer.Option(help="A .safetensors file, or a PyTorch file of tensors.")
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            help=f"{formats_in_words()}. May be given several times. "
            "\\[default: all that the network can have]"
        ),
    ] = None,
    style: Style = None,
    mean: Mean = None,
    deviation: Deviation = None,
    interpolation: Interpolation = None,
    white_level: WhiteLevel = None,
    resolution: Annotated[
        int | None,
        typer.Option(
            min=1, help="Pixels per side. \\[default: the design's own; 224 for a module]"
        ),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure the latency on this machine for the card.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Write a network for other programs, each file checked against torch, and a model card.

    Beside them: preparation.json and labels.txt (how pictures are prepared, what the logits are
    called), reference.png and reference.json (a picture with its answer, to check a program by).
    """
    import pandas as pd

    from autoscale.cli.terminal import say, show_json, show_table
    from autoscale.models.expected import channels
    from autoscale.models.export import export
    from autoscale.models.load import load_model

    found = export(
        load_model(
            model,
            weights=weights,
            style=style,
            mean=channels(mean, option="--mean"),
            deviation=channels(deviation, option="--deviation"),
            interpolation=interpolation,
            white_level=white_level,
            resolution=resolution,
        ),
        directory,
        formats=to,
        measure=measure,
    )
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
    say("difference: largest of a logit from torch's on noise, at batch 1 and 5; - is not run.")
    for note in found.notes:
        say(f"Note: {note}.")
    say(f"Model card -> {found.card}")
