"""The commands that use a trained network: `autoscale evaluate` and `autoscale predict`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoscale.cli.weights import Deviation, Interpolation, Mean, Style, WhiteLevel

if TYPE_CHECKING:
    import pandas as pd

Weights = Annotated[
    str | None,
    typer.Option(help="Weights of a network that is named otherwise; see autoscale export."),
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
        typer.Option(
            help="test, validation, train, all, or auto: test where there are such; a folder "
            "without splits whole, but for what the network was trained on."
        ),
    ] = "auto",
    seed: Annotated[
        int | None,
        typer.Option(help="Of the cut, if the data has no splits. \\[default: the training's]"),
    ] = None,
    pairs: Annotated[int, typer.Option(min=0, help="Worst confusions to show.")] = 5,
    weights: Weights = None,
    style: Style = None,
    mean: Mean = None,
    deviation: Deviation = None,
    interpolation: Interpolation = None,
    white_level: WhiteLevel = None,
    resolution: Resolution = None,
    batch: Batch = 64,
    device: Device = "auto",
    threads: Threads = 1,
    as_json: Json = False,
) -> None:
    """How good a trained network is on a data set: accuracy, by class, and what it mixes up."""
    from autoscale.cli.terminal import records, refuse, say, show_json, show_table
    from autoscale.models.expected import channels
    from autoscale.models.load import load_model
    from autoscale.models.predict import evaluate_model

    network = load_model(
        model,
        weights=weights,
        style=style,
        mean=channels(mean, option="--mean"),
        deviation=channels(deviation, option="--deviation"),
        interpolation=interpolation,
        white_level=white_level,
        resolution=resolution,
    )
    found = evaluate_model(
        network,
        data,
        split=split,
        seed=seed,
        batch=batch,
        device=device,
        threads=threads,
    )
    for note in network.notes:
        refuse(f"note: {note}")
    refuse(found.summary)
    for line in found.skipped:
        refuse(f"skipped {line}")
    for line in found.notices:
        refuse(f"warning: {line}")
    if as_json:
        show_json(
            {
                "split": found.split,
                "which": found.which,
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
        f"Accuracy {found.accuracy:.4f}, loss {found.loss:.4f}; "
        f"{found.images_per_second:,.0f} images a second"
    )
    say(found.which)
    say("predicted: how often the class was answered. share: of the class's own images")


def predict_command(
    model: Annotated[
        str,
        typer.Option(
            help="A .safetensors file (runs/phi-2/train/best.safetensors), or a network whose "
            "--weights are given."
        ),
    ],
    images: Annotated[
        list[str] | None,
        typer.Argument(
            help="Image files, as photos/*.jpg; folders of such, with all below them; or -, for "
            "names on standard input.",
            show_default=False,
        ),
    ] = None,
    names: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="A file of names, one a line or with NUL between them (find -print0); - is "
            "standard input.",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Classes of each image.")] = 3,
    weights: Weights = None,
    style: Style = None,
    mean: Mean = None,
    deviation: Deviation = None,
    interpolation: Interpolation = None,
    white_level: WhiteLevel = None,
    resolution: Resolution = None,
    batch: Batch = 64,
    device: Device = "auto",
    threads: Threads = 1,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the answer as CSV.")] = False,
    as_json: Json = False,
) -> int:
    """What a trained network sees in images: classes with probabilities.

    An image that cannot be read is named on standard error, the others are answered, and the exit
    status is 1. CSV is printed as it comes, some hundred images at a time.
    """
    from autoscale.cli.terminal import Live, refuse
    from autoscale.errors import InvalidSetting
    from autoscale.models.expected import channels
    from autoscale.models.load import load_model
    from autoscale.models.predict import predict_in_parts

    if as_csv and as_json:
        raise InvalidSetting("give either --csv or --json, not both")
    network = load_model(
        model,
        weights=weights,
        style=style,
        mean=channels(mean, option="--mean"),
        deviation=channels(deviation, option="--deviation"),
        interpolation=interpolation,
        white_level=white_level,
        resolution=resolution,
    )
    with Live() as listener:
        parts = predict_in_parts(
            network,
            _asked(images or [], names),
            top=top,
            batch=batch,
            device=device,
            threads=threads,
            listener=listener,
        )
        found: list[pd.DataFrame] = []
        refused: list[str] = []
        for number, part in enumerate(parts):
            if number == 0:
                for note in network.notes:
                    refuse(f"autoscale: note: {note}")
            for line in part.refused:
                refuse(f"autoscale: {line}")
            for line in part.notices:
                refuse(f"autoscale: warning: {line}")
            refused += part.refused
            if as_csv:
                sys.stdout.write(part.table.to_csv(index=False, header=number == 0))
                sys.stdout.flush()
            else:
                found.append(part.table)
    if not as_csv:
        _show_predictions(found, refused, as_json)
    return 1 if refused else 0


def _asked(images: list[str], names: str | None) -> list[str]:
    """The names of the images, those of lists among them.

    Raises:
        InvalidSetting: if a list cannot be read.
    """
    from autoscale.errors import InvalidSetting
    from autoscale.models.predict import names_in

    if names == "-" and "-" in images:
        raise InvalidSetting("standard input is asked for twice; leave - or --from - out")
    found = [
        name
        for image in images
        for name in (names_in(sys.stdin.buffer.read()) if image == "-" else [image])
    ]
    if names == "-":
        found += names_in(sys.stdin.buffer.read())
    elif names is not None:
        try:
            found += names_in(Path(names).read_bytes())
        except OSError as problem:
            raise InvalidSetting(
                f"cannot read the list {names}: {problem.strerror}; name a file of names"
            ) from None
    if not found:
        raise InvalidSetting("no image is named; name files or folders, or give --from a list")
    return found


def _show_predictions(parts: "list[pd.DataFrame]", refused: list[str], as_json: bool) -> None:
    import pandas as pd

    from autoscale.cli.terminal import records, say, show_json, show_table

    table = pd.concat(parts, ignore_index=True)
    if as_json:
        show_json({"predictions": records(table), "refused": refused})
    elif len(table):
        show_table(table, title="Predictions", columns=tuple(table.columns))
        say("probability: softmax of the logits; not how often the network is right")
