"""The command that trains one network for good: `autoscale train`."""

from pathlib import Path
from typing import Annotated

import typer

from autoscale.cli.completion import networks, recipes
from autoscale.cli.weights import Deviation, Interpolation, Mean, Style, WhiteLevel


def train_command(
    network: Annotated[
        str,
        typer.Argument(
            help="A family member's YAML file (runs/photos/family/phi-2.yaml), a design's, or a "
            "published network (efficientnet-b0).",
            autocompletion=networks,
        ),
    ],
    run: Annotated[
        Path, typer.Option(help="Run directory; weights and metrics go to its folder train.")
    ] = Path("runs/train"),
    data: Annotated[
        str,
        typer.Option(help="'synthetic', a folder with one sub-folder per class, or Parquet."),
    ] = "synthetic",
    recipe: Annotated[
        str,
        typer.Option(
            help="full, small-images, efficientnet (the paper's), sgd, or proxy.",
            autocompletion=recipes,
        ),
    ] = "full",
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the images. \\[default: the recipe's]")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Images a step; the learning rate follows. \\[default: the recipe's]"),
    ] = None,
    resolution: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Pixels per side; below 128, strides are taken away until the last map has 4 x 4. "
            "\\[default: the design's own]",
        ),
    ] = None,
    dropout: Annotated[float | None, typer.Option(help="\\[default: the member's, else 0]")] = None,
    drop_path: Annotated[
        float | None, typer.Option(help="Stochastic depth. \\[default: the member's, else 0]")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Use at most so many training images.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse unreadable images instead of skipping them.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of weights, order and augmentation.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, or a CUDA device such as cuda:0.")] = (
        "auto"
    ),
    threads: Annotated[int, typer.Option(min=1, help="Threads of each process.")] = 1,
    kernels: Annotated[
        str,
        typer.Option(
            help="native (compiled for this CPU), torch, none, or auto, the fastest there is."
        ),
    ] = "auto",
    weights: Annotated[
        str | None,
        typer.Option(
            help="Start from this file's weights (.safetensors, or tensors of PyTorch; our names, "
            "timm's, torchvision's or EfficientNet-PyTorch's). Of its classifier the rows of "
            "classes that the data has too go on; others start anew."
        ),
    ] = None,
    style: Style = None,
    mean: Mean = None,
    deviation: Deviation = None,
    interpolation: Interpolation = None,
    white_level: WhiteLevel = None,
    time_limit: Annotated[
        float | None,
        typer.Option(help="Seconds, after which it fails; finished epochs are kept."),
    ] = None,
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard",
            help="Write curves for TensorBoard beside metrics.csv (needs the extra tensorboard).",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Train a network in full; the same command continues where it was interrupted.

    Several processes share every batch: torchrun --nproc-per-node 2 -m -- autoscale train ...
    """
    import os

    from autoscale.cli.terminal import Live, refuse, say, show_json
    from autoscale.design.budget import several
    from autoscale.jobs.train import OutOfTime, train
    from autoscale.models.expected import channels

    try:
        with Live() as listener:
            found = train(
                network, run, data=data, recipe=recipe, epochs=epochs, batch_size=batch_size,
                resolution=resolution, dropout=dropout, drop_path=drop_path, seed=seed,
                limit=limit, strict=strict, device=device, threads=threads, kernels=kernels,
                weights=weights, style=style, mean=channels(mean, option="--mean"),
                deviation=channels(deviation, option="--deviation"), interpolation=interpolation,
                white_level=white_level, time_limit=time_limit, tensorboard=tensorboard,
                listener=listener,
            )  # fmt: skip
    except OutOfTime:
        if os.environ.get("RANK", "0") != "0":
            raise typer.Exit(1) from None  # all stop together, and one says so
        raise
    except KeyboardInterrupt:
        refuse("autoscale: stopped; finished epochs are kept, the same command continues")
        raise
    if os.environ.get("RANK", "0") != "0":
        return  # one process answers for all
    answer = {
        "name": found.name,
        "epochs": len(found.epochs),
        "best_epoch": found.best.number,
        "validation_accuracy": found.best.accuracy,
        "last_validation_accuracy": found.epochs[-1].accuracy,
        "test_accuracy": found.test_accuracy,
        "macs": found.macs,
        "params": found.params,
        "weights": str(found.weights),
    }
    if as_json:
        show_json(answer)
        return
    tested = "" if found.test_accuracy is None else f", {found.test_accuracy:.4f} on test images"
    say(
        f"{found.name}: {found.macs:,} multiply-adds, {found.params:,} parameters, "
        f"{several(len(found.epochs), 'epoch')}. Best after epoch {found.best.number}: accuracy "
        f"{found.best.accuracy:.4f} on validation images{tested} -> {found.weights}"
    )
