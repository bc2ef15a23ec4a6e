"""The command that takes a network away: `autoscale export`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from autoscale.cli_completion import networks


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
            help="safetensors, python (a module that needs torch alone), timm (names and blocks of "
            "timm's EfficientNet), torch-export, onnx (extra export). May be given several times. "
            "\\[default: all that the network can have]"
        ),
    ] = None,
    style: Annotated[
        str | None,
        typer.Option(
            help="What weights with timm's names expect: tf (tf_efficientnet..., TensorFlow's "
            "padding) or timm (the others)."
        ),
    ] = None,
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
    """Write a network for other programs, each file checked against torch, and a model card."""
    import pandas as pd

    from autoscale.terminal import say, show_json, show_table
    from autoscale.workflows.export import export

    found = export(
        model,
        directory,
        formats=to,
        measure=measure,
        weights=weights,
        style=style,
        resolution=resolution,
    )
    files = [{**asdict(file), "path": str(file.path)} for file in found.files]
    if as_json:
        show_json({"files": files, "card": str(found.card), "notes": found.notes})
        return
    show_table(
        pd.DataFrame(files), title="Written", columns=("path", "format", "bytes", "difference")
    )
    say("difference: largest of a logit from torch's on noise, at batch 1 and 5; - is not run.")
    for note in found.notes:
        say(f"Note: {note}.")
    say(f"Model card -> {found.card}")
