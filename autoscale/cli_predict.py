"""The commands that use a trained network: `autoscale evaluate` and `autoscale predict`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

Weights = Annotated[
    str | None,
    typer.Option(help="Weights of a network that is named otherwise; see autoscale export."),
]
Style = Annotated[
    str | None, typer.Option(help="What weights with timm's names expect: tf or timm.")
]
Resolution = Annotated[
    int | None, typer.Option(min=1, help="Pixels per side. \\[default: the network's own]")
]
Batch = Annotated[int, typer.Option(help="Images of one pass.")]
Device = Annotated[str, typer.Option(help="auto, cpu, or a CUDA device such as cuda:0.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of torch.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


def evaluate_command(
    model: Annotated[
        str,
        typer.Argument(
            help="A .safetensors file (runs/phi-2/train/best.safetensors), or a network whose "
            "--weights are given."
        ),
    ],
    data: Annotated[
        str,
        typer.Option(help="A folder with one sub-folder per class, Parquet files, or 'synthetic'."),
    ],
    split: Annotated[
        str,
        typer.Option(help="test, validation, train, all, or auto: test where there are such."),
    ] = "auto",
    seed: Annotated[
        int, typer.Option(help="Of the cut, if the data has no splits: that of the training.")
    ] = 0,
    pairs: Annotated[int, typer.Option(min=0, help="Worst confusions to show.")] = 5,
    weights: Weights = None,
    style: Style = None,
    resolution: Resolution = None,
    batch: Batch = 64,
    device: Device = "auto",
    threads: Threads = 1,
    as_json: Json = False,
) -> None:
    """How good a trained network is on a data set: accuracy, by class, and what it mixes up."""
    from autoscale.terminal import records, refuse, say, show_json, show_table
    from autoscale.workflows.predict import evaluate_model

    found = evaluate_model(
        model,
        data,
        split=split,
        seed=seed,
        batch=batch,
        device=device,
        threads=threads,
        weights=weights,
        style=style,
        resolution=resolution,
    )
    for line in found.skipped:
        refuse(f"skipped {line}")
    if as_json:
        show_json(
            {
                "split": found.split,
                "images": found.images,
                "accuracy": found.accuracy,
                "loss": found.loss,
                "images_per_second": found.images_per_second,
                "classes": records(found.classes),
                "confusions": records(found.confusions.head(pairs)),
            }
        )
        return
    show_table(found.classes, title="By class", columns=tuple(found.classes.columns))
    worst = found.confusions.head(pairs)
    if len(worst):
        show_table(worst, title="Most often mixed up", columns=tuple(worst.columns))
    say(
        f"Accuracy {found.accuracy:.4f}, loss {found.loss:.4f} on {found.images:,} "
        f"{found.split} images; {found.images_per_second:,.0f} images a second"
    )
    say("predicted: how often the class was answered. share: of the class's own images")


def predict_command(
    images: Annotated[list[Path], typer.Argument(help="Image files, as photos/*.jpg.")],
    model: Annotated[
        str,
        typer.Option(
            help="A .safetensors file (runs/phi-2/train/best.safetensors), or a network whose "
            "--weights are given."
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help="Classes of each image.")] = 3,
    weights: Weights = None,
    style: Style = None,
    resolution: Resolution = None,
    batch: Batch = 64,
    device: Device = "auto",
    threads: Threads = 1,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the answer as CSV.")] = False,
    as_json: Json = False,
) -> int:
    """What a trained network sees in images: classes with probabilities.

    An image that cannot be read is named on standard error, the others are answered, and the exit
    status is 1.
    """
    from autoscale.errors import InvalidSetting
    from autoscale.terminal import records, refuse, say, show_json, show_table
    from autoscale.workflows.predict import predict

    if as_csv and as_json:
        raise InvalidSetting("give either --csv or --json, not both")
    found = predict(
        model,
        images,
        top=top,
        batch=batch,
        device=device,
        threads=threads,
        weights=weights,
        style=style,
        resolution=resolution,
    )
    for line in found.refused:
        refuse(f"autoscale: {line}")
    if as_csv:
        sys.stdout.write(found.table.to_csv(index=False))
    elif as_json:
        show_json({"predictions": records(found.table), "refused": list(found.refused)})
    elif len(found.table):
        show_table(found.table, title="Predictions", columns=tuple(found.table.columns))
        say("probability: softmax of the logits; not how often the network is right")
    return 1 if found.refused else 0
